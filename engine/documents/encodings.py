"""Encodings: how the bytes of a document are to be decoded, and how sure that is.

The order is that of the house: a byte order mark, strict UTF-8, the encoding chosen for the job, then detection.
Detection looks for UTF-16 and UTF-32 without a mark, for UTF-8 with damaged bytes, and then compares what the text
would be in each legacy encoding (``alphabets``, ``ideographs``). charset-normalizer, a well-kept library, judges the
winner and is asked for its own answer where none of these is any good.
"""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass

from charset_normalizer import from_bytes

from engine.documents import alphabets, ideographs
from engine.documents.likelihood import Likelihood
from engine.errors import UsageError

BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")

SAMPLE = 4096
"""Bytes of text outside ASCII, with their lines, that decide about a legacy encoding."""

HEAD = 65536
"""Bytes at the beginning that decide about UTF-16, UTF-32 and control characters."""

MOST = 0.99
"""The highest confidence of anything detected; 1.0 is for what is certain."""

_NO_TEXT = frozenset(("idna", "punycode", "unicode_escape", "raw_unicode_escape", "utf_7", "undefined"))
"""Codecs for names, source code and mail headers: some refuse to replace bad bytes, some make halves of characters."""

_CONTROLS = bytes(sorted({*range(32)} - set(b"\b\t\n\v\f\r\x1a\x1b")))
_HIGH_BYTES = bytes(range(128, 256))
_HIGH = re.compile(rb"[\x80-\xff]")
_FLAW = re.compile("[\ufffd\ue000-\uf8ff]")
_KANA = 0x30
"""High byte of kana and CJK punctuation: Japanese in UTF-16 may have no control bytes, but it has these."""

_USUAL = ((0x09, 0x0D), (0x20, 0x7E), (0xA0, 0x17F), (0x2010, 0x206F), (0x3000, 0x30FF), (0xFF00, 0xFF60))
"""Latin letters, punctuation, kana, full-width forms: in the wrong byte order, text has few of them.

U+2000 is a space in the wrong order.
"""

_SCRIPTS = (
    (0x0180, 0x07FF),  # Latin, Greek, Cyrillic, Armenian, Hebrew, Arabic, Syriac
    (0x0900, 0x0E7F),  # the scripts of India, Sinhala, Thai
    (0x10A0, 0x11FF),  # Georgian, Hangul Jamo
    (0x1E00, 0x1FFF),  # Vietnamese, Greek with accents
    (0x20A0, 0x27BF),  # currencies, arrows, mathematics, box drawing, symbols
    (0x3100, 0x9FFF),  # CJK
    (0xAC00, 0xD7A3),  # Hangul
    (0xFE00, 0xFE6F),  # variants and small forms
    (0x1F300, 0x1FAFF),  # emoji
    (0x20000, 0x2FA1F),
)

_SHORT = 200
"""Up to this many bytes, Chinese in UTF-16 may happen to have no NUL or control byte at all."""

_FEW = 6
"""Up to this many places, or different bytes, may be damage, even if few of the rest or none are right UTF-8."""

_THIN = 2
"""Up to this many different bytes, scattered in ASCII, are letters of a Latin alphabet or damage, no other script."""

_GOOD_FIT, _GOOD_FIT_LONG, _LONG = -5.5, -4.8, 50
"""Mean log likelihood of a byte: real text has -0.8 to -4.5, in short pieces to -5.5; from ``_LONG`` bytes it is long.

Bytes read in a wrong encoding mostly have -5 to -8.
"""


@dataclass(frozen=True, slots=True)
class Guess:
    """A codec's name as Python writes it, how sure it is (1.0 is certain, less is detected), the bytes of its mark."""

    encoding: str
    confidence: float = 1.0
    mark: int = 0


def known(name: str) -> str:
    """Return Python's own name of the text encoding ``name``; raises UsageError for one that it does not know."""
    found = ""
    try:
        "".encode(name)
        found = codecs.lookup(name).name
    except (LookupError, ValueError):
        pass
    if not found or found.replace("-", "_") in _NO_TEXT:
        raise UsageError(
            f"Unknown encoding {name!r}; use a name such as utf-8, cp1252, gb18030, big5, shift_jis or euc_kr."
        )
    return found


