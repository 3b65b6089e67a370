"""What a worker has done so far, as the snapshot shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class WorkerMeter:
    """What one worker has done since its start; written by the worker alone, but for its documents."""

    device: str
    activity: str = "idle"
    documents: int = 0
    tokens: int = 0
    busy: float = 0.0
    steps: int = 0
    prefilled: int = 0
    decoded: int = 0
    """Tokens that its generator had computed at the end of its last step."""
    statistics: Any = None
    """What the worker's generator has counted (generation.statistics), if it has one."""
