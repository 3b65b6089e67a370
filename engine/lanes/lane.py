"""The loop of one lane: take work, do it, bring it back. Everything mutable in here belongs to this lane alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.documents.split import Overflow, coverage, windows
from engine.encoding.batches import WorkItem
from engine.encoding.encoder import Encoder
from engine.errors import Cancelled
from engine.lanes.long_windows import Around, make_more, windows_of
from engine.lanes.reading import (
    NOTHING,
    Document,
    count_documents,
    counting,
    let_exits_through,
    read_and_count,
    said,
    too_long,
)
from engine.lanes.work import Anchors, Count, Prepare, Prepared
from engine.metrics.threads import name_this_thread

if TYPE_CHECKING:
    from engine.job import Job, Stop
    from engine.models.load import LoadedModel
    from engine.models.tokenizer import LaneTokenizer
    from engine.runner import Runner

log = logging.getLogger(__name__)


class Lane:
    """One worker: a device, T intra-op threads, its own tokenizer copy, over weights shared by all lanes."""

    def __init__(self, index: int, generation: int, threads: int, loaded: LoadedModel, runner: Runner) -> None:
        """Prepare lane ``index``; nothing happens before ``run`` is called on the lane's thread."""
        self._index = index
        self._generation = generation
        self._threads = threads
        self._loaded = loaded
        self._runner = runner

    def run(self) -> None:
        """Work until the runner closes this generation of lanes; called once, on the lane's own thread."""
        name_this_thread(f"lane-{self._index}")
        # The setting is per thread, and leaks into threads born later: set it before anything else (law 4).
        torch.set_num_threads(self._threads)
        tokenizer = self._loaded.tokenizer.copy()
        encoder = Encoder(self._loaded)
        with torch.inference_mode():
            while (work := self._runner.take(self._index, self._generation)) is not None:
                begin = time.perf_counter()
                if isinstance(work, Prepare):
                    found: list[Prepared] = []
                    try:
                        self._prepare(work, tokenizer, found)
                    finally:
                        self._runner.prepared(self._index, work, found, time.perf_counter() - begin)
                elif isinstance(work, Count):
                    count_documents(self._runner, self._index, work, tokenizer)
                elif isinstance(work, Anchors):
                    self._anchors(work, tokenizer, encoder, begin)
                else:
                    steps = 0
                    try:
                        steps = self._encode(work.job, work.stop, work.items, encoder)
                    except Exception as error:
                        # Nothing that a document can be blamed for, but nobody will bring these back.
                        for number in {item.document for item in work.items}:
                            self._runner.failed(work.job, number, f"its lane ended: {said(error)}", 0.0)
                        raise
                    finally:
                        self._runner.encoded_back(self._index, work, time.perf_counter() - begin, steps)

    # ------------------------------------------------------------------------------------------------------------ reading
    def _prepare(self, work: Prepare, tokenizer: LaneTokenizer, found: list[Prepared]) -> None:
        if work.rest is not None:
            make_more(self._runner, work, work.rest, found, tokenizer)
            return
        read_and_count(self._runner, work, found, lambda documents: self._count(work, documents, tokenizer))

    def _count(self, work: Prepare, documents: Sequence[Document], tokenizer: LaneTokenizer) -> list[Prepared]:
        assert work.job.task is not None
        settings = work.job.task.settings
        policy = Overflow(settings.on_overflow)
        prompt = self._prompt(settings.prompt)

        def ask() -> None:
            if work.stop():
                raise Cancelled("cancelled")

        own = self._own(settings.prompt, prompt)
        front = tokenizer.ids([prompt], own=own)[0] if prompt else np.zeros(0, np.int32)
        size = self._loaded.window
        around = Around(tokenizer.prefix, front, tokenizer.suffix, max(1, size - len(front)))
        done: list[Prepared] = []
        for one in documents:
            if one.long is not None:
                with counting(self._runner, work.job, one):
                    done.append(windows_of(one.number, one.long, around, policy, tokenizer, ask))
        documents = [document for document in documents if document.long is None]
        # The prompt and the text are tokenized together where both fit, as a plain call would do; a long text gets the
        # prompt's tokens in front of every window.
        for one in documents:
            with counting(self._runner, work.job, one):
                ids = tokenizer.ids([prompt + one.text], ask, own=own)[0]
            skip = len(front) + len(tokenizer.prefix) if len(front) else 0
            body, room, lead = ids, size, np.zeros(0, np.int32)
            if len(ids) <= len(front) and not len(tokenizer.ids([one.text])[0]):
                done.append(Prepared(one.number, reason=NOTHING, tokens=0, skipped=True))
                continue
            if len(ids) > size and len(front):
                body, room, lead = ids[len(front) :], max(1, size - len(front)), front
            kept = windows(len(body), room, policy)
            if not kept:
                done.append(Prepared(one.number, reason=too_long(len(ids), size), tokens=len(ids)))
                continue
            items = tuple(
                WorkItem(
                    one.number,
                    part,
                    len(kept),
                    np.concatenate([tokenizer.prefix, lead, body[w.start : w.stop], tokenizer.suffix]),
                    skip,
                )
                for part, w in enumerate(kept)
            )
            unknown = float(np.count_nonzero(ids == tokenizer.unknown_id)) / max(1, len(ids))
            done.append(Prepared(one.number, items, len(ids), unknown, coverage(len(body), kept)))
        return done

    def _prompt(self, wanted: str) -> str:
        pipeline = self._loaded.pipeline
        if wanted:
            return pipeline.prompts.get(wanted, wanted)
        return pipeline.prompts.get(pipeline.default_prompt_name or "", "")

    def _own(self, wanted: str, prompt: str) -> int:
        """Return how many characters in front of a text are the model's own prompt, in which marks are marks."""
        return 0 if wanted and wanted not in self._loaded.pipeline.prompts else len(prompt)

    # ----------------------------------------------------------------------------------------------------------- encoding
    def _anchors(self, work: Anchors, tokenizer: LaneTokenizer, encoder: Encoder, begin: float) -> None:
        vectors = None
        problem = ""
        try:
            assert work.job.task is not None
            wanted = work.job.task.settings.prompt
            prompt = self._prompt(wanted)
            own = self._own(wanted, prompt)
            rows = []
            for number, ids in enumerate(tokenizer.ids([prompt + text for text in work.texts], own=own)):
                # A description longer than the window keeps its beginning; no label needs more.
                row = np.concatenate([tokenizer.prefix, ids[: self._loaded.window], tokenizer.suffix])
                skip = len(tokenizer.ids([prompt], own=own)[0]) + len(tokenizer.prefix) if prompt else 0
                rows.append(encoder.encode([WorkItem(number, 0, 1, row, skip)], work.stop)[0])
            vectors = np.stack(rows)
        except Cancelled:
            pass
        except BaseException as error:
            let_exits_through(error)
            log.exception("the task's own texts could not be encoded")
            problem = f"The task's own texts could not be encoded: {said(error)}"
        finally:
            self._runner.anchored(self._index, work, vectors, problem, time.perf_counter() - begin)

    def _encode(self, job: Job, stop: Stop, items: Sequence[WorkItem], encoder: Encoder) -> int:
        """Encode and book a batch; halve it where it fails, so that only the culprit fails (FAULTS 27, 30).

        Returns the number of forwards.
        """
        begin = time.perf_counter()
        try:
            with self._runner.board.doing("work", self._loaded.facts.folder, "compute", job=job.id):
                vectors = encoder.encode(items, stop)
        except Cancelled:
            return 1
        except BaseException as error:
            let_exits_through(error)
            spent = time.perf_counter() - begin
            if device_is_lost(error):
                self._runner.device_lost(
                    job,
                    items,
                    f"The device {self._loaded.device} stopped answering ({said(error)}). "
                    "Choose another device, such as the CPU, and resume.",
                )
                return 1
            if len(items) > 1:
                log.warning("a batch of %d failed (%s); halving it", len(items), said(error))
                middle = len(items) // 2
                first = self._encode(job, stop, items[:middle], encoder)
                return 1 + first + self._encode(job, stop, items[middle:], encoder)
            log.exception("document %d failed", items[0].document)
            self._runner.failed(job, items[0].document, _reason(error), spent)
            return 1
        self._runner.encoded(self._index, job, items, vectors, time.perf_counter() - begin)
        return 1


def device_is_lost(error: BaseException) -> bool:
    """Tell whether the error says that a GPU is gone, rather than that it is full."""
    kind = getattr(torch, "AcceleratorError", None)
    return kind is not None and isinstance(error, kind) and not isinstance(error, torch.OutOfMemoryError)


def _reason(error: BaseException) -> str:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "out of memory" in str(error).lower():
        return "out of memory, even alone in its batch; choose fewer lanes or a smaller model"
    return f"the model failed: {said(error)}"
