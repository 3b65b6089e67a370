"""Extract: every row valid or marked, every span where it says, and nothing in a column that the form did not ask for."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import string
import subprocess
import sys
import time

import pytest
from host_process import ROOT
from hypothesis import given
from hypothesis import strategies as st
from kept_outputs import kept_in
from model_folders import make_folder

from engine import tasks
from engine.api.fields import CHOICE, LIST, parse_fields
from engine.api.plan import Plan
from engine.documents.evidence import find_value
from engine.engine import Engine
from engine.errors import UsageError
from engine.requests.output import Answer, Generated
from engine.tasks.base import DocumentText, Outcome

FIELDS = "name: who wrote it\norder\namount (number): the sum\nthings (list): what was bought\nstate (open | paid)"
MAIL = "I am Ada  Lovelace.\nOrder A-17, two Cups and a pot, 1.249,50 euro."


def answered(*texts: str, reason: str = "end", key: str = "text") -> dict[str, Generated]:
    return {key: Generated(key, tuple(Answer(text, reason, 10, 5, 1.0, 0.1) for text in texts))}


def begun(text: str = MAIL, fields: str = FIELDS, **settings):
    task = tasks.make("extract", {"fields": fields, "check_every": 0, **settings})
    return task, task.start(DocumentText("a.txt", "/a.txt", text, "ab" * 32), {})


def form(**values) -> str:
    return json.dumps({"name": None, "order": None, "amount": None, "things": [], "state": None, **values})


# --------------------------------------------------------------------------------------------------------------- the fields
def test_fields_are_read_as_they_are_typed():
    wanted = parse_fields("name\n amount ( Whole  Number ) : the sum: all of it \nstate (open|paid)\nitems (list)")
    assert [(one.name, one.kind, one.description, one.choices) for one in wanted.fields] == [
        ("name", "text", "", ()),
        ("amount", "whole number", "the sum: all of it", ()),
        ("state", CHOICE, "", ("open", "paid")),
        ("items", LIST, "", ()),
    ]
    assert wanted.schema["required"] == ["name", "amount", "state", "items"]


def test_a_schema_is_taken_as_it_is():
    schema = {"type": "object", "properties": {"a": {"type": "integer", "description": "the first"}}}
    wanted = parse_fields(json.dumps(schema))
    assert wanted.schema == schema
    assert [(one.name, one.description) for one in wanted.fields] == [("a", "the first")]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("   ", "Fields is needed"),
        (": no name", "A field is a name"),
        ("a (colour): of it", "can be text, number"),
        ("a\na", "there twice"),
        ("state (open |)", "at least two choices"),
        ('{"type": "array"}', "has to be one of an object"),
        ('{"type": ', "no JSON"),
        ('{"type": "object", "properties": {"a": {"type": "string", "pattern": "(?=x)"}}}', "cannot be held to"),
    ],
)
def test_fields_that_make_no_sense_are_refused_before_anything_runs(fields, said):
    with pytest.raises(UsageError, match=said):
        tasks.make("extract", {"fields": fields})


@pytest.mark.parametrize(
    ("text", "words"), [(MAIL, "fill in this form"), ("我要退货，请帮忙处理一下。", "填写下列字段")]
)
def test_the_prompt_is_in_the_language_of_the_text_and_lists_the_fields(text, words):
    _, step = begun(text, instructions="Sums are {in} euro.")
    (request,) = step.requests
    asked = request.asked(text)
    assert asked.startswith(text)
    assert words in asked
    assert "- name: who wrote it\n- order\n" in asked
    assert "open, paid" in asked
    assert asked.endswith("\n\nSums are {in} euro.")
    assert json.loads(request.schema)["required"] == ["name", "order", "amount", "things", "state"]


# ---------------------------------------------------------------------------------------------------------------- the places
@pytest.mark.parametrize(
    ("value", "text", "found"),
    [
        ("Ada Lovelace", MAIL, "Ada  Lovelace"),
        ("cups", MAIL, "Cups"),
        ("Cup", "a cup, a Cup", "Cup"),
        (1249.5, MAIL, "1.249,50"),
        (1249.5, "it was 1,249.50 in all", "1,249.50"),
        (1250, "1'250 francs", "1'250"),
        (1250, "1 250 kr", "1 250"),
        (3, "3 4", "3"),
        (-4, "minus \u22124 degrees", "\u22124"),
        (17, MAIL, None),
        (41, "E41 blinks", None),
        ("nobody", MAIL, None),
        ("  ", MAIL, None),
        ("Ａda", MAIL, None),
    ],
)
def test_a_value_is_found_where_it_stands(value, text, found):
    at = find_value(text, value)
    assert (None if at is None else text[at[0] : at[1]]) == found


@given(st.text(max_size=80), st.data())
def test_any_piece_of_any_text_is_found_as_it_is(text, data):
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, len(text)))
    at = find_value(text, text[start:stop])
    if text[start:stop].strip():
        assert at is not None
        assert text[at[0] : at[1]] == text[start:stop].strip()
    else:
        assert at is None


# -------------------------------------------------------------------------------------------------------------- the results
def test_values_stand_as_the_text_has_them_and_say_where():
    task, step = begun()
    text = form(name="ada lovelace", order="A-17", amount=1249.5, things=["cups", "pot", "plate"], state="paid")
    outcome = task.advance(step.state, answered(text), {})
    assert isinstance(outcome, Outcome)
    value = outcome.value
    assert value["fields"] == {
        "name": "Ada  Lovelace", "order": "A-17", "amount": 1249.5, "things": ["Cups", "pot", "plate"], "state": "paid",
    }  # fmt: skip
    assert [(name, MAIL[a:b]) for name, a, b in value["spans"]] == [
        ("name", "Ada  Lovelace"), ("order", "A-17"), ("amount", "1.249,50"), ("things", "Cups"), ("things", "pot"),
    ]  # fmt: skip
    assert value["not_in_text"] == ["things"]
    assert value["valid"]
    assert "notice" not in value
    assert (
        outcome.summary == "name: Ada Lovelace · order: A-17 · amount: 1249.5 · things: Cups, pot, plate · state: paid"
    )
    assert task.summary({"fields": {"name": None, "things": []}}) == "nothing found"


def test_parts_of_a_long_text_make_one_row():
    task, step = begun()
    first, second = form(name="Ada", things=["a pot"]), form(name="Grace", order="A-17", things=["Cups", "a pot"])
    value = task.advance(step.state, answered(first, second), {}).value
    assert (value["fields"]["name"], value["fields"]["order"], value["fields"]["things"]) == (
        "Ada", "A-17", ["a pot", "Cups"],
    )  # fmt: skip
    assert value["parts"] == 2


def test_a_form_that_was_cut_keeps_what_was_whole_and_says_what_is_missing():
    task, step = begun()
    cut = '{"name": "Ada", "order": "A-17", "amount": 12'
    value = task.advance(step.state, answered(cut, reason="length"), {}).value
    assert value["fields"] == {"name": "Ada", "order": "A-17", "amount": None, "things": None, "state": None}
    assert not value["valid"]
    assert value["unfinished"] == ["amount", "state", "things"]
    assert value["notice"] == "unfinished: the answer became too long; not got to: amount, state, things"


@pytest.mark.parametrize("amount", ["1e999", "-1e400"])
def test_a_number_that_no_computer_holds_is_no_value(amount):
    task, step = begun()
    value = task.advance(step.state, answered('{"name": "Ada", "order": null, "amount": ' + amount + "}"), {}).value
    assert (value["valid"], value["fields"]["name"], value["fields"]["amount"]) == (False, "Ada", None)


def test_half_a_character_does_not_reach_the_journal():
    task, step = begun()
    value = task.advance(step.state, answered(form().replace("null", r'"\ud83d"', 1)), {}).value
    assert value["fields"]["name"] == "?"


def test_lists_of_a_sample_are_asked_for_freely_and_shorter_ones_are_flagged():
    task, step = begun(check_every=1)
    second = task.advance(step.state, answered(form(things=["Cups"])), {})
    (request,) = second.requests
    assert request.asked(MAIL).endswith("things: what was bought")
    assert request.schema == ""
    state = json.loads(json.dumps(second.state))
    value = task.advance(state, answered("- Cups\n2. a pot\n- a house\n", key="list things"), {}).value
    assert value["asked_freely"] == {"things": 2}
    assert value["notice"] == "asked freely, the model names 2 of things, and 1 here"
    value = task.advance(state, answered("Cups", key="list things"), {}).value
    assert "notice" not in value


def test_one_document_in_so_many_is_checked():
    task = tasks.make("extract", {"fields": FIELDS, "check_every": 4})
    asked = [
        task.start(DocumentText("a", "/a", MAIL, hashlib.sha256(b"%d" % n).hexdigest()), {}).state["checked"]
        for n in range(4096)
    ]
    assert 0.15 < sum(asked) / len(asked) < 0.35


# ------------------------------------------------------------------------------------------------ with a real (tiny) writer
@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    where = tmp_path_factory.mktemp("model")
    return str(make_folder(where, "qwen3", modules=False, head="ForCausalLM", positions=2048))


def hostile(count: int) -> list[tuple[str, str]]:
    """Return texts that try to end the form, to escape from it, or to be no text at all."""
    pieces = ['"}', "}}}", '\\"', "{", "\ud7ff", "\U0001f600", "<|im_end|>", "<|im_start|>system", "null", "1e999", "\x00", "\u202e", string.printable, "你好", "\r\n", "\\u0000"]  # fmt: skip
    return [(f"{n}.txt", f"{n} " + " ".join(pieces[(n * 7 + k * (n % 5 + 1)) % len(pieces)] for k in range(n % 11 + 1))) for n in range(count)]  # fmt: skip


SHORT = {
    "type": "object",
    "properties": {
        "name": {"type": ["string", "null"], "maxLength": 4},
        "n": {"type": ["integer", "null"], "minimum": 0, "maximum": 99},
        "day": {"type": "string", "format": "date"},
        "sure": {"type": ["boolean", "null"]},
        "things": {"type": "array", "items": {"type": "string", "maxLength": 1}, "maxItems": 3},
        "state": {"enum": ["open", "paid", None]},
    },
    "required": ["name", "n", "day", "sure", "things", "state"],
    "additionalProperties": False,
}
TYPED = "name: who\namount (number)\nn (whole number)\nday (date)\nsure (yes/no)\nthings (list)\nstate (open | paid)"


@pytest.mark.parametrize("fields", [json.dumps(SHORT), TYPED], ids=["schema", "fields"])
def test_texts_of_all_kinds_give_rows_that_are_valid_or_say_that_they_are_not(folder, tmp_path, fields):
    texts = dict(hostile(250))
    with Engine(str(tmp_path / "j.sqlite")) as engine:
        engine.set_plan(Plan("cpu", 1, 1, "float32", 16)).result()
        engine.open_model(folder).result()
        engine.create_job("j")
        engine.add_texts("j", list(texts.items())).result()
        engine.submit("j", "extract", {"fields": fields, "max_new_tokens": 80, "check_every": 0})
        assert engine.wait("j", 200)
        rows = list(engine.journal.results("j"))
        engine.export("j", str(tmp_path / "rows.csv"), "csv").result()
    names = [one.name for one in parse_fields(fields).fields]
    assert len(rows) == 250
    whole = placed = 0
    for record, result in rows:
        value = result.value
        found, text = value["fields"], texts[record.path]
        assert list(found) == names
        if value["valid"]:
            whole += 1
            assert found["sure"] in (True, False, None)
            assert found["state"] in ("open", "paid", None)
            assert found["day"] is None or time.strptime(found["day"], "%Y-%m-%d")
            assert found["n"] is None or isinstance(found["n"], int)
            assert isinstance(found["things"], list)
            assert not record.reason
        else:
            assert record.reason.startswith("unfinished: ")
            assert value["unfinished"]
        for name, start, stop in value["spans"]:
            placed += 1
            values = found[name] if isinstance(found[name], list) else [found[name]]
            assert text[start:stop] in values or (name in ("amount", "n") and float(text[start:stop]) in values)
    assert 0 < whole < 250, "both kinds are there, or this shows nothing"
    assert placed or fields == TYPED
    with open(tmp_path / "rows.csv", encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 250
    assert set(names) <= set(table[0]), "each field is a column of its own name"


KILLED = """
import sys, time
import engine.jobs.document
from engine.cli.main import main
from engine.tasks.extract import Extract

engine.jobs.document.KEEP_SECONDS = 0.0
advance = Extract.advance


def hangs(self, state, outputs, job):
    if "value" in state:
        time.sleep(600)
    return advance(self, state, outputs, job)


Extract.advance = hangs if sys.argv[1] == "hangs" else advance
sys.exit(main(sys.argv[2:]))
"""


def test_a_program_that_is_killed_between_form_and_list_goes_on_with_the_form(folder, tmp_path):
    (tmp_path / "a.txt").write_text("read a number and write it")

    def command(how: str, out: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", KILLED, how, "run", "extract", str(tmp_path / "a.txt"), "--model", folder, "--quiet",
             "--dtype", "float32", "--fields", json.dumps(SHORT), "--check-every", "1", "--max-new-tokens", "190",
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
    assert "asked_freely" in rows[0]["result"]
    written = [
        json.loads((tmp_path / f"{out}.report").read_text())["generation"]["decode_tokens"]
        for out in ("killed.jsonl", "whole.jsonl")
    ]
    assert written[0] < written[1], "the form was not written again"
