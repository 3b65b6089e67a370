"""What the window knows: engine, model, plan and piles, fed by the client and told to the panels once a tick."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from PySide6.QtCore import QObject, Signal

from engine.api import (
    AddPaths,
    Cancel,
    CancelOpen,
    CheckModel,
    CloseModel,
    CreateJob,
    Export,
    Hello,
    Inspect,
    JobFacts,
    ListModels,
    Meters,
    ModelFacts,
    ModelState,
    Notice,
    OpenModel,
    Pause,
    Plan,
    RemoveDocuments,
    Reply,
    RestoreDocuments,
    Resume,
    Retry,
    RunFirst,
    SetPlan,
    ShowJob,
    Snapshot,
    Submit,
    restore,
)
from engine.api.activity import Activity
from gui import words
from gui.banner import Banner
from gui.engine_client import EngineClient, EngineState
from gui.escape import shown
from gui.inbox import Snapshots
from gui.job import Job, job_of, new_job
from gui.judgement import blames_model
from gui.pile import Change
from gui.settings import Settings

STARTER = "starter"
"""The name under which the engine knows the model that came with Heddle and makes vectors."""

SUPPLIED = (STARTER, "writer")
"""The names of all that came with Heddle."""


class Session(QObject):
    """The window's state. Its signals are coarse: each comes at most once a tick, except answers to the user."""

    hello = Signal()
    engine_changed = Signal(str)
    model_changed = Signal()
    models_changed = Signal()
    jobs_changed = Signal()
    current_changed = Signal()
    rows_changed = Signal(str, object)
    finished = Signal(str)
    noticed = Signal(object)
    stale = Signal(str)
    removed = Signal(str, int, int)
    ticked = Signal(object)

    def __init__(self, client: EngineClient, settings: Settings, parent: QObject | None = None) -> None:
        """Listen to ``client``; nothing is sent before the engine says Hello."""
        super().__init__(parent)
        self.client = client
        self.settings = settings
        self.machine_hello: Hello | None = None
        self.model = ModelState()
        self.facts: ModelFacts | None = None
        self.models: tuple[ModelFacts, ...] = ()
        self.listing = False
        self.plan = settings.plan()
        self.plan_in_use = Plan()
        self.meters = Meters()
        self.jobs: dict[str, Job] = {}
        self.current = ""
        self.newest: Snapshot | None = None
        self._waiting = Snapshots()
        self._looked_up = ""
        self._cancelling = False
        self._preferred = ""
        self._resumed: set[str] = set()
        self.resumed: list[str] = []
        """Jobs of which a line has just said that they go on."""
        self._away: set[str] = set()
        client.hello.connect(self._welcome)
        client.snapshot.connect(self._waiting.append)
        client.state_changed.connect(self._engine_state)
        client.died.connect(lambda text: self.notice("error", text, "engine"))

    # ----------------------------------------------------------------------------------------------------------- hearing
    def _welcome(self, hello: Hello) -> None:
        first = self.machine_hello is None
        self._part_with(hello.set_aside)
        self.machine_hello = hello
        if first:
            if self.plan != Plan():
                self.client.send(SetPlan, self._tell_failure, plan=self.plan)
            self.open_model(self.settings.text("model", STARTER) or STARTER)
        self._resumed = set(hello.recovered)
        self._restore_lost(self._resumed)
        self.hello.emit()

    def _part_with(self, aside: Sequence[Activity]) -> None:
        """Do not try again by itself what the engine before did not come back from."""
        model = self.settings.text("model", STARTER) or STARTER
        if any(blames_model(one, model) for one in aside):
            self.settings.set_text("model", STARTER)

    def _restore_lost(self, recovered: set[str]) -> None:
        """Have a new engine open what is open here; piles and paths that the journal did not keep are told again."""
        for job in self.jobs.values():
            if job.id not in recovered and not job.creating:
                self._open_again(job)
            else:
                self._add_again(job)

    def _open_again(self, job: Job) -> None:
        def answered(reply: Reply) -> None:
            if not self.client.alive:
                return  # the next engine is asked
            if not reply.ok:
                self._create(job)
            self._add_again(job)

        self.client.send(ShowJob, answered, job=job.id)

    def _add_again(self, job: Job) -> None:
        again, job.interrupted = job.interrupted, []
        for paths in again:
            self._add(job, paths)
        unanswered, job.unanswered = job.unanswered, []
        for kind, fields in unanswered:
            self._ask(job, kind, repeated=True, **fields)
        for path in sorted(job.growing):
            self._follow(job, path)

    def _follow(self, job: Job, path: str) -> None:
        """Have a new engine go on with a file that gets rows as documents end."""

        def answered(reply: Reply) -> None:
            if not reply.ok and self.client.alive:
                job.growing.discard(path)
                self._tell_failure(reply)

        self.client.send(Export, answered, job=job.id, path=path, format="jsonl", grow=True, resume=True)

    def _engine_state(self, state: str) -> None:
        if state == EngineState.RESTARTING:  # the model went with the engine; the next one opens it again
            self.model = (
                replace(self.model, status="loading", progress=0.0, stage="") if self.model.folder else ModelState()
            )
            self.model_changed.emit()
        elif state == EngineState.FAILED:
            self.model = ModelState()
            self.model_changed.emit()
        self.engine_changed.emit(state)

    def tick(self) -> None:
        """Merge what arrived since the last tick and tell it, ten times a second."""
        waiting = self._waiting.due()
        if waiting:
            changes: dict[str, Change] = {}
            notices: list[Notice] = []
            for snapshot in waiting:
                self._merge(snapshot, changes)
                notices.extend(snapshot.notices)
            self._take_newest(waiting[-1])
            for job, change in changes.items():
                if change:
                    self.rows_changed.emit(job, change)
            self.jobs_changed.emit()
            self._announce_finished()
            self._announce_resumed()
            if notices:
                self.noticed.emit([Banner(notice.level, notice.text) for notice in notices])
        if self.newest is not None:
            self.ticked.emit(self.newest)

    def _merge(self, snapshot: Snapshot, changes: dict[str, Change]) -> None:
        for state in snapshot.jobs:
            if state.id in self._away:
                continue
            job = self.jobs.get(state.id)
            if job is None:
                job = self.jobs[state.id] = Job(state.id, state.name, state)
                if not self.current or state.id == self._preferred:
                    self.select(state.id)
            job.state, job.name = state, state.name
        for rows in snapshot.rows:
            job = self.jobs.get(rows.job)
            if job is not None:
                job.pile.apply(rows, changes.setdefault(rows.job, Change()))

    def _take_newest(self, snapshot: Snapshot) -> None:
        self.newest = snapshot
        self.meters = snapshot.meters
        changed = snapshot.model != self.model or snapshot.plan != self.plan_in_use
        self.model, self.plan_in_use = snapshot.model, snapshot.plan
        if changed:
            if self.model.status == "ready" and (self.facts is None or self.facts.folder != self.model.folder):
                self._look_up(self.model.folder)
            self.model_changed.emit()

    def _look_up(self, folder: str) -> None:
        """Ask for the facts of a model that a new engine opened by itself."""
        if folder != self._looked_up:
            self._looked_up = folder
            self.client.send(CheckModel, self._keep_facts, folder=folder)

    def _keep_facts(self, reply: Reply) -> None:
        if reply.ok:
            self.facts = restore(ModelFacts, reply.value["facts"])
            self._looked_up = ""
            self.model_changed.emit()

    def _announce_finished(self) -> None:
        for job in self.jobs.values():
            if job.at_work:
                job.settled = False
            elif job.state.status in ("finished", "cancelled") and not job.settled:
                job.settled = True
                if job.state.status == "finished":
                    self.finished.emit(job.id)

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
        self.noticed.emit([Banner(level, text, topic, offer)])

    def _tell_failure(self, reply: Reply, topic: str = "") -> None:
        """Say that a command failed; one about the same ``topic`` that succeeds takes that back."""
        if reply.ok:
            self.stale.emit(topic)
        elif reply.error:
            self.notice("error", reply.error, topic)

    # ------------------------------------------------------------------------------------------------------------- model
    def open_model(self, folder: str) -> None:
        """Load a model; it is remembered once it is open."""
        self.model = replace(
            ModelState(), status="loading", folder=folder, name=folder.replace("\\", "/").rsplit("/", 1)[-1]
        )
        self.facts = None
        self._cancelling = False
        self.stale.emit("model")
        self.model_changed.emit()

        def answered(reply: Reply) -> None:
            if reply.ok:
                self._keep_facts(reply)
                self.settings.set_text("model", folder)
                if folder not in SUPPLIED:
                    self.settings.remember_first("recent_models", folder)
                self.refresh_models()
            elif not self._cancelling and self.client.alive:
                self._tell_failure(reply, "model")

        self.client.send(OpenModel, answered, folder=folder, dtype="auto")

    def cancel_open(self) -> None:
        """Stop the load that is under way."""
        self._cancelling = True
        self.client.send(CancelOpen, self._tell_failure)

    def close_model(self) -> None:
        """Unload the model."""
        self.facts = None
        self.client.send(CloseModel, lambda reply: self._tell_failure(reply, "model"))

    def refresh_models(self) -> None:
        """Look for models again."""
        self.listing = True
        self.models_changed.emit()
        self.client.send(
            ListModels,
            self._listed,
            folders=tuple(self.settings.strings("model_folders")),
            recent=tuple(self.settings.strings("recent_models")),
        )

    def _listed(self, reply: Reply) -> None:
        self.listing = False
        if reply.ok:
            self.models = tuple(restore(ModelFacts, item) for item in reply.value["models"])
        self.models_changed.emit()

    def check_model(self, folder: str, then: Callable[[Reply], None]) -> None:
        """Look into a folder without loading it."""
        self.client.send(CheckModel, then, folder=folder)

    def set_plan(self, plan: Plan) -> None:
        """Use and remember another plan."""
        if plan == self.plan:
            return
        before, self.plan = self.plan, plan
        self.settings.set_plan(plan)

        def answered(reply: Reply) -> None:
            if not reply.ok and self.client.alive and self.plan == plan:
                self.plan = before  # the engine refused it, and goes on as before
                self.settings.set_plan(before)
                self.model_changed.emit()
            elif reply.ok and self.model.status == "failed" and plan.dtype != before.dtype:
                self.open_model(self.model.folder)  # it may have been the format that it did not take
            self._tell_failure(reply, "plan")

        self.client.send(SetPlan, answered, plan=plan)

    # -------------------------------------------------------------------------------------------------------------- piles
    @property
    def writes(self) -> bool:
        """Whether the model that is open or being opened writes text."""
        return self.facts is not None and self.facts.writes

    @property
    def job(self) -> Job | None:
        """The pile that is shown."""
        return self.jobs.get(self.current)

    def select(self, job: str) -> None:
        """Show another pile."""
        self._preferred = ""
        if job != self.current:
            self.current = job
            self.current_changed.emit()

    def prefer(self, job: str) -> None:
        """Show a job as soon as the engine tells of it, unless the user chooses another one first."""
        self._preferred = job

    def adopt(self, facts: JobFacts, *, select: bool) -> None:
        """Take in a job that the engine has opened; its rows come with the snapshots."""
        self._away.discard(facts.id)
        if facts.id not in self.jobs:
            self.jobs[facts.id] = job_of(facts)
        if select:
            self.select(facts.id)
        self.jobs_changed.emit()

    def forget(self, job: str) -> None:
        """Show a job no more; the engine has put it away."""
        self._away.add(job)
        if self.jobs.pop(job, None) is not None and job == self.current:
            self.select(next(reversed(self.jobs), ""))
        self.jobs_changed.emit()

    def new_pile(self, name: str = "") -> Job:
        """Make an empty pile and show it."""
        number = uuid.uuid4().hex
        if not name:
            count = self.settings.json("piles", 0) + 1  # a name of its own among all piles ever
            self.settings.set_json("piles", count)
            name = self.tr("Pile {number}").format(number=count)
        job = self.jobs[number] = new_job(number, name)
        self._create(job)
        self.select(number)
        self.jobs_changed.emit()
        return job

    def _create(self, job: Job) -> None:
        job.creating = True

        def answered(reply: Reply) -> None:
            job.creating = False
            if self.client.alive:  # a dead engine's successor is told again
                self._tell_failure(reply)

        self.client.send(CreateJob, answered, job=job.id, name=job.name)

    def add_paths(self, paths: Sequence[str]) -> None:
        """Add files and folders to the pile that is shown, making one when there is none."""
        if paths:
            name = os.path.basename(paths[0].rstrip("/\\"))
            self._add(self.job or self.new_pile(name), tuple(paths))

    def _add(self, job: Job, paths: tuple[str, ...]) -> None:
        def answered(reply: Reply) -> None:
            if reply.ok or self.client.alive:
                self._tell_failure(reply)
            else:
                job.interrupted.append(paths)

        self.client.send(AddPaths, answered, job=job.id, paths=paths)

    def start(self, task: str, settings: dict[str, Any], *, again: bool = False, anyway: bool = False) -> None:
        """Start the shown pile, or go on with the rest of one that was stopped.

        ``again`` runs the documents that are done once more, with the new task.

        ``anyway`` asks the model also where the journal knows the answer to the same question.
        """
        job = self.job
        if job is None:
            return
        # Rows may lag behind the counts; the engine leaves alone what waits or runs.
        done = [n for n, row in job.pile.records.items() if row.state != "skipped"] if again else []
        job.submitted = (task, settings)
        self.stale.emit("restarted")
        self._ask(job, Submit, task=task, settings=settings, again=anyway, rest=True)
        if done:
            self._ask(job, Retry, documents=tuple(done))

    def pause(self) -> None:
        """Let the shown pile finish what runs and take no more."""
        self._tell(self.job, Pause)

    def resume(self) -> None:
        """Go on with the shown pile."""
        self._tell(self.job, Resume)

    def stop(self) -> None:
        """Stop the shown pile."""
        self._tell(self.job, Cancel)

    def retry(self, documents: Iterable[int] = ()) -> None:
        """Run documents again: those named, or all that failed or were cancelled."""
        self._ask(self.job, Retry, documents=tuple(documents))

    def remove(self, documents: Iterable[int] = ()) -> None:
        """Take documents off the pile: those named, or all that do not run."""
        job = self.job
        if job is None:
            return

        def gone(reply: Reply) -> None:
            if reply.ok and reply.value.get("removal"):
                self.removed.emit(job.id, int(reply.value["removal"]), int(reply.value["count"]))

        self._ask(job, RemoveDocuments, gone, documents=tuple(documents))

    def put_back(self, job: str, removal: int) -> None:
        """Undo the removal of documents of a pile, by the id that ``removed`` gave."""
        self._ask(self.jobs.get(job), RestoreDocuments, removal=removal)

    def run_first(self, documents: Iterable[int]) -> None:
        """Let waiting documents run before the others of the shown pile."""
        self._ask(self.job, RunFirst, documents=tuple(documents))

    def _tell(self, job: Job | None, kind: Callable[..., Any]) -> None:
        """Give a command that does no harm given twice; its answer may take as long as what is under way."""
        if job is not None:
            self.client.send(kind, lambda reply: self._heard(reply, job, kind, {}), job=job.id)

    def _heard(
        self, reply: Reply, job: Job, kind: Callable[..., Any], fields: dict[str, Any], *, repeated: bool = False
    ) -> None:
        """Tell why a command was not carried out; if the engine ended before it could be, its successor is asked once."""
        if reply.ok or self.client.alive or repeated:
            self._tell_failure(reply, f"job:{job.id}")
        else:
            job.unanswered.append((kind, fields))

    def _ask(
        self,
        job: Job | None,
        kind: Callable[..., Any],
        then: Callable[[Reply], None] | None = None,
        *,
        repeated: bool = False,
        **fields: Any,
    ) -> None:
        if job is None:
            return
        job.asked += 1

        def answered(reply: Reply) -> None:
            job.asked -= 1
            self._heard(reply, job, kind, fields, repeated=repeated)
            if then is not None:
                then(reply)
            self.jobs_changed.emit()

        self.client.send(kind, answered, job=job.id, **fields)
        self.jobs_changed.emit()

    def inspect(self, document: int, then: Callable[[Reply], None]) -> int:
        """Ask for text and result of a document of the shown pile; returns the request id."""
        return self.client.send(Inspect, then, job=self.current, document=document)

    def export(
        self,
        path: str,
        format: str,  # noqa: A002 - the protocol's word
        then: Callable[[Reply], None],
        *,
        grow: bool = False,
    ) -> None:
        """Write the rows of the shown pile to a file, and with ``grow`` those of documents that end later, too."""
        job = self.job
        if job is None:
            return

        def answered(reply: Reply) -> None:
            if grow and reply.ok:
                job.growing.add(path)
            then(reply)

        job.growing.discard(path)
        self.client.send(Export, answered, job=job.id, path=path, format=format, grow=grow)
