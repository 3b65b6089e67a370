"""How files become text: what may be chosen about it, for a whole job."""

from __future__ import annotations

from dataclasses import dataclass

from engine.requests.setting import check_all, setting

FAIL, REPLACE = BAD_BYTES = ("fail", "replace")
"""What to do with bytes that cannot be decoded: fail the document, or put U+FFFD in their place and flag it."""


@dataclass(frozen=True, slots=True)
class ReadAs:
    """The encoding ("" detects it) and what is done about bad bytes; raises UsageError for an unknown policy."""

    encoding: str = setting("", "Encoding", "text", "encoding of files that are neither marked nor UTF-8")
    on_bad_bytes: str = setting(FAIL, "Bad bytes", "choice", "what to do about bad bytes", choices=BAD_BYTES)

    def __post_init__(self) -> None:
        """Check both."""
        check_all(self, "Reading")
