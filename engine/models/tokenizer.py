"""A lane's own tokenizer: text to token ids, long texts in pieces, special tokens known apart."""

from __future__ import annotations

import copy
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import machine
from engine.errors import UsageError
from engine.generation.ends import Ends, ends_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

PIECE = 1_000_000
"""Characters tokenized at once. A tokenizer's bookkeeping takes over a hundred bytes a token, so a very long text is
tokenized in pieces that end at white space, where word-based tokenizers would part anyway."""

TEMPLATE_LIMIT = 200_000
"""Characters of a chat template; the longest that are in use have a tenth of it."""

_BREAK = re.compile(r"\s")


def pieces(text: str, size: int = PIECE) -> list[str]:
    """Cut ``text`` into pieces of about ``size`` characters, each ending before white space where there is some."""
    result: list[str] = []
    start = 0
    while len(text) - start > size:
        stop = start + size
        # Look back for white space in the last tenth; text without any is cut where it stands.
        for match in _BREAK.finditer(text, stop - size // 10, stop):
            stop = match.start()
        if stop <= start:
            stop = start + size
        result.append(text[start:stop])
        start = stop
    result.append(text[start:])
    return result


class LaneTokenizer:
    """Token ids for one lane. Fast tokenizers are not thread-safe, so every lane works on a deep copy (law 3)."""

    def __init__(self, tokenizer: Any, *, lower: bool = False) -> None:
        """Wrap a transformers tokenizer; truncation and padding are switched off, lengths are our own business."""
        self._tokenizer = tokenizer
        self._lower = lower
        self._fast = getattr(tokenizer, "_tokenizer", None)
        if self._fast is not None:
            self._fast.no_truncation()
            self._fast.no_padding()
        whole = tokenizer("a", add_special_tokens=True)
        bare, full = self._plain("a"), list(whole["input_ids"])
        place = next((i for i in range(len(full) - len(bare) + 1) if full[i : i + len(bare)] == bare), None)
        if place is None:  # a template that changes the text itself: keep it whole in front
            place = len(full) - len(bare)
        self.prefix = np.array(full[:place], np.int32)
        """Special tokens in front of a text, such as [CLS]."""
        self.suffix = np.array(full[place + len(bare) :], np.int32)
        """Special tokens behind a text, such as [SEP]."""
        types = whole.get("token_type_ids")
        self.types: dict[int, int] | None = (
            None if types is None else {i: t for i, t in zip(full, types, strict=True) if t}
        )
        """Token types of special tokens other than 0 (2 of [CLS] in a few families); None where models are given none."""
        unknown = getattr(tokenizer, "unk_token_id", None)
        self.unknown_id = -1 if unknown is None else int(unknown)
        self.limit = getattr(tokenizer, "model_max_length", None)
        """Tokens that the tokenizer's files say the model takes, or None."""
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        """Whether the model expects a conversation in a format of its own."""
        pad = getattr(tokenizer, "pad_token_id", None)
        self.pad_id = 0 if pad is None else int(pad)

    def copy(self) -> LaneTokenizer:
        """Return a deep copy for another lane."""
        made = LaneTokenizer(copy.deepcopy(self._tokenizer), lower=self._lower)
        # The copy goes through a text of the whole vocabulary, which leaves more in the heap than the copy takes itself.
        machine.give_memory_back()
        return made

    def _plain(self, text: str) -> list[int]:
        if self._fast is not None:
            return self._fast.encode(text, add_special_tokens=False).ids
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def conversation(self, system: str, user: str, examples: Sequence[tuple[str, str]] = ()) -> str:
        """Return the exact prompt: the model's chat template around the texts, or the plain texts without one.

        ``examples`` are pairs of what a user asked and what the model should have answered; they come before the
        question. transformers runs templates in a sandbox. Raises UsageError when the template refuses or is too long.
        """
        if not self.has_template:
            turns = [f"{asked}\n{answer}" for asked, answer in examples]
            return "\n\n".join([*([system] if system else []), *turns, user])
        self._check_template()
        turns = [
            message
            for asked, answer in examples
            for message in ({"role": "user", "content": asked}, {"role": "assistant", "content": answer})
        ]
        messages = [*turns, {"role": "user", "content": user}]
        if not system:
            return self._apply(messages)
        try:
            return self._apply([{"role": "system", "content": system}, *messages])
        except UsageError:
            # Some families know no system role; their makers advise to put its text before the first question.
            first = {"role": "user", "content": f"{system}\n\n{messages[0]['content']}"}
            return self._apply([first, *messages[1:]])

    def _apply(self, messages: Sequence[dict[str, str]]) -> str:
        try:
            return self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except Exception as error:
            raise UsageError(f"The model's chat template cannot be applied: {error}") from error

    def _check_template(self) -> None:
        template = self._tokenizer.chat_template
        size = len(template) if isinstance(template, str) else max(map(len, template.values()), default=0)
        if size > TEMPLATE_LIMIT:
            raise UsageError(
                f"The model's chat template has {size:,} characters, and no more than {TEMPLATE_LIMIT:,} are taken. "
                "Download the tokenizer's files again."
            )

    def prompt_ids(self, prompt: str, *, closed: bool = False) -> npt.NDArray[np.int32]:
        """Return the token ids of a whole prompt; a template has written its special tokens itself.

        ``closed`` adds the tokens behind a text: an encoder wants them, a decoder would take them for the end.
        """
        ids = self.ids([prompt])[0]
        if self.has_template:
            return ids
        return np.concatenate([self.prefix, ids, self.suffix] if closed else [self.prefix, ids])

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the characters (start, stop) that each token of ``text`` stands for; empty without a fast tokenizer."""
        if self._fast is None:
            return []
        return self._fast.encode(text, add_special_tokens=False).offsets

    def ends_of(self, model: Any) -> Ends:
        """Return what ends an answer of ``model`` by its configurations, this tokenizer and its chat template."""
        return ends_of(model, self._tokenizer)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, special ones left out."""
        return self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def ids(self, texts: Sequence[str], cancelled: Callable[[], None] | None = None) -> list[npt.NDArray[np.int32]]:
        """Return the token ids of each text, without special tokens; ``cancelled`` may raise between pieces."""
        if self._lower:
            texts = [text.lower() for text in texts]
        result: list[npt.NDArray[np.int32] | None] = [None] * len(texts)
        short = [i for i, text in enumerate(texts) if len(text) <= PIECE]
        if self._fast is not None:
            encoded = self._fast.encode_batch_fast([texts[i] for i in short], add_special_tokens=False)
            for i, encoding in zip(short, encoded, strict=True):
                result[i] = np.array(encoding.ids, np.int32)
        else:
            for i in short:
                result[i] = np.array(self._plain(texts[i]), np.int32)
        for i, text in enumerate(texts):
            if len(text) > PIECE:
                parts: list[npt.NDArray[np.int32]] = []
                for piece in pieces(text):
                    if cancelled is not None:
                        cancelled()
                    parts.append(np.array(self._plain(piece), np.int32))
                result[i] = np.concatenate(parts)
        return [ids for ids in result if ids is not None]
