"""How busy each thread of the engine and of the window was in the last minute, as a strip of heat a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtGui import QBrush

from gui.charts.bands import Band
from gui.charts.card import Caption, ChartCard, Entry
from gui.charts.colours import heat_gradient, heat_table
from gui.charts.columns import fold_columns, fold_rows
from gui.charts.cpu_rows import ENGINE, OTHER, WINDOW, CpuRows, Row, worker_of
from gui.charts.labels import percentage
from gui.charts.strip import Strip
from gui.words import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtWidgets import QWidget

    from engine.api import ThreadTime

_LEAST_ROW = 1.5  # device pixels; below that, neighbouring rows are averaged
_KEY = 36.0  # pixels of the key from cold to hot


class ThreadHeat(ChartCard):
    """One row an OS thread of the workers and one for all others, from CPU times that the operating system measured."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty chart."""
        super().__init__(parent)
        self.set_title(
            self.tr("Threads"),
            self.tr("% of a core, last 60 s"),
            self.tr(
                "How much of a processor core each thread of a worker used, as the system measured it. All other threads of "
                "engine and window share the row at the bottom."
            ),
        )
        self._caption = Caption()
        self._strip = Strip(widest=percentage(1.0))
        self._strip.set_times(self.tr("60 s"), self.tr("30 s"), self.tr("now"))
        self.body.addWidget(self._caption)
        self.body.addWidget(self._strip, 1)
        self._roles = {
            "main": self.tr("main"),
            "journal": self.tr("journal"),
            "reader": self.tr("reader"),
            "loader": self.tr("loader"),
            "commands": self.tr("commands"),
            "answers": self.tr("answers"),
            "outbox": self.tr("outbox"),
            "parent": self.tr("parent"),
            OTHER: self.tr("other"),
        }
        self._cpu = CpuRows()
        self._own: list[Row] = []
        self._others: list[Row] = []
        self._bands: dict[int, list[Band]] = {}  # by how many threads a row stands for
        self._totals: dict[str, float] = {}
        self._cores = 1
        self.finish()

    def record(self, process: str, time: float, threads: Sequence[ThreadTime]) -> None:
        """Take the CPU times of a process (``ENGINE`` or ``WINDOW`` of cpu_rows) at ``time`` of its own clock."""
        self._cpu.feed(process, time, threads)

    def advance(self, now: float) -> bool:
        """Let the picture reach ``now``, the window's clock; return whether it changed."""
        return self._cpu.advance(now)

    def charged(self, process: str) -> float:
        """Return the CPU seconds of ``process`` that this chart has shown, summed over its threads."""
        return self._cpu.charged(process)

    def draw(self) -> None:
        """Paint the last minute."""
        columns, own = self._cpu.columns, self._own
        height, width = self._strip.room()
        codes, folded = fold_rows(columns.codes[[row.slot for row in own]], int(height / _LEAST_ROW) - 1)
        if folded not in self._bands:
            self._bands[folded] = self._label(len(codes), folded)
        bands = self._bands[folded]
        if self._others:
            codes = np.concatenate([codes, self._cpu.added(self._others)[None]])
        factor = max(1, -(-columns.count // width))
        codes, excess = fold_columns(codes, factor, columns.newest)
        self._strip.show_rows(bands, codes, columns.step * factor, columns.step * excess)

    def tell(self, totals: dict[str, float], cores: int) -> None:
        """Bring rows, labels and text twin up to date; meant for once a second.

        ``totals`` holds each process's CPU use now in cores (1.5 = one and a half), -1 when unknown; ``cores`` is what
        the machine has.
        """
        self._totals, self._cores = totals, cores
        before = self._own, bool(self._others)
        self._own, self._others = self._cpu.rows()
        self._bands.clear()
        if _rows(before[0]) != _rows(self._own) or before[1] != bool(self._others):
            self.draw()  # a row that came or went is not left to the next change of colours
        self._caption.set_entries(*self._figures())
        twin = [self._caption.text(), *self._busy_in_words()]
        self.describe("; ".join(twin))
        self.setToolTip("\n".join(twin))

    def clear(self) -> None:
        """Forget everything."""
        self._cpu.clear()
        self.tell({}, self._cores)
        self.draw()

    def recolour(self) -> None:
        """Colour the heat and its key."""
        self._strip.set_table(heat_table(self.colours.heat))
        self.tell(self._totals, self._cores)

    def _label(self, count: int, folded: int) -> list[Band]:
        """Return the labels of ``count`` rows of workers' threads, ``folded`` each, and of the row of all others."""
        bands = [self._band(rank * folded, folded) for rank in range(count)]
        if self._others:
            bands.append(Band(self._role(OTHER), self._value(self._others), begins=True))
        return bands

    def _band(self, first: int, count: int) -> Band:
        """Return the label of the row that stands for ``count`` threads of workers from ``first`` on."""
        rows = self._own[first : first + count]
        begins = not first or rows[0].group != self._own[first - 1].group
        return Band(self._name(rows[0]), self._value(rows) if count == 1 else "", begins=begins)

    def _value(self, rows: Sequence[Row]) -> str:
        known = [row.busy for row in rows if row.busy >= 0.0]
        return percentage(sum(known)) if known else ""

    def _figures(self) -> list[Entry]:
        engine, window = self._totals.get(ENGINE, -1.0), self._totals.get(WINDOW, -1.0)
        figures = []
        if engine >= 0.0:
            share = percentage(min(1.0, engine / self._cores))
            words = self.tr("engine {share} of {cores}")
            figures.append(Entry(words.format(share=share, cores=self.tr("%Ln cores", "", self._cores))))
        else:
            figures.append(Entry(self.tr("no engine yet")))
        if window >= 0.0:
            share = percentage(min(1.0, window / self._cores))
            figures.append(Entry(self.tr("window {share}").format(share=share)))
        key = QBrush(heat_gradient(self.colours.heat))
        figures.append(Entry(self.tr("0 to 100 %"), key, _KEY))
        return figures

    def _busy_in_words(self) -> list[str]:
        """Return the load of each row and of what is folded into the last one.

        The threads of a group are added up: a screen reader shall not read 128 rows.
        """
        words = [f"{name} {percentage(load)}" for name, load in self._loads(self._own)]
        if self._others:
            parts = [f"{name} {percentage(load)}" for name, load in self._loads(self._others) if load >= 0.005]
            load = self._value(self._others) or percentage(0.0)
            folded = self.tr("{other} {load} ({parts})").format(
                other=self._role(OTHER), load=load, parts=", ".join(parts)
            )
            words.append(folded if parts else f"{self._role(OTHER)} {load}")
        return words

    def _loads(self, rows: Sequence[Row]) -> list[tuple[str, float]]:
        loads: dict[str, float] = {}
        for row in rows:
            name = self._group_name(row.process, row.group)
            loads[name] = loads.get(name, 0.0) + max(0.0, row.busy)
        return list(loads.items())

    def _name(self, row: Row) -> str:
        name = self._group_name(row.process, row.group)
        return f"{name} ·{number(row.rank + 1)}" if row.rank else name

    def _group_name(self, process: str, group: str) -> str:
        worker = worker_of(group)
        if worker >= 0:
            return self.tr("worker {number}").format(number=worker)
        if process == WINDOW:
            return self.tr("window") if group == "main" else self.tr("window, {role}").format(role=self._role(group))
        return self._role(group)

    def _role(self, group: str) -> str:
        return self._roles.get(group, group)


def _rows(rows: Sequence[Row]) -> list[tuple[int, int]]:
    return [(row.tid, row.slot) for row in rows]
