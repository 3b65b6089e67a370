"""Outputs of steps in a journal that another process has open."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path


def kept_in(journal: Path) -> int:
    """Return how many outputs of steps a journal in use holds."""
    try:
        with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=1.0)) as database:
            return database.execute("SELECT count(*) FROM output").fetchone()[0]
    except sqlite3.OperationalError:
        return 0  # not made yet