def bom(data: bytes) -> Guess | None:
    """Return the encoding that the byte order mark of ``data`` names, or None when there is no mark."""
    for mark, encoding in BOMS:
        if data.startswith(mark):
            if encoding == "utf-32-le" and not _decodes(data[:HEAD], encoding):
                continue  # UTF-16 whose first character is NUL: no text either way, but named right
            return Guess(encoding, mark=len(mark))
    return None


def may_be(chosen: str, data: bytes) -> bool:
    """Return False for bytes that no text in the ``chosen`` encoding has: a pile holds binary files as well."""
    return chosen.startswith(("utf-16", "utf-32")) or (b"\0" not in data and not has_controls(data, 0.1))


def first_high(data: bytes) -> int:
    """Return the place of the first byte that is not ASCII, -1 without one."""
    found = _HIGH.search(data)
    return found.start() if found else -1


def has_controls(data: bytes, share: float) -> bool:
    """True when more than ``share`` of the first bytes are control characters that no text is made of."""
    head = data[:HEAD]
    return len(head) - len(head.translate(None, _CONTROLS)) > 1 + share * len(head)


def detect(data: bytes) -> Guess | None:
    """Return the likeliest encoding of ``data``, which is not strict UTF-8 or has NUL bytes; None when it is no text.

    A file with damaged bytes is still recognised, so decoding with the answer may fail at some bytes.
    """
    head = data[:HEAD]
    if b"\0" in data or has_controls(data, 0.03) or _has_kana(head):
        wide = _wide(head)
        if wide or not _has_kana(head):
            return wide
    sample, is_all = _sample(data)
    if not sample:
        return None
    good, bad = _utf8(sample, is_all)
    if good and good >= bad * (1 if good + bad <= _FEW else 2):
        return Guess("utf-8", round(min(MOST, good / (good + bad)), 3))
    legacy = _legacy(data, sample, is_all)
    if legacy:
        return legacy
    damaged = Guess("utf-8", 0.5) if _is_ascii(head, 0.3) else None
    if damaged and len(set(_HIGH.findall(sample))) <= _FEW:
        return damaged
    short = _wide(head) if len(head) <= _SHORT else None
    return short or _second_opinion(sample) or damaged


# ------------------------------------------------------------------------------------------ UTF-16 and UTF-32, no mark
def _has_kana(head: bytes) -> bool:
    """True when every second byte is often that of kana; zeros in a table of numbers stand anywhere."""
    even, odd = head[::2].count(_KANA), head[1::2].count(_KANA)
    return 5 * (even + odd) > len(head) and max(even, odd) >= 0.85 * (even + odd)


def _wide(head: bytes) -> Guess | None:
    """UTF-16 and UTF-32 show in NUL or control bytes: they are the high bytes of Latin letters, spaces and digits."""
    plain = sum(32 <= byte < 127 or 9 <= byte <= 13 for byte in head)
    nuls = head.count(0)
    if len(head) < 4 or (not nuls and len(head.translate(None, _CONTROLS)) < 0.15 * len(head)):
        return None
    # Plain text cut up with NULs has few other bytes; UTF-16 has a high byte at every second place.
    if nuls and plain >= 0.75 * len(head) and not _has_kana(head):
        return None
    best: tuple[float, str, int] = (0.0, "", 0)
    for encoding in WIDE:
        if _decodes(head, encoding):
            text = codecs.getincrementaldecoder(encoding)().decode(head)
            best = max(best, (_plausible(text), encoding, len(text)))
    score, encoding, count = best
    return Guess(encoding, round(min(MOST, 1 - 0.5 / count), 3)) if score else None


