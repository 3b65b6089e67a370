import itertools
import math

import pytest
from PySide6.QtCore import QCoreApplication, QTimer, QTranslator
from PySide6.QtWidgets import QApplication, QLabel

from engine.api import Meters, Snapshot, ThreadTime, WorkerState
from gui.charts.card import ChartCard
from gui.charts.cpu_rows import ENGINE, WINDOW
from gui.panels.live import LivePanel


class Meter:
    """A made-up meter of the window's threads: the main thread uses a tenth of a core."""

    def __init__(self, clock):
        self.clock = clock

    def sample(self):
        return (ThreadTime(1, "main", self.process_cpu()),)

    def process_cpu(self):
        return 0.1 * self.clock()


class Engine:
    """Makes snapshots of two workers, one of them busy, and feeds them into a panel on a clock of its own."""

    def __init__(self, qtbot, *, keep=True):
        self.now, self.time, self.sequence, self.cpu = 100.0, 5000.0, 0, 2.0
        self.panel = LivePanel(clock=lambda: self.now, meter=Meter(lambda: self.now))
        if keep:
            qtbot.addWidget(self.panel)
        self.panel.resize(1200, 190)

    def show(self, qtbot):
        with qtbot.waitExposed(self.panel):
            self.panel.show()
        return self

    def snapshot(self):
        self.sequence += 1
        self.time += 0.1
        self.cpu += 0.15
        meters = Meters(10, 500, 20.0, 1000.0, 30, 400, 900_000_000, 5_000_000_000, 8_000_000_000, self.cpu)
        workers = (WorkerState(0, "cpu", "encode", 5, 250, 0.9), WorkerState(1, "cpu", "waiting", 5, 250, 0.5))
        threads = (ThreadTime(11, "worker 0", self.cpu * 2 / 3), ThreadTime(12, "worker 1", self.cpu / 3))
        return Snapshot(self.sequence, self.time, workers=workers, threads=threads, meters=meters)

    def run(self, seconds, *, silent=False):
        last = self.snapshot()
        for _ in range(round(seconds * 10)):
            self.now += 0.1
            self.panel.apply(last)
            if not silent:
                last = self.snapshot()
        return self


@pytest.fixture
def engine(qtbot):
    return Engine(qtbot).show(qtbot)


def test_snapshots_become_charts(engine):
    engine.run(20.0)
    panel = engine.panel
    assert panel.threads.charged(ENGINE) == pytest.approx(0.15 * 199, rel=0.01)
    assert panel.threads.charged(WINDOW) == pytest.approx(0.1 * 20, rel=0.05)
    assert "computing 50 %" in panel.workers.accessibleDescription()
    assert "20.0 documents/s" in panel.throughput.accessibleDescription()
    assert "30 ready" in panel.queue.accessibleDescription()
    assert "engine 900 MB" in panel.memory.accessibleDescription()


def test_the_sum_of_the_engine_is_its_cpu_time_over_its_own_clock(engine):
    engine.panel._cores = 2
    engine.run(5.0)
    assert "engine 75 % of" in engine.panel.threads.accessibleDescription()
    assert "window 5 %" in engine.panel.threads.accessibleDescription()


def test_an_engine_that_falls_silent_leaves_a_gap_and_the_window_goes_on(engine):
    engine.run(5.0)
    engine.run(5.0, silent=True)
    panel = engine.panel
    assert math.isnan(panel.throughput.value("documents"))
    assert math.isnan(panel.memory.value("engine"))
    assert panel.memory.value("window") > 0
    assert "no engine yet" in panel.threads.accessibleDescription()
    assert "window" in panel.threads.accessibleDescription()
    engine.run(3.0)
    assert panel.throughput.value("documents") == 20.0


def test_an_engine_that_starts_anew_causes_no_spike(engine):
    engine.run(5.0)
    before = engine.panel.threads.charged(ENGINE)
    engine.time, engine.sequence, engine.cpu = 3.0, 0, 0.2
    engine.run(2.0)
    assert engine.panel.threads.charged(ENGINE) - before == pytest.approx(0.15 * 20, abs=0.31)


