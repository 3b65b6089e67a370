"""The one door to the engine: open a model, add documents, submit, pause, resume, cancel, look, close.

Runs in any process that wants it: the host process under the window, the command line, a test. Methods return at once;
what takes time is answered by a Future.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil

from engine import machine, tasks
from engine.adding import add_paths, add_texts
from engine.documents import encodings
from engine.documents.read import POLICIES
from engine.errors import Cancelled, DocumentError, HeddleError, UsageError
from engine.job import LIVE, Job
from engine.lanes.plan import Plan
from engine.metrics.snapshot import LaneState, Meters, ModelState, Notice, Snapshot
from engine.metrics.threads import ThreadMeter, name_this_thread, process_cpu
from engine.models.catalog import list_models
from engine.models.folder import look
from engine.models.starter import starter_folder
from engine.recovery import recover
from engine.runner import Runner
from engine.store.export import export
from engine.store.journal import Journal

if TYPE_CHECKING:
    from engine.lanes.pool import LanePool
    from engine.models.load import LoadedModel, Progress
    from engine.models.load_decoder import LoadedDecoder
    from engine.protocol import ModelFacts

log = logging.getLogger(__name__)

BATCH_SECONDS = 1.0
"""A batch is sized to last about this long on its lane, well under the 2 s that a pause may take."""

WRITING_BUDGET = 1 << 20
"""Tokens of prompts that a writing lane may take at once; its free slots are the tighter limit."""

SLOTS = 32
"""Sequences that a lane writes at once unless the plan says otherwise: a read of the weights serves them all (law 2)."""

KV_SHARE = 0.4
"""Share of the free memory that all lanes' keys and values may take together (law 11)."""

ROWS_A_SNAPSHOT = 2_000
"""Changed rows in one snapshot; at ten a second a pile of 100,000 is told in five seconds without a long frame."""


