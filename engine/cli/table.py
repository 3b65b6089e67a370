"""Rows of a pile as a table on a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from engine.api.snapshot import DocumentRow
from engine.store.cells import escape, shown


def table(rows: Iterable[DocumentRow], output: TextIO) -> None:
    """Print one line a document: state, result or reason, and name, in pile order."""
    ordered = sorted(rows, key=lambda row: row.position)
    width = max([len(_said(row)) for row in ordered] + [6])
    width = min(width, 60)
    output.writelines(f"{row.state:<9} {_said(row)[:width]:<{width}}  {shown(where(row))}\n" for row in ordered)


def where(row: DocumentRow) -> str:
    """Return the place of a document: its file, and which part of it."""
    return f"{row.path}, {row.locator}" if row.locator else row.path


def _said(row: DocumentRow) -> str:
    """What became of a document, on one line."""
    if row.state == "done":
        return escape(f"{row.summary} ({row.reason})" if row.reason else row.summary)
    return escape(row.reason)