def test_nothing_is_painted_while_the_panel_is_inactive_but_the_minute_is_kept(engine, monkeypatch):
    painted = []
    for chart in engine.panel.findChildren(ChartCard):
        monkeypatch.setattr(chart, "draw", lambda *_, chart=chart: painted.append(chart))
    engine.panel.set_active(False)
    engine.run(10.0)
    assert painted == []
    engine.panel.set_active(True)
    engine.run(0.4)
    assert set(painted) == set(engine.panel.findChildren(ChartCard))
    assert engine.panel.threads.charged(ENGINE) == pytest.approx(0.15 * 104, rel=0.05)


def test_nothing_is_painted_while_the_panel_is_hidden(qtbot, monkeypatch):
    engine = Engine(qtbot)
    painted = []
    for chart in engine.panel.findChildren(ChartCard):
        monkeypatch.setattr(chart, "draw", lambda *_, chart=chart: painted.append(chart))
    engine.run(2.0)
    assert painted == []


def test_words_change_once_a_second_at_most(engine, monkeypatch):
    told = []
    monkeypatch.setattr(engine.panel.throughput, "tell", lambda: told.append(engine.now))
    engine.run(10.0)
    assert 9 <= len(told) <= 11


def test_every_chart_is_painted_five_times_a_second(engine, monkeypatch):
    painted = []
    for chart in engine.panel.findChildren(ChartCard):
        monkeypatch.setattr(chart, "draw", lambda *_, chart=chart: painted.append(chart))
    engine.run(10.0)
    for chart in engine.panel.findChildren(ChartCard):
        assert painted.count(chart) == pytest.approx(50, abs=2)


def test_clear_forgets_the_minute(engine):
    engine.run(5.0)
    engine.panel.clear()
    assert engine.panel.threads.charged(ENGINE) == 0.0
    assert math.isnan(engine.panel.throughput.value("documents"))
    assert "no workers yet" in engine.panel.workers.accessibleDescription()
    engine.run(5.0)
    assert "computing" in engine.panel.workers.accessibleDescription()


@pytest.mark.parametrize("width", [800, 1200, 2400])
def test_all_charts_fit_side_by_side(qtbot, width):
    engine = Engine(qtbot)
    engine.panel.resize(width, 190)
    engine.show(qtbot).run(2.0)
    panel = engine.panel
    charts = (panel.workers, panel.threads, panel.throughput, panel.queue, panel.memory)
    rects = [chart.rect().translated(chart.mapTo(panel, chart.rect().topLeft())) for chart in charts]
    assert all(left.right() < right.left() for left, right in itertools.pairwise(rects))
    assert rects[-1].right() <= width
    assert all(rect.width() >= 110 for rect in rects)


def test_the_panel_leaves_no_timer_and_no_window_behind(qtbot):
    before = set(QApplication.topLevelWidgets())
    engine = Engine(qtbot, keep=False).show(qtbot).run(2.0)
    assert engine.panel.findChildren(QTimer) == []
    assert {w for w in QApplication.topLevelWidgets() if w.isVisible()} - before <= {engine.panel}
    panel, gone = engine.panel, []
    panel.destroyed.connect(lambda: gone.append(True))
    panel.deleteLater()
    qtbot.waitUntil(lambda: bool(gone))
    assert set(QApplication.topLevelWidgets()) <= before


class Pseudo(QTranslator):
    """Marks every string that went through tr()."""

    def isEmpty(self):
        return False

    def translate(self, context, source_text, disambiguation=None, n=-1):
        return f"\u00ab{source_text}\u00bb"


def test_every_word_went_through_tr(qtbot):
    pseudo = Pseudo()
    QCoreApplication.installTranslator(pseudo)
    try:
        engine = Engine(qtbot).show(qtbot).run(3.0)
        told = [label.text() for label in engine.panel.findChildren(QLabel)]
        told += [chart.accessibleDescription() for chart in engine.panel.findChildren(ChartCard)]
        marks = [m.text for strip in (engine.panel.workers._strip, engine.panel.threads._strip) for m in strip._marks]
        for text in [*told, *filter(None, marks)]:
            assert text.startswith("\u00ab"), text
    finally:
        QCoreApplication.removeTranslator(pseudo)
