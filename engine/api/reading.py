"""How files become text: what may be chosen about it, for a whole job."""

from __future__ import annotations

from dataclasses import dataclass

from engine.requests.setting import check_all, setting

FAIL, REPLACE = BAD_BYTES = ("fail", "replace")
"""What to do with bytes that cannot be decoded: fail the document, or put U+FFFD in their place and flag it."""


@dataclass(frozen=True, slots=True)
class ReadAs:
    """How files are read: the encoding ("" detects it), what is done about bad bytes, and which column of a table.

    Raises UsageError for an unknown policy.
    """

    encoding: str = setting("", "Encoding", "text", "encoding of files that are neither marked nor UTF-8")
    on_bad_bytes: str = setting(FAIL, "Bad bytes", "choice", "what to do about bad bytes", choices=BAD_BYTES)
    column: str = setting(
        "",
        "Text column",
        "text",
        "the column of tables (CSV, TSV, JSON Lines) whose cells are the documents; empty: the one with the longest texts",
        placeholder="NAME",
    )

    def __post_init__(self) -> None:
        """Check them."""
        check_all(self, "Reading")
