"""The window around what people do: the task first and tall, model and hardware in a line each, views of the whole width."""

from __future__ import annotations

import itertools

import pytest
from PySide6.QtWidgets import QApplication, QWidget
from window_helpers import wait_for

SIZES = [(1000, 600), (1366, 768)]


def sized(make_window, width: int, height: int, *arguments: str):
    window = make_window(*arguments)
    window.show()
    window.resize(width, height)
    window.arrangement.reset()
    return window


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_model_and_hardware_are_a_line_each_and_the_task_has_the_rest(qtbot, make_window, width, height):
    window = sized(make_window, width, height)
    docks = window.arrangement.docks
    wait_for(qtbot, lambda: docks["model"].line.text() == "all-MiniLM-L6-v2, ready")
    wait_for(qtbot, lambda: docks["hardware"].line.text().startswith("2 workers on "))
    wait_for(qtbot, lambda: docks["task"].height() > height * 0.6)
    for name in ("model", "hardware"):
        line = docks[name].line
        assert line.isVisible()
        assert docks[name].height() < 50
        assert line.fontMetrics().horizontalAdvance(line.text()) <= line.width() - 26  # nothing is elided
    order = sorted(("task", "model", "hardware"), key=lambda name: docks[name].y())
    assert order == ["task", "model", "hardware"]


@pytest.mark.parametrize("name", ["model", "hardware"])
def test_a_line_opens_its_panel_and_the_panel_folds_again(qtbot, make_window, name):
    window = sized(make_window, 1366, 768)
    dock = window.arrangement.docks[name]
    panel = getattr(window, f"{name}_panel")
    assert not panel.isVisible()
    dock.line.click()
    wait_for(qtbot, lambda: panel.isVisible() and dock.height() > 100)
    assert not dock.line.isVisible()
    dock.unfold.click()
    wait_for(qtbot, lambda: dock.line.isVisible() and dock.height() < 50)


def test_a_panel_that_was_opened_is_open_the_next_time(qtbot, make_window):
    window = sized(make_window, 1366, 768)
    window.arrangement.open("hardware")
    window.arrangement.views.show_page(1)
    with qtbot.waitSignal(window.closed):
        window.close()
    again = make_window()
    folded = {name for name, dock in again.arrangement.docks.items() if dock.folded}
    assert folded == {"model"}
    assert again.arrangement.views.bar.currentIndex() == 1


def test_a_plan_for_more_cores_than_there_are_is_seen_while_the_panel_is_one_line(qtbot, make_window):
    window = sized(make_window, 1366, 768)
    wait_for(qtbot, lambda: window.session.plan_in_use.workers)
    window.hardware_panel.workers.setValue(64)
    wait_for(qtbot, lambda: window.arrangement.docks["hardware"].line.text().endswith("too many"))


def test_the_charts_have_a_view_of_the_whole_width_and_can_be_docked_below(qtbot, make_window):
    window = sized(make_window, 1366, 768)
    layout, dock = window.arrangement, window.arrangement.docks["live"]
    assert not window.live.isVisible()
    window.actions_.live_view.trigger()
    wait_for(qtbot, lambda: window.live.isVisible() and window.live.width() == layout.views.width())
    assert not window.pile_panel.isVisible()
    charts = [window.live.workers, window.live.threads, window.live.throughput, window.live.queue, window.live.memory]
    wait_for(qtbot, lambda: min(chart.width() for chart in charts) >= 240)
    places = [chart.rect().translated(chart.mapTo(window, chart.rect().topLeft())) for chart in charts]
    assert not any(one.intersects(other) for one, other in itertools.combinations(places, 2))
    dock.toggleViewAction().trigger()
    window.actions_.table_view.trigger()
    wait_for(qtbot, lambda: window.live.isVisible() and window.pile_panel.isVisible())
    assert dock.isAncestorOf(window.live)
    dock.toggleViewAction().trigger()
    window.actions_.live_view.trigger()
    wait_for(qtbot, lambda: window.live.isVisible() and not dock.isAncestorOf(window.live))


def test_finding_comes_back_to_the_table(qtbot, make_window):
    window = sized(make_window, 1366, 768)
    window.actions_.live_view.trigger()
    window.actions_.find.trigger()
    wait_for(qtbot, window.pile_panel.search.isVisible)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_no_control_at_the_side_is_wider_than_its_panel(qtbot, make_window, width, height):
    window = sized(make_window, width, height)
    for name in ("model", "hardware"):
        window.arrangement.open(name)

    def inside(widget: QWidget, dock: QWidget) -> bool:
        right = widget.mapTo(dock, widget.rect().topRight()).x()
        return right <= dock.width()

    panels = [window.model_panel, window.hardware_panel, window.task_panel]
    docks = [window.arrangement.docks[name] for name in ("model", "hardware", "task")]
    for panel, dock in zip(panels, docks, strict=True):
        wait_for(
            qtbot,
            lambda panel=panel, dock=dock: all(
                inside(child, dock) for child in panel.findChildren(QWidget) if child.isVisible()
            ),
        )


def test_a_panel_that_is_shown_from_the_keyboard_is_gone_to(qtbot, make_window):
    window = sized(make_window, 1366, 768)
    docks = window.arrangement.docks
    for name in ("task", "hardware"):
        dock = docks[name]
        dock.toggleViewAction().trigger()
        wait_for(qtbot, lambda dock=dock: not dock.isVisible())
        dock.toggleViewAction().trigger()
        wait_for(qtbot, lambda dock=dock: dock.isVisible() and not dock.folded)
        wait_for(qtbot, lambda dock=dock: dock.widget().isAncestorOf(QApplication.focusWidget()))
