"""The real window and the real engine process: drop a folder, start, watch, cancel, retry, export, kill, close."""

from __future__ import annotations

import csv
import io
import json
import logging
import logging.handlers
import os
import signal
import sys
import time
from pathlib import Path

import psutil
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QMessageBox
from test_main_window import counts, drop
from window_helpers import Recorder, end_engine, press, wait_for

from gui.engine_process import Patience, engine_command
from gui.main_window import MainWindow
from gui.tables.pile_table import Column

pytestmark = pytest.mark.timeout(180)

LABELS = "animal: a dog, a cat or a horse\nmoney: an invoice, a payment or a bank account\nweather: rain, sun and wind"

TEXTS = {
    "animal": "The dog and the two cats slept beside the old horse in the barn.",
    "money": "The invoice was paid late, so the bank charged a fee on the account.",
    "weather": "Heavy rain and strong wind are expected tonight, the sun returns on Friday.",
}

PATIENCE = Patience(backoff=(0.1, 0.5, 1.0, 2.0, 4.0))


@pytest.fixture
def window(qtbot, make_window, tmp_path) -> MainWindow:
    made = make_window(ready=False, patience=PATIENCE, command=engine_command(str(tmp_path / "session.sqlite")))
    qtbot.waitUntil(lambda: made.session.model.status == "ready" and made.live is not None, timeout=60_000)
    made.task_panel.preset("classify", {"labels": LABELS})
    return made


@pytest.fixture
def folder(tmp_path) -> Path:
    """Nine documents of three kinds, one that is empty and one that is not text."""
    made = tmp_path / "pile"
    made.mkdir()
    for n in range(9):
        kind = list(TEXTS)[n % 3]
        (made / f"{n}-{kind}.txt").write_text(TEXTS[kind], "utf-8")
    (made / "empty.txt").write_bytes(b"")
    (made / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4)
    return made


@pytest.fixture
def large(tmp_path) -> Path:
    """Documents for some seconds of work."""
    made = tmp_path / "large"
    made.mkdir()
    for n in range(1500):
        (made / f"{n:04}.txt").write_text(f"Document {n}. " + " ".join(TEXTS.values()), "utf-8")
    return made


def rows(window: MainWindow) -> dict[str, tuple[str, str]]:
    """Return what the table shows: name to (state, result)."""
    table = window.pile_panel.table
    cell = lambda row, column: table.index(row, column).data()  # noqa: E731
    return {cell(r, Column.NAME): (cell(r, Column.STATE), cell(r, Column.RESULT)) for r in range(table.rowCount())}


def status(window: MainWindow) -> str:
    return window.session.job.state.status


def working(qtbot, window: MainWindow, large: Path, done: int = 100) -> None:
    """Add the large pile, start it, and return in the middle."""
    drop(window, str(large))
    qtbot.waitUntil(lambda: window.pile_panel.table.rowCount() == 1500, timeout=60_000)
    window.start()
    wait_for(qtbot, lambda: counts(window)["done"] >= done)


def test_a_dropped_folder_becomes_one_row_a_document(qtbot, window, folder):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    drop(window, str(folder))
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 11)
    wait_for(qtbot, window.actions_.start.isEnabled)
    window.actions_.start.trigger()
    wait_for(qtbot, lambda: status(window) == "finished")
    wait_for(qtbot, lambda: [state for state, _ in rows(window).values()].count("done") == 9)
    shown = rows(window)
    for n in range(9):
        kind = list(TEXTS)[n % 3]
        state, result = shown[f"{n}-{kind}.txt"]
        assert state == "done"
        assert result.startswith(kind)
    assert shown["empty.txt"][0] == "skipped"
    assert shown["picture.txt"][0] == "skipped"
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    wait_for(qtbot, lambda: "9 of 11 done, 2 skipped" in window.status.text.text())


def test_the_result_pane_shows_text_and_scores(qtbot, window, folder):
    drop(window, str(folder))
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 11)
    window.start()
    wait_for(qtbot, lambda: status(window) == "finished")
    number = next(n for n, r in window.session.job.pile.records.items() if r.name == "0-animal.txt")
    window.pile_panel.choose(number)
    wait_for(qtbot, lambda: window.result_panel.text.toPlainText() == TEXTS["animal"])
    wait_for(qtbot, lambda: [label for label, _ in window.result_panel.view.bars.scores][:1] == ["animal"])
    assert json.loads(window.result_panel.raw.toPlainText())["label"] == "animal"


