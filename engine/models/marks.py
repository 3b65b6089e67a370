"""Marks: the tokens with which a template sets off turns, roles and thoughts. In a document they are ordinary text."""

from __future__ import annotations

import json
import re
import secrets
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import DocumentError

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.models.prompt_text import PromptText, Range

_ALPHABET = "".join(map(chr, range(0xA000, 0xA48D)))
"""Yi syllables: letters without case, accents or other forms, so that no normaliser changes them."""

_SECRET = 16
"""Characters of a secret name: 160 bits, which no document guesses."""

_HTML = re.compile(
    r"</?(?:a|b|blockquote|br|caption|code|em|h[1-6]|i|li|ol|p|pre|s|strong|sub|sup|table|tbody|td|tfoot|th|thead|tr|u|ul)>"
)
"""Tags that some makers (Gemma's) give tokens of their own, and train as the text that they are."""

PROBES = ("Hello, world: 12.5 %", "  Two  spaces\n\nand lines\t", "Größe 東京 ñandú", "a", "don't stop_here")
"""Texts without marks, on which a copy of a tokenizer has to agree with it."""


class Marks:
    """Knows a tokenizer's marks, and encodes prompts in which only the template's own count.

    Belongs to one thread, as the tokenizer does; ``shared`` is what all copies of one tokenizer share.
    """

    def __init__(self, tokenizer: Any, shared: Shared | None = None) -> None:
        """Find the marks of a transformers tokenizer."""
        self._tokenizer = tokenizer
        self._fast = getattr(tokenizer, "_tokenizer", None)
        self.names = find_marks(tokenizer)
        """The marks' texts by id."""
        unknown = getattr(tokenizer, "unk_token_id", None)
        self._unknown = -1 if unknown is None else int(unknown)
        self._is_mark = np.zeros(max(self.names, default=-1) + 1, bool)
        self._is_mark[list(self.names)] = True
        longest_first = sorted(self.names.values(), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
        self._ids = {text: number for number, text in self.names.items()}
        self.shared = shared or Shared()
        self._twin: Any = None
        self._twin_failed = False

    def hits(self, ids: npt.NDArray[np.int32]) -> npt.NDArray[np.intp]:
        """Return the places of marks among ``ids``."""
        if not len(self._is_mark):
            return np.zeros(0, np.intp)
        return np.flatnonzero(self._is_mark[np.minimum(ids, len(self._is_mark) - 1)] & (ids < len(self._is_mark)))

    def forged_in_text(self, text: str, ids: npt.NDArray[np.int32]) -> bool:
        """Tell whether the tokens of an ordinary text hold a mark; an unknown token alone is none."""
        found = ids[self.hits(ids)]
        return bool((found != self._unknown).any()) or (len(found) > 0 and self.names[self._unknown] in text)

    def forged(self, prompt: PromptText, encoding: Any) -> bool:
        """Tell whether an encoding of ``prompt`` took ordinary text for a mark."""
        ids = np.array(encoding.ids, np.int32)
        found = self.hits(ids)
        if self.names.get(self._unknown, "") not in prompt.text:  # what is unknown may be thousands of tokens
            found = found[ids[found] != self._unknown]
        for place in found:
            start, stop = encoding.token_to_chars(int(place)) or (0, 0)
            spelt = prompt.text[start:stop]
            start += len(spelt) - len(spelt.lstrip())  # some marks swallow the white space beside them
            if not prompt.touches(start, start + len(spelt.strip())):
                continue
            if ids[place] != self._unknown or spelt.strip() == self.names[self._unknown]:
                return True
        return False

    def forged_by_count(self, prompt: PromptText, ids: npt.NDArray[np.int32]) -> bool:
        """Tell the same of tokens of which nobody says where they stand: there are more marks than the template's own."""
        found = ids[self.hits(ids)]
        written = [self._ids[prompt.text[start:stop]] for start, stop in self.own(prompt)]
        if (found != self._unknown).sum() != sum(number != self._unknown for number in written):
            return True
        name = self.names.get(self._unknown)
        return name is not None and any(name in prompt.text[a:b] for a, b in prompt.inserted)

    def own(self, prompt: PromptText) -> list[Range]:
        """Return where the template's own marks are."""
        if self._pattern is None:
            return []
        found: list[Range] = []
        for start, stop, own in prompt.stretches():
            if own:
                found.extend(match.span() for match in self._pattern.finditer(prompt.text, start, stop))
        return found

    def encode(self, prompt: PromptText) -> npt.NDArray[np.int32]:
        """Return the token ids of ``prompt`` where only the template's own marks are marks.

        Raises DocumentError when this tokenizer has no ordinary tokens for what a mark spells.
        """
        own = self.own(prompt)
        twin = self._ordinary_twin()
        if twin is not None:
            ids = np.array(twin.encode(self._renamed(prompt.text, own), add_special_tokens=False).ids, np.int32)
        else:
            ids = np.array(self._piecewise(prompt.text, own), np.int32)
        unknown = sum(self._ids[prompt.text[a:b]] == self._unknown for a, b in own)
        marks = int((ids[self.hits(ids)] != self._unknown).sum())
        if marks != len(own) - unknown:
            raise DocumentError(
                "its text spells marks of the model, and the model's tokenizer cannot read them as text; "
                "take them out, or choose another model"
            )
        return ids

    def offsets(self, text: str) -> list[Range] | None:
        """Return the characters of each token of an ordinary text, or None where they are not known."""
        twin = self._ordinary_twin()
        return None if twin is None else twin.encode(text, add_special_tokens=False).offsets

    # -------------------------------------------------------------------------------------------------------- both ways
    def _renamed(self, text: str, own: list[Range]) -> str:
        parts: list[str] = []
        place = 0
        for start, stop in own:
            parts += [text[place:start], self.shared.secrets[text[start:stop]]]
            place = stop
        return "".join([*parts, text[place:]])

    def _ordinary_twin(self) -> Any:
        """Return a tokenizer that differs in the marks' names alone, which are secrets; None where none can be made.

        A single call then encodes a whole prompt, so that white space, prefixes and merges at the joints are those of
        the tokenizer itself.
        """
        if self._twin is None and not self._twin_failed and self._fast is not None:
            try:
                self._twin = self.shared.make(self._fast, self.names)
            except Exception:  # noqa: BLE001 - a part written in Python, or a format of a later release
                self._twin_failed = True
        return self._twin

    def _piecewise(self, text: str, own: list[Range]) -> list[int]:
        """Encode what lies between the template's own marks piece by piece, as tokenizers in Python do themselves."""
        added = {token.content: token for token in self._tokenizer.added_tokens_decoder.values()}
        ids: list[int] = []
        place = 0
        strip = False
        for start, stop in [*own, (len(text), len(text))]:
            mark = added.get(text[start:stop])
            piece = text[place:start]
            piece = piece.lstrip() if strip else piece
            piece = piece.rstrip() if getattr(mark, "lstrip", False) else piece
            if piece:
                ids += self._tokenizer.encode(piece, add_special_tokens=False, split_special_tokens=True)
            if stop > start:
                ids.append(self._ids[text[start:stop]])
            strip = bool(getattr(mark, "rstrip", False))
            place = stop
        if self._fast is not None:
            self._fast.encode_special_tokens = False  # transformers leaves it as the last call wanted it
        return ids


def find_marks(tokenizer: Any) -> dict[int, str]:
    """Return the texts of a tokenizer's marks by id.

    Marks are special tokens, and other added tokens that are set in brackets, such as ``<think>`` and ``<tool_call>``.
    Added words, runs of white space and HTML's tags are text that makers gave a token of its own, and stay so.
    """
    template = getattr(tokenizer, "chat_template", None)
    written = template if isinstance(template, str) else "".join(map(str, (template or {}).values()))
    names: dict[int, str] = {}
    for number, token in tokenizer.added_tokens_decoder.items():
        text = token.content
        if len(text) < 2 or text.isspace():
            continue
        bracketed = len(text) > 2 and not any(text[place].isalnum() or text[place].isspace() for place in (0, -1))
        html = _HTML.fullmatch(text) is not None and text not in written
        if token.special or (bracketed and set(text) - {text[0]} and not html):
            names[int(number)] = text
    for text in tokenizer.all_special_tokens:
        number = tokenizer.convert_tokens_to_ids(text)
        if isinstance(number, int) and len(text) > 1 and not text.isspace():
            names.setdefault(number, text)
    return names


class Shared:
    """The secret names of one tokenizer's marks, and the file of its twin, made when first needed by any copy."""

    def __init__(self) -> None:
        """Make nothing yet."""
        self._lock = threading.Lock()
        self._file: str | None = None
        self.secrets: dict[str, str] = {}
        """The marks' secret names by their texts."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        """Return itself: it is there to be shared."""
        return self

    def make(self, tokenizer: Any, names: dict[int, str]) -> Any:
        """Return a new twin of ``tokenizer`` (a tokenizers.Tokenizer); raises ValueError if it does not agree."""
        from tokenizers import Tokenizer

        with self._lock:
            if self._file is None:
                self.secrets = {
                    text: "".join(secrets.choice(_ALPHABET) for _ in range(_SECRET)) for text in names.values()
                }
                self._file = rename(tokenizer.to_str(), self.secrets)
        twin = Tokenizer.from_str(self._file)
        twin.no_truncation()
        twin.no_padding()
        same = all(twin.token_to_id(self.secrets[text]) == number for number, text in names.items())
        for probe in PROBES:
            same &= (
                twin.encode(probe, add_special_tokens=False).ids
                == tokenizer.encode(probe, add_special_tokens=False).ids
            )
        if not same:
            message = "the tokenizer's copy numbers its tokens otherwise"
            raise ValueError(message)
        return twin


def rename(file: str, names: dict[str, str]) -> str:
    """Return a ``tokenizer.json`` in which the tokens in ``names`` are called otherwise, so that no text spells them.

    Renamed in the vocabulary too: a unigram model would find ``<s>`` there, and merges may spell one.
    """
    value = json.loads(file)
    for token in value["added_tokens"]:
        token["content"] = names.get(token["content"], token["content"])
    model = value["model"]
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(text, text): number for text, number in vocabulary.items()}
    else:
        model["vocab"] = [[names.get(text, text), score] for text, score in vocabulary]
    if isinstance(model.get("unk_token"), str):
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    if "merges" in model:
        pairs = [tuple(pair.split(" ", 1)) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
        model["merges"] = [list(pair) for pair in pairs if not names.keys() & {*pair, "".join(pair)}]
    value["padding"] = value["truncation"] = None
    return json.dumps(value, ensure_ascii=False)
