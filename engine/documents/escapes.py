"""Encodings that write everything in ASCII bytes and switch alphabets by escapes: the ISO-2022 family and HZ.

Strict UTF-8 would take them for English with strange words, so they are looked for first. A designation such as
``ESC $ B`` stands in no other kind of text (those of terminals begin with ``ESC [`` or ``ESC (``). HZ switches with
``~{``, which other texts may have, so what it encloses must also be Chinese as people write it (RFC 1842, 1843).

Python has no codec of ISO-2022-CN (RFC 1922); one for its simplified Chinese, GB 2312, is registered here. Its
characters of CNS 11643 cannot be read and count as bad bytes.
"""

from __future__ import annotations

import codecs
import re
from typing import Any

FAMILY = ("iso2022", "hz")
"""How the names of these codecs begin."""

ISO_2022_CN = "iso2022_cn"

_JAPANESE = ("iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_jp_ext", "iso2022_jp_3", "iso2022_jp_2004")
_DESIGNATIONS = (
    (re.compile(rb"\x1b\$\)C"), ("iso2022_kr",)),
    (re.compile(rb"\x1b\$(?:\)[AEG]|\*H)"), (ISO_2022_CN,)),
    (re.compile(rb"\x1b(?:\$[@AB]|\$\([CDOPQ]|\(I)"), _JAPANESE),
)
_HZ = re.compile(rb"~\{((?:[\x21-\x77][\x21-\x7e])+)~\}")
_USUAL_ROWS = frozenset((*range(0x21, 0x24), *range(0x30, 0x58)))
"""First bytes of the punctuation, full-width forms and usual characters of GB 2312; the rare ones begin at 0x58."""


def escaped(data: bytes) -> tuple[str, float] | None:
    """Return the codec that the escapes in ``data`` name, and how sure that is; None when there are none.

    The bytes may still hold damage, so decoding with the codec may fail.
    """
    if not data.isascii():
        return None
    for designation, names in _DESIGNATIONS:
        if designation.search(data):
            right = next((name for name in names if _decodes(data, name)), None)
            return (right, 0.99) if right else (names[0], 0.9)
    return _hz(data)


def _hz(data: bytes) -> tuple[str, float] | None:
    pairs = b"".join(_HZ.findall(data))
    if not pairs or not _decodes(data, "hz"):
        return None
    usual = sum(lead in _USUAL_ROWS for lead in pairs[::2])
    count = len(pairs) // 2
    return ("hz", round(min(0.99, 1 - 0.5 / count), 3)) if usual >= 0.8 * count else None


def _decodes(data: bytes, name: str) -> bool:
    try:
        codecs.getincrementaldecoder(name)().decode(data)  # a sample may end inside a character
    except UnicodeError:
        return False
    return True


# ------------------------------------------------------------------------------------------------------- ISO-2022-CN
class _Decoder(codecs.BufferedIncrementalDecoder):
    """Reads ASCII and, between SO and SI, the character set that was designated last."""

    _DESIGNATED = re.compile(rb"\x1b\$(\)[AEG]|\*H)")

    def __init__(self, errors: str = "strict") -> None:
        super().__init__(errors)
        self._set, self._shifted = b"", False

    def reset(self) -> None:
        super().reset()
        self._set, self._shifted = b"", False

    def _buffer_decode(self, input: Any, errors: str, final: bool) -> tuple[str, int]:  # noqa: A002 - its name there
        written: list[str] = []
        place = 0
        while place < len(input):
            byte = input[place]
            if byte == 0x1B and (found := self._DESIGNATED.match(input, place)):
                self._set = found[1] if found[1] != b"*H" else self._set
                place = found.end()
            elif byte == 0x1B and not final and len(input) - place < 4:
                break
            elif byte in (0x0E, 0x0F):
                self._shifted = byte == 0x0E
                place += 1
            elif byte == 0x0A or not self._shifted or not 0x21 <= byte <= 0x7E:
                self._shifted = self._shifted and byte != 0x0A  # every line begins in ASCII
                text, place = self._one(input, place, place + 1, errors, bad=byte > 0x7F or byte == 0x1B)
                written.append(text)
            elif place + 1 == len(input) and not final:
                break
            else:
                text, place = self._one(input, place, place + 2, errors, bad=self._set != b")A")
                written.append(text)
        return "".join(written), place

    def _one(self, data: bytes, start: int, stop: int, errors: str, *, bad: bool) -> tuple[str, int]:
        """One character of one or two bytes, or what ``errors`` makes of it."""
        piece = data[start:stop]
        if not bad:
            try:
                raised = bytes(byte | 0x80 for byte in piece) if stop - start == 2 else piece
                return raised.decode("gb2312"), stop
            except UnicodeDecodeError:
                pass
        error = UnicodeDecodeError(ISO_2022_CN, data, start, min(stop, len(data)), "no character of GB 2312")
        text, place = codecs.lookup_error(errors)(error)
        return str(text), place


def _decode(data: Any, errors: str = "strict") -> tuple[str, int]:
    return _Decoder(errors).decode(bytes(data), final=True), len(data)


def _encode(text: str, errors: str = "strict") -> tuple[bytes, int]:
    """ASCII only: Heddle never writes it."""
    return text.encode("ascii", errors), len(text)


def _search(name: str) -> codecs.CodecInfo | None:
    if name.replace("-", "_") not in (ISO_2022_CN, "iso_2022_cn"):
        return None
    return codecs.CodecInfo(_encode, _decode, incrementaldecoder=_Decoder, name=ISO_2022_CN)


codecs.register(_search)
