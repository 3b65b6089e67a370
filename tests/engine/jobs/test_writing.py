"""Generation as a job: prompts, answers equal to generate(), long documents, pausing and cancelling, fallbacks."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from oracle import TEXTS
from writing_jobs import PROMPT, make_decoder, oracle_answer

from engine.api.plan import Plan
from engine.cli.main import main
from engine.engine import Engine
from engine.errors import UsageError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny qwen3 with a language model head."""
    return make_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture
def engine(fresh_engine, folder):
    """An engine with two writing workers of four slots."""
    made = fresh_engine()
    made.set_plan(Plan("cpu", 2, 1, "float32", 4)).result(30)
    made.open_model(folder).result(60)
    return made


def answers(engine, texts=TEXTS, settings=PROMPT, job=None):
    job = job or os.urandom(4).hex()
    engine.create_job(job)
    engine.add_texts(job, [(f"{i}.txt", text) for i, text in enumerate(texts)]).result(30)
    engine.submit(job, "generate", settings, again=True)
    assert engine.wait(job, 120)
    return list(engine.journal.results(job))


def test_answers_equal_generate_whatever_the_plan(fresh_engine, folder):
    expected = [oracle_answer(folder, f"Read this and answer in a word: {text}", 10) for text in TEXTS]
    for plan in (Plan("cpu", 1, 1, "float32", 1), Plan("cpu", 2, 1, "float32", 3)):
        engine = fresh_engine()
        engine.set_plan(plan).result(30)
        engine.open_model(folder).result(60)
        assert engine.snapshot().model.engine_mode == "slots"
        rows = answers(engine)
        assert [result.value["text"] for _, result in rows] == expected
        assert {record.state for record, _ in rows} == {"done"}
        assert all(result.value["tokens_out"] <= 10 for _, result in rows)


def test_a_shared_beginning_is_computed_once_and_changes_nothing(engine, folder):
    instruction = "the harbour was still and grey and the engine started at once " * 3
    rows = answers(engine, settings={"prompt": instruction + "{text}", "max_new_tokens": 6})
    assert engine.snapshot().meters.prefix_tokens > 0
    for (_, result), text in zip(rows, TEXTS, strict=True):
        assert result.value["text"] == oracle_answer(folder, instruction + text, 6)


def test_the_same_seed_gives_the_same_text_whatever_runs_beside_it(engine):
    drawn = {**PROMPT, "temperature": 1.5, "seed": 7}
    together = [result.value["text"] for _, result in answers(engine, settings=drawn)]
    alone = [answers(engine, [text], drawn)[0][1].value["text"] for text in TEXTS]
    assert together == alone
    other = [result.value["text"] for _, result in answers(engine, settings={**drawn, "seed": 8})]
    assert other != together


def test_a_long_document_is_asked_about_in_parts_or_cut_or_refused(engine):
    long = " ".join(TEXTS * 6)
    for policy, parts, full in (("split", 2, True), ("head", 1, False), ("tail", 1, False)):
        ((record, result),) = answers(engine, [long], {**PROMPT, "on_overflow": policy})
        assert record.state == "done", record.reason
        assert (result.value["parts"] >= parts) == (parts > 1) or result.value["parts"] == parts
        assert (record.coverage == 1.0) == full
    ((record, result),) = answers(engine, [long], {**PROMPT, "on_overflow": "fail"})
    assert record.state == "failed"
    assert result is None
    assert "longer than the window" in record.reason


def test_names_can_be_asked_about_and_a_prompt_without_text_gets_it_at_its_end(engine, folder):
    ((_, result),) = answers(engine, ["water"], {"prompt": "file {name} {{}}: {text}", "max_new_tokens": 5})
    assert result.value["text"] == oracle_answer(folder, "file 0.txt {}: water", 5)
    ((_, result),) = answers(engine, ["water"], {"prompt": "say it", "max_new_tokens": 5, "system": "be brief"})
    assert result.value["text"] == oracle_answer(folder, "be brief\n\nsay it\n\nwater", 5)


