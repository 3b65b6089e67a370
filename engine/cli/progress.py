"""Progress on a terminal: snapshots, the rows they brought, one line that is drawn again and again, the journal's notes."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

from engine.api.snapshot import DocumentRow, JobState, Snapshot
from engine.engine import Engine
from engine.store.cells import escape


class Notes:
    """Writes down what the journal has to tell, each sentence once."""

    def __init__(self, engine: Engine, errors: TextIO) -> None:
        self._journal, self._errors, self._told = engine.journal, errors, 0

    def tell(self) -> None:
        """Write what is new."""
        notes = self._journal.notes[self._told :]
        self._told += len(notes)
        self._errors.writelines(f"{note}\n" for note in notes)


class Progress:
    """Takes snapshots, keeps the rows, and draws one line of progress on a terminal."""

    def __init__(self, engine: Engine, errors: TextIO, notes: Notes, *, quiet: bool) -> None:
        self._engine = engine
        self._errors = errors
        self._draws = errors.isatty() and not quiet
        self._drawn = 0.0
        self._notes = notes
        self.rows: dict[int, DocumentRow] = {}
        self.last: Snapshot = engine.snapshot()
        self._take(self.last)

    def look(self, *, final: bool = False) -> JobState | None:
        """Take a snapshot (all of them, if ``final``) and return the job's state."""
        self._notes.tell()
        if final:
            self._engine.journal.flush(10.0)
        self.last = self._engine.snapshot()
        self._take(self.last)
        while final and self.last.more_rows:
            self.last = self._engine.snapshot()
            self._take(self.last)
        state = self.last.jobs[0] if self.last.jobs else None
        if self._draws and state is not None and (final or time.monotonic() - self._drawn > 0.2):
            self._draw(state, final=final)
        return state

    def _take(self, snapshot: Snapshot) -> None:
        for told in snapshot.rows:
            for row in told.rows:
                self.rows[row.id] = row

    def _draw(self, state: JobState, *, final: bool) -> None:
        self._drawn = time.monotonic()
        total = sum(state.counts.values())
        ended = total - state.counts["waiting"] - state.counts["running"]
        model = self.last.model
        if model.status == "loading":
            line = f"loading {model.name}: {model.stage} {model.progress:.0%}"
        else:
            bar = int(24 * ended / total) if total else 0
            line = f"[{'#' * bar}{'.' * (24 - bar)}] {ended:,} of {total:,}"
            line += f" | {self.last.meters.documents_per_s:.1f} documents/s"
            if state.eta >= 0:
                line += f" | about {state.eta:.0f} s left"
            if state.counts["failed"]:
                line += f" | {state.counts['failed']} failed"
        width = shutil.get_terminal_size().columns - 1
        self._errors.write("\r" + escape(line)[:width].ljust(width) + ("\n" if final else ""))
        self._errors.flush()
