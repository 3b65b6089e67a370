"""Text that a spreadsheet takes for text: exports and the clipboard guard what would compute."""

from __future__ import annotations

import re

# What makes a cell a formula (OWASP, "CSV Injection", with the full-width forms that some locales fold), behind
# anything that an import may trim: white space, quotes, characters of no width. A semicolon starts a new cell
# wherever the decimal sign is a comma, so what follows one is treated as a start too.
_FORMULA = re.compile("(^|;)([\\s\"'`\u00b4\u2018-\u201f\u200b-\u200d\u2060\u00ad\ufeff\x00-\x1f]*)([=+\\-@＝＋－＠])")


def guarded(text: str) -> str:
    """Return ``text`` with an apostrophe before what a spreadsheet would take for a formula."""
    safe = _FORMULA.sub(lambda match: f"{match[1]}{match[2]}'{match[3]}" if match[1] else f"'{match[0]}", text)
    return f"'{safe}" if safe[:1] in {"\t", "\r", "\n"} else safe
