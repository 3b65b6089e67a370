"""The live panel: the engine at work in the last minute, as charts beside each other."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING

import psutil
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QFrame, QScrollArea, QSplitter, QSplitterHandle, QVBoxLayout, QWidget

from engine.api.cores import core_count
from engine.api.history import Rate
from engine.api.threads import ThreadMeter
from gui.charts.cpu_rows import ENGINE, WINDOW
from gui.charts.memory import Memory
from gui.charts.queue_depth import QueueDepth
from gui.charts.thread_heat import ThreadHeat
from gui.charts.throughput import Throughput
from gui.charts.worker_timeline import WorkerTimeline

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api import Snapshot

_OWN = 0.2  # seconds between two looks at the window's own threads, one column of the heat chart
_CURVE = 0.2  # seconds between two points of a curve
_WORDS = 1.0  # seconds between two changes of text
_SILENCE = 1.0  # seconds without a snapshot after which curves have a gap


class _Handle(QSplitterHandle):
    """A thin line between two charts."""

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: ARG002 - Qt's signature
        """Paint the line in the middle."""
        rect = self.rect()
        colour = self.palette().color(QPalette.ColorRole.Mid)
        QPainter(self).fillRect(rect.center().x(), rect.top() + 6, 1, rect.height() - 12, colour)


class _Splitter(QSplitter):
    def __init__(self, orientation: Qt.Orientation) -> None:
        super().__init__(orientation)
        self.setHandleWidth(7)

    def createHandle(self) -> QSplitterHandle:
        return _Handle(self.orientation(), self)


class LivePanel(QWidget):
    """Workers, threads, throughput, queue and memory. Has no timer: the window's one timer calls ``apply``."""

    def __init__(
        self,
        parent: QWidget | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        meter: ThreadMeter | None = None,
    ) -> None:
        """Make an empty panel. ``clock`` gives the seconds of the time axes, ``meter`` this process's threads."""
        super().__init__(parent)
        self._clock = clock
        self._meter = meter or ThreadMeter()
        self._process = psutil.Process()
        self._cores = core_count()
        self._active = True
        self.workers = WorkerTimeline()
        self.threads = ThreadHeat()
        self.throughput = Throughput()
        self.queue = QueueDepth()
        self.memory = Memory()
        self._rows = (_Splitter(Qt.Orientation.Horizontal), _Splitter(Qt.Orientation.Horizontal))
        both = _Splitter(Qt.Orientation.Vertical)
        for row, share in zip(self._rows, (3, 2), strict=True):
            row.setChildrenCollapsible(False)
            both.addWidget(row)
            both.setStretchFactor(both.count() - 1, share)
        both.setChildrenCollapsible(False)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(both)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll)
        self.setMinimumHeight(112)
        self.setAccessibleName(self.tr("Live charts"))
        self.set_rows(1)
        self._reset()

    def sizeHint(self) -> QSize:
        """Return the size that suits the bottom of the window."""
        return QSize(1200, 190)

    def set_rows(self, rows: int) -> None:
        """Put the charts into one row, as suits the bottom of the window, or into two, as suits all of it."""
        first, second = self._rows
        shares = ((self.workers, 21), (self.threads, 29), (self.throughput, 17), (self.queue, 17), (self.memory, 19))
        for at, (chart, share) in enumerate(shares):
            row = first if at < 2 or rows == 1 else second
            row.addWidget(chart)
            row.setStretchFactor(row.indexOf(chart), share)
        second.setVisible(rows > 1)

    def apply(self, snapshot: Snapshot) -> None:
        """Take the newest snapshot, ten times a second; the same one again means that nothing new came."""
        now = self._clock()
        fresh = (snapshot.sequence, snapshot.time) != self._last
        if fresh:
            self._last = (snapshot.sequence, snapshot.time)
            self._heard = now
            if snapshot.threads:
                self.threads.record(ENGINE, snapshot.time, snapshot.threads)
            self._loads[ENGINE] = self._engine_load.update(snapshot.time, snapshot.meters.process_cpu)
            self.memory.set_total(snapshot.meters.memory_total, snapshot.meters.kv_bytes)
        self.workers.record(now, snapshot.workers if fresh else None)
        if now - self._owned >= _OWN - 0.05:
            self._owned = now
            self.threads.record(WINDOW, now, self._meter.sample())
            self._loads[WINDOW] = self._window_load.update(now, self._meter.process_cpu())
        changed = self.threads.advance(now)
        if now - self._curved >= _CURVE - 0.05:
            self._curved = now
            self._record_curves(now, snapshot)
        if self._active and self.isVisible():
            self._paint(now, heat_changed=changed)

    def set_active(self, active: bool) -> None:
        """Stop painting while nobody can see the panel, and go on; the last minute is kept either way."""
        if active and not self._active:
            self._worded = -math.inf
        self._active = active

    def clear(self) -> None:
        """Forget the last minute."""
        self._reset()
        for chart in (self.workers, self.threads, self.throughput, self.queue, self.memory):
            chart.clear()

    def _reset(self) -> None:
        self._last: tuple[int, float] = (-1, -1.0)
        self._heard = self._owned = self._curved = self._worded = self._weighed = -math.inf
        self._engine_load, self._window_load = Rate(1.0), Rate(1.0)
        self._loads = {ENGINE: -1.0, WINDOW: -1.0}
        self._resident = math.nan
        self._odd = False

    def _record_curves(self, now: float, snapshot: Snapshot) -> None:
        if now - self._weighed >= _WORDS:
            self._weighed = now
            self._resident = float(self._process.memory_info().rss)
        meters = snapshot.meters
        if now - self._heard > _SILENCE:
            self.throughput.record(now, math.nan, math.nan)
            self.queue.record(now, math.nan, math.nan)
            self.memory.record(now, math.nan, self._resident, math.nan)
            self._loads[ENGINE] = -1.0
            return
        if meters.prefill_tokens:
            self.throughput.record(now, meters.documents_per_s, meters.prefill_per_s, meters.decode_per_s)
        else:
            self.throughput.record(now, meters.documents_per_s, meters.tokens_per_s)
        self.queue.record(now, float(meters.queue_ready), float(meters.queue_waiting))
        self.memory.record(now, float(meters.rss), self._resident, float(meters.memory_available))

    def _paint(self, now: float, *, heat_changed: bool) -> None:
        """Paint half of the charts, so that each is painted five times a second and no tick is a long one."""
        self._odd = not self._odd
        if heat_changed:
            self.threads.draw()
        if self._odd:
            self.workers.draw()
            self.throughput.draw(now)
        else:
            self.queue.draw(now)
            self.memory.draw(now)
        if now - self._worded >= _WORDS:
            self._worded = now
            self.workers.tell()
            self.threads.tell(self._loads, self._cores)
            for chart in (self.throughput, self.queue, self.memory):
                chart.tell()
