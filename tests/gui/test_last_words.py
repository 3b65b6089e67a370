"""What is quoted of an engine that ended belongs to that end."""

from __future__ import annotations

from window_helpers import Recorder, wait_for

from gui.last_words import NEAR, LastWords

INFO = "2026-01-02 10:00:00,123 INFO engine.workers.manager: the model is ready"
ERROR = "2026-01-02 10:00:00,123 ERROR engine.server.stdio: The journal is of a newer version."


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def said(*lines: str, later: float = 0.0) -> str:
    clock = Clock()
    words = LastWords(clock=clock)
    words.begin()
    for line in lines:
        words.hear(line)
    clock.now += later
    return words.said()


def test_ordinary_lines_are_not_quoted():
    assert said(INFO) == ""
    assert said("odd words of a library", INFO) == ""
    assert said() == ""


def test_the_message_of_an_error_is():
    assert said(INFO, ERROR) == "The journal is of a newer version."


def test_an_error_of_long_ago_is_not():
    assert said(ERROR, later=NEAR + 1) == ""


def test_the_exception_of_a_traceback_is():
    assert (
        said(INFO, "Traceback (most recent call last):", '  File "x"', "MemoryError: no room") == "MemoryError: no room"
    )


def test_of_a_fault_in_native_code_its_first_line_is():
    dump = (
        "Fatal Python error: Segmentation fault",
        "Current thread 0x1:",
        '  File "x", line 1',
        "Extension modules: y",
    )
    assert said(INFO, *dump) == dump[0]


def test_an_engine_that_is_killed_is_not_given_the_words_of_the_one_before(qtbot, make_client, tmp_path):
    lines = ("--stderr", ERROR, "--stderr", INFO)
    client = make_client(*lines, "--die-at-start", "--marker", tmp_path / "m", "--deaths", 2)
    died = Recorder(client.died)
    client.start()
    wait_for(qtbot, lambda: len(died.heard) == 2)
    assert all("SIGKILL" in text for text in died.heard)
    assert not any("last words" in text for text in died.heard)


def test_an_engine_that_says_why_it_ends_is_quoted(qtbot, make_client, tmp_path):
    client = make_client("--stderr", INFO, "--stderr", ERROR, "--die-at-start", "--marker", tmp_path / "m")
    died = Recorder(client.died)
    client.start()
    wait_for(qtbot, lambda: died.heard)
    assert "Its last words: The journal is of a newer version." in died.heard[0]
