"""The model of the window: which one is open, which ones there are, and the plan by which it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from PySide6.QtCore import QObject, Signal

from engine.api import (
    CancelOpen,
    CheckModel,
    CloseModel,
    ListModels,
    ModelFacts,
    ModelState,
    OpenModel,
    Plan,
    Reply,
    SetPlan,
    Snapshot,
    restore,
)
from engine.api.activity import Activity
from gui.engine_client import EngineClient, EngineState
from gui.judgement import blames_model
from gui.notices import Notices
from gui.settings import Settings

STARTER = "starter"
"""The name under which the engine knows the model that came with Heddle and makes vectors."""

SUPPLIED = (STARTER, "writer")
"""The names of all that came with Heddle."""


class ModelLoader(QObject):
    """Has the engine load and unload models. ``changed``: the model, its facts or the plan; ``listed``: the list."""

    changed = Signal()
    listed = Signal()

    def __init__(self, client: EngineClient, settings: Settings, notices: Notices, parent: QObject) -> None:
        """Know of no model; nothing is sent."""
        super().__init__(parent)
        self._client, self._settings, self._notices = client, settings, notices
        self.model = ModelState()
        self.facts: ModelFacts | None = None
        self.models: tuple[ModelFacts, ...] = ()
        self.listing = False
        self.plan = settings.plan()
        self.plan_in_use = Plan()
        self._looked_up = ""
        self._cancelling = False
        self._opening = 0
        """How many models the engine has been asked for and has not answered yet."""

    @property
    def writes(self) -> bool:
        """Whether the model that is open or being opened writes text."""
        return self.facts is not None and self.facts.writes

    # ---------------------------------------------------------------------------------------------------------- hearing
    def begin(self) -> None:
        """Tell the first engine the plan, and have it open the model of last time."""
        if self.plan != Plan():
            self._client.send(SetPlan, self._notices.tell_failure, plan=self.plan)
        self.open(self._settings.text("model", STARTER) or STARTER)

    def part_with(self, aside: Sequence[Activity]) -> None:
        """Do not try again by itself what the engine before did not come back from."""
        model = self._settings.text("model", STARTER) or STARTER
        if any(blames_model(one, model) for one in aside):
            self._settings.set_text("model", STARTER)

    def engine_changed(self, state: str) -> None:
        """Show the model as the end of an engine leaves it."""
        if state == EngineState.RESTARTING:  # the model went with the engine; the next one opens it again
            self.model = (
                replace(self.model, status="loading", progress=0.0, stage="") if self.model.folder else ModelState()
            )
            self.changed.emit()
        elif state == EngineState.FAILED:
            self.model = ModelState()
            self.changed.emit()

    def take(self, snapshot: Snapshot) -> None:
        """Show the model and the plan of a snapshot."""
        model = snapshot.model
        if self._opening and model.status != "loading":
            model = self.model  # told before the engine read what it was asked for
        changed = model != self.model or snapshot.plan != self.plan_in_use
        self.model, self.plan_in_use = model, snapshot.plan
        if changed:
            if self.model.status == "ready" and (self.facts is None or self.facts.folder != self.model.folder):
                self.facts = None  # those of another model, told before this one was open
                self._look_up(self.model.folder)
            self.changed.emit()

    def _look_up(self, folder: str) -> None:
        """Ask for the facts of a model that a new engine opened by itself."""

        def answered(reply: Reply) -> None:
            if folder == self.model.folder:
                self._keep_facts(reply)
            else:  # another one was opened meanwhile
                self._looked_up = ""

        if folder != self._looked_up:
            self._looked_up = folder
            self._client.send(CheckModel, answered, folder=folder)

    def _keep_facts(self, reply: Reply) -> None:
        if reply.ok:
            self.facts = restore(ModelFacts, reply.value["facts"])
            self._looked_up = ""
            self.changed.emit()

    # ------------------------------------------------------------------------------------------------------- what to do
    def open(self, folder: str) -> None:
        """Load a model; it is remembered once it is open."""
        self.model = replace(
            ModelState(), status="loading", folder=folder, name=folder.replace("\\", "/").rsplit("/", 1)[-1]
        )
        self.facts = None
        self._cancelling = False
        self._notices.stale.emit("model")
        self.changed.emit()

        def answered(reply: Reply) -> None:
            self._opening -= 1
            if reply.ok:
                self._keep_facts(reply)
                self._settings.set_text("model", folder)
                if folder not in SUPPLIED:
                    self._settings.remember_first("recent_models", folder)
                self.refresh()
            elif not self._cancelling and self._client.alive:
                self._notices.tell_failure(reply, "model")

        self._opening += 1
        self._client.send(OpenModel, answered, folder=folder, dtype="auto")

    def cancel(self) -> None:
        """Stop the load that is under way."""
        self._cancelling = True
        self._client.send(CancelOpen, self._notices.tell_failure)

    def close(self) -> None:
        """Unload the model."""
        self.facts = None
        self._client.send(CloseModel, lambda reply: self._notices.tell_failure(reply, "model"))

    def refresh(self) -> None:
        """Look for models again."""
        self.listing = True
        self.listed.emit()
        self._client.send(
            ListModels,
            self._take_list,
            folders=tuple(self._settings.strings("model_folders")),
            recent=tuple(self._settings.strings("recent_models")),
        )

    def _take_list(self, reply: Reply) -> None:
        self.listing = False
        if reply.ok:
            self.models = tuple(restore(ModelFacts, item) for item in reply.value["models"])
        self.listed.emit()

    def check(self, folder: str, then: Callable[[Reply], None]) -> None:
        """Look into a folder without loading it."""
        self._client.send(CheckModel, then, folder=folder)

    def set_plan(self, plan: Plan) -> None:
        """Use and remember another plan."""
        if plan == self.plan:
            return
        before, self.plan = self.plan, plan
        self._settings.set_plan(plan)

        def answered(reply: Reply) -> None:
            if not reply.ok and self._client.alive and self.plan == plan:
                self.plan = before  # the engine refused it, and goes on as before
                self._settings.set_plan(before)
                self.changed.emit()
            elif reply.ok and self.model.status == "failed" and plan.dtype != before.dtype:
                self.open(self.model.folder)  # it may have been the format that it did not take
            self._notices.tell_failure(reply, "plan")

        self._client.send(SetPlan, answered, plan=plan)
