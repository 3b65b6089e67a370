"""A write to the journal: statements that are committed together or not at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from engine.store.checksum import Row
from engine.store.record import Record

Statement = tuple[str, Sequence[Row]]
"""A statement and the rows of values it is run with, as for ``executemany``."""


@dataclass(frozen=True, slots=True)
class Write:
    """Statements that are committed together or not at all; ``rows`` is its weight in a batch.

    With several rows, all statements have as many, and the n-th rows of all of them belong together: when SQLite refuses
    one, only those are not written. ``grows`` is 1 or -1 where the rows that the first statement touches come to, or go
    from, the documents of ``job`` (without one: the jobs). ``records`` are the documents that the rows are about, and
    ``instead`` gives the write that keeps one of them with the reason for which its row was refused.
    """

    statements: tuple[Statement, ...]
    rows: int
    grows: int = 0
    job: str = ""
    records: Sequence[Record] = ()
    instead: Callable[[Record, str], Write] | None = None

    def row(self, number: int) -> Write:
        """Return the write of one of the rows."""
        if self.rows <= 1:
            return self
        statements = tuple((statement, rows[number : number + 1]) for statement, rows in self.statements)
        return replace(self, statements=statements, rows=1, records=self.records[number : number + 1])
