"""The board tells what threads are at, also to the process after one that was killed, and never waits for any of them."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from engine.api.activity import Activity
from engine.jobs.aside import Stuck, culprits
from engine.telemetry.activity import SUFFIX, Board, narrow
from engine.telemetry.helpers import Helpers, InTurn


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "journal")


def test_the_next_process_reads_what_this_one_was_at(path):
    name = os.fsdecode(b"/mnt/dead/\xff\n\t.txt")
    board = Board(path)
    with board.doing("document", name, "read", job="j", document=7, size=5, mtime_ns=2**64):
        found = Board(path).left
    assert [one for one, _ in found] == [Activity("document", name, "read", "j", 7, 5, 2**64)]
    board.close()


def test_only_what_took_as_long_as_it_was_waited_for_is_blamed_and_computing_never(path):
    board = Board(path)
    with board.doing("work", "/model", "compute"), narrow("model", "/model", "prompt"):
        after = Board(path)
    ((one, since),) = after.left
    assert one.kind == "model"
    assert culprits(after, Stuck(5.0, since + 6.0)) == (Activity("model", "/model", "prompt", seconds=6.0),)
    assert culprits(after, Stuck(5.0, since + 3.0)) == ()
    with board.doing("work", "/model", "compute"):
        assert culprits(Board(path), Stuck(0.0, since + 60.0)) == ()


def test_nothing_is_left_of_what_has_ended_and_the_file_is_the_users_alone(path):
    board = Board(path)
    with board.doing("folder", "/a", "list"):
        assert stat.S_IMODE(os.stat(path + SUFFIX).st_mode) == 0o600
        assert [one.subject for one in board.now()] == ["/a"]
    assert board.now() == ()
    assert Board(path).left == ()
    board.close()
    assert not os.path.exists(path + SUFFIX)


@pytest.mark.parametrize("data", [b"", b"\0" * 5000, b"\xff" * 9000, b"\0\0\0\x20nonsense\tof\tsome\tkind\t\t\t\t"])
def test_a_file_that_says_nothing_sensible_is_no_news(path, data):
    with open(path + SUFFIX, "wb") as file:
        file.write(data)
    board = Board(path)
    assert board.left == ()
    board.close()


def test_a_call_that_never_returns_holds_up_no_other_but_those_after_it_in_its_own_line():
    helpers, never = Helpers("helper", 4), threading.Event()
    line = InTurn(helpers)
    stuck = [helpers.submit(never.wait), line.submit("a", never.wait)]
    after = line.submit("a", lambda: 1)
    assert line.submit("b", lambda: 2).result(30) == 2
    assert helpers.submit(lambda: 3).result(30) == 3
    assert not after.done()
    never.set()
    assert after.result(30) == 1
    assert all(one.result(30) for one in stuck)
    helpers.shutdown()
    assert helpers.ended(30)


def test_errors_of_calls_are_raised_where_they_are_asked_for():
    helpers = Helpers("helper", 2)
    with pytest.raises(ZeroDivisionError):
        helpers.submit(lambda: 1 / 0).result(30)
    helpers.shutdown(wait=True, cancel_futures=True)
    assert helpers.submit(print).cancelled()
