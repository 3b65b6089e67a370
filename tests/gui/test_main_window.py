"""The window with an engine process that plays its part: from the drop to the last row."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import QApplication, QWidget
from window_helpers import Recorder, end_engine, press, wait_for

from gui.main_window import MainWindow
from gui.tables.pile_table import Column

LABELS = {"labels": "delivery: parcels\nbilling: money"}

ROOT = Path(__file__).resolve().parents[2]


def drop(window: MainWindow, *paths: str, at: QPointF | None = None) -> None:
    """Drop files on the window, over its pile or ``at`` some place, as the system would."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(path) for path in paths])
    pile = window.pile_panel
    middle = QPointF(pile.mapTo(window, pile.rect().center()))
    where, buttons, keys = at or middle, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    with warnings.catch_warnings():  # Qt 6.12 prefers a QPointF, which 6.11 does not take yet
        warnings.simplefilter("ignore", DeprecationWarning)
        enter = QDragEnterEvent(where.toPoint(), Qt.DropAction.CopyAction, mime, buttons, keys)
    QApplication.sendEvent(window, enter)
    assert enter.isAccepted()
    assert not window.drops.overlay.isHidden()
    QApplication.sendEvent(window, QDropEvent(where, Qt.DropAction.CopyAction, mime, buttons, keys))
    assert window.drops.overlay.isHidden()


def counts(window: MainWindow) -> dict[str, int]:
    job = window.session.job
    return dict(job.state.counts) if job else {}


def filled(qtbot, make_window, *arguments, rows: int = 20) -> MainWindow:
    window = make_window("--rows", rows, *arguments)
    drop(window, "/some/folder")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == rows)
    window.task_panel.preset("classify", LABELS)
    return window


def run(qtbot, window: MainWindow) -> None:
    window.start()
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")


def test_a_new_window_says_what_to_do_and_opens_the_starter(qtbot, make_window):
    window = make_window()
    assert window.welcome.isVisible()
    assert window.session.model.name.startswith("all-MiniLM")
    assert not window.actions_.start.isEnabled()
    assert "Add files" in window.status.text.text()
    assert window.windowTitle() == "Heddle"


def test_a_dropped_folder_becomes_rows_and_start_finishes_them(qtbot, make_window):
    window = filled(qtbot, make_window, rows=60)
    assert not window.welcome.isVisible()
    wait_for(qtbot, window.actions_.start.isEnabled)
    titles = Recorder(window.windowTitleChanged)
    window.actions_.start.trigger()
    wait_for(qtbot, lambda: counts(window).get("running"))
    wait_for(qtbot, lambda: window.awake.held)
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    assert counts(window)["done"] == 57
    wait_for(qtbot, lambda: "57 of 60 done, 2 skipped, 1 failed" in window.status.text.text())
    assert any("%" in title for title in titles.heard)
    assert window.windowTitle() == "Heddle"
    assert not window.awake.held
    assert len(window.notifier.told) == 1
    assert "57 documents" in window.notifier.told[0]


def test_pause_lets_what_runs_finish_and_resume_goes_on(qtbot, make_window):
    window = filled(qtbot, make_window, "--per-tick", 1, rows=40)
    window.start()
    wait_for(qtbot, lambda: counts(window).get("done"))
    window.actions_.pause.trigger()
    wait_for(qtbot, lambda: window.session.job.state.status == "paused")
    wait_for(qtbot, lambda: window.actions_.pause.text() == "&Resume")
    window.actions_.pause.trigger()
    wait_for(qtbot, lambda: window.session.job.state.status == "running")
    assert window.actions_.pause.text() == "&Pause"


