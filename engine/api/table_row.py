"""Rows of tables, as everybody sees them: where a locator names the column, and where a result keeps the other columns."""

from __future__ import annotations

COLUMNS = "columns"
"""The key in a result's value under which the other columns of the row are, by name; in exports they have their own names."""

_BETWEEN = ", "


def row_locator(place: str, column: str) -> str:
    """Return the locator of a row's text: where the row is, and the column where there are others.

    ``place`` holds no comma with a space behind it.
    """
    return f"{place}{_BETWEEN}{column}" if column else place


def column_of(locator: str) -> str:
    """Return the column that a locator names, empty where it names none."""
    return locator.partition(_BETWEEN)[2]
