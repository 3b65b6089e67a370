"""The model manager: one model, the plan, and the workers that run on it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from engine.api.footprint import KV_SHARE, SLOTS
from engine.api.plan import QUANTISED, WRITERS_ONLY, Plan
from engine.api.snapshot import ModelState
from engine.errors import Cancelled, HeddleError, UsageError
from engine.models.fingerprint import fingerprint
from engine.models.folder import look, require
from engine.models.place import model_place
from engine.requests.capability import ENCODE, GENERATE
from engine.scheduling.policies import LengthBatches, Slots
from engine.telemetry import machine, measured_plans
from engine.telemetry.garbage import give_back
from engine.telemetry.helpers import Helpers

if TYPE_CHECKING:
    from engine.api.facts import ModelFacts
    from engine.models.load import LoadedModel, Progress
    from engine.models.load_decoder import LoadedDecoder
    from engine.models.tokenizer import WorkerTokenizer
    from engine.scheduling.policies import Policy
    from engine.telemetry.activity import Board
    from engine.telemetry.meter import WorkerMeter
    from engine.workers.encoder import EncoderInside
    from engine.workers.generator import GeneratorInside
    from engine.workers.inbox import Inbox
    from engine.workers.pool import WorkerPool
    from engine.workers.worker import Inside, Post, Worker

log = logging.getLogger(__name__)

BATCH_SECONDS = 1.0
"""A batch is sized to last about this long on its worker, well under the 2 s that a pause may take."""

Notify = Callable[[str, str], None]
"""Tells the user something: a level (info, warning, error) and a sentence."""


class WorkSource(Protocol):
    """Where workers get their work from, as far as the model manager has to know: the coordinator."""

    def use_model(self, fingerprint: str, dtype: str) -> None:
        """Ask this model from now on, in the number format that was asked for."""
        ...

    def model_changed(self) -> None:
        """Prepare everything that waits anew: tokens and vectors are another model's."""
        ...

    def model_goes(self) -> None:
        """End what needs the model's tokenizer."""
        ...

    @property
    def board(self) -> Board:
        """Where it is noted what threads are at."""
        ...

    def at_work(self) -> tuple[str, str]:
        """Return the names of a job that runs, and of a paused one whose texts are still being written; empty for none."""
        ...

    def open_workers(
        self, count: int, device: str, policy: Policy, capability: str
    ) -> tuple[list[Inbox], list[WorkerMeter], Post, int]:
        """Give work to ``count`` new workers: their inboxes, meters, how they post, and their generation."""
        ...

    def close_workers(self) -> None:
        """Let every worker end after what it is doing."""
        ...

    def worker_ended(self, worker: int, generation: int, why: str) -> None:
        """Count on a worker no more."""
        ...

    def work_done(self) -> tuple[float, int]:
        """Return the seconds that workers were busy, and the forwards that they computed."""
        ...


