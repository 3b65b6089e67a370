"""The real window, the real engine, a tiny text generator: the prompt, a trial, the tokens, the run."""

from __future__ import annotations

import json
import string

import pytest
from test_main_window import counts, drop
from test_window_real_engine import PATIENCE, TEXTS
from window_helpers import wait_for

from gui.engine_process import engine_command
from gui.main_window import MainWindow
from gui.settings import Settings

pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    """A tiny random qwen3 with a window of 512 tokens."""
    from model_folders import make_folder

    return make_folder(tmp_path_factory.mktemp("m"), "qwen3", modules=False, head="ForCausalLM", positions=512)


@pytest.fixture
def window(qtbot, make_window, tmp_path, model) -> MainWindow:
    settings = Settings(str(tmp_path / "window.ini"))
    settings.set_text("model", model)
    settings.sync()
    made = make_window(ready=False, patience=PATIENCE, command=engine_command(str(tmp_path / "session.sqlite")))
    qtbot.waitUntil(lambda: made.session.model.status == "ready" and made.live is not None, timeout=60_000)
    made.task_panel.preset("generate", {"prompt": "Say {text}", "max_new_tokens": 60})
    return made


def test_a_pile_is_counted_tried_and_run(qtbot, window, tmp_path):
    pile = tmp_path / "pile"
    pile.mkdir()
    for n in range(6):
        (pile / f"{n}.txt").write_text(TEXTS[list(TEXTS)[n % 3]], "utf-8")
    (pile / "long.txt").write_text(" ".join(TEXTS.values()) * 12, "utf-8")
    drop(window, str(pile))
    wait_for(qtbot, lambda: "1 is longer than" in window.task_panel.counts.text())
    records = window.session.job.pile.records
    wait_for(qtbot, lambda: all(row.tokens > 0 for row in records.values()))
    number = next(n for n, row in records.items() if row.name == "0.txt")
    window.pile_panel.choose(number)
    panel = window.result_panel
    wait_for(qtbot, lambda: panel.document == number)
    panel.show_prompt()
    wait_for(qtbot, lambda: panel.prompt.text.toPlainText() == f"Say {TEXTS['animal']}")
    panel.show_trial()
    wait_for(qtbot, lambda: "tokens/s" in panel.trial.note.text())
    tried = panel.trial.text.toPlainText()
    assert tried
    assert counts(window)["waiting"] == 7
    window.start()
    wait_for(qtbot, lambda: window.session.job.state.status == "finished")
    wait_for(qtbot, lambda: counts(window)["done"] == 7)
    panel.tabs.setCurrentIndex(0)
    wait_for(qtbot, lambda: panel.view.answer.toPlainText() == tried)
    assert "Tokens written" in dict(panel.view.facts.lines)


def test_what_was_extracted_is_marked_in_the_text(qtbot, window, tmp_path):
    schema = {
        "type": "object",
        "properties": {"things": {"type": "array", "items": {"type": "string", "maxLength": 1}, "minItems": 5, "maxItems": 5}},
        "required": ["things"],
        "additionalProperties": False,
    }  # fmt: skip
    (tmp_path / "a.txt").write_bytes(b"line\r\nand another\r\n" + string.printable[:95].encode())
    window.task_panel.preset("extract", {"fields": json.dumps(schema), "max_new_tokens": 80})
    drop(window, str(tmp_path / "a.txt"))
    wait_for(qtbot, lambda: counts(window).get("waiting") == 1)
    window.start()
    wait_for(qtbot, lambda: counts(window).get("done") == 1)
    window.pile_panel.choose(next(iter(window.session.job.pile.records)))
    panel = window.result_panel
    wait_for(qtbot, lambda: "fields" in panel.raw.toPlainText())
    told = json.loads(panel.raw.toPlainText())
    things, missing = told["fields"]["things"], told["not_in_text"]
    assert ("things", ", ".join(things)) in panel.view.facts.lines
    assert things
    assert told["spans"] or missing
    assert panel.text.marked() == [one for one in things if one in panel.text.toPlainText() and one.strip()]
    assert panel.text.marked(), "or this shows nothing"