def test_stop_cancels_what_waits_and_retry_runs_it_again(qtbot, make_window):
    window = filled(qtbot, make_window, "--per-tick", 2, rows=40)
    window.start()
    wait_for(qtbot, lambda: counts(window).get("done"))
    window.actions_.stop.trigger()
    wait_for(qtbot, lambda: window.session.job.state.status == "cancelled")
    wait_for(qtbot, lambda: counts(window)["cancelled"] > 0)
    wait_for(qtbot, window.actions_.retry_failed.isEnabled)
    window.actions_.retry_failed.trigger()
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    assert counts(window)["cancelled"] == 0


def test_chips_filter_by_state_with_counts(qtbot, make_window):
    window = filled(qtbot, make_window, rows=60)
    run(qtbot, window)
    chips = window.pile_panel.chips
    wait_for(qtbot, lambda: chips.button("done").text() == "done 57")
    assert chips.button("").text() == "all 60"
    chips.button("failed").click()
    assert window.pile_panel.table.rowCount() == 1
    chips.button("running").click()
    assert window.pile_panel.table.rowCount() == 0
    assert window.pile_panel._nothing.isVisible()
    chips.button("").click()
    assert window.pile_panel.table.rowCount() == 60


def test_search_narrows_the_table(qtbot, make_window):
    window = filled(qtbot, make_window)
    window.actions_.find.trigger()
    qtbot.keyClicks(window.pile_panel.search, "billing")
    expected = sum("billing" in row.name for row in window.session.job.pile.records.values())
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == expected)
    assert expected == 4
    window.pile_panel.search.clear()
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 20)


def test_start_without_labels_marks_the_field_and_sends_nothing(qtbot, make_window):
    window = filled(qtbot, make_window)
    window.task_panel.form.fields["labels"].set_value("")
    window.start()
    problem = window.task_panel.form.fields["labels"]._problem
    assert problem.isVisible()
    assert "filled in" in problem.text()
    assert window.session.job.state.status == "ready"


def test_a_pile_that_is_done_runs_again_only_after_a_yes(qtbot, make_window):
    window = filled(qtbot, make_window)
    run(qtbot, window)
    window.start()
    box = window.findChild(QWidget, "question")
    press(box, "Cancel")
    assert window.session.job.state.status == "finished"
    wait_for(qtbot, lambda: window.findChild(QWidget, "question") is None)
    window.start()
    box = window.findChild(QWidget, "question")
    press(box, "Run again")
    wait_for(qtbot, lambda: window.session.job.state.status in ("queued", "running"))
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")


def test_the_result_of_the_chosen_document_is_shown_beside_its_text(qtbot, make_window):
    window = filled(qtbot, make_window)
    run(qtbot, window)
    window.pile_panel.view.selectRow(2)
    panel = window.result_panel
    wait_for(qtbot, lambda: "text of document 3" in panel.text.toPlainText())
    assert panel.view.bars.scores[0][0] == "praise"
    assert len(panel.view.bars.scores) == 6
    assert '"margin"' in panel.raw.toPlainText()
    assert panel.text.isReadOnly()


def test_only_the_last_of_many_chosen_documents_is_asked_for(qtbot, make_window):
    window = filled(qtbot, make_window)
    run(qtbot, window)
    asked = []
    original = window.session.commands.inspect
    window.session.commands.inspect = lambda number, then: asked.append(number) or original(number, then)
    for at in range(10):
        window.pile_panel.view.selectRow(at)
    wait_for(qtbot, lambda: "text of document 10" in window.result_panel.text.toPlainText())
    assert asked == [10]


def test_late_answers_for_another_document_are_ignored(qtbot, make_window):
    window = filled(qtbot, make_window)
    panel = window.result_panel
    held = []
    window.session.commands.inspect = lambda number, then: held.append(then) or len(held)
    window.pile_panel.view.selectRow(0)
    wait_for(qtbot, lambda: len(held) == 1)
    window.pile_panel.view.selectRow(1)
    wait_for(qtbot, lambda: len(held) == 2)
    from engine.api import Reply

    held[0](Reply(1, ok=True, value={"text": "old"}))
    assert "old" not in panel.text.toPlainText()
    held[1](Reply(2, ok=True, value={"text": "new"}))
    assert panel.text.toPlainText() == "new"


