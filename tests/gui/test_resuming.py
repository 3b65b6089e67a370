"""After a restart or a crash: jobs come back, running work goes on, and one line says so."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from test_main_window import counts, drop
from window_helpers import wait_for

from gui.main_window import MainWindow


@pytest.fixture
def start(qtbot, make_window, tmp_path):
    """Open windows on one data folder, one after the other."""
    data = tmp_path / "data"
    data.mkdir()

    def again(*arguments, ready: bool = True) -> MainWindow:
        journal = data / "journal.sqlite"
        return make_window("--keep", "--shelve", "--session", journal, *arguments, data=data, ready=ready)

    return again


def close(qtbot, window: MainWindow) -> None:
    with qtbot.waitSignal(window.closed):
        window.closing.now()


def begun(qtbot, window: MainWindow, rows: int) -> None:
    drop(window, "/some/letters")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == rows)
    window.session.commands.start("embed", {})
    wait_for(qtbot, lambda: counts(window).get("done"))


def test_a_job_that_ran_goes_on_after_the_next_start_and_a_line_says_so(qtbot, start):
    window = start("--rows", 40, "--per-tick", 1)
    begun(qtbot, window, 40)
    close(qtbot, window)
    window = start("--rows", 40, "--per-tick", 10)
    wait_for(qtbot, lambda: any(text.startswith("Resumed 'letters': ") for text in window.messages.texts))
    (text,) = [text for text in window.messages.texts if text.startswith("Resumed")]
    assert text.endswith(" of 40 done.")
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    assert counts(window)["done"] == 38
    assert sum(counts(window).values()) == 40


def test_a_job_that_was_paused_stays_paused(qtbot, start):
    window = start("--rows", 40, "--per-tick", 1)
    begun(qtbot, window, 40)
    window.session.commands.pause()
    wait_for(qtbot, lambda: window.session.job.state.status == "paused")
    close(qtbot, window)
    window = start()
    wait_for(qtbot, lambda: window.session.job is not None and window.session.job.state.status == "paused")
    assert not any(text.startswith("Resumed") for text in window.messages.texts)
    window.actions_.pause.trigger()
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")


def test_the_pile_that_was_shown_last_is_shown_again_and_the_others_wait_in_the_list(qtbot, start):
    window = start("--rows", 5, "--per-tick", 9)
    begun(qtbot, window, 5)
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    first = window.session.current
    window.session.commands.new_pile("other")
    wait_for(qtbot, lambda: not any(job.creating for job in window.session.jobs.values()))
    window.session.piles.select(first)
    close(qtbot, window)
    window = start("--rows", 5)
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 5)
    assert window.session.current == first
    assert list(window.session.jobs) == [first]
    wait_for(qtbot, lambda: [facts.name for facts in window.job_list.jobs] == ["other", "letters"])


def test_paths_of_the_start_get_a_pile_of_their_own(qtbot, start, make_window, tmp_path):
    window = start("--rows", 5)
    drop(window, "/some/letters")
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 5)
    close(qtbot, window)
    data = tmp_path / "data"
    options = ("--keep", "--shelve", "--session", data / "journal.sqlite", "--rows", 3)
    window = make_window(*options, data=data, paths=("/given/bills",))
    wait_for(qtbot, lambda: window.pile_panel.table.rowCount() == 3)
    assert window.session.job.name == "bills"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_an_engine_that_died_resumes_in_the_same_window(qtbot, start):
    window = start("--rows", 60, "--per-tick", 1)
    begun(qtbot, window, 60)
    os.kill(window.session.client.pid, signal.SIGKILL)
    wait_for(qtbot, lambda: any(text.startswith("Resumed 'letters': ") for text in window.messages.texts))
    assert len(window.session.jobs) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_finished_pile_that_is_open_stays_open_when_the_engine_died(qtbot, start):
    window = start("--rows", 5, "--per-tick", 9)
    begun(qtbot, window, 5)
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    first = window.session.client.pid
    os.kill(first, signal.SIGKILL)
    wait_for(qtbot, lambda: window.session.client.state == "ready" and window.session.client.pid not in (0, first))
    replies = []
    window.session.commands.inspect(next(iter(window.session.job.pile.records)), replies.append)
    wait_for(qtbot, lambda: replies)
    assert replies[0].ok
    assert counts(window)["done"] == 5
    assert not any("no job" in text for text in window.messages.texts)
