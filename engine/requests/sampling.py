"""What the user may set about how texts are made."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UsageError
from engine.requests.setting import check_all, setting


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How texts are made. The defaults are greedy and without limits but length.

    ``temperature`` 0 takes the likeliest token; ``top_k`` 0, ``top_p`` 1 and ``min_p`` 0 filter nothing;
    ``repetition_penalty`` 1 (of prompt and text, Keskar et al. 2019) and ``frequency_penalty`` 0 (per occurrence in the
    text) penalise nothing. ``stop``: texts that end a text and are not part of it. ``seed``: of the whole job.
    """

    max_new_tokens: int = setting(256, "Longest answer", "integer", "new tokens at most", minimum=1, maximum=100_000)
    temperature: float = setting(
        0.0, "Temperature", "number", "0 always takes the likeliest token", minimum=0, maximum=100
    )
    top_k: int = setting(0, "Top-k", "integer", "0 is off", minimum=0, maximum=1_000_000)
    top_p: float = setting(1.0, "Top-p", "number", "1 is off", minimum=0.001, maximum=1)
    min_p: float = setting(0.0, "Min-p", "number", "0 is off", minimum=0, maximum=1)
    repetition_penalty: float = setting(1.0, "Repetition penalty", "number", "1 is off", minimum=0.01, maximum=100)
    frequency_penalty: float = setting(0.0, "Frequency penalty", "number", "0 is off", minimum=-100, maximum=100)
    stop: tuple[str, ...] = ()
    seed: int = setting(
        0, "Seed", "integer", "the same seed and document give the same answer", minimum=0, maximum=2**53
    )

    def __post_init__(self) -> None:
        check_all(self, "Sampling")
        if not all(self.stop):
            raise UsageError("Sampling: a stop text must not be empty.")

    @property
    def greedy(self) -> bool:
        """Tell whether the likeliest token is always taken."""
        return self.temperature == 0.0

    @property
    def penalised(self) -> bool:
        """Tell whether earlier tokens change the logits."""
        return self.repetition_penalty != 1.0 or self.frequency_penalty != 0.0
