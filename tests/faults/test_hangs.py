"""FAULTS 40: what never returns holds up only itself; the command ends when it is told to, names it, and goes on."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faulty import ROOT, finish, make_pile, rows_of, start
from model_folders import make_folder
from stub_engine import HANGS, HOLDS, NEVER_COUNTED, NEVER_READ

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")

HANGING = {HANGS: "1"}
BOUND = 30.0
"""Seconds for what takes five, on a machine that does other things as well."""


def wait_until_it_hangs(out, step: str, name: str) -> None:
    """Wait until the command says, in the file beside its journal, that it is at this step with ``name``."""
    place, end = Path(f"{out}.journal.doing"), time.monotonic() + 60
    entry = re.compile(rb"\t%s(\t[^\t]*){5}\t[^\0]*%s" % (step.encode(), re.escape(name.encode())))
    while not (place.exists() and entry.search(place.read_bytes())):
        assert time.monotonic() < end, "it never came to it"
        os.sched_yield()


def pile_with(tmp_path, kind: str) -> tuple[Path, str]:
    """Make a pile of which one thing never returns; returns it and the name of that."""
    pile = make_pile(tmp_path / "pile", 12)
    if kind == "read":
        (pile / f"0005 {NEVER_READ}.txt").write_text("on a disk that does not answer")
        return pile, f"0005 {NEVER_READ}.txt"
    if kind == "folder":
        (pile / NEVER_READ).mkdir()
        return pile, NEVER_READ
    (pile / "0005 odd.txt").write_text(f"odd {NEVER_COUNTED if kind == 'tokens' else HOLDS}")
    return pile, "0005 odd.txt"


@pytest.mark.parametrize(("kind", "number"), [("read", signal.SIGTERM), ("tokens", signal.SIGINT)])
def test_a_command_told_to_end_while_a_document_hangs_ends_names_it_and_goes_on_without_it(tmp_path, kind, number):
    pile, name = pile_with(tmp_path, kind)
    out = tmp_path / "rows.jsonl"
    process = start(pile, out, environment=HANGING)
    wait_until_it_hangs(out, kind, name)
    process.send_signal(number)
    code, errors = finish(process, BOUND)
    assert code == 130, errors
    assert name in errors
    code, errors = finish(start(pile, out, environment=HANGING), BOUND)
    assert code == 1, errors
    rows = rows_of(out)
    row = rows.pop(name)
    assert row["state"] == "quarantined"
    assert "set aside" in row["error"]
    assert {row["state"] for row in rows.values()} == {"done"}
    assert len(rows) == 12
    assert finish(start(pile, out, "--retry-quarantined"), BOUND)[0] == 0
    assert rows_of(out)[name]["state"] == "done"


def test_a_command_held_up_by_a_call_that_lets_nothing_else_run_ends_and_the_next_knows_the_document(tmp_path):
    pile, name = pile_with(tmp_path, "holds")
    out = tmp_path / "rows.jsonl"
    process = start(pile, out, environment=HANGING)
    wait_until_it_hangs(out, "tokens", name)
    process.send_signal(signal.SIGTERM)
    code, errors = finish(process, BOUND)
    assert code == -signal.SIGKILL, errors
    assert "The same command goes on" in errors
    code, errors = finish(start(pile, out, environment=HANGING), BOUND)
    assert code == 1, errors
    assert name in errors
    rows = rows_of(out)
    assert rows.pop(name)["state"] == "quarantined"
    assert {row["state"] for row in rows.values()} == {"done"}


def test_a_command_told_to_end_while_a_folder_hangs_names_the_folder(tmp_path):
    pile, name = pile_with(tmp_path, "folder")
    out = tmp_path / "rows.jsonl"
    process = start(pile, out, environment=HANGING)
    wait_until_it_hangs(out, "list", name)
    process.send_signal(signal.SIGTERM)
    code, errors = finish(process, BOUND)
    assert code == 130, errors
    assert f"{pile}/{name}" in errors
    assert finish(start(pile, out), BOUND)[0] == 0


ENDLESS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
    "{% if 'odd' in m['content'] %}{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}{% endif %}"
    "{% endfor %}"
)
"""A chat template that does not end with one text in ten thousand, and so with none that it is tried with."""


def test_a_command_told_to_end_while_a_chat_template_does_not_end_names_the_model(tmp_path):
    model = make_folder(tmp_path / "model", "qwen3", modules=False, head="ForCausalLM", positions=1024)
    Path(model, "chat_template.jinja").write_text(ENDLESS)
    pile = make_pile(tmp_path / "pile", 2)
    (pile / "0001.txt").write_text("an odd text")
    out = tmp_path / "rows.jsonl"
    process = subprocess.Popen(
        [sys.executable, "-m", "engine", "run", "generate", "--prompt", "{text}", "--max-new-tokens", "2", str(pile)]
        + ["--out", str(out), "--model", model, "--dtype", "float32"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    wait_until_it_hangs(out, "prompt", model)
    process.send_signal(signal.SIGTERM)
    code, errors = finish(process, BOUND)
    assert code == 130, errors
    assert f"model {model}" in errors
    assert not [row for row in rows_of(out).values() if row["state"] == "quarantined"], "no document is to blame"


def test_a_command_goes_on_by_itself_without_a_document_that_does_not_end(tmp_path):
    pile, name = pile_with(tmp_path, "tokens")
    (pile / f"0007 {NEVER_READ}.txt").write_text("and this one cannot be read")
    out = tmp_path / "rows.jsonl"
    code, errors = finish(start(pile, out, "--patience", "1.5", environment=HANGING), 90)
    assert code == 1, errors
    rows = rows_of(out)
    assert {n for n, row in rows.items() if row["state"] == "quarantined"} == {name, f"0007 {NEVER_READ}.txt"}
    assert sum(row["state"] == "done" for row in rows.values()) == 12
    assert not list(tmp_path.glob("rows.jsonl.journal.*")), "nothing is left beside the journal"


def test_a_folder_that_does_not_answer_costs_its_own_files_only(tmp_path):
    pile, name = pile_with(tmp_path, "folder")
    out = tmp_path / "rows.jsonl"
    code, errors = finish(start(pile, out, "--patience", "1.5", environment=HANGING), 60)
    assert code == 1, errors
    assert f"{pile}/{name}" in errors
    assert {row["state"] for row in rows_of(out).values()} == {"done"}
    assert len(rows_of(out)) == 12
