"""How busy each thread of the engine and of the window was in the last minute, as a strip of heat a thread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QBrush

from gui.charts.card import Caption, ChartCard, Entry
from gui.charts.colours import heat_gradient, heat_table
from gui.charts.columns import fold_columns, fold_rows
from gui.charts.cpu_rows import ENGINE, OTHER, WINDOW, CpuRows, Row, lane_of
from gui.charts.labels import percentage
from gui.charts.strip import Strip
from gui.words import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PySide6.QtWidgets import QWidget

    from engine.metrics.snapshot import ThreadTime

_LEAST_ROW = 1.5  # device pixels; below that, neighbouring rows are averaged
_KEY = 36.0  # pixels of the key from cold to hot


class ThreadHeat(ChartCard):
    """One row an OS thread, grouped by lane and role, from CPU times that the operating system measured."""

    def __init__(self, parent: QWidget | None = None) -> None:
        """Make an empty chart."""
        super().__init__(parent)
        self.set_title(self.tr("Threads"), self.tr("CPU time of each, % of a core, last 60 s"))
        self._caption = Caption()
        self._strip = Strip()
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
        self._rows: list[Row] = []
        self._quiet = 0
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
        columns, rows = self._cpu.columns, self._rows
        height, width = self._strip.room()
        codes = columns.codes[[row.slot for row in rows]] if rows else columns.codes[:0]
        factor = max(1, -(-columns.count // width))
        codes, excess = fold_columns(codes, factor, columns.newest)
        codes, folded = fold_rows(codes, int(height / _LEAST_ROW))
        breaks = self._begins() if folded == 1 else []
        self._strip.show_codes(codes, breaks, columns.step * factor, columns.step * excess)

    def tell(self, totals: dict[str, float], cores: int) -> None:
        """Bring rows, labels and text twin up to date; meant for once a second.

        ``totals`` holds each process's CPU use now in cores (1.5 = one and a half), -1 when unknown; ``cores`` is what
        the machine has.
        """
        self._totals, self._cores = totals, cores
        self._rows, self._quiet = self._cpu.rows()
        names = [self._name(row) for row in self._rows]
        values = [percentage(row.busy) if row.busy >= 0.0 else "" for row in self._rows]
        roomy = self._strip.row_height(len(names)) >= self._strip.fontMetrics().height() - 3
        widest = (percentage(1.0),) if roomy else ()
        # Between labelled rows there are others when rows are low: a single value would stand for the wrong ones.
        self._strip.set_labels(names, values if roomy else (), widest, sorted(self._begins(), key=self._weight))
        self._caption.set_entries(*self._figures())
        self.describe("; ".join([self._caption.text(), *self._busy_in_words()]))

    def clear(self) -> None:
        """Forget everything."""
        self._cpu.clear()
        self.tell({}, self._cores)
        self.draw()

    def recolour(self) -> None:
        """Colour the heat and its key."""
        self._strip.set_table(heat_table(self.colours.heat))
        self.tell(self._totals, self._cores)

    def _begins(self) -> list[int]:
        """Return the rows that are the first of their group."""
        rows = self._rows
        return [i for i in range(len(rows)) if not i or _group(rows[i]) != _group(rows[i - 1])]

    def _weight(self, row: int) -> tuple[int, int]:
        """Return what to sort by when there is no room for all names: lanes, the window, the engine's own, others."""
        shown = self._rows[row]
        if lane_of(shown.group) >= 0:
            return 0, row
        return (1 if shown.process == WINDOW and shown.group == "main" else 2), row

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
        if self._quiet:
            figures.append(Entry(self.tr("{number} quiet").format(number=number(self._quiet))))
        return figures

    def _busy_in_words(self) -> list[str]:
        """Return the load of each group, its threads added up: a screen reader shall not read 128 rows."""
        loads: dict[tuple[str, str], float] = {}
        for row in self._rows:
            loads[_group(row)] = loads.get(_group(row), 0.0) + max(0.0, row.busy)
        return [f"{self._group_name(*group)} {percentage(load)}" for group, load in loads.items()]

    def _name(self, row: Row) -> str:
        name = self._group_name(row.process, row.group)
        return f"{name} ·{number(row.rank + 1)}" if row.rank else name

    def _group_name(self, process: str, group: str) -> str:
        lane = lane_of(group)
        if lane >= 0:
            return self.tr("lane {number}").format(number=lane)
        if process == WINDOW:
            return self.tr("window") if group == "main" else self.tr("window, {role}").format(role=self._role(group))
        return self._role(group)

    def _role(self, group: str) -> str:
        return self._roles.get(group, group)


def _group(row: Row) -> tuple[str, str]:
    return row.process, row.group
