import math

import numpy as np
import pytest
from PySide6.QtCore import QLocale
from PySide6.QtGui import QBrush, QColor, QFontMetricsF, QPalette
from PySide6.QtWidgets import QWidget

from engine.api import ThreadTime, WorkerState
from gui.charts.card import Caption, Entry
from gui.charts.colours import DARK, LIGHT, colours_of, heat_table
from gui.charts.cpu_rows import ENGINE, WINDOW
from gui.charts.memory import Memory
from gui.charts.plot import Curve, Mark, Plot
from gui.charts.queue_depth import QueueDepth
from gui.charts.thread_heat import ThreadHeat
from gui.charts.throughput import Throughput
from gui.charts.worker_timeline import ACTIVITIES, WorkerTimeline


@pytest.fixture(autouse=True)
def _english_numbers():
    before = QLocale()
    QLocale.setDefault(QLocale(QLocale.Language.English, QLocale.Country.UnitedStates))
    yield
    QLocale.setDefault(before)


@pytest.fixture
def shown(qtbot):
    """Show a widget at a size, and hand it back."""

    def show(widget, width=360, height=200):
        qtbot.addWidget(widget)
        widget.resize(width, height)
        with qtbot.waitExposed(widget):
            widget.show()
        return widget

    return show


def dark_palette():
    palette = QPalette(QColor("#1b1f25"))
    palette.setColor(QPalette.ColorRole.WindowText, QColor("#e4e8ed"))
    palette.setColor(QPalette.ColorRole.Base, QColor("#14171c"))
    return palette


