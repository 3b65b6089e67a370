"""Models that think: the row's text is the answer, the thought is kept apart, and one without end is said to be so."""

from __future__ import annotations

import csv
import itertools
import json
import os

import pytest
from chain_model import make_folder
from engine_helpers import states_of

from engine.cli.main import main

CHAIN = {
    "ask": "<think>",
    "<think>": "so",
    "so": "</think>",
    "</think>": "yes",
    "yes": "<end>",
    "muse": "hm",
    "hm": "hm",
    "say": "<think>",
}
TEMPLATE = (
    "{% for m in messages %}{{ m['content'] + ' ' }}{% endfor %}{% if add_generation_prompt %}"
    "{% if enable_thinking is defined and not enable_thinking %}<think> </think>{% else %}ask{% endif %}{% endif %}"
)
OPENING = TEMPLATE.replace("ask", "<think>")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that thinks after "ask"; without a template."""
    return make_folder(str(tmp_path_factory.mktemp("thinks")), CHAIN)


def run(tmp_path, model, prompt, *options, form="jsonl"):
    """Run the command over one document and return its row."""
    source = tmp_path / "a.txt"
    source.write_text("hm")
    out = tmp_path / f"out.{form}"
    limits = ["--max-new-tokens", "9", "--dtype", "float32", "--quiet", "--out", str(out)]
    assert main(["run", "generate", "--prompt", prompt, str(source), "--model", model, *limits, *options]) == 0
    if form == "csv":
        with open(out, encoding="utf-8-sig", newline="") as file:
            return next(csv.DictReader(file))
    return json.loads(out.read_text())["result"] if form == "jsonl" else out.read_text()


def test_exports_have_the_thought_in_a_column_and_reports_have_the_answer(tmp_path, folder):
    row = run(tmp_path, folder, "{text} ask", form="csv")
    assert (row["text"], row["thought"]) == ("yes", "so")
    assert "| yes |" in run(tmp_path, folder, "{text} ask", form="md")


def test_a_thought_that_never_ends_is_a_reason_of_its_own(tmp_path, folder):
    result = run(tmp_path, folder, "{text} ask", "--max-new-tokens", "2")
    assert (result["text"], result["thought"], result["finish_reason"]) == ("", "so", "thinking")


def test_an_answer_without_a_thought_is_as_it_was(tmp_path, folder):
    result = run(tmp_path, folder, "{text} muse", "--max-new-tokens", "3")
    assert (result["text"], result["finish_reason"]) == ("hm hm hm", "length")
    assert "thought" not in result


def test_thinking_is_switched_off_where_the_template_knows_how(tmp_path):
    model = make_folder(str(tmp_path / "model"), CHAIN, template=TEMPLATE)
    assert run(tmp_path, model, "{text}")["thought"] == "so"
    result = run(tmp_path, model, "{text}", "--thinking", "off")
    assert (result["text"], result["finish_reason"]) == ("yes", "end")
    assert "thought" not in result


def test_a_thought_that_the_template_opened_is_one_too(tmp_path):
    model = make_folder(str(tmp_path / "model"), CHAIN, template=OPENING)
    result = run(tmp_path, model, "{text}")
    assert (result["text"], result["thought"]) == ("yes", "so")
    result = run(tmp_path, model, "{text}", "--max-new-tokens", "1")
    assert (result["text"], result["thought"], result["finish_reason"]) == ("", "so", "thinking")


def test_marks_of_thoughts_that_are_special_tokens_are_seen_all_the_same(tmp_path):
    chain = {"ask": "[THINK]", "[THINK]": "so", "so": "[/THINK]", "[/THINK]": "yes", "yes": "<end>"}
    model = make_folder(str(tmp_path / "model"), chain, special=("[THINK]", "[/THINK]"))
    result = run(tmp_path, model, "{text} ask")
    assert (result["text"], result["thought"]) == ("yes", "so")


def test_channels_are_thoughts_and_answers(tmp_path):
    final = "<|start|>assistant<|channel|>final<|message|>"
    words = f"ask <|channel|> analysis <|message|> so <|end|> {final} yes <end>".split()
    chain = dict(itertools.pairwise(words))
    special = ("<|channel|>", "<|message|>", "<|end|>")
    model = make_folder(str(tmp_path / "model"), chain, special=special)
    result = run(tmp_path, model, "{text} ask")
    assert (result["text"], result["thought"], result["finish_reason"]) == ("yes", "so", "end")


def test_a_document_that_ends_with_the_mark_of_a_thought_opens_none(tmp_path, folder):
    source = tmp_path / "a.txt"
    source.write_text("the manual says <think>")
    out = tmp_path / "out.jsonl"
    command = ["run", "generate", "--prompt", "{text}", str(source), "--model", folder, "--max-new-tokens", "4"]
    assert main([*command, "--dtype", "float32", "--quiet", "--out", str(out)]) == 0
    result = json.loads(out.read_text())["result"]
    assert (result["text"], "thought" in result) == ("so </think> yes", False)


def test_a_hidden_thought_is_neither_shown_while_it_grows_nor_afterwards(fresh_engine, folder):
    job = os.urandom(4).hex()
    engine = fresh_engine()
    engine.open_model(folder, "float32").result(60)
    engine.create_job(job)
    engine.add_texts(job, [("a", "hm")]).result(30)
    settings = {"prompt": "{text} ask", "max_new_tokens": 9, "thinking": "hide"}
    (number,) = states_of(engine, job)
    assert "thought" not in engine.try_on(job, number, "generate", settings).result(60)["result"]
    engine.submit(job, "generate", settings)
    assert engine.wait(job, 60)
    told = engine.inspect(job, number).result(30)["result"]
    assert (told["text"], "thought" in told) == ("yes", False)
    task = engine.coordinator.call(lambda: engine.coordinator.job(job).task)
    assert [task.shown(text) for text in ("<think> s", "<think> so </think> ye")] == ["", "ye"]


def test_the_thought_has_a_field_of_its_own_and_showing_or_hiding_it_asks_no_model_again(tmp_path, folder, capsys):
    result = run(tmp_path, folder, "{text} ask", "--thinking", "show")
    assert (result["text"], result["thought"], result["finish_reason"]) == ("yes", "so", "end")
    source, out = tmp_path / "a.txt", tmp_path / "out.jsonl"
    command = ["run", "generate", "--prompt", "{text} ask", str(source), "--model", folder, "--max-new-tokens", "9"]
    assert main([*command, "--dtype", "float32", "--out", str(out), "--thinking", "hide"]) == 0
    assert "1 of 1 documents are done" in capsys.readouterr().err
    assert json.loads(out.read_text())["result"] == result
