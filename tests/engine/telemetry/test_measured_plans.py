"""The file of measured plans: by model and length of texts, whole with several writers, damaged ones set aside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.api.plan import Plan
from engine.telemetry import measured_plans

TWO = Plan("cpu", 2, 1, "float32")
ONE = Plan("cpu", 1, 2, "float32")

WRITER = """
import sys
from engine.api.plan import Plan
from engine.telemetry import measured_plans
print("ready", flush=True)
sys.stdin.readline()
for n in range(40):
    measured_plans.keep(f"{sys.argv[1]}-{n}", Plan("cpu", 2, 1, "float32"), [], "short")
"""


def test_a_plan_holds_for_its_model_format_and_length_of_texts_and_the_latest_where_no_length_is_known():
    measured_plans.keep("model", TWO, [], "short")
    measured_plans.keep("model", ONE, [], "long")
    assert measured_plans.best("model", "float32", "short") == TWO
    assert measured_plans.best("model", "float32", "long") == ONE
    assert measured_plans.best("model", "float32") == measured_plans.best("model", "float32", "medium") == ONE
    assert measured_plans.best("model", "bf16") is None
    assert measured_plans.best("mode", "float32") is None
    assert measured_plans.best("", "float32") is None


def test_a_plan_that_was_measured_before_lengths_were_told_apart_is_still_used():
    measured_plans.keep("model", TWO, [], "short")
    place = Path(measured_plans.path())
    kept = json.loads(place.read_text("utf-8"))
    place.write_text(json.dumps({key.rpartition("|")[0]: entry for key, entry in kept.items()}), "utf-8")
    assert measured_plans.best("model", "float32", "long") == TWO


@pytest.mark.parametrize(
    ("texts", "expected"),
    [(["word"] * 9 + ["x" * 90_000], "short"), (["x" * 3000], "medium"), (["x" * 20_000] * 2 + ["word"], "long")],
)
def test_the_length_of_most_texts_decides(texts, expected):
    assert measured_plans.length_class(texts) == expected


@pytest.mark.parametrize("text", ["", "[]", "{", "\0", "[" * 100_000])
def test_a_damaged_file_is_as_none_and_set_aside_by_the_next_plan(text):
    place = Path(measured_plans.path())
    place.parent.mkdir(parents=True)
    place.write_text(text, "utf-8")
    assert measured_plans.best("model", "float32") is None
    measured_plans.keep("model", TWO, [], "short")
    assert measured_plans.best("model", "float32") == TWO
    assert Path(f"{place}.damaged").read_text("utf-8") == text


def test_entries_that_somebody_wrote_by_hand_are_passed_over():
    measured_plans.keep("model", TWO, [], "short")
    place = Path(measured_plans.path())
    kept = json.loads(place.read_text("utf-8"))
    (key,) = kept
    place.write_text(json.dumps({"x": 1, f"{key[:-5]}long": {"plan": {"workers": "many"}}, **kept}), "utf-8")
    assert measured_plans.best("model", "float32") == TWO
    assert measured_plans.best("model", "float32", "long") == TWO


def test_plans_of_several_processes_that_write_at_once_are_all_kept():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [sys.executable, "-c", WRITER]
    writers = [subprocess.Popen([*command, name], env=os.environ.copy(), **pipes) for name in ("a", "b", "c")]
    for writer in writers:
        assert writer.stdout.readline().strip() == b"ready"
    for writer in writers:  # all at once
        writer.stdin.write(b"go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    for name in ("a", "b", "c"):
        for n in range(40):
            assert measured_plans.best(f"{name}-{n}", "float32", "short") == TWO
