"""The desk: questions about a pile that need the model's tokenizer, answered beside the lanes, never on them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.documents.document import State
from engine.documents.split import Overflow, coverage, windows
from engine.errors import DocumentError, UsageError
from engine.inspection import text_of
from engine.lanes.prompts import PromptWriter, as_text_task
from engine.lanes.reading import Document
from engine.tasks.base import writes

if TYPE_CHECKING:
    from engine.job import Job
    from engine.loom import Loom
    from engine.models.load import LoadedModel
    from engine.models.load_decoder import LoadedDecoder
    from engine.models.tokenizer import LaneTokenizer
    from engine.runner import Runner
    from engine.tasks.base import Task


PATIENCE = 5.0
"""Seconds that one question waits for the one before."""


class Desk:
    """Previews prompts and sums up counts. Its methods may be called from any thread, and wait for each other."""

    def __init__(self, runner: Runner, loom: Loom) -> None:
        """Answer about the piles of ``runner`` with the model of ``loom``."""
        self.runner, self.loom = runner, loom
        self._gate = threading.Lock()
        self._of: LoadedModel | LoadedDecoder | None = None
        self._tokenizer: LaneTokenizer | None = None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Have the desk's tokenizer for a block; raises UsageError while another block does not come back with it."""
        if not self._gate.acquire(timeout=PATIENCE):
            raise UsageError("An earlier look at a prompt has not ended yet. Try again later, or open another model.")
        try:
            yield
        finally:
            self._gate.release()

    def need_model(self) -> LoadedModel | LoadedDecoder:
        """Return the model; raises UsageError without one."""
        loaded = self.loom.loaded
        if loaded is None:
            raise UsageError("Open a model first.")
        return loaded

    def _own(self, loaded: LoadedModel | LoadedDecoder) -> LaneTokenizer:
        """Return a tokenizer of the desk's own (they are not thread-safe), made once a model; under the lock."""
        if self._tokenizer is None or self._of is not loaded:
            self._tokenizer, self._of = loaded.tokenizer.copy(), loaded
        return self._tokenizer

    def _writer(self, loaded: Any, task: Task) -> PromptWriter:
        return PromptWriter(as_text_task(task), self._own(loaded), loaded.max_tokens, closed=loaded.closed)

    def _check(self, task: Task) -> LoadedModel | LoadedDecoder:
        loaded = self.need_model()
        if reason := self.runner.mismatch(task):
            raise UsageError(reason)
        return loaded

    def preview(self, job: Job, number: int, task: Task, limit: int) -> dict[str, Any]:
        """Return the exact prompt about a document, as protocol.Preview tells.

        Raises UsageError where there is no prompt, no model or no document, DocumentError where it cannot be read.
        """
        as_text_task(task)
        loaded = self._check(task)
        record, text, long, problem = text_of(self.runner, job, number)
        if problem:
            raise DocumentError(problem)
        document = Document(number, text, record.path, record.sha256, long)
        with self._lock():
            with self.runner.board.doing("document", record.path, "tokens", job=job.id):
                writer = self._writer(loaded, task)
                found = writer.write(document)
            template = self._own(loaded).has_template
            shown = text if long is None else long.head(limit)
            prompt = found.texts[0] if found.texts else writer.text(document, shown).text
        head, rest, hidden = shortened(prompt, limit)
        return {
            "prompt": head,
            "rest": rest,
            "hidden": hidden,
            "template": template,
            "whole": found.whole,
            "room": found.room,
            "window": loaded.max_tokens,
            "parts": len(found.texts),
            "coverage": found.coverage,
            "policy": task.settings.on_overflow,
            "reason": found.reason,
        }

    def overview(self, job: Job, task: Task | None) -> dict[str, Any]:
        """Return how long the waiting documents are and what the task will do with those that are too long.

        As protocol.CountTokens tells; raises UsageError without a model.
        """
        with self.runner.lock:
            waiting = [d.record for d in job.documents.values() if d.record.state in (State.WAITING, State.RUNNING)]
        counts = [record.tokens for record in waiting if record.tokens >= 0]
        path = next((record.path for record in waiting), "")
        space, fits = self._space(task, path)
        policy = Overflow(task.settings.on_overflow) if task is not None else Overflow.SPLIT
        longer = [tokens for tokens in counts if tokens > fits] if fits else []
        cut = [windows(tokens, max(1, space), policy) for tokens in longer]
        unused = sum(round(tokens * (1 - coverage(tokens, kept))) for tokens, kept in zip(longer, cut, strict=True))
        return {
            "documents": len(waiting),
            "uncounted": len(waiting) - len(counts),
            "tokens": sum(counts),
            "longest": max(counts, default=0),
            "space": fits,
            "longer": len(longer),
            "parts": sum(map(len, cut)),
            "unused": unused,
            "policy": policy.value,
        }

    def _space(self, task: Task | None, path: str) -> tuple[int, int]:
        """Return the tokens of a text that one part holds, and up to which a text is not cut at all."""
        loaded = self.need_model() if task is None else self._check(task)
        with self._lock():
            if task is not None and writes(task):
                writer = self._writer(loaded, task)
                some = Document(0, "", path, "")
                return writer.space(some), max(1, writer.room - writer.around(some))
            window = int(getattr(loaded, "window", loaded.max_tokens))
            return window, window


def shortened(text: str, limit: int) -> tuple[str, str, int]:
    """Return ``text`` as its beginning, its end and the number of characters left out between them."""
    if len(text) <= limit:
        return text, "", 0
    tail = limit // 3
    return text[: limit - tail], text[len(text) - tail :], len(text) - limit
