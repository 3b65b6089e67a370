"""Questions about a pile that need the model's tokenizer, answered beside the workers, never on them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from engine.api.state import State
from engine.documents.document import Text
from engine.documents.split import coverage, windows
from engine.errors import DocumentError, UsageError
from engine.inference.prepare.prompts import PromptWriter
from engine.jobs.inspection import text_of
from engine.requests.overflow import Overflow
from engine.requests.request import Generate
from engine.tasks.base import DocumentText, Step
from engine.workers.reading import name_of

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.job import Job
    from engine.models.load import LoadedModel
    from engine.models.load_decoder import LoadedDecoder
    from engine.models.tokenizer import WorkerTokenizer
    from engine.tasks.base import Task
    from engine.workers.manager import ModelManager


PATIENCE = 5.0
"""Seconds that one question waits for the one before."""


_NOTHING = Text("", "", "", 1.0)
"""Stands for a document where only the shape of a prompt is asked for."""


class Preview:
    """Shows prompts and sums up counts. Its methods may be called from any thread, and wait for each other."""

    def __init__(self, coordinator: Coordinator, manager: ModelManager) -> None:
        """Answer about the piles of ``coordinator`` with the model of ``manager``."""
        self.coordinator, self.manager = coordinator, manager
        self._gate = threading.Lock()
        self._of: LoadedModel | LoadedDecoder | None = None
        self._tokenizer: WorkerTokenizer | None = None

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Have the tokenizer for a block; raises UsageError while another block does not come back with it."""
        if not self._gate.acquire(timeout=PATIENCE):
            raise UsageError("An earlier look at a prompt has not ended yet. Try again later, or open another model.")
        try:
            yield
        finally:
            self._gate.release()

    def need_model(self) -> LoadedModel | LoadedDecoder:
        """Return the model; raises UsageError without one."""
        loaded = self.manager.loaded
        if loaded is None:
            raise UsageError("Open a model first.")
        return loaded

    def _own(self, loaded: LoadedModel | LoadedDecoder) -> WorkerTokenizer:
        """Return a tokenizer of its own (they are not thread-safe), made once a model; under the lock."""
        if self._tokenizer is None or self._of is not loaded:
            self._tokenizer, self._of = loaded.tokenizer.copy(), loaded
        return self._tokenizer

    def _writer(self, loaded: Any) -> PromptWriter:
        return PromptWriter(self._own(loaded), loaded.max_tokens, closed=loaded.closed)

    def _check(self, task: Task) -> LoadedModel | LoadedDecoder:
        loaded = self.need_model()
        if reason := self.coordinator.workers.mismatch(task):
            raise UsageError(reason)
        return loaded

    def prompt(self, job: Job, number: int, task: Task, limit: int) -> dict[str, Any]:
        """Return the exact prompt about a document, as api.Preview tells.

        Raises UsageError where there is no prompt, no model or no document, DocumentError where it cannot be read.
        """
        asked_of(task, "", _NOTHING)
        loaded = self._check(task)
        record, text, problem = text_of(self.coordinator, job, number)
        if problem:
            raise DocumentError(problem)
        request = asked_of(task, record.path, text, dict(text.columns))
        with self._lock():
            with self.coordinator.board.doing("document", record.path, "tokens", job=job.id):
                writer = self._writer(loaded)
                found = writer.write(request)
            template = self._own(loaded).has_template
            shown = text.text if text.long is None else text.long.head(limit)
            prompt = found.texts[0] if found.texts else writer.text(request, shown).text
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
            "policy": request.overflow,
            "reason": found.reason,
        }

    def overview(self, job: Job, task: Task | None) -> dict[str, Any]:
        """Return how long the waiting documents are and what the task will do with those that are too long.

        As api.CountTokens tells; raises UsageError without a model.
        """
        waiting = self.coordinator.call(
            lambda: [d.record for d in job.pile.documents.values() if d.record.state in (State.WAITING, State.RUNNING)]
        )
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
            if task is not None and (request := first_prompt(task, path, _NOTHING)) is not None:
                writer = self._writer(loaded)
                return writer.space(request), max(1, writer.room(request) - writer.around(request))
            window = int(getattr(loaded, "window", loaded.max_tokens))
            return window, window


def first_prompt(task: Task, path: str, text: Text, columns: dict[str, str] | None = None) -> Generate | None:
    """Return the first text that ``task`` asks a generator for about a document; None where it asks for none.

    ``columns`` as in DocumentText.
    """
    step = task.start(DocumentText(name_of(path), path, text.text, text.sha256, text.long, columns), {})
    requests = step.requests if isinstance(step, Step) else ()
    return next((request for request in requests if isinstance(request, Generate)), None)


def asked_of(task: Task, path: str, text: Text, columns: dict[str, str] | None = None) -> Generate:
    """Return the first text that ``task`` asks for; raises UsageError for a task that writes nothing."""
    found = first_prompt(task, path, text, columns)
    if found is None:
        raise UsageError("Only tasks that write text have a prompt.")
    return found


def shortened(text: str, limit: int) -> tuple[str, str, int]:
    """Return ``text`` as its beginning, its end and the number of characters left out between them."""
    if len(text) <= limit:
        return text, "", 0
    tail = limit // 3
    return text[: limit - tail], text[len(text) - tail :], len(text) - limit
