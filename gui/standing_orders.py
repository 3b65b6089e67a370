"""What a new engine has to be told again: the plan, and the model that was open."""

from __future__ import annotations

from collections.abc import Sequence

from engine.api import CancelOpen, CloseModel, Command, OpenModel, Reply, SetPlan, Snapshot
from engine.api.activity import Activity
from gui.judgement import blames_model

FATAL_LOADS = 2
"""So many engines may end while they load a model before it is not loaded again by itself."""


class StandingOrders:
    """Keeps the newest plan and model that were asked for, as long as they may be asked for again."""

    def __init__(self) -> None:
        """Start with none."""
        self._plan: SetPlan | None = None
        self._model: OpenModel | None = None
        self._loading = False
        self._fatal_loads = 0

    @property
    def commands(self) -> list[Command]:
        """The commands to give again, in their order."""
        return [command for command in (self._plan, self._model) if command is not None]

    def sent(self, command: Command) -> None:
        """Take note of a command."""
        if isinstance(command, SetPlan):
            self._plan = command
        elif isinstance(command, OpenModel):
            self._model = command
            self._fatal_loads = 0
        elif isinstance(command, CloseModel | CancelOpen):
            self._model = None

    def answered(self, reply: Reply) -> None:
        """Take note of an answer: a model that cannot be opened is not tried again after a restart."""
        if not reply.ok and self._model is not None and reply.request == self._model.request:
            self._model = None

    def told(self, snapshot: Snapshot) -> None:
        """Take note of how far the load is."""
        self._loading = snapshot.model.status == "loading"
        if snapshot.model.status == "ready":
            self._fatal_loads = 0

    def engine_ended(self) -> None:
        """Stop opening a model that took the engine with it twice."""
        if self._loading and self._model is not None:
            self._fatal_loads += 1
            if self._fatal_loads >= FATAL_LOADS:
                self._model = None
        self._loading = False

    def part_with(self, aside: Sequence[Activity]) -> None:
        """Do not open again by itself a model that an engine before did not come back from."""
        if self._model is not None and any(blames_model(one, self._model.folder) for one in aside):
            self._model = None
