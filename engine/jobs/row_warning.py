"""What a row that is done tells all the same: a guessed encoding, text that was not used, tokens that are unknown."""

from __future__ import annotations

from engine.store.cells import share_text
from engine.store.record import Record

UNKNOWN_LIMIT = 0.1
"""Share of unknown tokens above which a row warns (law 8)."""

SURE = 0.7
"""Confidence below which a detected encoding is warned of: right guesses are nearly always above it, even in texts of a
few words, and most wrong ones are not."""


def warning(note: str, record: Record, notice: str = "") -> str:
    """Return what a row that is done should tell all the same, or nothing: its ``note``, coverage, unknown tokens.

    ``notice`` is what its task says.
    """
    notes = [one for one in (note, notice) if one]
    if record.confidence < SURE:
        notes.append(
            f"the encoding {record.encoding} is a guess (confidence {record.confidence:.2f}): look at the text, and "
            "choose the encoding if it is wrong"
        )
    if record.coverage < 0.9995:
        notes.append(f"only {share_text(record.coverage)} of the text was used")
    if record.unknown_share > UNKNOWN_LIMIT:
        notes.append(
            f"the model does not know {share_text(record.unknown_share)} of the tokens (wrong script or language?)"
        )
    return "; ".join(notes)
