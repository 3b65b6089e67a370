"""Text that leaves the program: shown as plain text, never run as a formula.

File names, document text and model output are untrusted. What they hold is shown, but it cannot reorder a line
(bidirectional controls), move a cursor (control characters) or become a formula in a spreadsheet.
"""

from __future__ import annotations

import math
import os
import re

from engine.api.formulas import guarded

_UNSAFE = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # control characters, line ends among them
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # the bidirectional controls (Unicode Annex 9)
    "\u2028\u2029"  # line ends that only some programs see
    "\ufeff\ufff9-\ufffb"  # byte order mark and interlinear annotations inside text
    "\ud800-\udfff"  # lone surrogates: no UTF-8 for them
    "]"
)
# A backslash of the text itself that would be read as the beginning of such an escape, or stands before one.
_AMBIGUOUS = re.compile(r"\\(?=[ntrxu\\]|" + _UNSAFE.pattern + ")")
_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}


def path_text(path: str) -> str:
    r"""Return a file name as text that UTF-8 can hold: bytes that are not UTF-8 become ``\xff``."""
    try:
        return os.fsencode(path).decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # no name that a system gave, but a message about it must still be possible
        return clean(path)


def is_utf8(path: str) -> bool:
    """Tell whether a file name, as the operating system gave it, is valid UTF-8."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def clean(text: str) -> str:
    r"""Return ``text`` with lone surrogates written out (``\udcff``), so that it has a UTF-8 form."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def escape(text: str) -> str:
    r"""Return ``text`` on one line, control and bidirectional characters written out: ``\n``, ``\x1b``, ``\u202e``."""

    def written(match: re.Match[str]) -> str:
        character = match[0]
        code = ord(character)
        return _NAMED.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")

    return _UNSAFE.sub(written, text)


def shown(path: str) -> str:
    """Return a file name for a message or a cell: one line, nothing in it but what can be seen."""
    return escape(path_text(path))


def cell(text: str) -> str:
    r"""Return ``text`` for a cell of a CSV file: on one line, without NULs, an apostrophe before what would compute.

    A line end becomes ``\n`` rather than a line end in quotes: a spreadsheet whose separator is the semicolon does not
    see those quotes, so the rest of a text would begin rows, and formulas, of its own. A backslash is doubled where it
    would otherwise be read as such an escape (``C:\new`` becomes ``C:\\new``, ``C:\Users`` stays), so that every
    text can be told from every other.
    """
    text = _AMBIGUOUS.sub(r"\\\\", text.replace("\x00", ""))
    return escape(guarded(text))


def json_escape(line: str) -> str:
    r"""Return JSON text with control and bidirectional characters inside its strings as ``\uXXXX``: the same data."""
    return _UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", line)


def share_text(share: float) -> str:
    """Return a share from 0 to 1 for people: ``83 %``, ``0.13 %``; what is neither nothing nor all is not shown as such."""
    percent = 100 * share
    if percent <= 0:
        return "0 %"
    if percent < 0.01:
        return f"{percent:.{min(9, 1 - math.floor(math.log10(percent)))}f} %"
    for digits, bound in ((2, 0.995), (1, 9.95), (0, 99.5)):
        if percent < bound:
            return f"{percent:.{digits}f} %"
    for digits in (1, 2):
        if share < 1 and round(percent, digits) < 100:
            return f"{percent:.{digits}f} %"
    return "100 %" if share >= 1 else "more than 99.99 %"
