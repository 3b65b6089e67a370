"""Makes workbook.xlsx as another program writes it: run where openpyxl is installed (it is not among our packages).

python tests/engine/documents/files/make_workbook.py
"""

from __future__ import annotations

import datetime as dt
import os

import openpyxl  # type: ignore[import-not-found] - not among our packages


def main() -> None:
    """Write the workbook beside this file."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Reviews, 2026"
    sheet.append(["Id", "Date", "Review", "Stars", "Paid"])
    sheet.append([1, dt.date(2026, 3, 1), "It boils fast,\nand it looks good.", 4.5, True])
    # The format knows no time zones.
    sheet.append([2, dt.datetime(2026, 3, 2, 14, 30), "=SUM(1,2)", 0.1 + 0.2, False])  # noqa: DTZ001
    sheet.append([3, None, "水很快就烧开了，非常满意。", None, None])
    sheet["C3"].data_type = "s"
    sheet["B6"] = "only a date column"
    hidden = book.create_sheet("Hidden")
    hidden.sheet_state = "hidden"
    hidden.append(["Note"])
    hidden.append(["a text that nobody saw"])
    book.create_sheet("Empty")
    book.save(os.path.join(os.path.dirname(os.path.abspath(__file__)), "workbook.xlsx"))


if __name__ == "__main__":
    main()
