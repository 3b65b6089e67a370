"""The loom: one model, the plan, and the lanes that run on it."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from engine import machine
from engine.errors import Cancelled, HeddleError, UsageError
from engine.helpers import Helpers
from engine.job import LIVE
from engine.lanes.footprint import KV_SHARE, SLOTS
from engine.lanes.plan import QUANTISED, Plan
from engine.metrics.snapshot import ModelState
from engine.models.fingerprint import fingerprint
from engine.models.folder import look, require
from engine.models.place import model_place
from engine.question import model_key
from engine.tasks.base import writes

if TYPE_CHECKING:
    from engine.lanes.pool import LanePool
    from engine.models.load import LoadedModel, Progress
    from engine.models.load_decoder import LoadedDecoder
    from engine.protocol import ModelFacts
    from engine.runner import Runner

log = logging.getLogger(__name__)

BATCH_SECONDS = 1.0
"""A batch is sized to last about this long on its lane, well under the 2 s that a pause may take."""

Notify = Callable[[str, str], None]
"""Tells the user something: a level (info, warning, error) and a sentence."""


class Loom:
    """Loads one model at a time and keeps lanes on it. All methods may be called from any thread."""

    def __init__(self, runner: Runner, notify: Notify) -> None:
        """Start with no model; lanes take their work from ``runner``, what goes wrong is told to ``notify``."""
        self.runner = runner
        self.model = ModelState()
        """How the model is, for the snapshot."""
        self._notify = notify
        self._plan = Plan()
        self._loaded: LoadedModel | LoadedDecoder | None = None
        self._pool: LanePool | None = None
        self._cancel_load = threading.Event()
        self._closing = threading.Event()
        # One thread, so that there is one model at a time.
        self._loader = Helpers("loader", 1)

    def open_model(self, folder: str, dtype: str = "auto") -> Future[ModelFacts]:
        """Load the model in ``folder`` (``starter``: the one that came with Heddle) and let lanes run on it.

        The future raises ModelError, Cancelled, or UsageError while a job still runs on another model.
        """
        self._refuse_while_running("open another model")
        self._cancel_load = threading.Event()
        asked = self._cancel_load
        self.model = ModelState(status="loading", folder=folder, stage="waiting for the loader")
        return self._loader.submit(self._open, folder, dtype, asked)

    def _open(self, folder: str, dtype: str, asked: threading.Event) -> ModelFacts:
        with self.runner.board.doing("model", folder, "load"):
            return self._open_noted(folder, dtype, asked)

    def _open_noted(self, folder: str, dtype: str, asked: threading.Event) -> ModelFacts:
        going_on = self.runner.board.toucher()

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
            self.runner.use_model(model_key(fingerprint(place), self._plan.dtype if dtype == "auto" else dtype))
            self.model = ModelState(status="loading", folder=place, name=facts.name)
            wanted = self._plan.dtype if dtype == "auto" else dtype
            _check_format(wanted, self._plan.device, writes="generate" in facts.tasks)
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
        self._loaded = loaded
        with self.runner.lock:
            for job in self.runner.jobs.values():
                job.forget_tokens()
        self._start_lanes()
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
            _check_format(plan.dtype, plan.device, writes="generate" in loaded.facts.tasks)
            self._refuse_while_running("change the device or the number format")

        def change() -> Plan:
            self._plan = plan
            if reload and loaded is not None:
                self.model = replace(self.model, status="loading", progress=0.0)
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
        self._pool = LanePool(loops, partial(self._lane_broke, self.runner.generation))

    def _encoding_loops(self, loaded: LoadedModel) -> list[Callable[[], None]]:
        from engine.lanes.lane import Lane

        plan = self.plan
        budget = loaded.budget(BATCH_SECONDS * plan.threads)
        generation = self.runner.open_lanes(plan.lanes, plan.device, budget=budget, padded=loaded.mode != "packed")
        return [Lane(index, generation, plan.threads, loaded, self.runner).run for index in range(plan.lanes)]

    def _writing_loops(self, loaded: LoadedDecoder) -> list[Callable[[], None]]:
        from engine.lanes.generating import GeneratingLane

        plan = self.plan
        slots = plan.slots or SLOTS
        generation = self.runner.open_lanes(plan.lanes, plan.device, slots=slots, verb="write")
        budget = int(machine.memory_free(plan.device) * KV_SHARE) // plan.lanes
        return [
            GeneratingLane(
                index,
                generation,
                plan.threads,
                loaded,
                self.runner,
                slots=slots,
                kv_budget=budget,
            ).run
            for index in range(plan.lanes)
        ]

    def _lane_broke(self, generation: int, index: int, error: BaseException) -> None:
        self.runner.lane_ended(index, generation, f"{type(error).__name__}: {error}")
        self._notify("error", f"A lane ended unexpectedly: {error}. Start the engine again to get it back.")

    def _stop_lanes(self, seconds: float = 30.0) -> None:
        self.runner.close_lanes()
        if self._pool is not None:
            self._pool.wait(seconds)
            self._pool = None

    def _unload(self) -> None:
        self._stop_lanes()
        self.runner.forget_counting()
        self._loaded = None
        gc.collect()
        machine.give_memory_back()

    def _refuse_while_running(self, what: str) -> None:
        with self.runner.lock:
            jobs = [job for job in self.runner.jobs.values() if job.scratch is None]
            running = [job for job in jobs if job.status in LIVE and self._loaded is not None]
            writing = [job for job in jobs if job.told == "pausing" and job.task is not None and writes(job.task)]
        if running:
            name = running[0].name or "a job"
            raise UsageError(f"Cannot {what} while {name} runs. Pause it, or stop it, first.")
        if writing:
            name = writing[0].name or "a job"
            raise UsageError(f"Cannot {what} while answers of {name} are still being written. Wait, or stop it, first.")

    @property
    def weaving(self) -> bool:
        """Whether there are lanes."""
        return self._pool is not None

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

    def begin_closing(self) -> None:
        """Stop a load within a stage; ``close`` follows."""
        self._closing.set()
        self._cancel_load.set()

    def close(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for lanes that were told to end, and let go of the model; False if one did not end."""
        clean = True
        if self._pool is not None:
            clean = self._pool.wait(seconds)
            self._pool = None
        self._loader.shutdown(wait=False, cancel_futures=True)
        self._loaded = None
        return clean


def _check_format(dtype: str, device: str, *, writes: bool) -> None:
    """Raise UsageError for a number format that the model or the device does not take."""
    if dtype in QUANTISED and not writes:
        raise UsageError(
            f"{dtype} weights are for models that write text; this one does not. Choose auto, bf16 or float32."
        )
    if dtype in QUANTISED and device != "cpu":
        raise UsageError(f"{dtype} weights run on the CPU only; choose auto, bf16 or float32 for {device}.")


def _load(
    folder: str, *, dtype: str, device: str, progress: Progress, cancelled: Callable[[], bool]
) -> LoadedModel | LoadedDecoder:
    """Load whatever kind of model lies in ``folder``, on a thread that ends with the load.

    A thread keeps its OpenMP workers for life, and once there are more of them than cores, GNU's OpenMP puts all of them
    to sleep between two operations: a decode step of the lanes then takes 10 ms longer (0.5B, 2 threads, measured).
    """
    from engine.models.load import load
    from engine.models.load_decoder import load_decoder

    kind = load_decoder if "generate" in look(folder).tasks else load
    thread = Helpers("loader", 1)
    done = thread.submit(kind, folder, dtype=dtype, device=device, progress=progress, cancelled=cancelled)
    thread.shutdown(wait=True)
    return done.result()
