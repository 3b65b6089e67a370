"""The plan: which devices, how many workers, how many threads a worker, which number format."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UsageError
from engine.requests.setting import check_all, setting

DTYPES = ("auto", "float32", "bf16", "int8", "int4")
"""Number formats of the weights that a plan may ask for; ``auto`` is resolved by the machine's instruction set."""

QUANTISED = ("int8", "int4")
"""Number formats of packed integers, which run on the CPU only."""

WRITERS_ONLY = ("int4",)
"""Number formats that only text generators take."""

MOST = {"minimum": 0, "maximum": 1024}
"""Limits of what no machine has more of."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the machine is used.

    ``device`` is ``cpu`` or a GPU such as ``cuda:0``, ``xpu:0`` or ``mps``; ``workers`` and ``threads`` of 0 mean
    "let the engine choose" (law 13 of the house: W = min(cores, step time / GIL-held time), T = cores // W).
    """

    device: str = setting("cpu", "Device", "text", "cpu, cuda:0, xpu:0 or mps")
    workers: int = setting(0, "Workers", "integer", "worker threads; 0 chooses", aliases=("--lanes",), **MOST)
    threads: int = setting(0, "Threads per worker", "integer", "threads inside each worker; 0 chooses", **MOST)
    dtype: str = setting("auto", "Number format", "choice", "number format of the weights", choices=DTYPES)
    slots: int = setting(
        0,
        "Slots per worker",
        "integer",
        "texts that a worker writes at once; 0 chooses, and encoders have none",
        minimum=0,
        maximum=4096,
    )

    def __post_init__(self) -> None:
        """Refuse a plan that no machine could follow; raises UsageError."""
        check_all(self, "Plan")
        if self.dtype in QUANTISED and self.device != "cpu":
            raise UsageError(
                f"{self.dtype} weights run on the CPU only; choose auto, bf16 or float32 for {self.device}."
            )
