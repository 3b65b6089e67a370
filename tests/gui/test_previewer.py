"""Before a run: the prompt of the chosen document, a trial on it, the tokens of the pile, slots and memory."""

from __future__ import annotations

import pytest
from test_main_window import counts, drop
from window_helpers import wait_for

from engine.api import Plan
from gui.main_window import MainWindow

ASK = {"prompt": "What is {text}?", "max_new_tokens": 50}


@pytest.fixture
def window(qtbot, make_window) -> MainWindow:
    """A window with a text generator, the task generate filled in, and twenty documents."""
    made = make_window("--open", "cache")
    made.task_panel.preset("generate", ASK)
    drop(made, "/some/folder")
    wait_for(qtbot, lambda: counts(made).get("waiting", 0) > 10)
    return made


def choose(qtbot, window: MainWindow, even: bool) -> int:
    """Put the cursor on a waiting document with an even number (long, for the fake engine) or an odd one."""
    records = window.session.job.pile.records
    number = next(n for n, row in records.items() if row.state == "waiting" and (n % 2 == 0) == even)
    window.pile_panel.choose(number)
    wait_for(qtbot, lambda: window.result_panel.document == number)
    return number


def test_the_prompt_tab_shows_the_exact_prompt_of_the_document(qtbot, window):
    number = choose(qtbot, window, even=False)
    wait_for(qtbot, window.actions_.show_prompt.isEnabled)
    window.actions_.show_prompt.trigger()
    view = window.result_panel.prompt
    wait_for(qtbot, lambda: view.text.toPlainText() == f"<user>What is text {number}?<model>")
    assert view.note.text() == "12 tokens; 500 fit beside the answer. The marks are the model's chat template."
    window.task_panel.preset("generate", {"prompt": "Say {text}!"})
    wait_for(qtbot, lambda: "Say text" in view.text.toPlainText())


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("split", "It is asked about in 3 parts; this is the first."),
        ("head", "Only its beginning is used: 50 % of the text."),
        ("tail", "Only its end is used: 50 % of the text."),
        ("fail", "The document will be refused"),
    ],
)
def test_the_prompt_of_a_long_document_says_what_will_become_of_it(qtbot, window, policy, words):
    window.task_panel.preset("generate", {"on_overflow": policy})
    choose(qtbot, window, even=True)
    window.result_panel.show_prompt()
    view = window.result_panel.prompt
    wait_for(qtbot, lambda: words in view.note.text())
    assert view.note.text().startswith("900 tokens, and only 500 fit beside the answer.")
    assert "[… 1,234 characters are not shown …]" in view.text.toPlainText()
    assert view.text.toPlainText().endswith("the end")


def test_where_there_is_no_prompt_the_tab_says_why(qtbot, window):
    choose(qtbot, window, even=False)
    window.result_panel.show_prompt()
    view = window.result_panel.prompt
    window.task_panel.preset("classify", {"labels": "a: x\nb: y"})
    wait_for(qtbot, lambda: "has no prompt of yours" in view.note.text())
    assert view.text.toPlainText() == ""
    window.task_panel.preset("generate", {"prompt": "  "})
    wait_for(qtbot, lambda: "must be filled in" in view.note.text())


def test_a_trial_grows_ends_with_its_figures_and_leaves_the_row(qtbot, window):
    number = choose(qtbot, window, even=False)
    wait_for(qtbot, window.actions_.try_on.isEnabled)
    window.actions_.try_on.trigger()
    view = window.result_panel.trial
    assert view.note.text() == "Waiting for a worker"
    assert not view.button.isEnabled()
    wait_for(qtbot, lambda: view.note.text() == "Writing")
    assert "one two three".startswith(view.text.toPlainText())
    wait_for(qtbot, lambda: view.note.text().startswith("ended by the model"))
    assert view.text.toPlainText() == "one two three"
    assert "3 tokens" in view.note.text()
    assert "7.5 tokens/s" in view.note.text()
    assert window.session.job.pile.records[number].state == "waiting"
    assert view.button.isEnabled()
    choose(qtbot, window, even=True)
    assert view.text.toPlainText() == ""