def test_cancel_stops_and_retry_finishes(qtbot, window, large):
    working(qtbot, window, large)
    window.actions_.stop.trigger()
    wait_for(qtbot, lambda: status(window) == "cancelled" and not window.session.job.asked)
    wait_for(qtbot, lambda: counts(window)["running"] == 0)
    found = counts(window)
    assert found["cancelled"] > 0
    assert sum(found.values()) == 1500
    wait_for(qtbot, window.actions_.retry_failed.isEnabled)
    window.actions_.retry_failed.trigger()
    qtbot.waitUntil(lambda: counts(window)["done"] == 1500, timeout=90_000)


def test_pause_takes_no_more_and_resume_goes_on(qtbot, window, large):
    working(qtbot, window, large)
    window.actions_.pause.trigger()
    wait_for(qtbot, lambda: status(window) == "paused" and not window.session.job.asked)
    wait_for(qtbot, lambda: counts(window)["running"] == 0)
    assert counts(window)["waiting"] > 0
    window.actions_.pause.trigger()
    qtbot.waitUntil(lambda: counts(window)["done"] == 1500, timeout=90_000)


def test_exports_hold_every_document(qtbot, window, folder, tmp_path):
    drop(window, str(folder))
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 11)
    window.start()
    wait_for(qtbot, lambda: status(window) == "finished")
    for name in ("csv", "jsonl"):
        window.export()
        dialog = window.dialogs.shown["export"]
        dialog.formats[name].setChecked(True)
        dialog.path.setText(str(tmp_path / f"out.{name}"))
        dialog.write.click()
        wait_for(qtbot, lambda: "export" not in window.dialogs.shown)
    data = (tmp_path / "out.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    assert len(list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))) == 11
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 11
    assert {line["result"]["label"] for line in lines if line["state"] == "done"} == set(TEXTS)


def test_a_failed_export_says_why_and_succeeds_elsewhere(qtbot, window, folder, tmp_path):
    drop(window, str(folder))
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 11)
    window.start()
    wait_for(qtbot, lambda: status(window) == "finished")
    window.export()
    dialog = window.dialogs.shown["export"]
    dialog.path.setText(str(tmp_path / "no" / "such" / "folder" / "out.csv"))
    dialog.write.click()
    wait_for(qtbot, dialog.message.isVisible)
    assert dialog.message.text()
    dialog.path.setText(str(tmp_path / "out.csv"))
    dialog.path.textEdited.emit(dialog.path.text())
    dialog.write.click()
    wait_for(qtbot, (tmp_path / "out.csv").exists)
    wait_for(qtbot, lambda: "export" not in window.dialogs.shown)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_engine_is_replaced_and_the_job_goes_on_without_loss(qtbot, window, large):
    working(qtbot, window, large)
    first = window.session.client.pid
    os.kill(first, signal.SIGKILL)
    wait_for(qtbot, lambda: any("SIGKILL" in text for text in window.messages.texts))
    qtbot.waitUntil(lambda: window.session.client.pid not in (0, first), timeout=30_000)
    qtbot.waitUntil(lambda: counts(window)["done"] == 1500, timeout=120_000)
    assert sum(counts(window).values()) == 1500
    assert len(rows(window)) == 1500
    assert status(window) == "finished"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_stopped_engine_is_noticed_and_replaced(qtbot, make_window, tmp_path):
    patience = Patience(quiet=1.0, kill=2.0, backoff=(0.1, 0.5, 1.0, 2.0, 4.0))
    window = make_window(ready=False, patience=patience, command=engine_command(str(tmp_path / "s.sqlite")))
    qtbot.waitUntil(lambda: window.session.client.state == "ready", timeout=60_000)
    states = Recorder(window.session.client.state_changed)
    stopped = psutil.Process(window.session.client.pid)
    stopped.suspend()
    qtbot.waitUntil(lambda: "restarting" in states.heard, timeout=30_000)
    assert "not answering" in states.heard
    qtbot.waitUntil(lambda: window.session.client.state == "ready", timeout=60_000)
    assert not stopped.is_running()


def test_closing_in_the_middle_ends_window_and_engine(qtbot, window, large):
    working(qtbot, window, large)
    engine = psutil.Process(window.session.client.pid)
    family = [engine, *engine.children(recursive=True)]
    window.close()
    box = window.closing.question
    assert box is not None
    begin = time.monotonic()
    with qtbot.waitSignal(window.closed, timeout=10_000):
        press(box, "Stop and close")
    took = time.monotonic() - begin
    assert not any(p.is_running() for p in family)
    print(f"closing in the middle took {took:.2f} s")


