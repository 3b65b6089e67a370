"""Summarise: one request about a short text, a tree of them about a long one, all of it used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from host_process import ROOT
from kept_outputs import kept_in
from writing_jobs import make_decoder

from engine import tasks
from engine.api.plan import Plan
from engine.engine import Engine
from engine.errors import UsageError
from engine.requests.output import Answer, Generated
from engine.tasks.base import DocumentText, Outcome

ENGLISH = "The server was down for three hours because of a power cut."
CHINESE = "昨天晚上公司的服务器因为停电而停机了三个小时。"


def answered(*texts: str, reason: str = "end") -> dict[str, Generated]:
    return {"text": Generated("text", tuple(Answer(text, reason, 10, 5, 1.0, 0.1) for text in texts))}


def begun(text: str = ENGLISH, **settings: str):
    task = tasks.make("summarise", settings)
    return task, task.start(DocumentText("a.txt", "/a.txt", text, "content"), {})


@pytest.mark.parametrize(
    ("text", "settings", "begins"),
    [
        (ENGLISH, {}, "Summarise this text in one sentence: "),
        (CHINESE, {}, "请用一句话概括以下文本："),
        (CHINESE, {"language": "English"}, "Summarise this text in one sentence: "),
        (ENGLISH, {"language": "Chinese", "form": "bullets"}, "请用两三个简短的要点概括以下文本："),
        (
            ENGLISH,
            {"length": "paragraph", "focus": "{text} costs"},
            "Summarise this text in one paragraph, above all as to {text} costs: ",
        ),
    ],
)
def test_the_prompt_is_in_the_language_of_the_text_and_says_what_was_asked_for(text, settings, begins):
    _, step = begun(text, **settings)
    (request,) = step.requests
    assert request.asked(text) == begins + text


def test_one_summary_is_the_result_and_several_are_asked_about_again_until_one_is_left():
    task, step = begun()
    outcome = task.advance(step.state, answered("It was down."), {})
    assert isinstance(outcome, Outcome)
    assert (outcome.value["text"], outcome.value["parts"], outcome.value["levels"]) == ("It was down.", 1, 1)

    second = task.advance(step.state, answered("One, which is long.", "<think>no</think>Two.", ""), {})
    (request,) = second.requests
    assert request.text == "One, which is long.\n\nTwo."
    assert request.asked("X").startswith("These are summaries of the parts of one text")
    state = json.loads(json.dumps(second.state))  # it outlives the program as JSON
    outcome = task.advance(state, answered("Both."), {})
    assert outcome.value == {
        "text": "Both.", "finish_reason": "end", "tokens_in": 40, "tokens_out": 20, "parts": 3, "levels": 2,
    }  # fmt: skip


def test_a_writer_that_makes_nothing_shorter_is_not_asked_for_ever():
    task, step = begun()
    step = task.advance(step.state, answered("one", "two"), {})
    outcome = task.advance(step.state, answered("one", "two more"), {})
    assert isinstance(outcome, Outcome)
    assert (outcome.value["text"], outcome.value["summaries"]) == ("one\n\ntwo more", 2)


def test_a_summary_that_was_cut_says_so():
    task, step = begun()
    assert task.advance(step.state, answered("It was", reason="length"), {}).value["finish_reason"] == "length"


def test_a_length_that_is_not_known_is_refused():
    with pytest.raises(UsageError, match="Length has to be one of sentence, paragraph, page"):
        tasks.make("summarise", {"length": "book"})


# ------------------------------------------------------------------------------------------------ with a real (tiny) writer
@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_decoder(tmp_path_factory.mktemp("model")))


def value_of(engine: Engine, job: str) -> tuple[dict, float]:
    assert engine.wait(job, 60)
    ((record, result),) = engine.journal.results(job)
    return result.value, record.coverage


def test_a_long_text_gives_what_generate_gives_part_by_part_and_about_the_summaries(folder, tmp_path):
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"]
    text = " ".join(words[n * n % 10] for n in range(250))
    with Engine(str(tmp_path / "j.sqlite")) as engine:
        engine.set_plan(Plan("cpu", 1, 1, "float32")).result()
        engine.open_model(folder).result()

        def run(job: str, task: str, content: str, settings: dict) -> tuple[dict, float]:
            engine.create_job(job)
            engine.add_texts(job, [("a.txt", content)]).result()
            engine.submit(job, task, settings)
            return value_of(engine, job)

        found, coverage = run("tree", "summarise", text, {})
        assert coverage == 1.0
        assert found["parts"] > 1
        assert found["levels"] > 1

        prompt, current, before = "Summarise this text in one sentence: {text}", text, 0
        for level in range(found["levels"]):
            current, _ = run(f"level {level}", "generate", current, {"prompt": prompt, "max_new_tokens": 96})
            parts, current = current["parts"], current["text"]
            current = (
                "\n\n".join(part.strip() for part in current.split("\n\n") if part.strip())
                if parts > 1
                else current.strip()
            )
            if parts == 1 or (before and len(current) >= before):
                break
            before = len(current)
            prompt = "These are summaries of the parts of one text, in their order. Make one summary of them in one sentence: {text}"
        assert found["text"] == current


KILLED = """
import sys, time
import engine.jobs.document
from engine.cli.main import main
from engine.tasks.summarise import Summarise

engine.jobs.document.KEEP_SECONDS = 0.0
advance = Summarise.advance


def hangs(self, state, outputs, job):
    if state["level"]:
        time.sleep(600)
    return advance(self, state, outputs, job)


Summarise.advance = hangs if sys.argv[1] == "hangs" else advance
sys.exit(main(sys.argv[2:]))
"""


def test_a_program_that_is_killed_between_the_levels_goes_on_there(folder, tmp_path):
    (tmp_path / "a.txt").write_text(" ".join(f"alpha {n} beta" for n in range(50)))

    def command(how: str, out: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, how, "run", "summarise", str(tmp_path / "a.txt"), "--model", folder, "--quiet", "--dtype", "float32",
             "--out", str(tmp_path / out), "--report", str(tmp_path / f"{out}.report")],
            cwd=ROOT, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    process = command("hangs", "killed.jsonl")
    end = time.monotonic() + 60
    try:
        while not kept_in(tmp_path / "killed.jsonl.journal"):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end
            os.sched_yield()
    finally:
        process.kill()
        process.communicate(timeout=30)
    for out in ("killed.jsonl", "whole.jsonl"):
        process = command("goes on", out)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    rows = [json.loads((tmp_path / out).read_text()) for out in ("killed.jsonl", "whole.jsonl")]
    assert rows[0]["result"] == rows[1]["result"]
    assert rows[0]["result"]["levels"] > 1
    asked = [
        json.loads((tmp_path / f"{out}.report").read_text())["generation"]["prefill_tokens"]
        for out in ("killed.jsonl", "whole.jsonl")
    ]
    told = [(row["tokens"], row["coverage"], row["unknown_share"]) for row in rows]
    assert told[0] == told[1], "the row of the one that went on tells as much of its text"
    assert asked[0] <= asked[1] - rows[0]["tokens"], "the text itself was not read again"
