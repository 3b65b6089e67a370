"""The likelihood of an encoding: how well a sample of bytes reads in it, on a scale that all encodings share."""

from __future__ import annotations

from dataclasses import dataclass

ASCII = -4.0
"""Log likelihood of one ASCII character, the same in every encoding: about that of a character of English text."""


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a sample is in one encoding; all logarithms are natural.

    ``encodings`` are the codecs that write it, narrowest first; ``letters`` is the log likelihood of all that is not
    ASCII and ``count`` the number of its bytes; ``prior`` is the log prior of the encoding itself; ``ascii`` counts
    the characters that stay ASCII (in double-byte encodings an ASCII byte may be half of a character).
    """

    encodings: tuple[str, ...]
    letters: float
    count: int
    prior: float
    ascii: int

    @property
    def score(self) -> float:
        """Log of the posterior, up to a constant: compares encodings of the same sample."""
        return self.letters + self.prior + ASCII * self.ascii

    @property
    def fit(self) -> float:
        """Mean log likelihood of a byte that is not ASCII, with the prior: says whether the encoding is any good."""
        return (self.letters + self.prior) / max(1, self.count)