def test_a_pile_goes_on_in_the_next_window_without_loss(qtbot, window, make_window, large, tmp_path):
    working(qtbot, window, large)
    with qtbot.waitSignal(window.closed, timeout=10_000):
        window.closing.now()
    second = make_window(ready=False, patience=PATIENCE, command=engine_command(str(tmp_path / "session.sqlite")))
    qtbot.waitUntil(lambda: any(text.startswith("Resumed") for text in second.messages.texts), timeout=60_000)
    qtbot.waitUntil(lambda: status(second) == "finished" and counts(second)["done"] == 1500, timeout=120_000)
    assert sum(counts(second).values()) == 1500
    wait_for(qtbot, lambda: len(rows(second)) == 1500)


def test_the_logs_hold_no_text_of_a_document(qtbot, window, folder, tmp_path, monkeypatch):
    from gui.crash import start_logging

    monkeypatch.setattr("gui.crash.qInstallMessageHandler", lambda handler: handler)  # the tests have their own
    root, engine_log = logging.getLogger(), logging.getLogger("engine process")
    before = list(root.handlers), root.level, engine_log.propagate
    start_logging(str(tmp_path))
    try:
        (folder / "nobody-may-read.txt").write_text("a secret word: xylographer", "utf-8")
        (folder / "broken.txt").write_bytes(b"xylographer \xff\xfe\x00 broken")
        drop(window, str(folder))
        wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 13)
        window.start()
        wait_for(qtbot, lambda: status(window) == "finished")
        end_engine(qtbot, window, signal.SIGTERM)
    finally:
        for logger in (root, engine_log):
            for handler in [h for h in logger.handlers if isinstance(h, logging.handlers.RotatingFileHandler)]:
                logger.removeHandler(handler)
                handler.close()
        root.setLevel(before[1])
        engine_log.propagate = before[2]
    written = "".join((tmp_path / name).read_text("utf-8") for name in ("window.log", "engine.log"))
    assert "ended: terminated" in written
    assert "xylographer" not in written


def test_two_piles_run_one_after_another_and_keep_their_rows(qtbot, window, folder, tmp_path):
    drop(window, str(folder))
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 11)
    window.start()
    first = window.session.current
    other = tmp_path / "other"
    other.mkdir()
    (other / "one.txt").write_text(TEXTS["money"], "utf-8")
    window.actions_.new_pile.trigger()
    drop(window, str(other))
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 1)
    window.task_panel.preset("embed", {})
    window.start()
    wait_for(qtbot, lambda: status(window) == "finished")
    wait_for(qtbot, lambda: rows(window)["one.txt"] == ("done", "384 dimensions"))
    window.session.piles.select(first)
    wait_for(qtbot, lambda: counts(window)["done"] == 9)
    assert len(rows(window)) == 11


def test_running_again_with_other_labels_replaces_the_results(qtbot, window, folder):
    drop(window, str(folder))
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 11)
    window.start()
    wait_for(qtbot, lambda: status(window) == "finished")
    window.task_panel.preset("classify", {"labels": "creature: a dog, a cat or a horse\nthing: money, weather"})
    window.start()
    box = window.findChild(QMessageBox, "question")
    press(box, "Run again")
    wait_for(qtbot, lambda: rows(window)["0-animal.txt"][1].startswith("creature"))
    wait_for(qtbot, lambda: status(window) == "finished")


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes")
def test_names_that_are_not_utf8_are_read_and_shown(qtbot, window, tmp_path):
    made = tmp_path / "names"
    made.mkdir()
    with open(os.path.join(os.fsencode(made), b"caf\xe9\n.txt"), "wb") as file:
        file.write(TEXTS["money"].encode())
    drop(window, str(made))
    wait_for(qtbot, lambda: list(rows(window)) == [r"caf\xe9\n.txt"])
    window.start()
    wait_for(qtbot, lambda: rows(window)[r"caf\xe9\n.txt"][0] == "done")


def test_a_plan_is_used_and_another_model_folder_refused_with_its_reason(qtbot, window, tmp_path):
    window.hardware_panel.workers.setValue(1)
    wait_for(qtbot, lambda: window.session.plan_in_use.workers == 1)
    wait_for(qtbot, lambda: window.hardware_panel._line.text().startswith("In use: 1 worker "))
    broken = tmp_path / "model"
    broken.mkdir()
    (broken / "config.json").write_text("{not json", "utf-8")
    window.model_panel.try_folder(str(broken))
    wait_for(qtbot, lambda: window.messages.texts)
    assert "config.json" in window.messages.texts[0]
    assert window.session.model.status == "ready"


def test_sorting_and_filtering_while_it_runs_keeps_everything(qtbot, window, large):
    working(qtbot, window, large)
    window.pile_panel.view.sortByColumn(Column.SECONDS, Qt.SortOrder.DescendingOrder)
    window.pile_panel.chips.button("done").click()
    qtbot.waitUntil(lambda: counts(window)["done"] == 1500, timeout=90_000)
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 1500)