def test_a_failed_document_says_why_and_can_be_retried_from_its_result(qtbot, make_window):
    window = filled(qtbot, make_window)
    run(qtbot, window)
    row = next(r for r in window.session.job.pile.records.values() if r.state == "failed")
    window.pile_panel.choose(row.id)
    panel = window.result_panel
    wait_for(qtbot, lambda: panel.view._title.text() == "This document failed")
    assert "changed since it was added" in panel.view._reason.text()
    assert panel._retry.isVisible()
    panel._retry.click()
    wait_for(qtbot, lambda: counts(window)["failed"] == 0 or window.session.job.state.status == "running")
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")


def test_selected_documents_can_be_removed_and_the_rest_cleared_after_a_yes(qtbot, make_window):
    window = filled(qtbot, make_window)
    window.pile_panel.view.selectRow(4)
    wait_for(qtbot, window.actions_.remove_selected.isEnabled)
    window.actions_.remove_selected.trigger()
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 19)
    wait_for(qtbot, window.actions_.clear.isEnabled)
    window.actions_.clear.trigger()
    box = window.findChild(QWidget, "question")
    press(box, "C&lear")
    wait_for(qtbot, window.welcome.isVisible)


def test_selection_survives_updates_sorting_and_filtering(qtbot, make_window):
    window = filled(qtbot, make_window, "--per-tick", 2, rows=40)
    window.pile_panel.choose(9)
    window.pile_panel.view.sortByColumn(Column.TOKENS, Qt.SortOrder.DescendingOrder)
    run(qtbot, window)
    assert window.pile_panel.selected == [9]
    window.pile_panel.chips.button("done").click()
    assert window.pile_panel.selected == [9]
    assert window.result_panel.document == 9


def test_a_killed_engine_comes_back_with_the_pile_and_the_job_goes_on(qtbot, make_window, tmp_path):
    window = filled(
        qtbot,
        make_window,
        "--session",
        tmp_path / "s",
        "--keep",
        "--per-tick",
        2,
        "--die-at",
        9,
        "--marker",
        tmp_path / "m",
        rows=40,
    )
    window.start()
    wait_for(qtbot, lambda: any("SIGKILL" in text for text in window.messages.texts))
    assert window.messages.isVisible()
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    assert window.pile_panel.table.rowCount() == 40
    assert sum(counts(window).values()) == 40
    assert counts(window)["waiting"] == 0
    wait_for(qtbot, lambda: "ready" in window.status._word.text())


def test_an_engine_that_lost_the_pile_is_told_its_name_again_and_can_be_filled(qtbot, make_window):
    window = filled(qtbot, make_window)
    end_engine(qtbot, window)
    wait_for(qtbot, lambda: window.session.model.status == "ready" and window.session.client.state == "ready")
    drop(window, "/another")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 20)
    assert len(window.session.jobs) == 1


def test_adding_that_the_engine_did_not_survive_is_done_by_the_next(qtbot, make_window, tmp_path):
    window = make_window("--die-on", "AddPaths", "--marker", tmp_path / "m")
    drop(window, "/some/folder")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 20)


def test_an_engine_given_up_can_be_started_by_an_action(qtbot, make_window, tmp_path):
    window = make_window("--die-at-start", "--marker", tmp_path / "m", "--deaths", 6, ready=False)
    wait_for(qtbot, lambda: window.session.client.state == "failed")
    assert "given up" in window.status._word.text()
    assert window.actions_.start_engine.isEnabled()
    window.actions_.start_engine.trigger()
    wait_for(qtbot, lambda: window.session.model.status == "ready")
    assert not window.actions_.start_engine.isEnabled()


def test_what_is_dropped_before_the_engine_is_ready_is_not_lost(qtbot, make_window):
    window = make_window("--hello-after", 0.5, ready=False)
    drop(window, "/early")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 20)


