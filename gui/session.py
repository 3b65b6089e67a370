"""What the window knows: engine, model, plan and piles, fed by the client and told to the panels once a tick."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from engine.api import Hello, Meters, ModelFacts, ModelState, Notice, Plan, Snapshot
from gui import words
from gui.engine_client import EngineClient
from gui.escape import shown
from gui.inbox import Snapshots
from gui.job import Job
from gui.model_loader import ModelLoader
from gui.notices import Notices
from gui.pile import Change
from gui.pile_commands import PileCommands
from gui.piles import Piles
from gui.settings import Settings


class Session(QObject):
    """The window's state, put together from its parts: ``loader`` of models, ``piles``, ``commands`` about them, ``notices``.

    What is read often is read here. Signals are coarse: each comes at most once a tick, except answers to the user.
    """

    hello = Signal()
    engine_changed = Signal(str)
    ticked = Signal(object)

    def __init__(self, client: EngineClient, settings: Settings, parent: QObject | None = None) -> None:
        """Listen to ``client``; nothing is sent before the engine says Hello."""
        super().__init__(parent)
        self.client = client
        self.settings = settings
        self.machine_hello: Hello | None = None
        self.meters = Meters()
        self.newest: Snapshot | None = None
        self.resumed: list[str] = []
        """Jobs of which a line has just said that they go on."""
        self._resumed: set[str] = set()
        self._waiting = Snapshots()

        self.notices = Notices(self)
        self.loader = ModelLoader(client, settings, self.notices, self)
        self.piles = Piles(self)
        self.commands = PileCommands(client, settings, self.piles, self.notices, self)
        self.noticed, self.stale = self.notices.noticed, self.notices.stale
        self.model_changed, self.models_changed = self.loader.changed, self.loader.listed
        self.jobs_changed, self.current_changed = self.piles.changed, self.piles.current_changed
        self.rows_changed, self.finished = self.piles.rows_changed, self.piles.finished
        self.removed = self.commands.removed

        client.hello.connect(self._welcome)
        client.snapshot.connect(self._waiting.append)
        client.state_changed.connect(self._engine_state)
        client.died.connect(lambda text: self.notice("error", text, "engine"))

    # ------------------------------------------------------------------------------------------------- what there is
    @property
    def model(self) -> ModelState:
        """The model that is open or being opened."""
        return self.loader.model

    @property
    def facts(self) -> ModelFacts | None:
        """What is known of that model, None before anything is."""
        return self.loader.facts

    @property
    def models(self) -> tuple[ModelFacts, ...]:
        """All models that were found."""
        return self.loader.models

    @property
    def writes(self) -> bool:
        """Whether the model that is open or being opened writes text."""
        return self.loader.writes

    @property
    def plan(self) -> Plan:
        """The plan that the user chose."""
        return self.loader.plan

    @property
    def plan_in_use(self) -> Plan:
        """The plan that the engine follows."""
        return self.loader.plan_in_use

    @property
    def jobs(self) -> dict[str, Job]:
        """The piles that are open, by id."""
        return self.piles.jobs

    @property
    def current(self) -> str:
        """Id of the pile that is shown, "" for none."""
        return self.piles.current

    @property
    def job(self) -> Job | None:
        """The pile that is shown."""
        return self.piles.job

    # ------------------------------------------------------------------------------------------------------- hearing
    def _welcome(self, hello: Hello) -> None:
        first = self.machine_hello is None
        self.loader.part_with(hello.set_aside)
        self.machine_hello = hello
        if first:
            self.loader.begin()
        self._resumed = set(hello.recovered)
        self.commands.repeat(self._resumed)
        self.hello.emit()

    def _engine_state(self, state: str) -> None:
        self.loader.engine_changed(state)
        self.engine_changed.emit(state)

    def tick(self) -> None:
        """Merge what arrived since the last tick and tell it, ten times a second."""
        waiting = self._waiting.due()
        if waiting:
            changes: dict[str, Change] = {}
            notices: list[Notice] = []
            for snapshot in waiting:
                self.piles.merge(snapshot, changes)
                notices.extend(snapshot.notices)
            self.newest = waiting[-1]
            self.meters = self.newest.meters
            self.loader.take(self.newest)
            self.piles.announce(changes)
            self._announce_resumed()
            self.notices.pass_on(notices)
        if self.newest is not None:
            self.ticked.emit(self.newest)

    def _announce_resumed(self) -> None:
        """Say in a line what goes on that an engine before this one had begun."""
        resumed, self._resumed = self._resumed, set()
        for job in self.jobs.values():
            if job.id in resumed and job.busy:
                text = self.tr("Resumed '{name}': {done} of {all} done.").format(
                    name=shown(job.name), done=words.number(job.count("done")), all=words.number(job.count())
                )
                self.notice("info", text, f"resumed:{job.id}")
                self.resumed.append(job.id)

    def notice(
        self, level: str, text: str, topic: str = "", offer: tuple[str, Callable[[], object]] | None = None
    ) -> None:
        """Show a sentence of the window's own beside the engine's notices, as Banner says."""
        self.notices.say(level, text, topic, offer)
