"""The one door to the engine: open a model, add documents, submit, pause, resume, cancel, look, close.

Runs in any process that wants it: the host process under the window, the command line, a test. Methods return at once;
what takes time is answered by a Future.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import threading
import time
from collections.abc import Callable, Container, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Self

from engine import tasks
from engine.api.activity import Activity
from engine.api.plan import Plan
from engine.api.snapshot import Snapshot
from engine.documents import encodings
from engine.documents.read import POLICIES
from engine.documents.watch import Watcher
from engine.errors import HeddleError, UsageError
from engine.jobs import control
from engine.jobs.aside import Stuck, blamed, culprits, sentence, set_aside, set_aside_in, suspicion
from engine.jobs.coordinator import Coordinator
from engine.jobs.growing_exports import Following
from engine.jobs.ingest import add_paths, add_texts, added, hand_over
from engine.jobs.inspection import inspect
from engine.jobs.job import Job
from engine.jobs.job_list import AWAKE, JobList
from engine.jobs.offline_sources import OfflineWatch
from engine.jobs.preview import Preview
from engine.jobs.recovery import recover
from engine.jobs.removals import Removals
from engine.jobs.result_cache import look_up
from engine.jobs.snapshots import Snapshots
from engine.jobs.trial import Trials
from engine.jobs.work_source import CoordinatedWork
from engine.models.catalog import list_models
from engine.models.check import check
from engine.models.place import model_place
from engine.store.export import export
from engine.store.journal import Journal
from engine.telemetry import machine
from engine.telemetry.activity import Board, touch
from engine.telemetry.helpers import Helpers, InTurn
from engine.workers.manager import ModelManager

if TYPE_CHECKING:
    from engine.api.facts import JobFacts, ModelFacts
    from engine.models.load import LoadedModel
    from engine.models.load_decoder import LoadedDecoder
    from engine.store.record import Record


LOOK_UPS = 32
"""Look-ups under way at once. What does not come back is one less until its engine is replaced."""

STUCK_SECONDS = 5.0
"""Seconds after which a step of work that was not told to go on counts as one that does not end, when all has to end."""

HELPERS = 16
"""Tasks that are advanced at once."""

READERS = 16
"""Piles that files are added to at once."""

WAITS = 32
"""Commands that wait for workers at once."""


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
        if stuck is None and self.board.ended_at:
            stuck = Stuck(STUCK_SECONDS - 1.0, self.board.ended_at, silent=True)
        found = () if stuck is None else culprits(self.board, stuck)
        self.set_aside = found if stuck is not None and (len(found) == 1 or not stuck.silent) else ()
        """What the engine before did not come back from; its documents are quarantined."""
        set_aside_in(self.journal, self.set_aside)
        # A thread for each call: one that never returns (a dead disk, an endless template) holds up no other.
        self._helpers = Helpers("helpers", HELPERS)
        """Tasks are advanced here, beside the coordinator."""
        self.coordinator = Coordinator(self.journal, self._helpers, self.board)
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
        self._snapshots = Snapshots(self.coordinator, self.manager, self.trials)
        for note in map(sentence if self.set_aside else suspicion, found):
            self._tell("warning", note)
        self._closing = threading.Event()
        self._watcher = Watcher(self._take_new)
        self._readers = Helpers("reader", READERS)
        self._adder = InTurn(self._readers)
        self._waits = Helpers("waits", WAITS)
        self._answers = Helpers("answers", LOOK_UPS)
        """Answers that need the journal only."""
        self._looks = Helpers("answers", LOOK_UPS)
        """Answers that need files of others: models, documents, exports."""
        self._following = Following(self.journal, self._looks, self._tell)
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
        return self._looks.submit(lambda: list_models(folders, recent, cancelled=self._closing.is_set))

    def check_model(self, folder: str) -> Future[ModelFacts]:
        """Look into one folder and try its tokenizer and template, without loading."""

        def look_into() -> ModelFacts:
            with self.board.doing("model", folder, "check"):
                return check(model_place(folder))

        return self._looks.submit(look_into)

    # ---------------------------------------------------------------------------------------------------------------- jobs
    def create_job(self, job: str, name: str = "", command: str = "") -> None:
        """Make a new, empty pile; ``command`` is that of ``heddle run`` (question.command)."""

        def create() -> None:
            if job in self.coordinator.jobs:
                raise UsageError(f"There is a job {job!r} already.")
            made = Job(job, self.journal, name, time.time(), command=command)
            self.journal.add_job(made.record())
            self.coordinator.put(made)

        self.coordinator.call(create)

    def add_paths(
        self,
        job: str,
        paths: Iterable[str],
        *,
        encoding: str = "",
        on_bad_bytes: str = "fail",
        leave_out: Iterable[str] = (),
    ) -> Future[dict[str, int]]:
        """Walk files and folders into the pile; the future gives ``{"added": n, "skipped": n}``.

        What Heddle wrote is not taken, but counted as ``own``: the journal, and results and reports of other runs unless they are named
        themselves. Files at ``leave_out`` are about to be written: a document among them is a UsageError. Files that
        the pile has stay as they are, unless they changed: then they are read anew and wait.
        """
        found = self._job(job)
        wanted = list(paths)
        if encoding:
            encodings.known(encoding)
        if on_bad_bytes not in POLICIES:
            raise UsageError(f"Bad bytes can be met with {' or '.join(POLICIES)}, not {on_bad_bytes!r}.")

        def begin() -> None:
            found.adding += 1
            if (found.encoding, found.on_bad_bytes) != (encoding, on_bad_bytes):
                found.read_as(encoding, on_bad_bytes)
            self.coordinator.update(found)

        self.coordinator.call(begin)
        return self._adder.submit(
            job, add_paths, self.coordinator, found, wanted, self._closing.is_set, tuple(leave_out)
        )

    def add_texts(self, job: str, texts: Iterable[tuple[str, str]]) -> Future[dict[str, int]]:
        """Put texts that are in memory on the pile, as (name, text); the future gives ``{"added": n, "skipped": n}``."""
        found = self._job(job)
        self._expect(found)
        return self._adder.submit(job, add_texts, self.coordinator, found, list(texts))

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
        made = tasks.make(task, settings or {})
        found = self._job(job)
        asked = dict(settings or {})
        self.coordinator.call(
            lambda: control.submit(self.coordinator, found, made, asked, priority, again=again, rest=rest)
        )
        self._answers.submit(look_up, self.coordinator, found)

    def pause(self, job: str) -> Future[None]:
        """Finish what runs and take no more; the future is done when nothing of the job runs, or it is resumed."""
        found = self._job(job)
        self.coordinator.call(lambda: control.pause(self.coordinator, found))
        return self.coordinator.when(
            lambda: control.settled(self.coordinator, found) or found.status not in ("paused", "finished")
        )

    def resume(self, job: str) -> None:
        """Go on with a paused job."""
        found = self._job(job)

        def resume() -> None:
            if found.task is None:
                raise UsageError("This pile has no task yet; choose one and start it.")
            if found.status == "paused":
                control.start(self.coordinator, found)

        self.coordinator.call(resume)

    def cancel(self, job: str) -> Future[None]:
        """Stop the job within a layer; the future is done when nothing of it runs, or it is started again."""
        found = self._job(job)
        self.coordinator.call(lambda: control.cancel(self.coordinator, found))
        return self.coordinator.when(lambda: control.settled(self.coordinator, found) or found.status != "cancelled")

    def retry(self, job: str, documents: Iterable[int] = ()) -> int:
        """Run documents again, those named or all that failed or were cancelled; returns how many."""
        found, numbers = self._job(job), list(documents)
        return self.coordinator.call(lambda: control.retry(self.coordinator, found, numbers))

    def remove_documents(self, job: str, documents: Iterable[int] = ()) -> int:
        """Take documents off the pile (never running ones), all with none named; returns how many."""
        found, numbers = self._job(job), list(documents)
        return self.coordinator.call(lambda: control.remove(self.coordinator, found, numbers))

    def take_off(self, job: str, documents: Iterable[int] = ()) -> Future[dict[str, int]]:
        """Take documents off the pile as ``remove_documents`` does, so that ``put_back`` can undo it."""
        return self._answers.submit(self.removals.remove, self._job(job), tuple(documents))

    def put_back(self, job: str, removal: int) -> Future[int]:
        """Undo ``take_off`` by the id that it gave; the future raises UsageError when that cannot be done any more."""
        return self._answers.submit(self.removals.restore, self._job(job), removal)

    def set_priority(self, job: str, priority: int) -> None:
        """Serve jobs with a higher number first."""
        found = self._job(job)
        self.coordinator.call(lambda: control.set_priority(self.coordinator, found, priority))

    # ------------------------------------------------------------------------------------------------------- jobs as a whole
    def list_jobs(self) -> Future[tuple[JobFacts, ...]]:
        """List all jobs of the journal, oldest first, whether they are in memory or not."""
        return self._answers.submit(self.job_list.list)

    def show_job(self, job: str) -> Future[JobFacts]:
        """Bring a job of the journal into memory; its rows come with the next snapshots."""
        return self._answers.submit(self.job_list.show, job)

    def put_away(self, job: str) -> None:
        """Take a job out of memory; raises UsageError while it runs."""
        self.job_list.put_away(job)
        self._watcher.forget(job)

    def rename_job(self, job: str, name: str) -> Future[None]:
        """Give a job another name; the future raises UsageError for an empty one."""
        return self._answers.submit(self.job_list.rename, job, name)

    def delete_job(self, job: str) -> Future[None]:
        """Delete a job; ``restore_job`` brings it back until the next start. The future raises UsageError if it runs."""
        self._watcher.forget(job)
        return self._answers.submit(self.job_list.delete, job)

    def restore_job(self, job: str) -> Future[JobFacts]:
        """Undo ``delete_job``."""
        return self._answers.submit(self.job_list.restore, job)

    def duplicate_job(self, job: str, copy: str, name: str = "") -> Future[JobFacts]:
        """Make the job ``copy`` with the same documents, none of them done, and the same task."""
        return self._adder.submit(job, self.job_list.duplicate, job, copy, name)

    def run_first(self, job: str, documents: Iterable[int]) -> int:
        """Let waiting documents run before the others of their pile; returns how many of them still waited."""
        return self.job_list.run_first(self._job(job), documents)

    def watch_folder(self, job: str, folder: str) -> None:
        """Add new files of ``folder`` to the pile once they stop growing, and run changed ones again; "" ends it."""
        found = self._job(job)
        if not folder:
            self._watcher.forget(job)
            return
        records = self.coordinator.call(lambda: [document.record for document in found.pile.documents.values()])
        known = {one.path: (one.size, one.mtime_ns) if one.mtime_ns and not one.locator else None for one in records}
        self._watcher.watch(job, folder, known)

    def _take_new(self, job: str, paths: list[str]) -> None:
        """Take files that a watch found; a job that had finished goes on with them."""
        found = self.coordinator.call(lambda: self.coordinator.jobs.get(job))
        if found is None or self._closing.is_set():
            self._watcher.forget(job)
            return
        self._expect(found)

        def go_on() -> None:
            if found.status == "finished" and found.task is not None:
                control.start(self.coordinator, found)

        self.coordinator.call(go_on)
        add = partial(add_paths, watched=True)
        self._adder.submit(job, add, self.coordinator, found, paths, self._closing.is_set)

    def _expect(self, job: Job) -> None:
        """Let a job wait for documents that are being added."""

        def begin() -> None:
            job.adding += 1
            self.coordinator.update(job)

        self.coordinator.call(begin)

    def inspect(self, job: str, document: int, limit: int = 100_000) -> Future[dict[str, Any]]:
        """Give text and result of one document, as protocol.Inspect tells."""
        found = self._job(job)
        return self._looks.submit(inspect, self.coordinator, found, document, limit)

    def preview(
        self, job: str, document: int, task: str, settings: dict[str, Any], limit: int = 20_000
    ) -> Future[dict[str, Any]]:
        """Give the exact prompt about one document, as protocol.Preview tells; UsageError for settings without sense."""
        found, made = self._job(job), tasks.make(task, settings)
        return self._looks.submit(self._preview.prompt, found, document, made, limit)

    def try_on(self, job: str, document: int, task: str, settings: dict[str, Any]) -> Future[dict[str, Any]]:
        """Run a task on one document and leave its row alone, as protocol.Trial tells."""
        found, made = self._job(job), tasks.make(task, settings)
        self._preview.need_model()
        return self._waits.submit(self.trials.run, found, document, made, dict(settings), self._closing.is_set)

    def stop_trial(self) -> None:
        """End the trial that is under way."""
        self.trials.stop()

    def count_tokens(self, job: str, task: str = "", settings: dict[str, Any] | None = None) -> Future[dict[str, Any]]:
        """Count the tokens of waiting documents on idle workers; the future is as protocol.CountTokens tells.

        Raises UsageError without a model or for settings without sense.
        """
        found = self._job(job)
        made = tasks.make(task, settings or {}) if task else None
        self._preview.need_model()
        stop = self.coordinator.call(lambda: control.count(self.coordinator, found))
        counted = self.coordinator.when(lambda: control.counted(self.coordinator, found, stop))

        def sum_up() -> dict[str, Any]:
            counted.result()
            return self._preview.overview(found, made)

        return self._waits.submit(sum_up)

    def stop_counting(self, job: str) -> None:
        """End the counting of a pile's tokens; what is counted stays."""
        found = self._job(job)
        self.coordinator.call(lambda: control.stop_counting(self.coordinator, found))

    def export(self, job: str, path: str, format: str) -> Future[int]:  # noqa: A002 - the protocol's word
        """Write the job's rows to ``path`` (csv, jsonl, npy, md, txt); the future gives their number or raises ExportError."""
        self._job(job)

        def write() -> int:
            with self.board.doing("export", path, "write", job=job):
                return export(self.journal, job, path, format, touch)

        return self._looks.submit(write)

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
        found = self._job(job)
        if self.coordinator.call(lambda: control.over(self.coordinator, found)):
            return True
        over = self.coordinator.when(lambda: control.over(self.coordinator, found))
        try:
            over.result(timeout)
        except TimeoutError:
            return not over.cancel()
        return True

    def use_model(self, model: str) -> None:
        """Look for earlier answers of this model (question.model_key) before any is open."""
        self.coordinator.call(lambda: control.use_model(self.coordinator, model))

    def documents_in(self, job: str, states: Container[str]) -> list[int]:
        """Return the documents of a pile that are in one of these states."""
        found = self._job(job)
        return self.coordinator.call(lambda: found.pile.numbers(lambda document: document.record.state in states))

    def documents_that(self, job: str, wanted: Callable[[Record], bool]) -> list[int]:
        """Return the documents of a pile whose records are ``wanted``."""
        found = self._job(job)
        return self.coordinator.call(lambda: found.pile.numbers(lambda document: wanted(document.record)))

    def counts(self, job: str) -> dict[str, int]:
        """Return how many documents of a pile are in each state."""
        found = self._job(job)
        return self.coordinator.call(lambda: dict(found.pile.counts))

    def piles(self) -> list[str]:
        """Return the jobs that are in memory, trials apart."""
        return self.coordinator.call(lambda: [job.id for job in self.coordinator.jobs.values() if not job.trial])

    def needs_model(self, job: str) -> bool:
        """Tell whether something waits to be read that the journal has no answer to."""
        found = self._job(job)
        return self.coordinator.call(lambda: not found.looking and self.coordinator.scheduler.waiting(job)[0] > 0)

    def answered(self, job: str) -> int:
        """Return how many documents the journal answered, without a worker."""
        return self._job(job).pile.answered

    def generated(self) -> tuple[list[Any], list[float]]:
        """Return what the workers' generators have counted, and the times to the first token, shortest first."""
        meters = list(self.coordinator.workers.meters)
        counted = [meter.statistics for meter in meters if meter.statistics is not None]
        return counted, self.coordinator.call(lambda: sorted(self.coordinator.throughput.ttft))

    def _job(self, job: str) -> Job:
        return self.coordinator.call(lambda: self.coordinator.job(job))

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

    def collect_garbage(self) -> None:
        """Run Python's garbage collector if it is due; called by the main thread, where automatic collection is off."""
        if gc.isenabled():
            return
        counts, limits = gc.get_count(), gc.get_threshold()
        for generation in (2, 1, 0):
            if limits[generation] and counts[generation] > limits[generation]:
                gc.collect(generation)
                return

    # ----------------------------------------------------------------------------------------------------------------- ending
    def stuck(self, seconds: float) -> tuple[Activity, ...]:
        """Return the documents, folders, models and exports that threads are at for so long without going on."""
        return blamed(self.board.now(seconds))

    def give_up(self, activities: Sequence[Activity]) -> int:
        """Quarantine the documents among ``activities`` and return how many; their threads are left to themselves."""
        return set_aside(self.coordinator, activities)

    def end_adding(self, job: str) -> None:
        """Wait no longer for what is being added to a job; what a thread still finds is taken when it comes."""
        found = self.coordinator.call(lambda: self.coordinator.jobs.get(job))
        if found is not None:
            hand_over(self.coordinator, found)
        while found is not None and found.adding > 0:
            added(self.coordinator, found)

    def close(self, seconds: float = 2.0) -> bool:
        """Stop taking work, drop what is in flight, end within about ``seconds``; False if a thread did not end.

        Documents that such a thread has not come back from for ``STUCK_SECONDS`` are quarantined.
        """
        begin = time.monotonic()
        Engine.alive.discard(self)
        self._closing.set()
        self._watcher.close()
        self.manager.begin_closing()
        self._offline.close()
        self.coordinator.close()
        clean = self.manager.close(max(0.1, seconds - (time.monotonic() - begin)))
        if stuck := self.stuck(STUCK_SECONDS):
            clean = False
            with contextlib.suppress(HeddleError):
                self.give_up(stuck)
        self.coordinator.end(max(0.2, seconds - (time.monotonic() - begin)))
        for executor in (self._readers, self._waits, self._answers, self._looks, self._helpers):
            executor.shutdown(wait=False, cancel_futures=True)
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
