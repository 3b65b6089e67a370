"""What a generator has done so far."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Statistics:
    """Counts of one worker's generator, in tokens, forwards and seconds of forwards."""

    prefill_tokens: int = 0
    decode_tokens: int = 0
    prefix_tokens: int = 0
    """Prompt tokens that were copied from a shared prefix instead of computed."""
    steps: int = 0
    prefill_seconds: float = 0.0
    """Time spent on prompts; that of a forward with both kinds is shared out by its tokens."""
    decode_seconds: float = 0.0
    kv_bytes: int = 0
    """Memory held by the slots now."""