def test_several_piles_are_listed_and_each_keeps_its_rows(qtbot, make_window):
    window = filled(qtbot, make_window)
    assert not window.toolbar.piles.isVisible()
    window.actions_.new_pile.trigger()
    assert window.welcome.isVisible()
    wait_for(qtbot, window.toolbar.piles.isVisible)
    assert window.toolbar.piles.count() == 2
    drop(window, "/second")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 20)
    second = window.session.current
    window.actions_.next_pile.trigger()
    assert window.session.current != second
    assert window.pile_panel.table.rowCount() == 20
    assert window.pile_panel.table.number_at(0) == 1
    window.toolbar.piles.setCurrentIndex(1)
    window.toolbar.piles.activated.emit(1)
    assert window.session.current == second


def test_the_sample_pile_comes_with_its_task(qtbot, make_window):
    window = make_window("--rows", 12)
    window.actions_.sample.trigger()
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 12)
    assert window.task_panel.task == "classify"
    assert "billing:" in window.task_panel.values()["labels"]
    assert window.session.job.name == "Sample pile"
    assert os.path.join("samples", "mails") in next(iter(window.session.job.pile.records.values())).path


def test_strange_names_are_one_visible_line_each(qtbot, make_window):
    window = make_window("--rows", 14, "--strange")
    drop(window, "/strange")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 14)
    names = [window.pile_panel.table.index(r, Column.NAME).data() for r in range(14)]
    assert r"evil\u202etxt.exe" in names
    assert r"line\nbreak.txt" in names
    assert r"not\xffutf8\x80.txt" in names
    assert "<b>bold</b> & <img src=x>.txt" in names
    assert "简体中文文件名.txt" in names


def test_layout_columns_and_theme_are_remembered(qtbot, make_window, tmp_path, theme):
    window = make_window()
    window.arrangement.docks["hardware"].hide()
    header = window.pile_panel.view.horizontalHeader()
    header.setSectionHidden(Column.SIZE, False)
    header.resizeSection(Column.NAME, 333)
    window.actions_.themes["dark"].trigger()
    assert theme.dark
    with qtbot.waitSignal(window.closed):
        window.close()
    again = make_window()
    assert again.arrangement.docks["hardware"].isHidden()
    header = again.pile_panel.view.horizontalHeader()
    assert not header.isSectionHidden(Column.SIZE)
    assert header.sectionSize(Column.NAME) == 333
    assert again._settings.text("theme") == "dark"
    again.actions_.reset_layout.trigger()
    assert not again.arrangement.docks["hardware"].isHidden()
    assert again.pile_panel.view.horizontalHeader().isSectionHidden(Column.SIZE)
    theme.set_mode("light")


def test_notices_of_the_engine_are_shown_and_dismissed(qtbot, make_window):
    window = make_window("--notice", "warning:the <b>disk</b> is nearly full", "--notice", "info:hello")
    wait_for(qtbot, lambda: len(window.messages.texts) == 2)
    assert window.messages.isVisible()
    window.messages.dismiss()
    assert not window.messages.isVisible()


def test_no_notification_while_the_window_is_in_front(qtbot, make_window):
    window = filled(qtbot, make_window)
    window.activateWindow()
    wait_for(qtbot, window.isActiveWindow)
    run(qtbot, window)
    assert window.notifier._tray is None


def test_a_minimised_window_paints_no_charts_and_keeps_up(qtbot, make_window):
    window = filled(qtbot, make_window)
    window.showMinimized()
    assert window.live._active is False
    run(qtbot, window)
    window.showNormal()
    assert window.live._active is True
    wait_for(qtbot, lambda: window.pile_panel.table.index(0, Column.STATE).data() == "done")


