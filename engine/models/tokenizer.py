"""A worker's own tokenizer: text to token ids, long texts in pieces, special tokens known apart."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.documents.pieces import PIECE, pieces
from engine.inference.generation.ends import Ends, ends_of
from engine.inference.generation.thought import left_open, marks_among
from engine.models.chat_template import DOCUMENT, EXAMPLES, SYSTEM, ChatTemplate, Message
from engine.models.marks import Marks
from engine.models.prompt_text import PromptText
from engine.telemetry import machine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt


class WorkerTokenizer:
    """Token ids for one worker. Fast tokenizers are not thread-safe, so every worker works on a deep copy (law 3)."""

    def __init__(self, tokenizer: Any, *, lower: bool = False, marks: Marks | None = None) -> None:
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
        self.name = str(getattr(tokenizer, "name_or_path", ""))
        """The folder that it came from."""
        self.has_template = bool(getattr(tokenizer, "chat_template", None))
        """Whether the model expects a conversation in a format of its own."""
        self._marks = Marks(tokenizer, None if marks is None else marks.shared)
        self._template = ChatTemplate(tokenizer, list(self._marks.names.values()))
        special = set(getattr(tokenizer, "all_special_ids", ()))
        shown = marks_among(self._marks.names.values())
        thoughts = {number for number, name in self._marks.names.items() if name in shown}
        self._dropped = special - thoughts if special & thoughts else None
        """Special tokens that no text shows, where some are shown."""
        pad = getattr(tokenizer, "pad_token_id", None)
        self.pad_id = 0 if pad is None else int(pad)

    def copy(self) -> WorkerTokenizer:
        """Return a deep copy for another worker."""
        made = WorkerTokenizer(copy.deepcopy(self._tokenizer), lower=self._lower, marks=self._marks)
        # The copy goes through a text of the whole vocabulary, which leaves more in the heap than the copy takes itself.
        machine.give_memory_back()
        return made

    def definition(self) -> str:
        """Return the tokenizer as the text of a ``tokenizer.json``; empty without a fast one."""
        return "" if self._fast is None else self._fast.to_str()

    def _plain(self, text: str) -> list[int]:
        if self._fast is not None:
            return self._fast.encode(text, add_special_tokens=False).ids
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def conversation(
        self, system: str, user: str, examples: Sequence[tuple[str, str]] = (), *, think: bool = True
    ) -> PromptText:
        """Return the exact prompt: the model's chat template around the texts, or the plain texts without one.

        ``examples`` are pairs of what a user asked and what the model should have answered; they come before the
        question. Without ``think`` the model is asked not to think first, where its template knows how. Raises
        UsageError when the template refuses, leaves out a text, or is too long.
        """
        if not self.has_template:
            turns = [f"{asked}\n{answer}" for asked, answer in examples]
            return PromptText.plain("\n\n".join([*([system] if system else []), *turns, user]))
        messages = [
            *([Message("system", system, SYSTEM)] if system else []),
            *(
                Message(role, text, EXAMPLES)
                for pair in examples
                for role, text in zip(("user", "assistant"), pair, strict=True)
            ),
            Message("user", user, DOCUMENT),
        ]
        if think:
            return self._template.render(messages, {})
        made = self._template.render(messages, self._template.thinking_off())
        # A template that opens a thought and knows no switch: an empty thought is what the others write.
        closing = left_open(made.end)
        return PromptText(f"{made.text}\n{closing}\n\n", made.inserted) if closing else made

    def prompt_ids(self, prompt: PromptText | str, *, closed: bool = False) -> npt.NDArray[np.int32]:
        """Return the token ids of a whole prompt; a template has written its special tokens itself.

        ``closed`` adds the tokens behind a text: an encoder wants them, a decoder would take them for the end. A prompt
        that is a str is ordinary text. Raises DocumentError where the tokenizer has no ordinary tokens for a mark.
        """
        whole = PromptText.plain(prompt) if isinstance(prompt, str) else prompt
        ids = self._ids(whole)
        if self.has_template:
            return ids
        return np.concatenate([self.prefix, ids, self.suffix] if closed else [self.prefix, ids])

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return the characters (start, stop) that each token of ``text`` stands for; empty without a fast tokenizer.

        In pieces if it is long, as ``ids`` does.
        """
        if self._fast is None:
            return []
        if len(text) > PIECE:
            found: list[tuple[int, int]] = []
            place = 0
            for piece in pieces(text):
                found += [(start + place, stop + place) for start, stop in self.spans(piece)]
                place += len(piece)
            return found
        encoding = self._fast.encode(text, add_special_tokens=False)
        if self._marks.forged(PromptText.plain(text), encoding):
            return self._marks.offsets(text) or encoding.offsets
        return encoding.offsets

    def _ids(self, prompt: PromptText, cancelled: Callable[[], None] | None = None) -> npt.NDArray[np.int32]:
        """Return the tokens of ``prompt``, in which only the template's own marks are marks; in pieces if it is long."""
        if len(prompt.text) <= PIECE:
            return self._piece_ids(prompt)
        parts: list[npt.NDArray[np.int32]] = []
        place = 0
        for piece in pieces(prompt.text):
            if cancelled is not None:
                cancelled()
            parts.append(self._piece_ids(prompt.cut(place, place + len(piece))))
            place += len(piece)
        return np.concatenate(parts)

    def _piece_ids(self, prompt: PromptText) -> npt.NDArray[np.int32]:
        if self._fast is not None:
            encoding = self._fast.encode(prompt.text, add_special_tokens=False)
            ids, forged = np.array(encoding.ids, np.int32), self._marks.forged(prompt, encoding)
        else:
            ids = np.array(self._plain(prompt.text), np.int32)
            forged = self._marks.forged_by_count(prompt, ids)
        return self._marks.encode(prompt) if forged else ids

    def ends_of(self, model: Any) -> Ends:
        """Return what ends an answer of ``model`` by its configurations, this tokenizer and its chat template."""
        return ends_of(model, self._tokenizer)

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens, special ones left out, but for those that open and close a thought."""
        if self._dropped is not None:
            tokens = [token for token in tokens if token not in self._dropped]
            return self._tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return self._tokenizer.decode(list(tokens), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def ids(
        self, texts: Sequence[str], cancelled: Callable[[], None] | None = None, *, own: int = 0
    ) -> list[npt.NDArray[np.int32]]:
        """Return the token ids of each text, without special tokens; ``cancelled`` may raise between pieces.

        Texts are ordinary text, but for their first ``own`` characters, which are a prompt of the model's own.
        """
        if self._lower:
            texts = [text.lower() for text in texts]
        result: list[npt.NDArray[np.int32] | None] = [None] * len(texts)
        if self._fast is not None:
            short = [i for i, text in enumerate(texts) if len(text) <= PIECE]
            encoded = self._fast.encode_batch_fast([texts[i] for i in short], add_special_tokens=False)
            for i, encoding in zip(short, encoded, strict=True):
                found = np.array(encoding.ids, np.int32)
                if not self._marks.forged_in_text(texts[i], found):
                    result[i] = found
        return [
            self._ids(PromptText.plain(text, own), cancelled) if ids is None else ids
            for text, ids in zip(texts, result, strict=True)
        ]
