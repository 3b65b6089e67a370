"""The loop of a lane that writes: admit sequences into slots, step, bring back what is finished."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch

from engine.activity import touch
from engine.encoding.batches import WorkItem
from engine.errors import Cancelled, HeddleError, UsageError
from engine.generation.fallback import BatchGenerator
from engine.generation.generator import Generator
from engine.generation.prefix import Prefix
from engine.generation.sequence import CANCELLED, Event, Finished, Sequence
from engine.lanes.lane import device_is_lost
from engine.lanes.long_windows import make_more
from engine.lanes.prompts import PromptWriter, prepare_document
from engine.lanes.reading import Document, count_documents, counting, let_exits_through, read_and_count, said
from engine.lanes.work import Batch, Count, Prepare, Prepared
from engine.metrics.threads import name_this_thread
from engine.tasks.base import Answer, TextTask

if TYPE_CHECKING:
    from engine.job import Job
    from engine.models.load_decoder import LoadedDecoder
    from engine.models.tokenizer import LaneTokenizer
    from engine.runner import Runner

log = logging.getLogger(__name__)

TELL_SECONDS = 0.2
"""Pace at which partial texts are told."""

SHORTEST_PREFIX = 16
"""Tokens below which a shared beginning is not worth keeping apart."""


@dataclass(slots=True)
class _Open:
    """A sequence in the generator: the item it answers, and the work that it came with."""

    item: WorkItem
    work: Batch
    began: float
    text: str = ""
    tokens: int = 0


class GeneratingLane:
    """One worker: a device, T intra-op threads, B slots, its own tokenizer copy, over weights shared by all lanes."""

    def __init__(
        self,
        index: int,
        generation: int,
        threads: int,
        loaded: LoadedDecoder,
        runner: Runner,
        *,
        slots: int,
        kv_budget: int,
    ) -> None:
        """Prepare lane ``index`` with ``slots`` slots in ``kv_budget`` bytes; nothing happens before ``run``."""
        self._index, self._generation, self._threads = index, generation, threads
        self._loaded, self._runner = loaded, runner
        self._slots, self._kv_budget = slots, kv_budget
        self._open: dict[int, _Open] = {}
        self._left: dict[int, int] = {}
        self._next = 0
        self._told = 0.0

    def run(self) -> None:
        """Work until the runner closes this generation of lanes; called once, on the lane's own thread."""
        name_this_thread(f"lane-{self._index}")
        torch.set_num_threads(self._threads)
        tokenizer = self._loaded.tokenizer.copy()
        generator = self._make_generator(tokenizer)
        try:
            with torch.inference_mode():
                self._work(tokenizer, generator)
        finally:  # what an error that belongs to no document leaves open waits for another lane
            self._runner.given_up(self._index, [(one.work, one.item) for one in self._open.values()])
            self._open.clear()

    def _work(self, tokenizer: LaneTokenizer, generator: Generator | BatchGenerator) -> None:
        while True:
            room = self._slots - len(generator)
            if room > 0:
                held = sum(len(one.item.ids) for one in self._open.values())
                work = self._runner.take(self._index, self._generation, room=room, held=held, wait=not self._open)
                if work is None and not self._open:
                    return
                if isinstance(work, Prepare):
                    self._prepare(work, tokenizer)
                    continue
                if isinstance(work, Count):
                    count_documents(self._runner, self._index, work, tokenizer)
                    continue
                if isinstance(work, Batch):
                    self._admit(work, generator)
                    continue
            if self._open:
                self._step(generator)

    def _make_generator(self, tokenizer: LaneTokenizer) -> Generator | BatchGenerator:
        loaded = self._loaded
        mode = loaded.generation
        if mode.kind == "slots":
            assert mode.shape is not None
            return Generator(
                loaded.model,
                mode.shape,
                slots=self._slots,
                kv_budget=self._kv_budget,
                max_tokens=min(loaded.max_tokens, mode.max_tokens or loaded.max_tokens),
                ends=loaded.ends,
                decode=tokenizer.decode,
                cancelled=self._stopped,
            )
        return BatchGenerator(
            loaded.model,
            mode,
            batch=self._slots,
            max_tokens=loaded.max_tokens,
            ends=loaded.ends,
            decode=tokenizer.decode,
            cancelled=self._stopped,
            listener=self._hear_batch,
        )

    def _stopped(self) -> bool:
        return any(one.work.stop.asked for one in self._open.values())

    # ------------------------------------------------------------------------------------------------------------ reading
    def _prepare(self, work: Prepare, tokenizer: LaneTokenizer) -> None:
        begin = time.perf_counter()
        found: list[Prepared] = []
        try:
            if work.rest is not None:
                make_more(self._runner, work, work.rest, found, tokenizer)
            else:
                read_and_count(self._runner, work, found, lambda documents: self._count(work, documents, tokenizer))
            self._share_prefix(work.job, found)
        finally:
            self._runner.prepared(self._index, work, found, time.perf_counter() - begin)

    def _count(self, work: Prepare, documents: Rows[Document], tokenizer: LaneTokenizer) -> list[Prepared]:
        task = cast("TextTask", work.job.task)
        writer = PromptWriter(task, tokenizer, self._loaded.max_tokens, closed=self._loaded.closed)
        if not self._checked(work, writer):
            raise Cancelled("paused")
        found: list[Prepared] = []
        for document in documents:
            if work.stop():
                raise Cancelled("cancelled")
            with counting(self._runner, work.job, document):
                found.append(prepare_document(writer, document))
        return found

    def _checked(self, work: Prepare, writer: PromptWriter) -> bool:
        """Tell whether the model's template takes the task's texts, and takes them whole; if not, the job pauses."""
        try:
            writer.check()
        except UsageError as error:
            self._runner.refused(work.job, work.stop, str(error))
            return False
        return True

    def _share_prefix(self, job: Job, found: Rows[Prepared]) -> None:
        """Name the beginning that the job's prompts share, the first time two of them are known (law 7)."""
        if job.prefix is not None or self._loaded.generation.kind != "slots":
            return
        prompts = [item.ids for one in found for item in one.items[:1]]
        if len(prompts) < 2:
            return
        shortest = min(map(len, prompts))
        same = np.ones(shortest, bool)
        for ids in prompts[1:]:
            same &= ids[:shortest] == prompts[0][:shortest]
        shared = int(np.argmin(same)) if not same.all() else shortest - 1
        if shared >= SHORTEST_PREFIX:
            job.prefix = Prefix(prompts[0][:shared].copy())

    # ------------------------------------------------------------------------------------------------------------ writing
    def _admit(self, work: Batch, generator: Generator | BatchGenerator) -> None:
        task = cast("TextTask", work.job.task)
        self._left[id(work)] = len(work.items)
        for item in work.items:
            self._next += 1
            sequence = Sequence(self._next, item.ids, task.sampling, item.sha256)
            self._open[self._next] = _Open(item, work, time.perf_counter())
            try:
                if isinstance(generator, Generator):
                    generator.add(sequence, cast("Prefix | None", work.job.prefix))
                else:
                    generator.add(sequence)
            except HeddleError as error:
                self._fail(self._next, str(error))

    def _step(self, generator: Generator | BatchGenerator) -> None:
        begin = time.perf_counter()
        try:
            with self._runner.board.doing("work", self._loaded.facts.folder, "compute"):
                events = generator.step()
        except Cancelled:
            events = [e for n in [n for n, o in self._open.items() if o.work.stop.asked] if (e := generator.cancel(n))]
        except BaseException as error:  # noqa: BLE001 - the document boundary: record it, go on (FAULTS 27, 30)
            let_exits_through(error)
            self._broke(error, generator)
            return
        finally:
            self._runner.stepped(self._index, time.perf_counter() - begin, generator.statistics)
        self._hear(events)

    def _hear_batch(self, events: list[Event]) -> None:
        touch()
        self._runner.decoding(self._index)
        self._hear(events)

    def _hear(self, events: list[Event]) -> None:
        for event in events:
            one = self._open.get(event.id)
            if one is None:
                continue
            one.text += event.text
            one.tokens += event.tokens
            if event.finished is not None:
                self._finish(event.id, event.finished)
        now = time.perf_counter()
        if now - self._told > TELL_SECONDS:
            self._told = now
            self._runner.writing(
                [
                    (one.work.job, one.item.document, _shown(one), one.tokens)
                    for one in self._open.values()
                    if one.tokens and one.item.part == 0
                ]
            )

    def _finish(self, number: int, finished: Finished) -> None:
        one = self._open.pop(number)
        if finished.reason != CANCELLED:
            answer = Answer(
                finished.text,
                finished.reason,
                finished.prompt_tokens,
                len(finished.tokens),
                finished.seconds,
                finished.ttft,
                one.item.opened,
            )
            self._runner.answered(self._index, one.work.job, one.item, answer)
        self._close(one)

    def _fail(self, number: int, reason: str) -> None:
        one = self._open.pop(number)
        self._runner.failed(one.work.job, one.item.document, reason, time.perf_counter() - one.began)
        self._close(one)

    def _close(self, one: _Open) -> None:
        key = id(one.work)
        self._left[key] -= 1
        if not self._left[key]:
            del self._left[key]
            self._runner.encoded_back(self._index, one.work, 0.0, 0)

    def _broke(self, error: BaseException, generator: Generator | BatchGenerator) -> None:
        """Answer a step that failed: a lost device pauses the job, else the newest sequence goes and the rest go on."""
        running = list(self._open)
        if device_is_lost(error):
            for number in running:
                generator.cancel(number)
                one = self._open.pop(number)
                self._runner.device_lost(one.work.job, [one.item], f"The device stopped answering ({said(error)}).")
                self._close(one)
            return
        # The newest came last into a step that worked before; taking sequences out one by one finds the culprit, and
        # those that are left keep what they have written.
        newest = max(running)
        log.warning("a step with %d sequences failed (%s); taking out the newest", len(running), said(error))
        generator.cancel(newest)
        self._fail(newest, _reason(error))


def _shown(one: _Open) -> str:
    """Return what is shown of a text in the making."""
    return cast("TextTask", one.work.job.task).shown(one.text, opened=one.item.opened)


def _reason(error: BaseException) -> str:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "out of memory" in str(error).lower():
        return "out of memory; choose fewer slots or lanes, or a smaller model"
    return f"the model failed: {said(error)}"
