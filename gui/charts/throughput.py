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
    """Documents/s over tokens/s, each the mean of five seconds as the engine counts them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty chart."""
        super().__init__(parent)
        self.set_title(self.tr("Throughput"), self.tr("mean of 5 s, last 60 s"))
        self.build(
            Lines(("documents",), 1.0, compact, now_axis=False),
            Lines(("tokens",), 10.0, compact, now_axis=True),
        )

    def words(self) -> Sequence[Sequence[str]]:
        """Return both rates in words."""
        documents, tokens = self.value("documents"), self.value("tokens")
        if math.isnan(documents):
            return (self.tr("no documents yet"),), (self.tr("no tokens yet"),)
        return (
            (self.tr("{rate} documents/s").format(rate=rate(documents)),),
            (self.tr("{rate} tokens/s").format(rate=number(round(tokens))),),
        )
