"""Small parts of the window, each with its claim: awake, collector, theme, chips, messages, results, singletons."""

from __future__ import annotations

import gc
import os
import re
import subprocess
import sys

import pytest
from PySide6.QtCore import QProcess
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QCheckBox, QRadioButton, QWidget
from window_helpers import wait_for

from assets import path as asset_path
from engine.api import DocumentRow, JobState, Meters, Notice
from gui import awake as awake_module
from gui import progress
from gui.awake import Awake
from gui.collector import Collector
from gui.job import Job
from gui.panels.result_view import ResultView
from gui.theme import DARK, LIGHT, Colours
from gui.widgets.chips import Chips
from gui.widgets.facts import FactList
from gui.widgets.flow import FlowLayout
from gui.widgets.message_bar import KEPT, MessageBar
from gui.widgets.score_bars import ScoreBars


# ---- awake
def test_the_machine_is_held_awake_by_one_process_and_let_go(qtbot, monkeypatch):
    monkeypatch.setattr(awake_module, "_command", lambda: (sys.executable, ["-c", "import time; time.sleep(60)"]))
    made = Awake()
    made.hold(True)
    made.hold(True)
    (process,) = made.findChildren(QProcess)
    wait_for(qtbot, lambda: process.state() == QProcess.ProcessState.Running)
    made.hold(False)
    wait_for(qtbot, lambda: not made.findChildren(QProcess))
    made.deleteLater()


@pytest.mark.parametrize("command", [None, ("/nowhere/inhibit", [])])
def test_failing_to_stay_awake_is_silent(qtbot, monkeypatch, command):
    monkeypatch.setattr(awake_module, "_command", lambda: command)
    made = Awake()
    made.hold(True)
    assert made.held
    qtbot.wait(50)
    made.close()
    assert not made.held
    made.deleteLater()


def test_close_leaves_no_process(qtbot, monkeypatch):
    monkeypatch.setattr(awake_module, "_command", lambda: (sys.executable, ["-c", "import time; time.sleep(60)"]))
    made = Awake()
    made.hold(True)
    (process,) = made.findChildren(QProcess)
    assert process.waitForStarted(5000)
    made.close()
    assert process.state() == QProcess.ProcessState.NotRunning
    made.deleteLater()


# ---- garbage
def test_garbage_is_collected_by_the_timer_only():
    assert gc.isenabled()
    made = Collector()
    try:
        assert not gc.isenabled()
        gc.collect()
        rings = [[] for _ in range(5000)]
        for ring in rings:
            ring.append(ring)
        before = gc.get_count()[0]
        del rings, ring
        assert made.look() == 0
        assert gc.get_count()[0] < before
    finally:
        made.close()
    assert gc.isenabled()


# ---- theme
def _luminance(colour: str) -> float:
    def linear(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    red, green, blue, _ = QColor(colour).getRgbF()
    return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)


def contrast(a: str, b: str) -> float:
    """Return the contrast ratio of two colours (WCAG 2.1)."""
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_texts_can_be_read_on_their_grounds(colours: Colours):
    for role in ("text", "muted", "done", "warning", "error"):
        for ground in ("window", "base", "alternate", "raised"):
            assert contrast(getattr(colours, role), getattr(colours, ground)) >= 4.5, (role, ground)
    assert contrast(colours.on_accent, colours.accent) >= 4.5
    assert contrast(colours.on_accent, colours.accent_hover) >= 4.5
    assert contrast(colours.text, colours.soft) >= 4.5


def test_themes_change_palette_and_icons(theme, qapp):
    told = []
    theme.changed.connect(lambda: told.append(1))
    light = theme.icon("done", "done").pixmap(16, 16).toImage()
    theme.set_mode("dark")
    assert qapp.palette().window().color().name() == DARK.window
    assert theme.icon("done", "done").pixmap(16, 16).toImage() != light
    theme.set_mode("light")
    assert qapp.palette().window().color().name() == LIGHT.window
    assert len(told) == 2
    theme.set_mode("nonsense")
    assert theme.mode == "system"
    theme.set_mode("light")


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("kind", [QCheckBox, QRadioButton])
def test_what_can_be_ticked_is_seen_before_and_after(qtbot, theme, mode, kind):
    theme.set_mode(mode)
    box = kind("")
    qtbot.addWidget(box)
    box.resize(24, 24)
    pictures = []
    for ticked in (False, True):
        box.setChecked(ticked)
        pictures.append(box.grab().toImage())
    theme.set_mode("light")
    colours = DARK if mode == "dark" else LIGHT
    seen = [
        sum(contrast(image.pixelColor(x, y).name(), colours.window) >= 3 for x in range(16) for y in range(24))
        for image in pictures
    ]
    assert min(seen) >= 20
    assert pictures[0] != pictures[1]