def pixels(widget):
    """Return the widget as it looks, [height, width, 3]."""
    image = widget.grab().toImage().convertToFormat(widget.grab().toImage().Format.Format_RGB32)
    flat = np.frombuffer(image.constBits(), dtype=np.uint8).reshape(image.height(), image.bytesPerLine() // 4, 4)
    return flat[:, : image.width(), 2::-1].copy()


def colour_share(widget, colour):
    """Return the share of the widget's pixels that are exactly ``colour``."""
    wanted = [QColor(colour).red(), QColor(colour).green(), QColor(colour).blue()]
    return float((pixels(widget) == wanted).all(axis=2).mean())


def worker(index, activity):
    return WorkerState(index, "cpu", activity, 0, 0, 0.0)


def run_workers(chart, seconds, *activities, start=50.0):
    for i in range(round(seconds * 10)):
        chart.record(start + i * 0.1, [worker(n, activity) for n, activity in enumerate(activities)])
    chart.draw()
    chart.tell()
    return start + seconds


# ------------------------------------------------------------------------------------------------------------- colours
@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_heat_runs_monotonically_away_from_the_background(theme):
    table = heat_table(theme.heat)[1:, :3].astype(float) / 255.0
    linear = np.where(table <= 0.04045, table / 12.92, ((table + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]
    steps = np.diff(luminance)
    rounding = 2e-3  # one step of a channel of 8 bits
    assert (steps <= rounding).all() or (steps >= -rounding).all()
    background = 1.0 if theme is LIGHT else 0.0
    assert abs(luminance[-1] - background) > abs(luminance[0] - background)


def test_no_data_is_transparent():
    assert heat_table(LIGHT.heat)[0, 3] == 0
    assert (heat_table(LIGHT.heat)[1:, 3] == 255).all()


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_every_activity_has_a_colour_of_its_own(theme):
    assert set(theme.activities) == set(ACTIVITIES)
    assert len(set(theme.activities.values())) == len(ACTIVITIES)


def test_colours_follow_the_palette():
    assert colours_of(dark_palette()).heat == DARK.heat
    assert colours_of(dark_palette()).field == "#14171c"
    assert colours_of(QPalette(QColor("#f3f5f7"))).heat == LIGHT.heat


# --------------------------------------------------------------------------------------------------------------- workers
def test_each_worker_shows_what_it_does_in_its_colour(shown):
    chart = shown(WorkerTimeline())
    run_workers(chart, 60.0, "encode", "waiting")
    assert colour_share(chart, chart.colours.activities["encode"]) > 0.2
    assert colour_share(chart, chart.colours.activities["waiting"]) > 0.2
    assert colour_share(chart, chart.colours.activities["decode"]) == 0.0


def test_the_legend_says_which_share_of_the_minute_each_activity_took(shown):
    chart = shown(WorkerTimeline())
    end = run_workers(chart, 30.0, "encode")
    run_workers(chart, 30.0, "prepare", start=end)
    text = chart.findChild(Caption).text()
    assert "computing 50 %" in text
    assert "reading files 50 %" in text
    assert "worker 0: reading" in chart.accessibleDescription()
    assert chart.accessibleName() == "Workers"


def test_a_worker_that_ended_or_a_silent_engine_has_no_data(shown):
    chart = shown(WorkerTimeline())
    end = run_workers(chart, 10.0, "ended")
    assert chart.findChild(Caption).text() == "no workers yet"
    end = run_workers(chart, 10.0, "idle", start=end)
    for i in range(100):
        chart.record(end + i * 0.1, None)
    chart.tell()
    columns = chart._columns.codes[0]
    assert np.count_nonzero(columns) == pytest.approx(11.0 / 0.2, abs=2)
    assert not columns[-40:].any()


def test_the_labels_of_workers_come_with_their_strips(shown):
    chart = shown(WorkerTimeline())
    end = run_workers(chart, 5.0, "encode")
    chart.record(end, [worker(n, "encode") for n in range(3)])
    chart.draw()
    assert [m.text for m in chart._strip._marks] == ["worker 0", "worker 1", "worker 2"]


def test_workers_of_an_older_plan_leave_nothing_behind(shown):
    chart = shown(WorkerTimeline())
    end = run_workers(chart, 10.0, "encode", "encode", "encode")
    end = run_workers(chart, 1.0, "encode", start=end)
    run_workers(chart, 1.0, "idle", "idle", start=end)
    assert np.count_nonzero(chart._columns.codes[1]) <= 6


def test_workers_keep_their_minute_while_another_model_is_loaded(shown):
    chart = shown(WorkerTimeline())
    end = run_workers(chart, 10.0, "encode", "encode")
    run_workers(chart, 5.0, start=end)
    assert "computing 100 %" in chart.findChild(Caption).text()
    assert "worker 1: ended" in chart.accessibleDescription()
    assert colour_share(chart, chart.colours.activities["encode"]) > 0.03


# ------------------------------------------------------------------------------------------------------------- threads
def run_threads(chart, seconds, shares, process=ENGINE, start=50.0):
    for i in range(round(seconds * 10)):
        now = start + i * 0.1
        chart.record(process, now, [ThreadTime(tid, group, i * 0.1 * use) for tid, (group, use) in shares.items()])
        chart.advance(now)
    return start + seconds


def test_busy_threads_are_hot_and_idle_ones_cold(shown):
    chart = shown(ThreadHeat())
    run_threads(chart, 60.0, {1: ("worker 0", 1.0), 2: ("main", 0.0)})
    chart.tell({ENGINE: 1.0, WINDOW: 0.1}, 2)
    chart.draw()
    cold, hot = chart.colours.heat[0], chart.colours.heat[-1]
    assert colour_share(chart, hot) > 0.15
    assert colour_share(chart, cold) > 0.15


def test_rows_are_labelled_with_worker_and_share(shown):
    chart = shown(ThreadHeat())
    run_threads(chart, 5.0, {1: ("worker 0", 0.5), 2: ("worker 0", 0.25), 3: ("journal", 0.1)})
    chart.tell({ENGINE: 0.85, WINDOW: -1.0}, 1)
    assert [(m.text, m.value) for m in chart._strip._marks] == [
        ("worker 0", "50 %"),
        ("worker 0 ·2", "25 %"),
        ("other", "10 %"),
    ]


def test_the_sum_is_said_in_cores_and_in_the_text_twin(shown):
    chart = shown(ThreadHeat())
    run_threads(chart, 5.0, {1: ("worker 0", 0.5), 2: ("worker 0", 0.25)})
    chart.tell({ENGINE: 1.5, WINDOW: 0.1}, 2)
    text = chart.findChild(Caption).text()
    assert "engine 75 % of" in text
    assert "window 5 %" in text
    assert "worker 0 75 %" in chart.accessibleDescription()
    assert "% of a core" in chart.accessibleDescription()


def test_the_text_twin_says_what_is_folded(shown):
    chart = shown(ThreadHeat())
    for i in range(50):
        chart.record(ENGINE, 50.0 + i * 0.1, [ThreadTime(1, "main", i * 0.025)])
        chart.record(WINDOW, 50.0 + i * 0.1, [ThreadTime(1, "main", i * 0.05), ThreadTime(2, "other", 0.0)])
        chart.advance(50.0 + i * 0.1)
    chart.tell({}, 2)
    assert [m.text for m in chart._strip._marks] == ["other"]
    assert "other 75 % (main 25 %, window 50 %)" in chart.accessibleDescription()


def ink(chart):
    """Return the middles of the labels as they are painted, from the rows of pixels left of the field that have ink."""
    strip = chart._strip
    column = pixels(strip)[:, 1 : round(strip.field().left()) - 2].astype(int)
    inked = (np.abs(column - column[0, 0]).sum(axis=2) > 120).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inked.astype(int), [0]])))
    runs = [(begin, end) for begin, end in zip(edges[::2], edges[1::2], strict=True) if end - begin > 3]
    return [(begin + end) / 2.0 for begin, end in runs]


