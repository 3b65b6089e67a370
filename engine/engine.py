"""The one door to the engine: open a model, add documents, submit, pause, resume, cancel, look, close.

Runs in any process that wants it: the host process under the window, the command line, a test. Methods return at once;
what takes time is answered by a Future.
"""

from __future__ import annotations

import atexit
import contextlib
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, ClassVar, Self

from engine import tasks
from engine.api.activity import Activity
from engine.api.plan import Plan
from engine.api.reading import FAIL
from engine.api.snapshot import Snapshot
from engine.errors import HeddleError
from engine.jobs import control, noted
from engine.jobs.adding import Adding
from engine.jobs.aside import STUCK_SECONDS, Stuck, blamed, left_behind, set_aside
from engine.jobs.coordinator import Coordinator
from engine.jobs.growing_exports import Following
from engine.jobs.inspection import inspect
from engine.jobs.job import Job
from engine.jobs.job_commands import JobCommands
from engine.jobs.job_list import AWAKE, JobList
from engine.jobs.offline_sources import OfflineWatch
from engine.jobs.pile_facts import PileFacts
from engine.jobs.pools import Pools
from engine.jobs.preview import Preview
from engine.jobs.recovery import recover
from engine.jobs.removals import Removals
from engine.jobs.snapshots import Snapshots
from engine.jobs.token_counts import TokenCounts
from engine.jobs.trial import Trials
from engine.jobs.work_source import CoordinatedWork
from engine.models.catalog import list_models
from engine.store.journal import Journal
from engine.telemetry import machine
from engine.telemetry.activity import Board
from engine.workers.manager import ModelManager

if TYPE_CHECKING:
    from engine.api.facts import JobFacts, ModelFacts
    from engine.models.load import LoadedModel
    from engine.models.load_decoder import LoadedDecoder