def test_a_chat_template_makes_the_prompt(fresh_engine, tmp_path):
    folder = make_decoder(tmp_path)
    template = (
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
    )
    with open(os.path.join(folder, "chat_template.jinja"), "w", encoding="utf-8") as file:
        file.write(template)
    engine = fresh_engine()
    engine.open_model(folder, "float32").result(60)
    ((_, result),) = answers(engine, ["water"], {"prompt": "{text}?", "system": "s", "max_new_tokens": 5})
    assert result.value["text"] == oracle_answer(folder, "<system>s<user>water?<a>", 5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "Prompt"),
        ({"prompt": "{nothing}"}, "nothing"),
        ({"prompt": "{text"}, "braces"),
        ({"prompt": "{text}", "top_p": 2}, "between"),
        ({"prompt": "{text}", "max_new_tokens": 0}, "between"),
    ],
)
def test_prompts_and_settings_that_make_no_sense_are_refused(fresh_engine, settings, words):
    engine = fresh_engine()
    engine.create_job("a")
    with pytest.raises(UsageError, match=words):
        engine.submit("a", "generate", settings)


def test_more_new_tokens_than_the_model_takes_fails_each_row_with_the_numbers(engine):
    rows = answers(engine, settings={**PROMPT, "max_new_tokens": 1000})
    assert {record.state for record, _ in rows} == {"failed"}
    assert "1,000" in rows[0][0].reason


def test_cancel_stops_writing_and_retry_writes_everything(engine):
    engine.create_job("a")
    engine.add_texts("a", [(f"{i}.txt", f"{text} {i}") for i, text in enumerate(TEXTS * 6)]).result(30)
    engine.submit("a", "generate", {**PROMPT, "max_new_tokens": 150})
    while not any(row.state == "running" for told in engine.snapshot().rows for row in told.rows):
        assert engine.snapshot().jobs[0].status != "finished"
    engine.cancel("a").result(30)
    counts = engine.journal.counts("a")
    assert counts["running"] == counts["waiting"] == 0
    assert counts["cancelled"] > 0
    engine.retry("a")
    assert engine.wait("a", 120)
    assert engine.journal.counts("a")["done"] == len(TEXTS) * 6
    assert engine.journal.integrity() == "ok"


def test_partial_texts_reach_the_snapshot_before_the_end(engine, monkeypatch):
    from engine.jobs.document_states import DocumentStates
    from engine.workers import generator

    monkeypatch.setattr(generator, "TELL_SECONDS", 0.0)
    seen = []
    real = DocumentStates.write_on

    def write_on(states, number, text, tokens, longest):
        real(states, number, text, tokens, longest)
        seen.append((number, text))

    monkeypatch.setattr(DocumentStates, "write_on", write_on)
    rows = answers(engine, settings={**PROMPT, "max_new_tokens": 40})
    final = {record.id: result.value["text"] for record, result in rows}
    assert seen
    assert all(final[document].startswith(text.rstrip("\ufffd")) for document, text in seen)


def test_a_step_that_fails_costs_one_document_and_no_more(engine, monkeypatch):
    from engine.inference.generation import generator

    real = generator.forward
    failures = []

    def forward(*arguments, **options):
        if not failures:
            failures.append(1)
            raise MemoryError
        return real(*arguments, **options)

    monkeypatch.setattr(generator, "forward", forward)
    rows = answers(engine)
    states = [record.state for record, _ in rows]
    assert states.count("failed") == 1
    assert states.count("done") == len(TEXTS) - 1
    assert "out of memory" in next(record.reason for record, _ in rows if record.state == "failed")


def test_a_draw_that_fails_leaves_the_others_as_they_would_have_been(engine, monkeypatch):
    from engine.inference.generation import generator

    expected = [result.value["text"] for _, result in answers(engine)]
    real = generator.choose
    failures = []

    def choose(logits, draws):
        if len(draws) > 2 and not failures:
            failures.append(1)
            raise RuntimeError("no draw")
        return real(logits, draws)

    monkeypatch.setattr(generator, "choose", choose)
    rows = answers(engine)
    texts = [result.value["text"] if result is not None else None for _, result in rows]
    assert texts.count(None) == 1
    assert all(text in (None, wanted) for text, wanted in zip(texts, expected, strict=True))