def bars(chart):
    """Return the middles of the bars as they are painted, from the rows of pixels of the field that have colour."""
    strip = chart._strip
    field = strip.field()
    grid = [round(field.width() * part) for part in (0.25, 0.5, 0.75)]
    area = pixels(strip)[round(field.top()) : round(field.bottom()), round(field.left()) : round(field.right())]
    area = np.delete(area.astype(int), [x + near for x in grid for near in (-1, 0, 1)], axis=1)
    filled = (np.abs(area - QColor(chart.colours.field).getRgb()[:3]).sum(axis=2) > 20).any(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], filled.astype(int), [0]]))) + round(field.top())
    return [(begin + end) / 2.0 for begin, end in zip(edges[::2], edges[1::2], strict=True)]


def test_labels_stand_beside_their_bars_while_threads_come_and_go(shown):
    # Workers, helpers and other threads appear and end; drawing and wording come in the order of the live panel.
    chart = shown(ThreadHeat(), height=260)
    cpu: dict[int, float] = {}
    now = 50.0
    scenes = [
        {1: "main"},
        {1: "main", 10: "worker 0", 11: "worker 1"},
        {1: "main", 10: "worker 0", 11: "worker 1", 12: "worker 1", 30: "loader", 31: "answers"},
        {1: "main", 20: "worker 0", 21: "worker 1", 22: "worker 2", 31: "answers"},
        {1: "main", 20: "worker 0", 31: "answers", 40: "reader", 41: "reader"},
    ]
    for scene in scenes:
        for tick in range(75):
            now += 0.1
            for tid in scene:
                cpu[tid] = cpu.get(tid, 0.0) + 0.1 * (0.9 if tid % 2 else 0.4)
            chart.record(ENGINE, now, [ThreadTime(tid, group, cpu[tid]) for tid, group in scene.items()])
            if chart.advance(now):
                chart.draw()
            if tick % 10 == 0:
                chart.tell({ENGINE: 1.0, WINDOW: 0.1}, 2)
            chart.grab()  # the window paints between two ticks
            if tick % 10 == 5:
                labels, rows = ink(chart), bars(chart)
                assert len(labels) == len(rows)
                assert labels == pytest.approx(rows, abs=3.0)


def test_many_threads_fit_into_a_low_strip(shown):
    chart = shown(ThreadHeat(), height=120)
    run_threads(chart, 20.0, {tid: (f"worker {tid // 2}", 0.9) for tid in range(2, 130)})
    chart.tell({ENGINE: 2.0, WINDOW: 0.1}, 64)
    chart.draw()
    marks = chart._strip._marks
    assert 2 <= len(marks) <= 12
    assert all("·" not in m.text and not m.value for m in marks)
    assert not np.array_equal(pixels(chart)[60], pixels(chart)[5])


# -------------------------------------------------------------------------------------------------------------- curves
def test_throughput_says_documents_and_tokens_a_second(shown):
    chart = shown(Throughput())
    chart.tell()
    assert [c.text() for c in chart.findChildren(Caption)] == ["no documents yet", "no tokens yet"]
    for i in range(300):
        chart.record(10.0 + i * 0.2, 32.4, 1620.4)
    chart.draw(70.0)
    chart.tell()
    assert [c.text() for c in chart.findChildren(Caption)] == ["32.4 documents/s", "1,620 tokens/s"]
    assert "32.4 documents/s" in chart.accessibleDescription()


def test_throughput_of_a_model_that_writes_tells_reading_from_writing(shown):
    chart = shown(Throughput())
    chart.record(10.0, 2.0, 1620.4, 87.6)
    chart.tell()
    said = [c.text() for c in chart.findChildren(Caption)]
    assert said == ["2.0 documents/s", "reads 1,620 tokens/s, writes 88 tokens/s"]
    assert "writes 88 tokens/s" in chart.accessibleDescription()


def test_memory_names_keys_and_values_where_there_are_some(shown):
    chart = shown(Memory())
    chart.set_total(8_000_000_000, 500_000_000)
    chart.record(10.0, 9e8, 1e8, 5e9)
    chart.tell()
    assert "keys and values 500 MB" in chart.accessibleDescription()