class Engine:
    """Jobs, one model, workers, a journal. All methods may be called from any thread."""

    alive: ClassVar[set[Engine]] = set()
    """Engines that were not closed yet; what is left of them at the end of the program is closed then."""
    abandoned: ClassVar[bool] = False
    """Whether a closed engine left a thread behind that does not end, and for which the end of Python would wait."""

    def __init__(
        self,
        session: str | None = None,
        command: str | None = None,
        *,
        shelve: bool = False,
        stuck: Stuck | None = None,
    ) -> None:
        """Start with no model; ``session`` is the file that outlives the process, None keeps results in memory.

        All jobs of the file come back; with ``command`` (question.command) only the job of that command, with ``shelve``
        only those that are meant to go on: the others wait in the file for ``show_job``. ``stuck`` says that the engine
        before was ended because it did not come back. Raises HeddleError when the
        session file cannot be used.
        """
        machine.tune_allocator()
        self.journal = Journal(session)
        self.board = Board(self.journal.path)
        self._pools = Pools()
        self.set_aside, notes = left_behind(self.journal, self.board, stuck)
        """What the engine before did not come back from; its documents are quarantined."""
        self.coordinator = Coordinator(self.journal, self._pools.tasks, self.board)
        self.coordinator.deaf = {one.subject for one in self.set_aside if one.kind == "folder"}
        self._offline = OfflineWatch(self.coordinator)
        self.job_list = JobList(self.coordinator)
        if shelve:
            self.job_list.sweep()
        self.recovered = recover(self.coordinator, command, (lambda kept: kept.status in AWAKE) if shelve else None)
        self.manager = ModelManager(CoordinatedWork(self.coordinator), self._tell)
        self.trials = Trials(self.coordinator)
        self.removals = Removals(self.coordinator)
        self._preview = Preview(self.coordinator, self.manager)
        self._counts = TokenCounts(self.coordinator, self._preview)
        self._snapshots = Snapshots(self.coordinator, self.manager, self.trials)
        for note in notes:
            self._tell("warning", note)
        self._closing = threading.Event()
        self._adding = Adding(self.coordinator, self._closing.is_set)
        self._commands = JobCommands(self.coordinator, self._pools.answers)
        self.piles = PileFacts(self.coordinator)
        """What is known of the piles in memory."""
        self._following = Following(self.journal, self._pools.looks, self._tell)
        Engine.alive.add(self)

    def __enter__(self) -> Self:
        """Use the engine for a block, which closes it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the engine."""
        self.close()

    # --------------------------------------------------------------------------------------------------------------- model
    def open_model(self, folder: str, dtype: str = "auto") -> Future[ModelFacts]:
        """Load the model in ``folder`` (``starter``: the one that came with Heddle) and let workers run on it.

        The future raises ModelError, Cancelled, or UsageError while a job still runs on another model.
        """
        self.trials.stop()
        return self.manager.open_model(folder, dtype)

    def cancel_open(self) -> Future[None]:
        """Stop the load that is under way; the future is done when it has stopped."""
        return self.manager.cancel_open()

    def close_model(self) -> Future[None]:
        """Unload the model and give its memory back; raises UsageError while a job runs."""
        self.trials.stop()
        return self.manager.close_model()

    def set_plan(self, plan: Plan) -> Future[Plan]:
        """Use ``plan`` from the next batch on; the future gives it with nothing left open.

        Another device or number format loads the model again, which raises UsageError while a job runs.
        """
        self.trials.stop()
        return self.manager.set_plan(plan)

    @property
    def plan(self) -> Plan:
        """The plan in use, nothing left open."""
        return self.manager.plan

    @property
    def loaded(self) -> LoadedModel | LoadedDecoder | None:
        """The model that workers run on, or None."""
        return self.manager.loaded

    def list_models(self, folders: Sequence[str] = (), recent: Sequence[str] = ()) -> Future[tuple[ModelFacts, ...]]:
        """Look for models: the starter, ``recent`` ones, ``folders``, the Hugging Face cache."""
        return self._pools.looks.submit(lambda: list_models(folders, recent, cancelled=self._closing.is_set))

    def check_model(self, folder: str) -> Future[ModelFacts]:
        """Look into one folder and try its tokenizer and template, without loading."""
        return self._pools.looks.submit(noted.check_model, self.board, folder)

    # ---------------------------------------------------------------------------------------------------------------- jobs
    def create_job(self, job: str, name: str = "", command: str = "") -> None:
        """Make a new, empty pile; ``command`` is that of ``heddle run`` (question.command)."""
        self._commands.create(job, name, command)

    def add_paths(
        self,
        job: str,
        paths: Iterable[str],
        *,
        encoding: str = "",
        on_bad_bytes: str = FAIL,
        column: str = "",
        leave_out: Iterable[str] = (),
    ) -> Future[dict[str, int]]:
        """Walk files and folders into the pile; the future gives ``{"added": n, "skipped": n}``.

        What Heddle wrote is not taken, but counted as ``own``: the journal, and results and reports of other runs unless they are named
        themselves. Files at ``leave_out`` are about to be written: a document among them is a UsageError. Files that
        the pile has stay as they are, unless they changed: then they are read anew and wait.
        """
        return self._adding.paths(
            self._job(job), paths, encoding=encoding, on_bad_bytes=on_bad_bytes, column=column, leave_out=leave_out
        )

    def add_texts(self, job: str, texts: Iterable[tuple[str, str]]) -> Future[dict[str, int]]:
        """Put texts that are in memory on the pile, as (name, text); the future gives ``{"added": n, "skipped": n}``."""
        return self._adding.texts(self._job(job), texts)

    def submit(
        self,
        job: str,
        task: str,
        settings: dict[str, Any] | None = None,
        priority: int = 0,
        *,
        again: bool = False,
        rest: bool = False,
    ) -> None:
        """Queue the job's waiting documents with a task; raises UsageError for settings that make no sense.

        What the journal already knows the answer to is not run, unless ``again``. With ``rest``, documents that were
        cancelled run as well.
        """
        self._commands.submit(job, task, settings, priority, again=again, rest=rest)

    def pause(self, job: str) -> Future[None]:
        """Finish what runs and take no more; the future is done when nothing of the job runs, or it is resumed."""
        return self._commands.pause(job)

    def resume(self, job: str) -> None:
        """Go on with a paused job."""
        self._commands.resume(job)

    def cancel(self, job: str) -> Future[None]:
        """Stop the job within a layer; the future is done when nothing of it runs, or it is started again."""
        return self._commands.cancel(job)

    def retry(self, job: str, documents: Iterable[int] = ()) -> int:
        """Run documents again, those named or all that failed or were cancelled; returns how many."""
        return self._commands.retry(job, documents)

    def remove_documents(self, job: str, documents: Iterable[int] = ()) -> int:
        """Take documents off the pile (never running ones), all with none named; returns how many."""
        return self._commands.remove(job, documents)

    def take_off(self, job: str, documents: Iterable[int] = ()) -> Future[dict[str, int]]:
        """Take documents off the pile as ``remove_documents`` does, so that ``put_back`` can undo it."""
        return self._pools.answers.submit(self.removals.remove, self._job(job), tuple(documents))

    def put_back(self, job: str, removal: int) -> Future[int]:
        """Undo ``take_off`` by the id that it gave; the future raises UsageError when that cannot be done any more."""
        return self._pools.answers.submit(self.removals.restore, self._job(job), removal)

    def set_priority(self, job: str, priority: int) -> None:
        """Serve jobs with a higher number first."""
        self._commands.set_priority(job, priority)

    # ------------------------------------------------------------------------------------------------------- jobs as a whole
    def list_jobs(self) -> Future[tuple[JobFacts, ...]]:
        """List all jobs of the journal, oldest first, whether they are in memory or not."""
        return self._pools.answers.submit(self.job_list.list)

    def show_job(self, job: str) -> Future[JobFacts]:
        """Bring a job of the journal into memory; its rows come with the next snapshots."""
        return self._pools.answers.submit(self.job_list.show, job)

    def put_away(self, job: str) -> None:
        """Take a job out of memory; raises UsageError while it runs."""
        self.job_list.put_away(job)
        self._adding.watcher.forget(job)

    def rename_job(self, job: str, name: str) -> Future[None]:
        """Give a job another name; the future raises UsageError for an empty one."""
        return self._pools.answers.submit(self.job_list.rename, job, name)

    def delete_job(self, job: str) -> Future[None]:
        """Delete a job; ``restore_job`` brings it back until the next start. The future raises UsageError if it runs."""
        self._adding.watcher.forget(job)
        return self._pools.answers.submit(self.job_list.delete, job)

    def restore_job(self, job: str) -> Future[JobFacts]:
        """Undo ``delete_job``."""
        return self._pools.answers.submit(self.job_list.restore, job)

    def duplicate_job(self, job: str, copy: str, name: str = "") -> Future[JobFacts]:
        """Make the job ``copy`` with the same documents, none of them done, and the same task."""
        return self._adding.in_turn(job, self.job_list.duplicate, job, copy, name)

    def run_first(self, job: str, documents: Iterable[int]) -> int:
        """Let waiting documents run before the others of their pile; returns how many of them still waited."""
        return self.job_list.run_first(self._job(job), documents)

    def watch_folder(self, job: str, folder: str) -> None:
        """Add new files of ``folder`` to the pile once they stop growing, and run changed ones again; "" ends it."""
        self._adding.watch(self._job(job), folder)

    # ------------------------------------------------------------------------------------------------------- single documents
    def inspect(self, job: str, document: int, limit: int = 100_000) -> Future[dict[str, Any]]:
        """Give text and result of one document, as protocol.Inspect tells."""
        found = self._job(job)
        return self._pools.looks.submit(inspect, self.coordinator, found, document, limit)

    def preview(
        self, job: str, document: int, task: str, settings: dict[str, Any], limit: int = 20_000
    ) -> Future[dict[str, Any]]:
        """Give the exact prompt about one document, as protocol.Preview tells; UsageError for settings without sense."""
        found, made = self._job(job), tasks.make(task, settings)
        return self._pools.looks.submit(self._preview.prompt, found, document, made, limit)

    def try_on(self, job: str, document: int, task: str, settings: dict[str, Any]) -> Future[dict[str, Any]]:
        """Run a task on one document and leave its row alone, as protocol.Trial tells."""
        found, made = self._job(job), tasks.make(task, settings)
        self._preview.need_model()
        return self._pools.waits.submit(self.trials.run, found, document, made, dict(settings), self._closing.is_set)

    def stop_trial(self) -> None:
        """End the trial that is under way."""
        self.trials.stop()

    def count_tokens(self, job: str, task: str = "", settings: dict[str, Any] | None = None) -> Future[dict[str, Any]]:
        """Count the tokens of waiting documents on idle workers; the future is as protocol.CountTokens tells.

        Raises UsageError without a model or for settings without sense.
        """
        made = tasks.make(task, settings or {}) if task else None
        return self._pools.waits.submit(self._counts.begin(self._job(job), made))

    def stop_counting(self, job: str) -> None:
        """End the counting of a pile's tokens; what is counted stays."""
        self._counts.stop(self._job(job))

    def export(self, job: str, path: str, format: str) -> Future[int]:  # noqa: A002 - the protocol's word
        """Write the job's rows to ``path`` (csv, jsonl, npy, md, txt); the future gives their number or raises ExportError."""
        self._job(job)

        return self._pools.looks.submit(noted.write_rows, self.board, self.journal, job, path, format)

    def grow(self, job: str, path: str, *, resume: bool = False) -> Future[int]:
        """Write the rows of what has ended to the JSONL file ``path``, and append one for each document that ends.

        The future gives the rows that are in it at first, or raises ExportError. A file that cannot be written later is
        told in a notice. With ``resume`` the file is one that an earlier engine wrote, and only what it lacks is appended.
        Rows are appended as snapshots are taken, until ``end_growing`` or the end of the engine.
        """
        self._job(job)
        return self._following.start(job, path, resume=resume)

    def end_growing(self, job: str) -> Future[int]:
        """Append what is still lacking and let go of the job's growing files; the future gives their rows."""
        return self._following.end(job)

    def wait(self, job: str, timeout: float | None = None) -> bool:
        """Wait until the job has finished, was cancelled or paused; False when ``timeout`` was not enough."""
        return self._commands.wait(job, timeout)

    def use_model(self, model: str) -> None:
        """Look for earlier answers of this model (question.model_key) before any is open."""
        self.coordinator.call(lambda: control.use_model(self.coordinator, model))

    def _job(self, job: str) -> Job:
        return self._commands.job(job)

    # ---------------------------------------------------------------------------------------------------------------- looking
    def snapshot(self) -> Snapshot:
        """Return what changed since the last call, and the meters; called by one watcher, ten times a second."""
        snapshot = self._snapshots.snapshot()
        self._following.see(snapshot.rows)
        return snapshot

    def _tell(self, level: str, text: str) -> None:
        self._snapshots.notify(level, text)

    def gil_share(self) -> float:
        """Return the share of worker time that went to Python between operations; -1 without any forward yet."""
        return self.manager.gil_share()

    # ----------------------------------------------------------------------------------------------------------------- ending
    def stuck(self, seconds: float) -> tuple[Activity, ...]:
        """Return the documents, folders, models and exports that threads are at for so long without going on."""
        return blamed(self.board.now(seconds))

    def give_up(self, activities: Sequence[Activity]) -> int:
        """Quarantine the documents among ``activities`` and return how many; their threads are left to themselves."""
        return set_aside(self.coordinator, activities)

    def end_adding(self, job: str) -> None:
        """Wait no longer for what is being added to a job; what a thread still finds is taken when it comes."""
        self._adding.end(job)

    def close(self, seconds: float = 2.0) -> bool:
        """Stop taking work, drop what is in flight, end within about ``seconds``; False if a thread did not end.

        Documents that such a thread has not come back from for ``STUCK_SECONDS`` are quarantined.
        """
        begin = time.monotonic()
        Engine.alive.discard(self)
        self._closing.set()
        self._adding.close()
        self.manager.begin_closing()
        self._offline.close()
        self.coordinator.close()
        clean = self.manager.close(max(0.1, seconds - (time.monotonic() - begin)))
        if stuck := self.stuck(STUCK_SECONDS):
            clean = False
            with contextlib.suppress(HeddleError):
                self.give_up(stuck)
        self.coordinator.end(max(0.2, seconds - (time.monotonic() - begin)))
        self._adding.shutdown()
        self._pools.shutdown()
        left = max(0.2, seconds - (time.monotonic() - begin))
        with contextlib.suppress(HeddleError):
            clean &= self.journal.close(left) == 0
        self.board.close()
        Engine.abandoned |= not clean
        return clean


@atexit.register
def _close_all() -> None:
    # Workers are Qt's threads, which Python does not end: a program that forgot them would wait for ever.
    for engine in list(Engine.alive):
        engine.close()
