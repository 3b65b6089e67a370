"""Whether something has not gone on for longer than the user is patient."""

from __future__ import annotations

from dataclasses import replace
from typing import TextIO

from engine.api.activity import Activity
from engine.cli.interrupts import DidNotEnd
from engine.engine import Engine
from engine.jobs.aside import sentence


class Overdue:
    """Looks whether something has not gone on for longer than the user is patient."""

    def __init__(self, engine: Engine, patience: float, errors: TextIO) -> None:
        self._engine, self._patience, self._errors = engine, patience, errors
        self.given_up: set[Activity] = set()
        """Folders that adding was ended for."""

    def __call__(self) -> bool:
        """Tell whether adding was ended because a folder does not answer; raises DidNotEnd for anything else."""
        if self._patience <= 0:
            return False
        late = [one for one in self._engine.board.now(self._patience) if replace(one, seconds=0) not in self.given_up]
        if others := [one for one in late if one.kind != "folder"]:
            raise DidNotEnd(tuple(others))
        for one in late:  # the documents that were found go on
            self.given_up.add(replace(one, seconds=0))
            self._errors.write(f"{sentence(one)}\n")
            self._engine.end_adding(one.job)
        return bool(self.given_up)