def test_a_task_that_the_model_cannot_do_is_refused_and_the_command_says_so(engine, folder, tmp_path, capsys):
    engine.create_job("a")
    with pytest.raises(UsageError, match="embedding model"):
        engine.submit("a", "embed")
    (tmp_path / "a.txt").write_text("water")
    assert main(["run", "generate", "--prompt", "x", str(tmp_path / "a.txt"), "--model", "starter"]) == 1
    assert "text generator" in capsys.readouterr().err
    assert main(["run", "embed", str(tmp_path / "a.txt"), "--model", folder]) == 1
    assert "embedding model" in capsys.readouterr().err


@pytest.mark.parametrize("family", ["falcon", "t5"])
def test_families_without_slots_answer_through_batches(fresh_engine, tmp_path, family):
    from decoder_models import make
    from model_folders import make_vocabulary, save_tokenizer

    folder = str(tmp_path / family)
    vocabulary = make_vocabulary("qwen3")
    model = make(family, vocab_size=vocabulary.size)
    model.save_pretrained(folder)
    save_tokenizer(folder, vocabulary)
    engine = fresh_engine()
    engine.open_model(folder, "float32").result(60)
    told = engine.snapshot().model
    assert told.engine_mode == "batches"
    assert told.note
    rows = answers(engine, TEXTS[:4], {"prompt": "{text}", "max_new_tokens": 6})
    assert {record.state for record, _ in rows} == {"done"}


def test_the_command_writes_answers_and_reports_speed(folder, tmp_path):
    place = tmp_path / "pile"
    place.mkdir()
    for i, text in enumerate(TEXTS):
        (place / f"{i}.txt").write_text(text)
    out, report = str(tmp_path / "o.jsonl"), str(tmp_path / "r.json")
    code = main(
        ["run", "generate", "--prompt", "{text}", "--max-new-tokens", "8", "--slots", "2", "--dtype", "float32"]
        + [str(place), "--model", folder, "--out", out, "--report", report]
    )
    assert code == 0
    with open(out, encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert all(row["result"]["finish_reason"] in ("length", "end") for row in rows)
    with open(report, encoding="utf-8") as file:
        told = json.load(file)["generation"]
    assert told["prefill_tokens"] > 0
    assert told["ttft_p50"] > 0
    assert told["kv_bytes"] > 0
    assert told["decode_tokens_per_s"] > 0


def test_the_command_takes_examples_from_a_file(folder, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("water")
    examples, out = tmp_path / "e.jsonl", str(tmp_path / "o.jsonl")
    examples.write_text(json.dumps({"input": "sea", "output": "wet"}) + "\n")
    run = ["run", "generate", "--prompt", "{text}?", "--max-new-tokens", "5", "--dtype", "float32"]
    run += [str(tmp_path / "a.txt"), "--model", folder, "--out", out]
    assert main([*run, "--examples", str(examples)]) == 0
    with open(out, encoding="utf-8") as file:
        (row,) = [json.loads(line) for line in file]
    assert row["result"]["text"] == oracle_answer(folder, "sea?\nwet\n\nwater?", 5)
    with pytest.raises(SystemExit):
        main([*run, "--examples", str(tmp_path / "nowhere.jsonl")])
    assert "cannot be read" in capsys.readouterr().err


def test_two_hundred_documents_keep_their_own_answers(engine):
    texts = [f"{TEXTS[i % len(TEXTS)]} {i}" for i in range(200)]
    rows = answers(engine, texts, {"prompt": "{text}", "max_new_tokens": 4})
    alone = Engine()
    try:
        alone.set_plan(Plan("cpu", 1, 1, "float32", 1)).result(30)
        alone.open_model(engine.loaded.facts.folder).result(60)
        picked = list(np.random.default_rng(3).choice(200, 12, replace=False))
        single = answers(alone, [texts[i] for i in picked], {"prompt": "{text}", "max_new_tokens": 4})
    finally:
        assert alone.close(10.0)
    assert [rows[i][1].value["text"] for i in picked] == [result.value["text"] for _, result in single]
