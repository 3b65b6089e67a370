"""What a lane has done so far, as the snapshot shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class LaneMeter:
    """What one lane has done since its start; written by the lane under the runner's lock."""

    device: str
    activity: str = "idle"
    room: int = 0
    """Free slots of a lane that writes, when it last asked for work."""
    held: int = 0
    """Tokens of the prompts in the others."""
    coming: int = 0
    """Documents that it makes ready, most of which will be its own."""
    documents: int = 0
    tokens: int = 0
    busy: float = 0.0
    steps: int = 0
    prefilled: int = 0
    decoded: int = 0
    """Tokens that its generator had computed at the end of its last step."""
    statistics: Any = None
    """What the lane's generator has counted (generation.statistics), if it has one."""
