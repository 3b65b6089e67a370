"""The plan: which devices, how many workers, how many threads a worker, which number format."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UsageError

DTYPES = ("auto", "float32", "bf16", "int8", "int4")
"""Number formats of the weights that a plan may ask for; ``auto`` is resolved by the machine's instruction set."""

QUANTISED = ("int8", "int4")
"""Number formats of packed integers, which run on the CPU only."""

WRITERS_ONLY = ("int4",)
"""Number formats that only text generators take."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the machine is used.

    ``device`` is ``cpu`` or a GPU such as ``cuda:0``, ``xpu:0`` or ``mps``; ``workers`` and ``threads`` of 0 mean
    "let the engine choose" (law 13 of the house: W = min(cores, step time / GIL-held time), T = cores // W).
    """

    device: str = "cpu"
    workers: int = 0
    threads: int = 0
    dtype: str = "auto"
    slots: int = 0
    """Sequences that a worker writes at once; 0 means "let the engine choose". Encoders have none."""

    def __post_init__(self) -> None:
        """Refuse a plan that no machine could follow; raises UsageError."""
        if self.dtype not in DTYPES:
            raise UsageError(f"Unknown number format {self.dtype!r}; choose one of {', '.join(DTYPES)}.")
        if self.dtype in QUANTISED and self.device != "cpu":
            raise UsageError(
                f"{self.dtype} weights run on the CPU only; choose auto, bf16 or float32 for {self.device}."
            )
        if not 0 <= self.workers <= 1024 or not 0 <= self.threads <= 1024:
            raise UsageError(f"Workers and threads must be between 0 and 1024, not {self.workers} x {self.threads}.")
        if not 0 <= self.slots <= 4096:
            raise UsageError(f"Slots must be between 0 and 4096, not {self.slots}.")