class Engine:
    """Jobs, one model, lanes, a journal. All methods may be called from any thread."""

    def __init__(self, session: str | None = None) -> None:
        """Start with no model; ``session`` is the file that outlives the process, None keeps results in memory.

        Raises HeddleError when the session file cannot be used.
        """
        machine.tune_allocator()
        self.journal = Journal(session)
        self.runner = Runner(self.journal)
        self.recovered = recover(self.runner)
        self._plan = Plan()
        self._model = ModelState()
        self._loaded: LoadedModel | LoadedDecoder | None = None
        self._pool: LanePool | None = None
        self._cancel_load = threading.Event()
        self._closing = threading.Event()
        self._notices: list[Notice] = []
        self._notice_lock = threading.Lock()
        self._sequence = 0
        self._meter = ThreadMeter()
        # One thread each: adding walks files, the loader holds one model at a time, answers must not wait for either.
        self._adder = ThreadPoolExecutor(1, "reader", initializer=name_this_thread, initargs=("reader",))
        self._loader = ThreadPoolExecutor(1, "loader", initializer=name_this_thread, initargs=("loader",))
        self._answers = ThreadPoolExecutor(2, "answers", initializer=name_this_thread, initargs=("answers",))

    # --------------------------------------------------------------------------------------------------------------- model
    def open_model(self, folder: str, dtype: str = "auto") -> Future[ModelFacts]:
        """Load the model in ``folder`` (``starter``: the one that came with Heddle) and let lanes run on it.

        The future raises ModelError, Cancelled, or UsageError while a job still runs on another model.
        """
        self._refuse_while_running("open another model")
        self._cancel_load = threading.Event()
        asked = self._cancel_load
        self._model = ModelState(status="loading", folder=folder, stage="waiting for the loader")
        return self._loader.submit(self._open, folder, dtype, asked)

    def _open(self, folder: str, dtype: str, asked: threading.Event) -> ModelFacts:
        def progress(stage: str, share: float) -> None:
            self._model = replace(self._model, stage=stage, progress=share)

        def cancelled() -> bool:
            return asked.is_set() or self._closing.is_set()

        try:
            if cancelled():
                raise Cancelled("The load was cancelled.")
            place = starter_folder() if folder == "starter" else folder
            self._unload()
            self._model = ModelState(status="loading", folder=place, name=place.replace("\\", "/").rsplit("/", 1)[-1])
            wanted = self._plan.dtype if dtype == "auto" else dtype
            loaded = _load(place, dtype=wanted, device=self._plan.device, progress=progress, cancelled=cancelled)
        except Cancelled:
            self._model = ModelState(message="The load was cancelled.")
            raise
        except BaseException as error:
            text = str(error) if isinstance(error, HeddleError) else f"The model could not be loaded: {error}"
            self._model = ModelState(status="failed", folder=folder, message=text)
            log.exception("loading %s failed", folder)
            if isinstance(error, HeddleError):
                raise
            raise HeddleError(text) from error
        self._loaded = loaded
        with self.runner.lock:
            for job in self.runner.jobs.values():
                job.forget_tokens()
        self._start_lanes()
        facts = loaded.facts
        self._model = ModelState(
            status="ready",
            folder=facts.folder,
            name=facts.name,
            progress=1.0,
            dtype=loaded.dtype,
            engine_mode=loaded.mode,
            note=loaded.note,
            parameters=facts.parameters,
            dimension=facts.dimension,
            max_tokens=loaded.max_tokens,
            bytes=facts.memory.get(loaded.dtype, facts.bytes),
        )
        return facts

    def cancel_open(self) -> Future[None]:
        """Stop the load that is under way; the future is done when it has stopped."""
        self._cancel_load.set()
        return self._loader.submit(lambda: None)

    def close_model(self) -> Future[None]:
        """Unload the model and give its memory back; raises UsageError while a job runs."""
        self._refuse_while_running("unload the model")

        def unload() -> None:
            self._unload()
            self._model = ModelState()

        return self._loader.submit(unload)

    def list_models(self, folders: Sequence[str] = (), recent: Sequence[str] = ()) -> Future[tuple[ModelFacts, ...]]:
        """Look for models: the starter, ``recent`` ones, ``folders``, the Hugging Face cache."""
        return self._answers.submit(lambda: list_models(folders, recent, cancelled=self._closing.is_set))

    def check_model(self, folder: str) -> Future[ModelFacts]:
        """Look into one folder without loading."""
        return self._answers.submit(lambda: look(starter_folder() if folder == "starter" else folder))

    def set_plan(self, plan: Plan) -> Future[Plan]:
        """Use ``plan`` from the next batch on; the future gives it with nothing left open.

        Another device or number format loads the model again, which raises UsageError while a job runs.
        """
        known = [device.id for device in machine.devices()]
        if plan.device not in known:
            raise UsageError(f"There is no device {plan.device!r} here; there is {', '.join(known)}.")
        loaded = self._loaded
        reload = loaded is not None and (
            machine.resolve_dtype(plan.dtype, plan.device) != loaded.dtype or plan.device != str(loaded.device)
        )
        if reload:
            self._refuse_while_running("change the device or the number format")

        def change() -> Plan:
            self._plan = plan
            if reload and loaded is not None:
                self._model = replace(self._model, status="loading", progress=0.0)
                self._open(loaded.facts.folder, plan.dtype, self._cancel_load)
            elif self._loaded is not None:
                self._stop_lanes()
                self._start_lanes()
            return self.plan

        return self._loader.submit(change)

    @property
    def plan(self) -> Plan:
        """The plan in use, nothing left open."""
        loaded = self._loaded
        plan = machine.resolve_plan(self._plan, lane_limit=loaded.lane_limit() if loaded else None)
        return replace(plan, dtype=loaded.dtype) if loaded else plan

    @property
    def loaded(self) -> LoadedModel | LoadedDecoder | None:
        """The model that lanes run on, or None."""
        return self._loaded

    def _start_lanes(self) -> None:
        from engine.lanes.pool import LanePool
        from engine.models.load import LoadedModel

        assert self._loaded is not None
        if isinstance(self._loaded, LoadedModel):
            loops = self._encoding_loops(self._loaded)
        else:
            loops = self._writing_loops(self._loaded)
        self._pool = LanePool(loops, self._lane_broke)

    def _encoding_loops(self, loaded: LoadedModel) -> list[Callable[[], None]]:
        from engine.lanes.lane import Lane

        plan = self.plan
        budget = loaded.budget(BATCH_SECONDS * plan.threads)
        generation = self.runner.open_lanes(plan.lanes, plan.device, budget, padded=loaded.mode != "packed")
        return [Lane(index, generation, plan.threads, loaded, self.runner).run for index in range(plan.lanes)]

    def _writing_loops(self, loaded: LoadedDecoder) -> list[Callable[[], None]]:
        from engine.lanes.generating import GeneratingLane

        plan = self.plan
        generation = self.runner.open_lanes(plan.lanes, plan.device, WRITING_BUDGET, verb="write")
        budget = int(machine.memory_free(plan.device) * KV_SHARE) // plan.lanes
        return [
            GeneratingLane(
                index,
                generation,
                plan.threads,
                loaded,
                self.runner,
                slots=plan.slots or SLOTS,
                kv_budget=budget,
            ).run
            for index in range(plan.lanes)
        ]

    def _lane_broke(self, error: BaseException) -> None:
        self._notify("error", f"A lane ended unexpectedly: {error}. Start the engine again to get it back.")

    def _stop_lanes(self, seconds: float = 30.0) -> None:
        self.runner.close_lanes()
        if self._pool is not None:
            self._pool.wait(seconds)
            self._pool = None

    def _unload(self) -> None:
        self._stop_lanes()
        self._loaded = None
        gc.collect()
        machine.give_memory_back()

    def _refuse_while_running(self, what: str) -> None:
        with self.runner.lock:
            running = [j for j in self.runner.jobs.values() if j.status in LIVE and self._loaded is not None]
        if running:
            name = running[0].name or "a job"
            raise UsageError(f"Cannot {what} while {name} runs. Pause it, or stop it, first.")

    # ---------------------------------------------------------------------------------------------------------------- jobs
    def create_job(self, job: str, name: str = "") -> None:
        """Make a new, empty pile."""
        with self.runner.lock:
            if job in self.runner.jobs:
                raise UsageError(f"There is a job {job!r} already.")
            made = Job(job, name, time.time())
            self.runner.jobs[job] = made
            self.journal.add_job(made.record())

    def add_paths(
        self, job: str, paths: Iterable[str], *, encoding: str = "", on_bad_bytes: str = "fail"
    ) -> Future[dict[str, int]]:
        """Walk files and folders into the pile; the future gives ``{"added": n, "skipped": n}``."""
        found = self._job(job)
        wanted = list(paths)
        if encoding:
            encodings.known(encoding)
        if on_bad_bytes not in POLICIES:
            raise UsageError(f"Bad bytes can be met with {' or '.join(POLICIES)}, not {on_bad_bytes!r}.")
        with self.runner.lock:
            found.adding += 1
            found.encoding, found.on_bad_bytes = encoding, on_bad_bytes
        return self._adder.submit(add_paths, self.runner, found, wanted, self._closing.is_set)

    def add_texts(self, job: str, texts: Iterable[tuple[str, str]]) -> Future[dict[str, int]]:
        """Put texts that are in memory on the pile, as (name, text); the future gives ``{"added": n, "skipped": n}``."""
        found = self._job(job)
        with self.runner.lock:
            found.adding += 1
        return self._adder.submit(add_texts, self.runner, found, list(texts))

    def submit(self, job: str, task: str, settings: dict[str, Any] | None = None, priority: int = 0) -> None:
        """Queue the job's waiting documents with a task; raises UsageError for settings that make no sense."""
        found = self._job(job)
        made = tasks.make(task, settings or {})
        with self.runner.lock:
            if self._loaded is not None and (reason := self.runner.mismatch(made)):
                raise UsageError(reason)
            if found.status in LIVE:
                raise UsageError(
                    f"{found.name or 'The job'} runs already. Stop it before starting it with another task."
                )
            if (found.task_name, found.settings) != (task, dict(settings or {})):
                found.anchors, found.anchors_taken = None, False
                found.task, found.task_name, found.settings = made, task, dict(settings or {})
                # Documents that were counted under other settings are prepared anew; results stay until run again.
                found.forget_tokens()
            found.priority = priority
            self.runner.start(found)

    def pause(self, job: str) -> Future[None]:
        """Finish what runs and take no more; the future is done when nothing of the job runs."""
        found = self._job(job)
        self.runner.pause(found)
        return self._when_settled(found)

    def resume(self, job: str) -> None:
        """Go on with a paused job."""
        found = self._job(job)
        if found.task is None:
            raise UsageError("This pile has no task yet; choose one and start it.")
        if found.status == "paused":
            self.runner.start(found)

    def cancel(self, job: str) -> Future[None]:
        """Stop the job within a layer; the future is done when nothing of it runs."""
        found = self._job(job)
        self.runner.cancel(found)
        return self._when_settled(found)

    def retry(self, job: str, documents: Iterable[int] = ()) -> int:
        """Run documents again, those named or all that failed or were cancelled; returns how many."""
        return self.runner.retry(self._job(job), documents)

    def remove_documents(self, job: str, documents: Iterable[int] = ()) -> int:
        """Take documents off the pile (never running ones), all with none named; returns how many."""
        return self.runner.remove(self._job(job), documents)

    def set_priority(self, job: str, priority: int) -> None:
        """Serve jobs with a higher number first."""
        with self.runner.lock:
            self._job(job).priority = priority
            self.journal.update_job(job, priority=priority)
            self.runner.work.notify_all()

    def inspect(self, job: str, document: int, limit: int = 100_000) -> Future[dict[str, Any]]:
        """Give text and result of one document, as protocol.Inspect tells."""
        found = self._job(job)
        return self._answers.submit(self._inspect, found, document, limit)

    def _inspect(self, job: Job, number: int, limit: int) -> dict[str, Any]:
        from engine.documents.document import Source
        from engine.documents.read import read

        with self.runner.lock:
            document = job.documents.get(number)
            if document is None:
                raise UsageError("This document is no longer on the pile.")
            row, record, text, writing = document.row(), document.record, document.text, document.writing
        problem = ""
        if text is None:
            try:
                source = Source(record.path, record.size, record.mtime_ns)
                text = read(source, encoding=job.encoding, on_bad_bytes=job.on_bad_bytes).text
            except DocumentError as error:
                text, problem = "", str(error)
        result = self.journal.result(number)
        value = None if result is None else dict(result.value)
        if result is not None and result.vector is not None and value is not None:
            import numpy as np

            value["vector"] = [float(x) for x in np.frombuffer(result.vector, "<f4")[:16]]
        if value is None and writing:
            value = {"text": writing, "finish_reason": ""}
        return {
            "text": text[:limit],
            "truncated": len(text) > limit,
            "text_error": problem,
            "result": value,
            "row": row,
        }

    def export(self, job: str, path: str, format: str) -> Future[int]:  # noqa: A002 - the protocol's word
        """Write the job's rows to ``path`` (csv, jsonl, npy); the future gives their number or raises ExportError."""
        self._job(job)
        return self._answers.submit(export, self.journal, job, path, format)

    def wait(self, job: str, timeout: float | None = None) -> bool:
        """Wait until the job has finished, was cancelled or paused; False when ``timeout`` was not enough."""
        found = self._job(job)
        with self.runner.lock:
            return self.runner.settled.wait_for(
                lambda: found.status not in LIVE and not found.under_way and not found.adding, timeout
            )

    def _job(self, job: str) -> Job:
        found = self.runner.jobs.get(job)
        if found is None:
            raise UsageError(f"There is no job {job!r}.")
        return found

    def _when_settled(self, job: Job) -> Future[None]:
        def wait() -> None:
            while not self.runner.wait_settled(job, 0.5) and not self._closing.is_set():
                pass

        return self._answers.submit(wait)

    # ---------------------------------------------------------------------------------------------------------------- looking
    def snapshot(self) -> Snapshot:
        """Return what changed since the last call, and the meters; called by one watcher, ten times a second."""
        with self.runner.lock:
            jobs = [
                job
                for job in self.runner.jobs.values()
                if job.changed or job.reset or job.removed or job.status in LIVE
            ]
            states = tuple(job.state() for job in self.runner.jobs.values())
            rows = []
            more = False
            room = ROWS_A_SNAPSHOT
            for job in jobs:
                if room <= 0:
                    more = True
                    break
                told, left = job.take_changes(room, self.journal.acknowledged)
                if told.rows or told.removed or told.reset:
                    rows.append(told)
                room -= len(told.rows)
                more |= left
            lanes = tuple(
                LaneState(i, m.device, m.activity, m.documents, m.tokens, m.busy)
                for i, m in enumerate(self.runner.lanes if self._pool is not None else ())
            )
            ready = sum(len(job.ready) for job in self.runner.jobs.values())
            waiting = sum(len(job.unprepared) for job in self.runner.jobs.values())
            totals = (self.runner.documents_done, self.runner.tokens_done)
        with self._notice_lock:
            notices, self._notices = tuple(self._notices), []
        self._sequence += 1
        documents_per_s, tokens_per_s = self.runner.rates()
        memory = psutil.virtual_memory()
        return Snapshot(
            sequence=self._sequence,
            time=time.monotonic(),
            model=self._model,
            plan=self.plan,
            jobs=states,
            rows=tuple(rows),
            more_rows=more,
            lanes=lanes,
            threads=self._meter.sample(),
            meters=Meters(
                documents=totals[0],
                tokens=totals[1],
                documents_per_s=documents_per_s,
                tokens_per_s=tokens_per_s,
                queue_ready=ready,
                queue_waiting=waiting,
                rss=psutil.Process().memory_info().rss,
                memory_available=memory.available,
                memory_total=memory.total,
                process_cpu=process_cpu(),
                gil_share=self.gil_share(),
                **self._written(),
            ),
            notices=notices,
        )

    def _written(self) -> dict[str, int]:
        """Return what the writing lanes' generators have counted, as fields of Meters."""
        with self.runner.lock:
            counted = [lane.statistics for lane in self.runner.lanes if lane.statistics is not None]
        return {
            name: sum(getattr(one, name) for one in counted)
            for name in ("prefill_tokens", "decode_tokens", "prefix_tokens", "kv_bytes")
        }

    def gil_share(self) -> float:
        """Return the share of lane time that went to Python between operations, which no two lanes do at once.

        Estimated as forwards x the time of a forward with next to nothing to compute (measured at load); -1 without
        any forward yet.
        """
        loaded = self._loaded
        with self.runner.lock:
            busy = sum(lane.busy for lane in self.runner.lanes)
            steps = sum(lane.steps for lane in self.runner.lanes)
        if loaded is None or busy <= 0 or not steps:
            return -1.0
        return min(1.0, steps * loaded.overhead / busy)

    def _notify(self, level: str, text: str) -> None:
        with self._notice_lock:
            self._notices.append(Notice(level, text))

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
    def close(self, seconds: float = 2.0) -> bool:
        """Stop taking work, drop what is in flight, end within about ``seconds``; False if a thread did not end."""
        begin = time.monotonic()
        self._closing.set()
        self._cancel_load.set()
        self.runner.close()
        clean = True
        if self._pool is not None:
            clean = self._pool.wait(max(0.1, seconds - (time.monotonic() - begin)))
            self._pool = None
        for executor in (self._adder, self._loader, self._answers):
            executor.shutdown(wait=False, cancel_futures=True)
        left = max(0.2, seconds - (time.monotonic() - begin))
        with contextlib.suppress(HeddleError):
            clean &= self.journal.close(left) == 0
        self._loaded = None
        return clean


def _load(
    folder: str, *, dtype: str, device: str, progress: Progress, cancelled: Callable[[], bool]
) -> LoadedModel | LoadedDecoder:
    """Load whatever kind of model lies in ``folder``."""
    from engine.models.load import load
    from engine.models.load_decoder import load_decoder

    kind = load_decoder if "generate" in look(folder).tasks else load
    return kind(folder, dtype=dtype, device=device, progress=progress, cancelled=cancelled)
