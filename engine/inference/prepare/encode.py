"""Making ``Encode`` requests ready: the prompt in front, tokens, windows of a long text."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from engine.documents.split import coverage, windows
from engine.errors import UsageError
from engine.inference.prepare.long_windows import Around, windows_of
from engine.inference.prepare.ready import NOTHING, Ready, Wanted, too_long
from engine.requests.item import WorkItem
from engine.requests.overflow import Overflow
from engine.requests.request import Encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.models.tokenizer import WorkerTokenizer
    from engine.requests.item import TokenIds


class EncodePreparer:
    """Makes texts ready for one encoder; belongs to one thread, as the tokenizer does."""

    def __init__(
        self, tokenizer: WorkerTokenizer, window: int, prompts: Mapping[str, str], default: str | None
    ) -> None:
        """Cut texts at ``window`` tokens; ``prompts`` are the model's own by name, ``default`` names the one it uses."""
        self._tokenizer, self._window = tokenizer, window
        self._prompts, self._default = prompts, default
        self._newest: tuple[str, TokenIds] = "", np.zeros(0, np.int32)

    def prepare(self, wanted: Sequence[Wanted], ask: Callable[[], None]) -> list[Ready]:
        """Return what became of each request, in order; ``ask`` raises Cancelled."""
        requests: list[Encode] = []
        for one in wanted:
            if not isinstance(one.request, Encode):
                raise UsageError("This model makes vectors; it cannot write.")
            requests.append(one.request)
        return [self._ready(one.document, request, ask) for one, request in zip(wanted, requests, strict=True)]

    def _ready(self, document: int, request: Encode, ask: Callable[[], None]) -> Ready:
        front_text = self._prompt(request.prompt)
        # Of the model's own prompt the marks are marks; what the user typed is ordinary text.
        own = 0 if request.prompt and request.prompt not in self._prompts else len(front_text)
        front = self._front(front_text, own)
        if request.long is not None:
            around = Around(self._tokenizer.prefix, front, self._tokenizer.suffix, max(1, self._window - len(front)))
            policy = Overflow(request.overflow)
            return windows_of(document, request.key, request.long, around, policy, self._tokenizer, ask)
        # The prompt and the text are tokenized together where both fit, as a plain call would do.
        (ids,) = self._tokenizer.ids([front_text + request.text], ask, own=own)
        if len(ids) <= len(front) and not len(self._tokenizer.ids([request.text])[0]):
            return Ready(tokens=0, reason=NOTHING, nothing=True)
        tokenizer, size = self._tokenizer, self._window
        skip = len(front) + len(tokenizer.prefix) if len(front) else 0
        body, room, lead = ids, size, np.zeros(0, np.int32)
        if len(ids) > size and len(front):  # a long text gets the prompt's tokens in front of every window
            body, room, lead = ids[len(front) :], max(1, size - len(front)), front
        kept = windows(len(body), room, Overflow(request.overflow))
        if not kept:
            return Ready(tokens=len(ids), reason=too_long(len(ids), size))
        items = tuple(
            WorkItem(
                document,
                part,
                len(kept),
                np.concatenate([tokenizer.prefix, lead, body[w.start : w.stop], tokenizer.suffix]),
                skip,
                request=request.key,
            )
            for part, w in enumerate(kept)
        )
        unknown = float(np.count_nonzero(ids == tokenizer.unknown_id)) / max(1, len(ids))
        return Ready(items, len(ids), unknown, coverage(len(body), kept))

    def _front(self, text: str, own: int) -> TokenIds:
        """Return the tokens of a prompt; those of the newest one are kept."""
        if self._newest[0] != text:
            ids = self._tokenizer.ids([text], own=own)[0] if text else np.zeros(0, np.int32)
            self._newest = text, ids
        return self._newest[1]

    def _prompt(self, wanted: str) -> str:
        if wanted:
            return self._prompts.get(wanted, wanted)
        return self._prompts.get(self._default or "", "")