def test_every_icon_that_the_code_names_is_there_and_draws(theme):
    root = os.path.dirname(os.path.dirname(os.path.abspath(awake_module.__file__)))
    for file in os.listdir(asset_path("icons")):
        name = file.removesuffix(".svg")
        image = theme.pixmap(name, "text", 24).toImage()
        drawn = sum(image.pixelColor(x, y).alpha() > 0 for x in range(24) for y in range(24))
        assert drawn > 8, name
    used: set[str] = set()
    for folder, _, files in os.walk(os.path.join(root, "gui")):
        for file in files:
            if file.endswith(".py"):
                with open(os.path.join(folder, file), encoding="utf-8") as source:
                    used.update(re.findall(r"\.(?:icon|pixmap)\(\s*\"([a-z-]+)\"", source.read()))
    assert used
    assert all(asset_path("icons", f"{name}.svg").exists() for name in used)


# ---- chips, messages, facts
def test_chips_show_counts_and_the_rare_state_only_when_there_is_one(qtbot, theme):
    chips = Chips(theme)
    qtbot.addWidget(chips)
    chips.show()
    chips.set_counts({"waiting": 1200, "done": 3})
    assert chips.button("").text() == "all 1,203"
    assert chips.button("waiting").text() == "waiting 1,200"
    assert not chips.button("cancelled").isVisible()
    chips.set_counts({"cancelled": 2})
    assert chips.button("cancelled").isVisible()
    told = []
    chips.chosen.connect(told.append)
    chips.button("cancelled").click()
    chips.set_counts({})
    assert chips.button("cancelled").isVisible(), "the chosen filter does not vanish"
    assert told == ["cancelled"]
    assert chips.state == "cancelled"


