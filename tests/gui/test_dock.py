"""A panel that floats is a window with a frame, a title and a way back; the whole fits on small screens."""

from __future__ import annotations

import itertools

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel
from window_helpers import wait_for

from gui.tables.pile_table import Column

DOCKS = ("model", "task", "hardware", "result", "live")


@pytest.mark.parametrize("name", DOCKS)
def test_a_panel_that_floats_has_the_frame_and_the_title_of_a_window(qtbot, make_window, name):
    window = make_window()
    window.show()
    dock = window.arrangement.docks[name]
    dock.setFloating(True)
    wait_for(qtbot, dock.back.isVisible)
    flags = dock.windowFlags()
    assert not flags & Qt.WindowType.FramelessWindowHint
    assert flags & Qt.WindowType.WindowTitleHint
    assert dock.windowTitle()
    assert dock.isVisible()
    dock.back.click()
    assert not dock.isFloating()
    assert not dock.back.isVisible()
    titles = [label.text() for label in dock.titleBarWidget().findChildren(QLabel)]
    assert titles == [dock.windowTitle().upper()]
    assert dock.titleBarWidget().isVisible()


def test_the_layout_that_is_put_back_has_no_floating_panels(qtbot, make_window):
    window = make_window()
    window.show()
    for dock in window.arrangement.docks.values():
        dock.setFloating(True)
    wait_for(qtbot, lambda: all(dock.back.isVisible() for dock in window.arrangement.docks.values()))
    window.actions_.reset_layout.trigger()
    assert not any(dock.isFloating() for dock in window.arrangement.docks.values())
    assert all(d.titleBarWidget().isVisible() for name, d in window.arrangement.docks.items() if name != "live")
    assert window.arrangement.docks["live"].isHidden()


@pytest.mark.parametrize(("width", "height"), [(960, 520), (1000, 600), (1366, 768)])
def test_the_drop_zone_shows_its_words_whole_and_nothing_lies_over_anything(qtbot, make_window, width, height):
    window = make_window()
    window.show()
    window.make_live()
    window.resize(width, height)
    window.arrangement.place()
    welcome = window.welcome

    def wanted(widget):
        return widget.heightForWidth(widget.width()) if widget.hasHeightForWidth() else widget.sizeHint().height()

    def settled():
        shown = [label for label in welcome.findChildren(QLabel) if label.isVisible()] + welcome.buttons
        assert any("Drop files" in label.text() for label in shown)
        return all(welcome.rect().contains(w.geometry()) and w.height() >= wanted(w) for w in shown) and not any(
            one.geometry().intersects(other.geometry()) for one, other in itertools.combinations(shown, 2)
        )

    wait_for(qtbot, lambda: welcome.isVisible() and settled())
    assert window.height() <= height


def test_a_task_that_the_model_cannot_do_says_so_where_it_is_chosen(qtbot, make_window):
    window = make_window()
    window.show()
    panel = window.task_panel
    wait_for(qtbot, lambda: window.session.facts is not None)
    needs = window.session.facts.capabilities
    tasks = [spec.name for spec in window.session.machine_hello.tasks if spec.needs in needs]
    other = next(
        panel.choice.itemData(row) for row in range(panel.choice.count()) if panel.choice.itemData(row) not in tasks
    )
    panel.choice.setCurrentIndex(panel.choice.findData(other))
    wait_for(qtbot, panel.obstacle.isVisible)
    assert "cannot do this task" in panel.obstacle.text()
    panel.choice.setCurrentIndex(panel.choice.findData(tasks[0]))
    wait_for(qtbot, lambda: not panel.obstacle.isVisible())


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_icon_of_start_is_seen_on_its_button_and_in_its_menu(make_window, mode):
    window = make_window()
    start, theme = window.actions_.start, window._theme
    before = theme.mode
    theme.set_mode(mode)
    button = window.toolbar.widgetForAction(start)
    for _ in range(2):
        start.setEnabled(not start.isEnabled())  # a button takes over what its action has with every change
        on_button = button.icon().pixmap(16, 16).toImage()
        in_menu = start.icon().pixmap(16, 16).toImage()
        assert on_button == theme.icon("start", "on_accent").pixmap(16, 16).toImage()
        assert in_menu == theme.icon("start", "text").pixmap(16, 16).toImage()
    theme.set_mode(before)


def test_in_a_narrow_window_the_result_keeps_its_room_and_columns_come_back_with_the_width(qtbot, make_window):
    window = make_window()
    window.show()
    header = window.pile_panel.view.horizontalHeader()

    def hidden():
        return {column for column in (Column.SECONDS, Column.PROGRESS) if header.isSectionHidden(column)}

    window.resize(900, 600)
    wait_for(qtbot, lambda: hidden() == {Column.SECONDS, Column.PROGRESS})
    window.resize(1400, 700)
    wait_for(qtbot, lambda: not hidden())
    window.resize(900, 600)
    wait_for(qtbot, lambda: len(hidden()) == 2)
    kept = window.pile_panel.columns.state()
    assert not hidden()
    assert header.restoreState(kept)
    assert not hidden()
    window.pile_panel.columns.restore(kept)  # as at the next start, in a window that is as narrow
    assert len(hidden()) == 2