def test_queue_says_what_is_ready_and_what_waits(shown):
    chart = shown(QueueDepth())
    chart.record(10.0, 12.0, 3400.0)
    chart.tell()
    assert [c.text() for c in chart.findChildren(Caption)] == ["12 ready for a worker", "3,400 waiting to be read"]


def test_memory_says_both_processes_and_what_is_left(shown):
    chart = shown(Memory())
    chart.set_total(8_200_000_000)
    chart.record(10.0, 968e6, 115e6, 5.03e9)
    chart.tell()
    texts = [c.text() for c in chart.findChildren(Caption)]
    assert texts == ["engine 968 MB, window 115 MB", "5.0 GB free of 8.2 GB"]
    chart.record(10.2, math.nan, 115e6, math.nan)
    chart.tell()
    assert [c.text() for c in chart.findChildren(Caption)] == ["window 115 MB", "not measured yet"]


def test_a_curve_is_drawn_across_the_field_and_a_gap_is_not(shown):
    chart = shown(Throughput())
    for i in range(300):
        chart.record(10.0 + i * 0.2, 50.0 if i < 100 or i > 200 else math.nan, 0.0)
    chart.draw(70.0)
    field = chart._lines[0].plot
    line = QColor(chart.colours.first)
    hit = (pixels(field) == [line.red(), line.green(), line.blue()]).all(axis=2).any(axis=0)
    place, width = field.field(), field.field().width()
    columns = hit[round(place.left()) : round(place.right())]
    assert columns[: round(width * 0.3)].mean() > 0.9
    assert columns[round(width * 0.36) : round(width * 0.64)].mean() == 0.0
    assert columns[round(width * 0.7) :].mean() > 0.9


def test_the_axis_holds_the_highest_value_on_show(shown):
    chart = shown(Throughput())
    for i in range(100):
        chart.record(10.0 + i * 0.2, 730.0, 12.0)
    chart.draw(30.0)
    assert [part.scale.top for part in chart._lines] == [1000.0, 20.0]
    assert [m.value for m in chart._lines[0].plot._marks] == ["0", "1k"]


def test_a_clock_that_goes_back_starts_the_curve_anew(shown):
    chart = shown(QueueDepth())
    chart.record(100.0, 5.0, 5.0)
    chart.record(3.0, 6.0, 6.0)
    chart.draw(3.0)
    assert chart._ring.view("ready").tolist() == [6.0]


def test_a_persistent_item_takes_the_new_data(shown):
    plot = shown(Plot())
    curve = Curve(plot)
    items = len(plot.scene().items())
    for n in (3, 300):
        curve.set_data(np.linspace(-60.0, 0.0, n), np.ones(n))
    assert len(plot.scene().items()) == items
    assert not curve._item.opts["antialias"]


# ---------------------------------------------------------------------------------------------------------------- all
CHARTS = (WorkerTimeline, ThreadHeat, Throughput, QueueDepth, Memory)


@pytest.mark.parametrize("kind", CHARTS)
def test_a_change_of_theme_recolours_everything(shown, kind):
    chart = shown(kind())
    assert chart.colours.heat == LIGHT.heat
    light = pixels(chart)
    chart.setPalette(dark_palette())
    assert chart.colours.heat == DARK.heat
    assert colour_share(chart, "#14171c") > 0.2
    assert light.mean() > 180 > 110 > pixels(chart).mean()


@pytest.mark.parametrize("kind", CHARTS)
def test_every_chart_says_what_it_measures_and_over_which_time(shown, kind):
    chart = shown(kind())
    assert chart.accessibleName()
    assert "last 60 s" in chart.accessibleDescription()


@pytest.mark.parametrize("kind", CHARTS)
def test_files_dropped_on_a_chart_are_left_to_the_window(shown, kind):
    chart = shown(kind())
    assert not any(widget.acceptDrops() for widget in chart.findChildren(QWidget))


def test_a_caption_wraps_and_leaves_out_what_has_no_room(shown):
    caption = shown(Caption(lines=2), width=150, height=20)
    red = QBrush(QColor("#ff0000"))
    caption.set_entries(*(Entry(f"word number {i}", red) for i in range(5)))
    assert caption.text().count("word") == 5
    assert [line for _, _, line in caption._places(QFontMetricsF(caption.font()))] == [0, 1]
    assert caption.toolTip() == caption.text()


def test_marks_do_not_move_the_field_when_only_their_text_changes(shown):
    plot = shown(Plot())
    plot.set_left(40.0)
    before = plot.field()
    plot.set_marks([Mark(0.0, "", "0"), Mark(1.0, "", "5k")])
    assert plot.field() == before