def test_chips_wrap_where_there_is_no_room(qtbot, theme):
    chips = Chips(theme)
    qtbot.addWidget(chips)
    layout = chips.layout()
    assert isinstance(layout, FlowLayout)
    one_line = layout.sizeHint().height()
    assert layout.heightForWidth(layout.sizeHint().width()) == one_line
    assert layout.heightForWidth(layout.sizeHint().width() // 2) > one_line


def test_messages_are_plain_text_newest_first_and_counted(qtbot, theme):
    bar = MessageBar(theme)
    qtbot.addWidget(bar)
    bar.add([Notice("info", "one"), Notice("error", "<b>two</b>"), Notice("info", "one")])
    assert bar.texts == ["one", "<b>two</b>"]
    assert bar._more.text() == "1 more"
    bar._more.click()
    assert bar._rows.count() == 2
    bar.add([Notice("warning", f"message {n}") for n in range(3 * KEPT)])
    assert len(bar.texts) == KEPT
    bar.dismiss()
    assert bar.isHidden()


def test_facts_reuse_their_lines(qtbot, theme):
    facts = FactList()
    qtbot.addWidget(facts)
    facts.set_lines([("a", "1"), ("b", "<i>2</i>")])
    assert facts.lines == [("a", "1"), ("b", "<i>2</i>")]
    labels = len(facts.findChildren(QWidget))
    facts.set_lines([("c", "3")])
    assert facts.lines == [("c", "3")]
    facts.set_lines([("d", "4"), ("e", "5")])
    assert len(facts.findChildren(QWidget)) == labels


# ---- results
ROW = DocumentRow(1, 1, "a.txt", "/a.txt", 10, "done", tokens=12, seconds=0.2, worker=1)


def test_scores_are_bars_best_first_with_a_text_twin(qtbot, theme):
    bars = ScoreBars(theme)
    qtbot.addWidget(bars)
    bars.set_scores({"b": 0.1, "a\u202e": 0.5, "c": -0.2})
    assert [label for label, _ in bars.scores] == [r"a\u202e", "b", "c"]
    assert "0.500" in bars.accessibleDescription()
    bars.resize(300, 100)
    assert not bars.grab().toImage().allGray()


def test_an_unsure_label_is_called_so(qtbot, theme):
    view = ResultView(theme)
    qtbot.addWidget(view)
    view.show_result(
        ROW, {"label": "billing", "unsure": True, "scores": {"billing": 0.2, "x": 0.19}, "margin": 0.01}, ""
    )
    assert view._title.text() == "Unsure, closest to billing"
    assert ("Lead over the second", "0.010") in view.facts.lines


def test_a_vector_shows_its_facts_and_first_values(qtbot, theme):
    view = ResultView(theme)
    qtbot.addWidget(view)
    view.show_result(ROW, {"dimension": 384, "norm": 1.0, "windows": 2, "vector": [0.5] * 16}, "")
    facts = dict(view.facts.lines)
    assert facts["Dimensions"] == "384"
    assert facts["First values"].count("0.500") == 8
    assert facts["First values"].endswith("…")
    assert view.bars.isHidden()


def test_what_was_extracted_is_shown_as_it_was_found_and_what_was_not_said_is_told(qtbot, theme):
    view = ResultView(theme)
    qtbot.addWidget(view)
    fields = {
        "name": "A\u202eb",
        "amount": 1249.5,
        "things": ["a pot", "2 cups"],
        "paid": None,
        "sure": False,
        "none": [],
    }
    view.show_result(ROW, {"fields": fields, "valid": True, "not_in_text": ["things"], "spans": [["name", 0, 3]]}, "")
    assert view._title.text() == "What was found"
    assert view.facts.lines[:6] == [
        ("name", r"A\u202eb"), ("amount", "1249.5"), ("things", "a pot, 2 cups"), ("paid", "(not said)"), ("sure", "no"),
        ("none", "(not said)"),
    ]  # fmt: skip
    assert ("Not word for word in the text", "things") in view.facts.lines
    assert not [name for name, _ in view.facts.lines if name in ("spans", "fields")]


def test_a_result_of_an_unknown_task_is_shown_by_its_keys(qtbot, theme):
    view = ResultView(theme)
    qtbot.addWidget(view)
    view.show_result(ROW, {"language": "de", "people": ["A", "B"], "sure": True}, "")
    assert ("language", "de") in view.facts.lines
    assert ("people", "A  B") in view.facts.lines
    assert ("sure", "yes") in view.facts.lines


def test_a_thought_stands_above_the_answer_and_not_among_the_facts(qtbot, theme):
    view = ResultView(theme)
    qtbot.addWidget(view)
    view.show_result(ROW, {"text": "Yes.", "thought": "Is it?", "finish_reason": "end"}, "")
    assert view.answer.toPlainText() == "Thought:\nIs it?\n\nAnswer:\nYes."
    assert [name for name, _ in view.facts.lines if name.lower() == "thought"] == []
    view.show_result(ROW, {"text": "", "finish_reason": "thinking"}, "")
    assert ("Answer", "ended before the thought did; there is no answer") in view.facts.lines


def test_no_answer_says_why(qtbot, theme):
    view = ResultView(theme)
    qtbot.addWidget(view)
    view.show_result(None, None, "This document is no longer on the pile.")
    assert view._reason.text() == "This document is no longer on the pile."


# ---- progress
def job(status: str, eta: float = -1.0, elapsed: float = 0.0, **counts: int) -> Job:
    return Job("a", "A", JobState("a", "A", status, False, 0, "embed", counts, 0, 0, elapsed, eta))


def test_the_sentence_of_a_running_job(theme):
    state = job("running", eta=8.2, elapsed=36.0, waiting=120, running=51, done=812, failed=3, skipped=14)
    text = progress.sentence(state, Meters(documents_per_s=22.4))
    assert text == (
        "812 of 1,000 done, 14 skipped, 3 failed   |   22.4 documents/s   |   about 8 s left   |   36 s so far"
    )
    assert progress.share(state) == pytest.approx(0.829)


def test_no_time_left_is_named_when_it_means_nothing(theme):
    assert "left" not in progress.sentence(job("running", done=1, waiting=9), Meters(documents_per_s=1.0))
    assert "left" not in progress.sentence(job("paused", eta=8.0, done=1, waiting=9), Meters())


def test_a_job_that_cannot_begin_before_the_model_is_there_says_so(theme):
    text = progress.sentence(job("queued", waiting=10), Meters(), loading=True)
    assert text == "0 of 10 done   |   waiting for the model, which is being loaded"
    assert "waiting for" not in progress.sentence(job("paused", waiting=10), Meters(), loading=True)


def test_an_empty_pile_has_no_share():
    assert progress.share(None) == 0
    assert progress.share(job("ready")) == 0


# ---- None, True, False
def test_none_survives_many_calls_that_return_nothing():
    """PySide6 6.12.0 on Python 3.11 takes a reference of None with every such call; without the guard this ends in a
    fatal error after some ten thousand."""
    code = (
        "import gui\n"
        "from PySide6.QtCore import QObject, Signal\n"
        "class O(QObject):\n"
        "    s = Signal()\n"
        "o = O()\n"
        "for _ in range(300_000):\n"
        "    o.setObjectName('x'); o.s.emit()\n"
    )
    root = os.path.dirname(os.path.dirname(os.path.abspath(awake_module.__file__)))
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
