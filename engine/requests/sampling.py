"""What the user may set about how texts are made."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import UsageError


@dataclass(frozen=True, slots=True)
class SamplingSettings:
    """How texts are made. The defaults are greedy and without limits but length.

    ``temperature`` 0 takes the likeliest token; ``top_k`` 0, ``top_p`` 1 and ``min_p`` 0 filter nothing;
    ``repetition_penalty`` 1 (of prompt and text, Keskar et al. 2019) and ``frequency_penalty`` 0 (per occurrence in the
    text) penalise nothing. ``stop``: texts that end a text and are not part of it. ``seed``: of the whole job.
    """

    max_new_tokens: int = 256
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        checks = (
            (self.max_new_tokens >= 1, "max new tokens must be at least 1"),
            (0.0 <= self.temperature <= 100.0, "temperature must lie between 0 and 100"),
            (self.top_k >= 0, "top-k must be 0 (off) or more"),
            (0.0 < self.top_p <= 1.0, "top-p must be above 0 and at most 1 (off)"),
            (0.0 <= self.min_p <= 1.0, "min-p must lie between 0 (off) and 1"),
            (0.01 <= self.repetition_penalty <= 100.0, "repetition penalty must lie between 0.01 and 100 (1 is off)"),
            (-100.0 <= self.frequency_penalty <= 100.0, "frequency penalty must lie between -100 and 100 (0 is off)"),
            (all(self.stop), "a stop text must not be empty"),
        )
        for fine, problem in checks:
            if not fine:
                raise UsageError(f"Sampling: {problem}.")

    @property
    def greedy(self) -> bool:
        """Tell whether the likeliest token is always taken."""
        return self.temperature == 0.0

    @property
    def penalised(self) -> bool:
        """Tell whether earlier tokens change the logits."""
        return self.repetition_penalty != 1.0 or self.frequency_penalty != 0.0