def test_a_trial_can_be_stopped(qtbot, window):
    choose(qtbot, window, even=False)
    view = window.result_panel.trial
    window.result_panel.show_trial()
    wait_for(qtbot, lambda: not view.stop.isHidden())
    view.stop.click()
    wait_for(qtbot, lambda: view.note.text() == "cancelled")
    assert view.stop.isHidden()


def test_the_tokens_of_the_pile_are_told_once_it_is_there_and_with_every_policy(qtbot, window):
    line = window.task_panel.counts
    wait_for(qtbot, lambda: "2 are longer than the 500 that fit: split into 6 parts." in line.text())
    documents = counts(window)["waiting"]
    assert line.text().startswith(f"{documents} documents, {documents * 100:,} tokens, the longest 900.")
    window.task_panel.preset("generate", {"on_overflow": "head"})
    wait_for(qtbot, lambda: "only their beginning is used, 800 tokens are not." in line.text())
    window.task_panel.preset("generate", {"on_overflow": "fail"})
    wait_for(qtbot, lambda: "and will be refused." in line.text())


def test_slots_are_offered_for_models_that_write_and_sent_with_the_plan(qtbot, window, make_window, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    panel = window.hardware_panel
    wait_for(qtbot, lambda: not panel.slots.isHidden() and panel.slots.text() == "auto (32)")
    panel.slots.setValue(8)
    wait_for(qtbot, lambda: window.session.plan_in_use.slots == 8)
    assert window._settings.plan().slots == 8
    wait_for(qtbot, lambda: "float32, 8 slots each" in panel._line.text())
    encoder = make_window(data=other)
    wait_for(qtbot, encoder.hardware_panel.slots.isHidden)


def test_the_memory_of_a_plan_is_told_before_it_is_used(qtbot, window):
    panel = window.hardware_panel
    wait_for(qtbot, lambda: not panel.memory.isHidden() and "950 tokens" in panel.memory.text())
    assert "2.1 GB weights as float32" in panel.memory.text()
    assert "for 64 texts of 950 tokens" in panel.memory.text()
    panel.slots.setValue(4096)
    assert "some will wait for memory" in panel.memory.text()
    panel.dtype.setCurrentIndex(panel.dtype.findData("int8"))
    assert "as int8" in panel.memory.text()


def test_packed_integers_are_not_offered_to_encoders_or_on_a_gpu(qtbot, window, make_window):
    panel = window.hardware_panel
    wait_for(qtbot, lambda: panel.dtype.model().item(panel.dtype.findData("int8")).isEnabled())
    panel.device.setCurrentIndex(1)
    assert not panel.dtype.model().item(panel.dtype.findData("int4")).isEnabled()
    panel.dtype.setCurrentIndex(panel.dtype.findData("int4"))
    panel._send()
    assert panel.dtype.currentData() == "auto"
    encoder = make_window().hardware_panel
    wait_for(qtbot, lambda: not encoder.dtype.model().item(encoder.dtype.findData("int4")).isEnabled())


def test_a_plan_that_the_engine_refuses_is_taken_back(qtbot, make_window):
    window = make_window("--refuse", "SetPlan")
    panel = window.hardware_panel
    panel.workers.setValue(5)
    wait_for(qtbot, lambda: any("told to refuse" in text for text in window.messages.texts))
    wait_for(qtbot, lambda: panel.workers.value() == 0)
    assert window.session.plan == window._settings.plan() == Plan()


def test_a_model_is_weighed_under_the_cursor_before_it_is_loaded(qtbot, make_window):
    window = make_window()
    panel = window.model_panel
    wait_for(qtbot, lambda: panel.choice.findData("/models/writer") >= 0)
    panel.choice.highlighted.emit(panel.choice.findData("/models/writer"))
    facts = dict(panel.facts.lines)
    assert facts["Model"] == "writer-0.5b"
    assert facts["bf16"].endswith("fits")
    assert {"float32", "bf16", "int8", "int4"} <= facts.keys()
    panel.choice.highlighted.emit(panel.choice.findData("/models/multilingual-e5-small"))
    assert "int4" not in dict(panel.facts.lines)
