"""A generator inside a worker: items enter slots, every step brings all of them on, and what is finished goes back."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence as Rows
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from engine.errors import Cancelled, HeddleError, UsageError
from engine.inference.generation.fallback import BatchGenerator
from engine.inference.generation.generator import Generator
from engine.inference.generation.prefix import Prefix
from engine.inference.generation.sequence import CANCELLED, Event, Finished, Sequence
from engine.inference.prepare.prompts import SHORTEST_PREFIX, PromptWriter, common_beginning
from engine.inference.prepare.ready import Ready, Wanted
from engine.requests.output import Answer
from engine.requests.request import Generate
from engine.scheduling.work import Run
from engine.telemetry.activity import touch
from engine.workers import message
from engine.workers.failure import device_is_lost, reason_of
from engine.workers.reading import Refused, let_exits_through, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.models.load_decoder import LoadedDecoder
    from engine.models.tokenizer import WorkerTokenizer
    from engine.requests.item import WorkItem
    from engine.telemetry.activity import Board
    from engine.telemetry.meter import WorkerMeter
    from engine.workers.assignment import Assignment
    from engine.workers.worker import Post

log = logging.getLogger(__name__)

TELL_SECONDS = 0.2
"""Pace at which partial texts are told."""


@dataclass(slots=True)
class _Open:
    """A sequence in the generator: the item it answers, and the assignment that it came with."""

    item: WorkItem
    assignment: Assignment
    began: float
    text: str = ""
    tokens: int = 0


class GeneratorInside:
    """Writes texts over the weights of one model, in the slots of one worker."""

    def __init__(
        self,
        index: int,
        loaded: LoadedDecoder,
        tokenizer: WorkerTokenizer,
        meter: WorkerMeter,
        post: Post,
        board: Board,
        *,
        slots: int,
        kv_budget: int,
    ) -> None:
        """Write for worker ``index``, with ``slots`` slots in ``kv_budget`` bytes."""
        self.lost = False
        """Whether the device stopped answering."""
        self._index, self._loaded, self._meter, self._post = index, loaded, meter, post
        self._slots, self._board = slots, board
        self._open: dict[int, _Open] = {}
        self._left: dict[int, int] = {}
        self._next = 0
        self._told = 0.0
        self._checked: tuple[object, ...] = ()
        """What the newest request says beside its text, which the model's template takes."""
        self._writer = PromptWriter(tokenizer, loaded.max_tokens, closed=loaded.closed)
        self._generator = self._make_generator(tokenizer, kv_budget)

    @property
    def busy(self) -> bool:
        """Whether texts are being written."""
        return bool(self._open)

    def _make_generator(self, tokenizer: WorkerTokenizer, kv_budget: int) -> Generator | BatchGenerator:
        loaded, mode = self._loaded, self._loaded.generation
        if mode.kind == "slots":
            assert mode.shape is not None
            return Generator(
                loaded.model,
                mode.shape,
                slots=self._slots,
                kv_budget=kv_budget,
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
        return any(one.assignment.run.stop.asked for one in self._open.values())

    # ------------------------------------------------------------------------------------------------------------ preparing
    def prepare(self, wanted: Rows[Wanted], ask: Callable[[], None]) -> list[Ready]:
        """Make prompts ready with the worker's own tokenizer; raises Refused where the model's template takes none."""
        for one in wanted:
            if isinstance(one.request, Generate) and (asked := _asked(one.request)) != self._checked:
                try:
                    self._writer.check(one.request)
                    if one.request.schema:
                        self._loaded.grammars.check(one.request.schema)
                except UsageError as error:
                    raise Refused(str(error)) from error
                self._checked = asked
        return self._writer.prepare(wanted, ask)

    def set_up(self, assignment: Assignment) -> message.WasSetUp:
        """Refuse: no task of this kind needs texts before its documents yet."""
        problem = "This model cannot answer what the task needs once."
        return message.WasSetUp(self._index, assignment.work, None, problem, 0.0)

    def _share_prefix(self, assignment: Assignment, items: Rows[WorkItem]) -> None:
        """Name the beginning that the run's prompts share, the first time two of them are known (law 4)."""
        shared = assignment.run.shared
        if shared.prefix is not None or self._loaded.generation.kind != "slots":
            return
        prompts = list({item.document: item.ids for item in items if item.part == 0}.values())
        if len(prompts) < 2:
            return
        length = common_beginning(prompts)
        if length >= SHORTEST_PREFIX:
            shared.offer(Prefix(prompts[0][:length].copy()))

    @staticmethod
    def _prefix_of(assignment: Assignment, item: WorkItem) -> Prefix | None:
        """Return what an item shares with others: with those about its document, or with all of the run."""
        shared = assignment.run.shared
        if not item.shared:
            return shared.prefix
        return shared.of_document(item.document, item.ids[: item.shared], Prefix)

    # -------------------------------------------------------------------------------------------------------------- writing
    def run(self, assignment: Assignment) -> None:
        """Take items in; they enter slots in the steps that follow."""
        work = assignment.work
        assert isinstance(work, Run)
        self._share_prefix(assignment, work.items)
        self._left[id(work)] = len(work.items)
        for item in work.items:
            self._next += 1
            self._open[self._next] = _Open(item, assignment, time.perf_counter())
            try:
                assert item.sampling is not None
                constrain = partial(self._loaded.grammars.constraint, item.schema) if item.schema else None
                sequence = Sequence(self._next, item.ids, item.sampling, item.sha256, constrain)
                if isinstance(self._generator, Generator):
                    self._generator.add(sequence, self._prefix_of(assignment, item))
                else:
                    self._generator.add(sequence)
            except HeddleError as error:
                self._fail(self._next, str(error))

    def step(self) -> None:
        """Bring all texts on by a step, and post those that are finished."""
        begin = time.perf_counter()
        generator = self._generator
        try:
            with self._board.doing("work", self._loaded.facts.folder, "compute"):
                events = generator.step()
        except Cancelled:
            gone = [number for number, one in self._open.items() if one.assignment.run.stop.asked]
            events = [event for number in gone if (event := generator.cancel(number))]
        except BaseException as error:  # noqa: BLE001 - the document boundary: record it, go on (FAULTS 27, 30)
            let_exits_through(error)
            self._broke(error)
            return
        finally:
            self._measure(time.perf_counter() - begin)
        self._hear(events)

    def _measure(self, seconds: float) -> None:
        meter, statistics = self._meter, self._generator.statistics
        meter.busy += seconds
        meter.steps, meter.statistics = statistics.steps, statistics
        read, wrote = statistics.prefill_tokens - meter.prefilled, statistics.decode_tokens - meter.decoded
        if read or wrote:
            meter.activity = "prefill" if read > wrote else "decode"
        meter.prefilled, meter.decoded = statistics.prefill_tokens, statistics.decode_tokens

    def _hear_batch(self, events: list[Event]) -> None:
        touch()
        self._meter.activity = "decode"
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
            texts = [
                (one.assignment.run.job, one.item.document, _shown(one), one.tokens)
                for one in self._open.values()
                if one.tokens and one.item.part == 0
            ]
            if texts:
                self._post(message.Writing(self._index, texts))

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
            self._meter.tokens += answer.prompt_tokens + answer.new_tokens
            self._post(message.Written(self._index, one.assignment.work, one.item, answer))
        self._close(one)

    def _fail(self, number: int, reason: str) -> None:
        one = self._open.pop(number)
        seconds = time.perf_counter() - one.began
        self._post(message.Failed(self._index, one.assignment.work, (one.item,), reason, seconds))
        self._close(one)

    def _close(self, one: _Open) -> None:
        key = id(one.assignment.work)
        self._left[key] -= 1
        if not self._left[key]:
            del self._left[key]
            self._post(message.Returned(self._index, one.assignment.work))

    def _broke(self, error: BaseException) -> None:
        """Answer a step that failed: a lost device pauses the job, else the newest sequence goes and the rest go on."""
        running = list(self._open)
        if device_is_lost(error):
            self.lost = True
            for number in running:
                self._generator.cancel(number)
                one = self._open.pop(number)
                reason = f"The device stopped answering ({said(error)})."
                self._post(message.DeviceLost(self._index, one.assignment.work, (one.item,), reason))
                self._close(one)
            return
        # The newest came last into a step that worked before; taking sequences out one by one finds the culprit, and
        # those that are left keep what they have written.
        newest = max(running)
        log.warning("a step with %d sequences failed (%s); taking out the newest", len(running), said(error))
        self._generator.cancel(newest)
        self._fail(newest, reason_of(error, "; choose fewer slots or workers, or a smaller model"))


def _asked(request: Generate) -> tuple[object, ...]:
    """Return what a request says beside its text; questions that name files differ in nothing that matters here."""
    return request.system, len(request.question), len(request.examples), request.think, request.schema


def _shown(one: _Open) -> str:
    """Return what is shown of a text in the making."""
    shown = getattr(one.assignment.run.task, "shown", None)
    return one.text if shown is None else shown(one.text, opened=one.item.opened)
