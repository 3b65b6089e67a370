"""The real window, the real engine, a tiny text generator: the prompt, a trial, the tokens, the run."""

from __future__ import annotations

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