def _menu_actions(window: MainWindow) -> list[QAction]:
    found: list[QAction] = []

    def walk(actions):
        for action in actions:
            if action.menu() is not None:
                walk(action.menu().actions())
            elif not action.isSeparator():
                found.append(action)

    walk(window.menuBar().actions())
    return found


def test_every_action_has_a_menu_entry_and_a_shortcut_of_its_own(qtbot, make_window):
    window = make_window()
    actions = _menu_actions(window)
    without = [a.text() for a in actions if a.shortcut().isEmpty()]
    assert not without
    shortcuts = [a.shortcut().toString() for a in actions]
    assert len(set(shortcuts)) == len(shortcuts)
    in_toolbar = [a for a in window.toolbar.actions() if a.text() and not a.isSeparator()]
    assert all(a in actions for a in in_toolbar)
    own = [a for a in window.findChildren(QAction, options=Qt.FindChildOption.FindDirectChildrenOnly) if a.objectName()]
    assert all(a in actions for a in own)


def test_mnemonics_are_unique_within_each_menu(qtbot, make_window):
    window = make_window()
    menus = [a.menu() for a in window.menuBar().actions()]
    for menu in [*menus, window.menuBar()]:
        texts = [a.text() for a in menu.actions() if "&" in a.text()]
        keys = [t[t.index("&") + 1].lower() for t in texts]
        assert len(set(keys)) == len(keys), texts


def test_everything_that_takes_the_focus_has_a_name_for_screen_readers(qtbot, make_window):
    window = filled(qtbot, make_window)
    nameless = []
    for widget in window.findChildren(QWidget):
        if not widget.isVisible() or not widget.focusPolicy() & Qt.FocusPolicy.TabFocus or widget.focusProxy():
            continue
        text = getattr(widget, "text", lambda: "")()
        if not widget.accessibleName() and not text and not widget.objectName().startswith("qt_"):
            nameless.append(f"{type(widget).__name__} in {type(widget.parent()).__name__}")
    assert not nameless


def test_the_tab_key_reaches_every_control(qtbot, make_window):
    window = filled(qtbot, make_window)
    window.activateWindow()
    wait_for(qtbot, window.isActiveWindow)
    wait_for(qtbot, lambda: not window.session.loader.listing)
    for name in ("model", "hardware"):
        window.arrangement.open(name)
    window.model_panel.choice.setFocus()
    seen: list[QWidget] = []
    for _ in range(120):
        widget = QApplication.focusWidget()
        if widget is None or widget in seen:
            break
        seen.append(widget)
        window.focusNextChild()
    for wanted in (
        window.model_panel.refresh,
        window.task_panel.choice,
        window.task_panel.form.fields["labels"].editor,
        window.hardware_panel.workers,
        window.pile_panel.chips.button(""),
        window.pile_panel.search,
        window.pile_panel.view,
        window.toolbar.model,
    ):
        assert wanted in seen or any(wanted.isAncestorOf(w) for w in seen), (wanted, [w.accessibleName() for w in seen])


def test_no_child_takes_a_drop_of_files_from_the_window(qtbot, make_window):
    window = filled(qtbot, make_window)
    takers = [w for w in window.findChildren(QWidget) if w.acceptDrops() and w.isVisible()]
    assert [type(w).__name__ for w in takers if w.window() is window] == []


WINDOW_ALONE = """
import sys
from PySide6.QtWidgets import QApplication
from gui import app
from gui.settings import Settings
application = QApplication([])
settings = Settings(sys.argv[1] + "/window.ini")
window = app.build(app.Options(sys.argv[1]), settings, app.dress(application, settings))
window.make_live()
window.show()
application.processEvents()
print(sorted({"torch", "transformers"} & set(sys.modules)), window.live is not None)
"""


def test_the_window_process_never_imports_torch(tmp_path):
    # In a process of its own: other tests of this run have torch loaded.
    told = subprocess.run(
        [sys.executable, "-c", WINDOW_ALONE, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert told.stdout.split("\n")[0] == "[] True"
