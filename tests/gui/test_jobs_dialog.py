"""Jobs as a whole in the window: the list, and what can be done with one that is over."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QApplication, QCheckBox, QFileDialog, QInputDialog, QMessageBox, QPushButton
from test_main_window import LABELS, counts, drop
from window_helpers import press, wait_for

from gui.dialogs.jobs import JobsDialog
from gui.main_window import MainWindow


def done(qtbot, window: MainWindow, path: str = "/some/letters", task: str = "embed") -> str:
    """Run a pile to its end and return its id."""
    window.session.commands.new_pile(path.rsplit("/", 1)[1])
    drop(window, path)
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 10)
    window.session.commands.start(task, LABELS if task == "classify" else {})
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    return window.session.current


@pytest.fixture
def window(qtbot, make_window) -> MainWindow:
    return make_window("--rows", 10, "--per-tick", 10)


def listed(qtbot, window: MainWindow, names: list[str]) -> JobsDialog:
    window.actions_.jobs.trigger()
    dialog = window.dialogs.shown["jobs"]
    assert isinstance(dialog, JobsDialog)
    wait_for(qtbot, lambda: [facts.name for facts in window.job_list.jobs] == names)
    dialog.refresh()
    return dialog


def choose(dialog: JobsDialog, job: str) -> None:
    dialog.view.selectRow(dialog.table.row_of(job))


def test_past_and_present_piles_are_listed_with_their_counts_newest_first(qtbot, window):
    first = done(qtbot, window)
    done(qtbot, window, "/some/bills")
    dialog = listed(qtbot, window, ["bills", "letters"])
    assert dialog.chosen.name == "bills"
    row = dialog.table.row_of(first)
    texts = [dialog.table.data(dialog.table.index(row, column)) for column in range(4)]
    assert texts == ["letters", "finished", "embed", "9 of 10 done"]


def test_a_pile_that_was_put_away_is_opened_again_with_results_and_task(qtbot, window):
    job = done(qtbot, window, task="classify")
    window.task_panel.preset("embed", {})
    window.actions_.put_away.trigger()
    wait_for(qtbot, lambda: window.session.current == "")
    assert window.welcome.isVisible()
    dialog = listed(qtbot, window, ["letters"])
    assert not dialog.chosen.open
    dialog.buttons["open"].click()
    wait_for(qtbot, lambda: window.session.current == job and window.pile_panel.table.rowCount() == 10)
    assert counts(window)["done"] == 9
    assert window.task_panel.task == "classify"
    assert window.task_panel.values()["labels"] == LABELS["labels"]


def test_delete_needs_no_question_because_it_can_be_undone(qtbot, window):
    done(qtbot, window)
    job = done(qtbot, window, "/some/bills")
    dialog = listed(qtbot, window, ["bills", "letters"])
    choose(dialog, job)
    dialog.actions_["delete"].trigger()
    wait_for(qtbot, lambda: [facts.name for facts in window.job_list.jobs] == ["letters"])
    assert job not in window.session.jobs
    assert "Deleted 'bills'" in window.messages.texts[0]
    wait_for(qtbot, window.actions_.undo.isEnabled)
    dialog.buttons["undo"].click()
    wait_for(qtbot, lambda: window.session.current == job and window.pile_panel.table.rowCount() == 10)
    assert counts(window)["done"] == 9
    assert not window.job_list.deleted


def test_a_pile_that_runs_is_not_deleted(qtbot, make_window):
    window = make_window("--rows", 40, "--per-tick", 1)
    drop(window, "/some/letters")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 40)
    window.session.commands.start("embed", {})
    wait_for(qtbot, lambda: counts(window).get("done"))
    dialog = listed(qtbot, window, ["letters"])
    assert not dialog.buttons["delete"].isEnabled()
    assert not window.actions_.delete.isEnabled()
    assert not window.actions_.put_away.isEnabled()
    window.job_list.delete(window.session.current)
    wait_for(qtbot, lambda: any("being worked on" in text for text in window.messages.texts))
    assert window.session.job is not None


def test_a_new_name_is_asked_for_and_shown_everywhere(qtbot, window):
    job = done(qtbot, window)
    dialog = listed(qtbot, window, ["letters"])
    dialog.buttons["rename"].click()
    asked = dialog.findChild(QInputDialog, "rename")
    assert asked.textValue() == "letters"
    asked.setTextValue("letters of March")
    asked.accept()
    wait_for(qtbot, lambda: window.session.jobs[job].name == "letters of March")
    dialog.refresh()
    assert dialog.chosen.name == "letters of March"


def test_a_duplicate_is_shown_with_the_task_filled_in_and_nothing_done(qtbot, window):
    first = done(qtbot, window, task="classify")
    window.task_panel.preset("embed", {})
    window.actions_.duplicate.trigger()
    wait_for(qtbot, lambda: window.session.current != first and window.pile_panel.table.rowCount() == 10)
    assert window.session.job.name == "letters (copy)"
    assert counts(window)["waiting"] == 9
    assert counts(window)["done"] == 0
    wait_for(qtbot, lambda: window.task_panel.task == "classify")
    assert window.session.jobs[first].count("done") == 9


def test_run_again_asks_and_can_leave_known_answers_aside(qtbot, window):
    done(qtbot, window)
    window.task_panel.preset("embed", {})
    dialog = listed(qtbot, window, ["letters"])
    dialog.buttons["again"].click()
    box = window.findChild(QMessageBox, "question")
    option = box.findChild(QCheckBox)
    assert "again also where the answer is known" in option.text()
    option.setChecked(True)
    sent = []
    send = window.session.client.send
    window.session.client.send = lambda kind, *rest, **fields: (sent.append((kind.__name__, fields)), send(kind, *rest, **fields))[1]  # fmt: skip
    press(box, "Run again")
    assert dict(sent)["Submit"]["again"] is True
    wait_for(qtbot, lambda: counts(window).get("done") == 9 and window.session.job.state.status == "finished")


def test_resume_and_priority_from_the_list(qtbot, make_window):
    window = make_window("--rows", 40, "--per-tick", 1)
    drop(window, "/some/letters")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 40)
    window.session.commands.start("embed", {})
    wait_for(qtbot, lambda: counts(window).get("done"))
    window.session.commands.pause()
    wait_for(qtbot, lambda: window.session.job.state.status == "paused" and not window.session.job.asked)
    dialog = listed(qtbot, window, ["letters"])
    wait_for(qtbot, dialog.buttons["resume"].isEnabled)
    dialog.buttons["sooner"].click()
    wait_for(qtbot, lambda: window.session.job.state.priority == 1)
    dialog.refresh()
    dialog.buttons["resume"].click()
    wait_for(qtbot, lambda: window.session.job.state.status in ("queued", "running"))


def test_everything_in_the_list_has_a_button_with_a_key_and_a_shortcut_of_its_own(qtbot, window):
    done(qtbot, window)
    dialog = listed(qtbot, window, ["letters"])
    shortcuts = [action.shortcut().toString() for action in dialog.actions_.values()]
    assert all(shortcuts)
    assert len(set(shortcuts)) == len(shortcuts)
    keys = [text[text.index("&") + 1].lower() for text in (b.text() for b in dialog.findChildren(QPushButton))]
    assert len(set(keys)) == len(keys)
    assert all(not button.icon().isNull() for button in dialog.findChildren(QPushButton))
    assert dialog.focusWidget() is dialog.view


def test_selected_documents_run_first(qtbot, make_window):
    window = make_window("--rows", 40, "--per-tick", 1)
    drop(window, "/some/letters")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 40)
    last = window.pile_panel.table.number_at(39)
    window.pile_panel.choose(last)
    window.actions_.run_first.trigger()
    window.session.commands.start("embed", {})
    wait_for(qtbot, lambda: window.session.job.pile.records[last].state == "done")
    assert counts(window)["waiting"] > 30


def test_a_watched_folder_is_watched_again_after_the_next_start(qtbot, make_window, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    options = ("--rows", 3, "--keep", "--shelve", "--session", data / "journal.sqlite")
    window = make_window(*options, data=data)
    window.session.commands.new_pile("inbox")
    window.actions_.watch.trigger()
    dialog = window.findChild(QFileDialog, "watch")
    dialog.filesSelected.emit(["/some/inbox"])
    dialog.reject()
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 3)
    assert "New files in /some/inbox are added to 'inbox'." in window.messages.texts
    wait_for(qtbot, lambda: window.actions_.watch.text() == "Stop &watching the folder")
    with qtbot.waitSignal(window.closed):
        window.close()
    second = make_window(*options, data=data)
    wait_for(qtbot, lambda: second.session.job is not None and second.session.job.name == "inbox")
    wait_for(qtbot, lambda: second.pile_panel.table.rowCount() == 6)  # the fake adds three each time it watches
    second.actions_.watch.trigger()
    assert second.job_list.watched(second.session.current) == ""
    QApplication.processEvents()
