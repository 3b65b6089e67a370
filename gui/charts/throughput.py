"""How fast it goes: documents and tokens a second."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gui.charts.curves import CurvesCard, Lines
from gui.charts.labels import compact
from gui.words import number, rate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtWidgets import QWidget


class Throughput(CurvesCard):
    """Documents/s over tokens/s, each the mean of five seconds as the engine counts them.

    A model that writes has two kinds of tokens: prompts that it reads (prefill) and answers that it writes (decode).
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty chart."""
        super().__init__(parent)
        self.set_title(
            self.tr("Throughput"),
            self.tr("last 60 s"),
            self.tr(
                "How fast it goes, as the mean of five seconds. A token is a word or a part of one. A model that answers "
                "reads prompts and writes answers, each at a speed of its own."
            ),
        )
        self.build(
            Lines(("documents",), 1.0, compact, now_axis=False),
            Lines(("tokens", "decode"), 10.0, compact, now_axis=True, lines=2),
        )

    def record(self, now: float, *values: float) -> None:
        """Take documents/s, tokens/s and, for a model that writes, decode tokens/s; tokens/s are then prefill only."""
        super().record(now, *values, *[math.nan] * (3 - len(values)))

    def words(self) -> Sequence[Sequence[str]]:
        """Return both rates in words."""
        documents, tokens, decode = (self.value(field) for field in ("documents", "tokens", "decode"))
        if math.isnan(documents):
            return (self.tr("no documents yet"),), (self.tr("no tokens yet"),)
        read = number(round(tokens))
        said = (self.tr("{rate} tokens/s").format(rate=read),)
        if not math.isnan(decode):
            said = (
                self.tr("reads {rate} tokens/s").format(rate=read),
                self.tr("writes {rate} tokens/s").format(rate=number(round(decode))),
            )
        return (self.tr("{rate} documents/s").format(rate=rate(documents)),), said
