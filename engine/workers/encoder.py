"""An encoder inside a worker: a batch at a time, each halved where it fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from engine.errors import Cancelled
from engine.inference.encoding.encoder import Encoder
from engine.inference.prepare.encode import EncodePreparer
from engine.inference.prepare.ready import Wanted
from engine.requests.output import Encoded
from engine.scheduling.work import Run
from engine.workers import message
from engine.workers.failure import device_is_lost, reason_of
from engine.workers.reading import let_exits_through, said

if TYPE_CHECKING:
    from engine.models.load import LoadedModel
    from engine.models.tokenizer import WorkerTokenizer
    from engine.requests.item import WorkItem
    from engine.telemetry.activity import Board
    from engine.telemetry.meter import WorkerMeter
    from engine.workers.assignment import Assignment
    from engine.workers.worker import Post

log = logging.getLogger(__name__)


class EncoderInside:
    """Runs batches of texts over the weights of one model."""

    busy = False
    """Whether ``step`` has something to do: never, a batch is run when it comes."""

    def __init__(
        self, index: int, loaded: LoadedModel, tokenizer: WorkerTokenizer, meter: WorkerMeter, post: Post, board: Board
    ) -> None:
        """Encode for worker ``index``."""
        self.lost = False
        """Whether the device stopped answering."""
        self._board = board
        self._index, self._loaded, self._meter, self._post = index, loaded, meter, post
        self._encoder = Encoder(loaded)
        pipeline = loaded.pipeline
        preparer = EncodePreparer(tokenizer, loaded.window, pipeline.prompts, pipeline.default_prompt_name)
        self.prepare = preparer.prepare

    def step(self) -> None:
        """Do nothing: nothing is ever left open."""

    def set_up(self, assignment: Assignment) -> message.WasSetUp:
        """Return the vectors of the job's own texts, each computed by itself."""
        begin = time.perf_counter()
        stop, work = assignment.run.stop, assignment.work

        def ask() -> None:
            if stop():
                raise Cancelled("cancelled")

        outputs: dict[str, Encoded] | None = {}
        problem = ""
        try:
            wanted = [Wanted(number, request) for number, request in enumerate(assignment.requests)]
            for one, ready in zip(wanted, self.prepare(wanted, ask), strict=True):
                vectors = [self._encoder.encode([item], stop)[0] for item in ready.items]
                outputs[one.request.key] = Encoded(one.request.key, vectors[0])
        except Cancelled:
            outputs = None
        except BaseException as error:
            let_exits_through(error)
            log.exception("what the task needs once could not be computed")
            outputs, problem = None, f"The task's own texts could not be encoded: {said(error)}"
        return message.WasSetUp(self._index, work, outputs, problem, time.perf_counter() - begin)

    def run(self, assignment: Assignment) -> None:
        """Run a batch and post what came of it; halved where it fails, so that only the culprit fails (FAULTS 27, 30)."""
        work = assignment.work
        assert isinstance(work, Run)
        begin = time.perf_counter()
        self._meter.activity = "encode"
        try:
            self._encode(assignment, work.items)
        except Exception as error:
            # Nothing that a document can be blamed for, but nobody will bring these back.
            self._post(message.Failed(self._index, work, work.items, f"its worker ended: {said(error)}", 0.0))
            raise
        finally:
            self._meter.busy += time.perf_counter() - begin
            self._post(message.Returned(self._index, work))

    def _encode(self, assignment: Assignment, items: Sequence[WorkItem]) -> None:
        work, begin = assignment.work, time.perf_counter()
        self._meter.steps += 1
        try:
            with self._board.doing("work", self._loaded.facts.folder, "compute", job=work.job):
                vectors = self._encoder.encode(items, assignment.run.stop)
        except Cancelled:
            return
        except BaseException as error:
            let_exits_through(error)
            if device_is_lost(error):
                reason = (
                    f"The device {self._loaded.device} stopped answering ({said(error)}). "
                    "Choose another device, such as the CPU, and resume."
                )
                self.lost = True
                self._post(message.DeviceLost(self._index, work, tuple(items), reason))
            elif len(items) > 1:
                log.warning("a batch of %d failed (%s); halving it", len(items), said(error))
                middle = len(items) // 2
                self._encode(assignment, items[:middle])
                self._encode(assignment, items[middle:])
            else:
                log.exception("document %d failed", items[0].document)
                reason = reason_of(error, ", even alone in its batch; choose fewer workers or a smaller model")
                self._post(message.Failed(self._index, work, tuple(items), reason, time.perf_counter() - begin))
            return
        self._meter.tokens += sum(len(item.ids) for item in items)
        self._post(message.Vectors(self._index, work, tuple(items), vectors, time.perf_counter() - begin))