def _decodes(head: bytes, encoding: str) -> bool:
    """True when ``head``, maybe cut off inside its last character, is strictly ``encoding``."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _plausible(text: str) -> float:
    """How much ``text`` looks like text: 0 for not at all, more for usual characters from few blocks of Unicode.

    The wrong byte order turns Latin letters into ideographs and those into characters of no script or of many.
    """
    if not text or "\0" in text:
        return 0.0
    counts = Counter(text)
    categories: Counter[str] = Counter()
    blocks: Counter[int] = Counter()
    for character, n in counts.items():
        categories[unicodedata.category(character)] += n
        blocks[ord(character) >> 8] += n
    nothing = categories["Cn"] + categories["Co"] + categories["Cs"]
    controls = categories["Cc"] - sum(counts[character] for character in "\t\n\v\f\r")
    usual = sum(n for character, n in counts.items() if _within(character, _USUAL))
    letters = usual + sum(n for character, n in counts.items() if _within(character, _SCRIPTS))
    if nothing > 0.01 * len(text) or controls > 0.1 * len(text) or letters < 0.9 * len(text):
        return 0.0
    return (usual + letters + sum(n for _, n in blocks.most_common(3))) / len(text)


def _within(character: str, ranges: tuple[tuple[int, int], ...]) -> bool:
    code = ord(character)
    return any(first <= code <= last for first, last in ranges)


# ----------------------------------------------------------------------------------------------------- legacy and UTF-8
def _sample(data: bytes) -> tuple[bytes, bool]:
    """The beginning of what is not ASCII, and whether that is all: lines, never starting inside a character."""
    pieces: list[bytes] = []
    size = end = 0
    while size < SAMPLE and (hit := _HIGH.search(data, end)):
        start = max(end, data.rfind(b"\n", 0, hit.start()) + 1, hit.start() - 256)
        stop = data.find(b"\n", hit.start())
        end = min(len(data) if stop < 0 else stop + 1, start + SAMPLE - size + 256)
        pieces.append(data[start:end])
        size += end - start
    return b"".join(pieces), size < SAMPLE


def _utf8(sample: bytes, is_all: bool) -> tuple[int, int]:
    """How many characters outside ASCII are right UTF-8, and how many places are not.

    Legacy text hits a right sequence by chance, but less than once for each place that is wrong: at most 0.92 times in
    Thai, less in Chinese, Japanese and Korean, hardly ever in others (measured on messages in 25 languages).
    """
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(sample, is_all)
    bad = text.count("\ufffd") - sample.count(b"\xef\xbf\xbd")
    return sum(character > "\x7f" for character in text) - bad, bad


def _is_ascii(head: bytes, but: float) -> bool:
    """True when at most the share ``but`` of the bytes is not ASCII."""
    return len(head) - len(head.translate(None, _HIGH_BYTES)) <= but * len(head)


def _legacy(data: bytes, sample: bytes, is_all: bool) -> Guess | None:
    found = alphabets.likelihoods(sample) + ideographs.likelihoods(sample, is_all)
    if len(data) <= _SHORT:
        found += filter(None, (ideographs.wide_likelihood(data, name) for name in ("utf-16-le", "utf-16-be")))
    found.sort(key=lambda each: -each.score)
    if _bad_fit(found[0]):  # bytes that read well only in pairs have a better right than a text with odd characters
        found.sort(key=lambda each: (not each.encodings[0].startswith("utf-16"), -each.score))
    best = found[0]
    if best.encodings[0].startswith("utf-16") and not _bad_fit(best):
        others = sum(math.exp(max(-50.0, other.score - best.score)) for other in found[1:] if not _bad_fit(other))
        return Guess(best.encodings[0], round(min(MOST, (1 - 2 / (best.count + 4)) / (1 + others)), 3))
    if _bad_fit(best):
        return None
    if len(set(_HIGH.findall(sample))) <= _THIN and _is_ascii(sample, 0.1) and best.encodings[0] not in alphabets.LATIN:
        return None
    encoding = min(best.encodings, key=lambda name: _flaws(data, name)) if best.encodings[1:] else best.encodings[0]
    text = sample.decode(encoding, "replace")
    # Encodings that give the same text do not contradict it.
    doubt = sum(
        math.exp(max(-50.0, other.score - best.score))
        for other in found[1:]
        if sample.decode(other.encodings[-1], "replace") != text
    )
    match = from_bytes(sample, cp_isolation=[encoding], threshold=1.0).best()
    order = 1 - match.chaos if match else 0.5
    return Guess(codecs.lookup(encoding).name, round(max(0.01, min(MOST, order / (1 + doubt))), 3))


def _bad_fit(likelihood: Likelihood) -> bool:
    return likelihood.fit < (_GOOD_FIT if likelihood.count < _LONG else _GOOD_FIT_LONG)


def _flaws(data: bytes, encoding: str) -> int:
    """How many bytes have no character; Python's cp932 gives some of them characters for private use."""
    return sum(1 for _ in _FLAW.finditer(data.decode(encoding, "replace")))


def _second_opinion(sample: bytes) -> Guess | None:
    """The answer of charset-normalizer alone, for encodings that are not among ours."""
    match = from_bytes(sample).best()
    if match is None or match.encoding in {"ascii", "utf_8"} or match.chaos > 0.1 or match.coherence == 0:
        return None
    return Guess(codecs.lookup(match.encoding).name, round(min(MOST, (1 - match.chaos) * match.coherence), 3))