class ModelManager:
    """Loads one model at a time and keeps workers on it. All methods may be called from any thread."""

    def __init__(self, source: WorkSource, notify: Notify) -> None:
        """Start with no model; workers get their work from ``source``, what goes wrong is told to ``notify``."""
        self.source = source
        self.model = ModelState()
        """How the model is, for the snapshot."""
        self._notify = notify
        self._plan = Plan()
        self._measured: Plan | None = None
        self._loaded: LoadedModel | LoadedDecoder | None = None
        self._pool: WorkerPool | None = None
        self._cancel_load = threading.Event()
        self._closing = threading.Event()
        # One thread, so that there is one model at a time.
        self._loader = Helpers("loader", 1)

    def open_model(self, folder: str, dtype: str = "auto") -> Future[ModelFacts]:
        """Load the model in ``folder`` (``starter``: the one that came with Heddle) and let workers run on it.

        The future raises ModelError, Cancelled, or UsageError while a job still runs on another model.
        """
        self._refuse_while_running("open another model")
        self._cancel_load = threading.Event()
        asked = self._cancel_load
        self.model = ModelState(status="loading", folder=folder, stage="waiting for the loader")
        return self._loader.submit(self._open, folder, dtype, asked)

    def _open(self, folder: str, dtype: str, asked: threading.Event) -> ModelFacts:
        with self.source.board.doing("model", folder, "load"):
            return self._open_noted(folder, dtype, asked)

    def _open_noted(self, folder: str, dtype: str, asked: threading.Event) -> ModelFacts:
        going_on = self.source.board.toucher()

        def progress(stage: str, share: float) -> None:
            going_on()
            self.model = replace(self.model, stage=stage, progress=share)

        def cancelled() -> bool:
            return asked.is_set() or self._closing.is_set()

        try:
            if cancelled():
                raise Cancelled("The load was cancelled.")
            place = model_place(folder)
            self._unload()
            facts = require(place)  # before anything of it is read for the fingerprint
            self.source.use_model(fingerprint(place), self._plan.dtype if dtype == "auto" else dtype)
            self.model = ModelState(status="loading", folder=place, name=facts.name)
            wanted = self._plan.dtype if dtype == "auto" else dtype
            _check_format(wanted, self._plan.device, writes=facts.writes)
            loaded = _load(place, dtype=wanted, device=self._plan.device, progress=progress, cancelled=cancelled)
        except Cancelled:
            self.model = ModelState(message="The load was cancelled.")
            raise
        except BaseException as error:
            text = str(error) if isinstance(error, HeddleError) else f"The model could not be loaded: {error}"
            self.model = ModelState(status="failed", folder=folder, message=text)
            log.exception("loading %s failed", folder)
            if isinstance(error, HeddleError):
                raise
            raise HeddleError(text) from error
        self._measured = measured_plans.best(fingerprint(place), loaded.dtype)
        self._loaded = loaded
        self.source.model_changed()
        self._start_workers()
        facts = loaded.facts
        self.model = ModelState(
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
            self.model = ModelState()

        return self._loader.submit(unload)

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
        if reload and loaded is not None:
            _check_format(plan.dtype, plan.device, writes=loaded.facts.writes)
            self._refuse_while_running("change the device or the number format")

        def change() -> Plan:
            self._plan = plan
            if reload and loaded is not None:
                self.model = replace(self.model, status="loading", progress=0.0)
                self._open(loaded.facts.folder, plan.dtype, self._cancel_load)
            elif self._loaded is not None:
                self._stop_workers()
                self._start_workers()
            return self.plan

        return self._loader.submit(change)

    @property
    def plan(self) -> Plan:
        """The plan in use, nothing left open."""
        loaded = self._loaded
        plan = measured_plans.filled(self._plan, self._measured if loaded else None)
        plan = machine.resolve_plan(plan, worker_limit=loaded.worker_limit() if loaded else None)
        return replace(plan, dtype=loaded.dtype) if loaded else plan

    @property
    def loaded(self) -> LoadedModel | LoadedDecoder | None:
        """The model that workers run on, or None."""
        return self._loaded

    def _start_workers(self) -> None:
        from engine.models.load import LoadedModel
        from engine.workers.pool import WorkerPool

        assert self._loaded is not None
        if isinstance(self._loaded, LoadedModel):
            workers, generation = self._encoders(self._loaded)
        else:
            workers, generation = self._generators(self._loaded)
        self._pool = WorkerPool([worker.run for worker in workers], partial(self._worker_broke, generation))

    def _encoders(self, loaded: LoadedModel) -> tuple[list[Worker], int]:
        from engine.workers.encoder import EncoderInside
        from engine.workers.torch_thread import torch_thread
        from engine.workers.worker import Worker

        plan = self.plan
        policy = LengthBatches(loaded.budget(BATCH_SECONDS * plan.threads), padded=loaded.mode != "packed")
        inboxes, meters, post, generation = self.source.open_workers(plan.workers, plan.device, policy, ENCODE)
        return [
            Worker(
                index,
                inbox,
                post,
                meter,
                tokenizer=loaded.tokenizer.copy,
                inside=partial(_encoder, EncoderInside, index, loaded, meter, post, self.source.board),
                around=torch_thread(plan.threads),
                board=self.source.board,
            )
            for index, (inbox, meter) in enumerate(zip(inboxes, meters, strict=True))
        ], generation

    def _generators(self, loaded: LoadedDecoder) -> tuple[list[Worker], int]:
        from engine.workers.generator import GeneratorInside
        from engine.workers.torch_thread import torch_thread
        from engine.workers.worker import Worker

        plan = self.plan
        slots = plan.slots or SLOTS
        inboxes, meters, post, generation = self.source.open_workers(plan.workers, plan.device, Slots(slots), GENERATE)
        budget = int(machine.memory_free(plan.device) * KV_SHARE) // plan.workers
        return [
            Worker(
                index,
                inbox,
                post,
                meter,
                tokenizer=loaded.tokenizer.copy,
                inside=partial(
                    _generator, GeneratorInside, index, loaded, meter, post, self.source.board, slots, budget
                ),
                around=torch_thread(plan.threads),
                board=self.source.board,
            )
            for index, (inbox, meter) in enumerate(zip(inboxes, meters, strict=True))
        ], generation

    def _worker_broke(self, generation: int, index: int, error: BaseException) -> None:
        self.source.worker_ended(index, generation, f"{type(error).__name__}: {error}")
        self._notify("error", f"A worker ended unexpectedly: {error}. Start the engine again to get it back.")

    def _stop_workers(self, seconds: float = 30.0) -> None:
        self.source.close_workers()
        if self._pool is not None:
            self._pool.wait(seconds)
            self._pool = None
        give_back()  # the keys and values of slots, and buffers

    def _unload(self) -> None:
        self._stop_workers()
        self.source.model_goes()
        self._loaded = None
        give_back()

    def _refuse_while_running(self, what: str) -> None:
        running, writing = self.source.at_work()
        if running and self._loaded is not None:
            raise UsageError(f"Cannot {what} while {running} runs. Pause it, or stop it, first.")
        if writing:
            raise UsageError(
                f"Cannot {what} while answers of {writing} are still being written. Wait, or stop it, first."
            )

    @property
    def has_workers(self) -> bool:
        """Whether there are workers."""
        return self._pool is not None

    def gil_share(self) -> float:
        """Return the share of worker time that went to Python between operations, which no two workers do at once: forwards x the
        time of one with next to nothing to compute (measured at load); -1 without any forward yet.
        """
        loaded = self._loaded
        busy, steps = self.source.work_done()
        if loaded is None or busy <= 0 or not steps:
            return -1.0
        return min(1.0, steps * loaded.overhead / busy)

    def begin_closing(self) -> None:
        """Stop a load within a stage; ``close`` follows."""
        self._closing.set()
        self._cancel_load.set()

    def close(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for workers that were told to end, and let go of the model; False if one did not end."""
        clean = True
        if self._pool is not None:
            clean = self._pool.wait(seconds)
            self._pool = None
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._loaded = None
        return clean


def _encoder(
    kind: type[EncoderInside],
    index: int,
    loaded: LoadedModel,
    meter: WorkerMeter,
    post: Post,
    board: Board,
    tokenizer: WorkerTokenizer,
) -> Inside:
    return kind(index, loaded, tokenizer, meter, post, board)


def _generator(
    kind: type[GeneratorInside],
    index: int,
    loaded: LoadedDecoder,
    meter: WorkerMeter,
    post: Post,
    board: Board,
    slots: int,
    kv_budget: int,
    tokenizer: WorkerTokenizer,
) -> Inside:
    return kind(index, loaded, tokenizer, meter, post, board, slots=slots, kv_budget=kv_budget)


def _check_format(dtype: str, device: str, *, writes: bool) -> None:
    """Raise UsageError for a number format that the model or the device does not take."""
    if dtype in WRITERS_ONLY and not writes:
        raise UsageError(
            f"{dtype} weights are for models that write text; this one does not. Choose auto, bf16, int8 or float32."
        )
    if dtype in QUANTISED and device != "cpu":
        raise UsageError(f"{dtype} weights run on the CPU only; choose auto, bf16 or float32 for {device}.")


def _load(
    folder: str, *, dtype: str, device: str, progress: Progress, cancelled: Callable[[], bool]
) -> LoadedModel | LoadedDecoder:
    """Load whatever kind of model lies in ``folder``, on a thread that ends with the load.

    A thread keeps its OpenMP workers for life, and once there are more of them than cores, GNU's OpenMP puts all of them
    to sleep between two operations: a decode step of the workers then takes 10 ms longer (0.5B, 2 threads, measured).
    """
    from engine.models.load import load
    from engine.models.load_decoder import load_decoder

    kind = load_decoder if look(folder).writes else load
    thread = Helpers("loader", 1)
    loading = thread.submit(kind, folder, dtype=dtype, device=device, progress=progress, cancelled=cancelled)
    thread.shutdown(wait=True)
    return loading.result()
