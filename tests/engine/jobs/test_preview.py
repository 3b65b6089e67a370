"""Before the run: the exact prompt, a trial on one document, the tokens of the whole pile, and what they will do."""

from __future__ import annotations

import os

import pytest
from engine_helpers import states_of
from oracle import TEXTS
from writing_jobs import PROMPT, make_decoder, oracle_answer

from engine.api.plan import Plan
from engine.errors import HeddleError, UsageError
from engine.workers import generator, worker

TEMPLATE = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny qwen3 with a window of 256 tokens and no chat template."""
    return make_decoder(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    """The same with a chat template."""
    made = make_decoder(tmp_path_factory.mktemp("talking"))
    with open(os.path.join(made, "chat_template.jinja"), "w", encoding="utf-8") as file:
        file.write(TEMPLATE)
    return made


@pytest.fixture
def engine(fresh_engine, folder):
    made = fresh_engine()
    made.set_plan(Plan("cpu", 2, 1, "float32", 4)).result(30)
    made.open_model(folder).result(60)
    return made


def pile(engine, texts):
    """Make a job "a" of ``texts``; returns the documents' ids."""
    engine.create_job("a")
    engine.add_texts("a", [(f"dir/{i}.txt", text) for i, text in enumerate(texts)]).result(30)
    return list(states_of(engine, "a"))


def look(engine, document, settings, **options):
    return engine.preview("a", document, "generate", settings, **options).result(30)


# -------------------------------------------------------------------------------------------------------------- preview
def test_the_preview_is_the_prompt_that_the_model_gets(engine, folder):
    (number,) = pile(engine, ["water"])
    settings = {"prompt": "{name} in {path}: {text}?", "system": "be brief", "max_new_tokens": 5}
    told = look(engine, number, settings)
    assert told["prompt"] == "be brief\n\n0.txt in dir/0.txt: water?"
    assert (told["parts"], told["coverage"], told["hidden"], told["rest"]) == (1, 1.0, 0, "")
    assert not told["template"]
    assert told["room"] == told["window"] - 5
    engine.submit("a", "generate", settings)
    assert engine.wait("a", 60)
    ((_, result),) = engine.journal.results("a")
    assert result.value["tokens_in"] == told["whole"]
    assert result.value["text"] == oracle_answer(folder, told["prompt"], 5)


def test_with_a_chat_template_the_preview_shows_its_marks_and_examples_are_turns(fresh_engine, talking):
    engine = fresh_engine()
    engine.open_model(talking, "float32").result(60)
    (number,) = pile(engine, ["water"])
    examples = 'sea => wet\n\n{"input": "fire", "output": "a => b"}'
    told = look(engine, number, {"prompt": "{text}?", "system": "s", "examples": examples, "max_new_tokens": 9})
    assert told["template"]
    assert told["prompt"] == "<system>s<user>sea?<assistant>wet<user>fire?<assistant>a => b<user>water?<a>"


def test_without_a_template_examples_stand_before_the_question(engine):
    (number,) = pile(engine, ["water"])
    told = look(engine, number, {"prompt": "{name}: {text}?", "examples": "sea => wet", "max_new_tokens": 9})
    assert told["prompt"] == "0.txt: sea?\nwet\n\n0.txt: water?"


@pytest.mark.parametrize(
    "examples", ["no arrow", "=> b", "a =>", "{broken", '{"input": "a"}', '{"input": 1, "output": 2}']
)
def test_examples_that_make_no_sense_name_their_line(engine, examples):
    (number,) = pile(engine, ["water"])
    with pytest.raises(UsageError, match="line 2"):
        look(engine, number, {"prompt": "x", "examples": f"a => b\n{examples}"})


def test_a_system_text_goes_before_the_question_where_the_template_knows_no_such_role(fresh_engine, tmp_path):
    folder = make_decoder(tmp_path)
    refuses = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + TEMPLATE
    with open(os.path.join(folder, "chat_template.jinja"), "w", encoding="utf-8") as file:
        file.write(refuses)
    engine = fresh_engine()
    engine.open_model(folder, "float32").result(60)
    (number,) = pile(engine, ["water"])
    assert (
        look(engine, number, {"prompt": "{text}?", "system": "s", "max_new_tokens": 9})["prompt"]
        == "<user>s\n\nwater?<a>"
    )


def test_a_chat_template_that_is_far_too_long_is_refused(fresh_engine, talking, monkeypatch):
    from engine.models import chat_template

    engine = fresh_engine()
    engine.open_model(talking, "float32").result(60)
    (number,) = pile(engine, ["water"])
    monkeypatch.setattr(chat_template, "LIMIT", 20)
    with pytest.raises(UsageError, match="chat template has"):
        look(engine, number, {"prompt": "{text}?", "max_new_tokens": 9})


def test_a_long_prompt_is_shown_by_its_ends_with_the_count_of_what_is_left_out(engine):
    (number,) = pile(engine, ["water " * 30_000])
    told = look(engine, number, {"prompt": "first {text} last", "on_overflow": "fail", "max_new_tokens": 9}, limit=900)
    assert told["prompt"].startswith("first water")
    assert told["rest"].endswith(" last")
    assert len(told["prompt"]) + len(told["rest"]) == 900
    assert told["hidden"] == len("first  last") + 180_000 - 900
    assert told["parts"] == 0
    assert "longer than the window" in told["reason"]


@pytest.mark.parametrize(("policy", "parts", "whole"), [("split", 2, True), ("head", 1, False), ("tail", 1, False)])
def test_the_preview_says_what_the_run_will_do_to_a_long_document(engine, policy, parts, whole):
    (number,) = pile(engine, [" ".join(TEXTS * 6)])
    settings = {**PROMPT, "on_overflow": policy}
    told = look(engine, number, settings)
    assert told["whole"] > told["room"]
    assert (told["parts"] >= parts) == (parts > 1) or told["parts"] == parts
    assert (told["coverage"] == 1.0) == whole
    engine.submit("a", "generate", settings)
    assert engine.wait("a", 60)
    ((record, result),) = engine.journal.results("a")
    assert (record.coverage, result.value["parts"]) == (told["coverage"], told["parts"])


def test_previews_that_cannot_be_are_refused_in_words(engine, fresh_engine):
    (number,) = pile(engine, ["water"])
    with pytest.raises(HeddleError, match="prompt"):
        engine.preview("a", number, "embed", {}).result(30)
    with pytest.raises(HeddleError, match="no longer"):
        look(engine, number + 1, PROMPT)
    with pytest.raises(HeddleError, match="nothing"):
        look(engine, number, {"prompt": "{nothing}"})
    with pytest.raises(HeddleError, match="no room"):
        look(engine, number, {"prompt": "x", "max_new_tokens": 5000})
    empty = fresh_engine()
    (number,) = pile(empty, ["water"])
    with pytest.raises(UsageError, match="Open a model"):
        look(empty, number, PROMPT)


# ---------------------------------------------------------------------------------------------------------------- trial
def test_a_trial_gives_the_answer_of_the_run_and_leaves_the_row_alone(engine):
    numbers = pile(engine, TEXTS)
    before = engine.snapshot()
    drawn = {**PROMPT, "temperature": 1.2, "seed": 3}
    told = engine.try_on("a", numbers[2], "generate", drawn).result(60)
    assert told["state"] == "done", told["reason"]
    after = engine.snapshot()
    assert [job.id for job in after.jobs] == [job.id for job in before.jobs] == ["a"]
    assert not any(rows.rows or rows.removed for rows in after.rows)
    assert engine.journal.counts("a")["waiting"] == len(TEXTS)
    assert [job.id for job in engine.journal.jobs()] == ["a"]
    assert after.meters.documents == 0
    engine.submit("a", "generate", drawn)
    assert engine.wait("a", 60)
    results = {record.id: result.value for record, result in engine.journal.results("a")}
    assert told["result"]["text"] == results[numbers[2]]["text"]


def test_a_trial_grows_in_the_snapshots(engine, monkeypatch):
    monkeypatch.setattr(generator, "TELL_SECONDS", 0.0)
    (number,) = pile(engine, ["water"])
    trial = engine.try_on("a", number, "generate", {**PROMPT, "max_new_tokens": 200})
    seen = []
    while not trial.done():
        told = engine.snapshot().trial
        if told is not None and told.text:
            assert told.document == number
            seen.append(told.text)
    final = trial.result(60)["result"]["text"]
    assert seen
    assert all(final.startswith(text.rstrip("\ufffd")) for text in seen)
    assert engine.snapshot().trial is None


def test_a_trial_runs_beside_a_job_and_its_neighbours_keep_their_answers(engine):
    texts = TEXTS * 4
    numbers = pile(engine, texts)
    engine.submit("a", "generate", PROMPT)
    told = engine.try_on("a", numbers[0], "generate", PROMPT).result(60)
    assert engine.wait("a", 120)
    results = [result.value["text"] for _, result in engine.journal.results("a")]
    assert told["result"]["text"] == results[0]
    assert engine.journal.counts("a")["done"] == len(texts)


def test_a_second_trial_ends_the_first_and_stop_ends_the_second(engine):
    numbers = pile(engine, TEXTS)
    long = {**PROMPT, "max_new_tokens": 200}
    first = engine.try_on("a", numbers[0], "generate", long)
    while engine.snapshot().trial is None:
        assert not first.done()
    second = engine.try_on("a", numbers[1], "generate", long)
    assert first.result(60)["state"] in ("cancelled", "done")
    while not second.done():
        engine.stop_trial()
    assert second.result(60)["state"] in ("cancelled", "done")
    assert engine.try_on("a", numbers[2], "generate", PROMPT).result(60)["state"] == "done"


def test_a_trial_of_an_encoders_task_has_its_result_too(starter_engine):
    job = os.urandom(4).hex()
    starter_engine.create_job(job)
    starter_engine.add_texts(job, [("a", "The invoice was paid late.")]).result(30)
    (number,) = states_of(starter_engine, job)
    labels = {"labels": "animal: a dog or a cat\nmoney: an invoice or a bank"}
    told = starter_engine.try_on(job, number, "classify", labels).result(60)
    assert told["result"]["label"] == "money"
    assert told["summary"].startswith("money")


def test_a_trial_that_fails_says_why(engine):
    (number,) = pile(engine, ["water " * 500])
    told = engine.try_on("a", number, "generate", {**PROMPT, "on_overflow": "fail"}).result(60)
    assert (told["state"], told["result"]) == ("failed", None)
    assert "longer than the window" in told["reason"]
    with pytest.raises(UsageError, match="embedding model"):
        engine.try_on("a", number, "embed", {}).result(60)


def test_another_model_can_be_opened_during_a_trial(engine, folder):
    (number,) = pile(engine, ["water"])
    trial = engine.try_on("a", number, "generate", {**PROMPT, "max_new_tokens": 200})
    engine.open_model(folder).result(60)
    assert trial.result(60)["state"] in ("cancelled", "done")


# --------------------------------------------------------------------------------------------------------------- counts
def test_tokens_are_counted_before_the_run_and_stay_what_they_were(engine, folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    expected = [len(tokenizer(text, add_special_tokens=False).input_ids) for text in TEXTS]
    pile(engine, TEXTS)
    told = engine.count_tokens("a", "generate", PROMPT).result(60)
    documents = engine.coordinator.call(lambda: list(engine.coordinator.job("a").pile.documents.values()))
    assert [document.record.tokens for document in documents] == expected
    assert {document.record.state for document in documents} == {"waiting"}
    assert (told["documents"], told["uncounted"], told["tokens"]) == (len(TEXTS), 0, sum(expected))
    assert told["longest"] == max(expected)
    engine.submit("a", "generate", PROMPT)
    assert engine.wait("a", 60)
    after = [record.tokens for record, _ in engine.journal.results("a")]
    assert after == expected


def test_the_count_says_how_many_are_too_long_and_what_becomes_of_them(engine):
    long = " ".join(TEXTS * 6)
    pile(engine, [*TEXTS, long, long])
    told = {}
    for policy in ("split", "head", "fail"):
        settings = {**PROMPT, "on_overflow": policy}
        told[policy] = engine.count_tokens("a", "generate", settings).result(60)
        assert told[policy]["longer"] == 2
        assert told[policy]["policy"] == policy
    assert told["split"]["parts"] > 2
    assert told["split"]["unused"] == 0
    assert told["head"]["parts"] == 2
    assert 0 < told["head"]["unused"] < told["head"]["tokens"]
    assert told["fail"]["parts"] == 0
    engine.submit("a", "generate", {**PROMPT, "on_overflow": "split"})
    assert engine.wait("a", 60)
    parts = [result.value["parts"] for _, result in engine.journal.results("a")]
    assert sum(n for n in parts if n > 1) == told["split"]["parts"]


def test_a_job_can_be_started_while_its_tokens_are_counted(engine):
    pile(engine, [f"{text} {i}" for i, text in enumerate(TEXTS * 40)])
    counting = engine.count_tokens("a")
    engine.submit("a", "generate", {"prompt": "{text}", "max_new_tokens": 2})
    assert engine.wait("a", 120)
    counting.result(60)
    assert engine.journal.counts("a")["done"] == len(TEXTS) * 40


def test_a_count_can_be_stopped_and_goes_on_where_it_was(engine, monkeypatch):
    real = worker.count_documents
    numbers = pile(engine, TEXTS * 40)
    stopped = []

    def once(*arguments):
        found = real(*arguments)
        if not stopped:
            stopped.append(1)
            engine.stop_counting("a")
        return found

    monkeypatch.setattr(worker, "count_documents", once)
    assert engine.count_tokens("a").result(60)["uncounted"] > 0
    assert engine.count_tokens("a").result(60)["uncounted"] == 0
    assert len(numbers) == len(TEXTS) * 40


def test_ten_thousand_documents_are_counted(engine):
    pile(engine, [f"{TEXTS[i % len(TEXTS)]} {i}" for i in range(10_000)])
    told = engine.count_tokens("a", "generate", PROMPT).result(120)
    assert (told["documents"], told["uncounted"]) == (10_000, 0)
    assert engine.coordinator.call(lambda: engine.coordinator.job("a").status) == "ready"


def test_an_encoder_counts_too(starter_engine):
    job = os.urandom(4).hex()
    starter_engine.create_job(job)
    starter_engine.add_texts(job, [("a", "water"), ("b", "water " * 2000)]).result(30)
    told = starter_engine.count_tokens(job, "embed", {}).result(60)
    assert (told["documents"], told["uncounted"], told["longer"]) == (2, 0, 1)
    assert told["parts"] > 2


def test_the_model_may_go_while_it_counts(engine):
    pile(engine, TEXTS * 100)
    counting = engine.count_tokens("a")
    engine.close_model().result(60)
    problem = counting.exception(60)
    assert problem is None or "Open a model" in str(problem)


# --------------------------------------------------------------------------------------------------------------- formats
def test_a_model_that_makes_vectors_takes_no_int4(fresh_engine):
    engine = fresh_engine()
    with pytest.raises(UsageError, match="int4 weights are for models that write text"):
        engine.open_model("starter", "int4").result(60)
    engine.open_model("starter", "int8").result(60)
    with pytest.raises(UsageError, match="write text"):
        engine.set_plan(Plan(dtype="int4"))
    assert engine.snapshot().model.status == "ready"


@pytest.mark.parametrize("dtype", ["int8", "int4"])
def test_packed_integers_run_on_the_cpu_only(dtype):
    with pytest.raises(UsageError, match="CPU only"):
        Plan("cuda:0", dtype=dtype)


def test_snapshots_tell_prefill_from_decode(engine):
    doing, rates = set(), []
    for number in range(100):  # reading a prompt takes a moment, which a look may miss: until one has not
        job = f"job {number}"
        engine.create_job(job)
        engine.add_texts(job, [(f"{i}.txt", f"{number} {text}") for i, text in enumerate(TEXTS * 3)]).result(30)
        engine.submit(job, "generate", {**PROMPT, "max_new_tokens": 60})
        while not engine.wait(job, 0.0):
            told = engine.snapshot()
            doing |= {worker.activity for worker in told.workers}
            rates.append((told.meters.prefill_per_s, told.meters.decode_per_s))
        if {"prefill", "decode"} <= doing and all(max(of) > 0 for of in zip(*rates, strict=True)):
            break
    assert doing <= {"prepare", "prefill", "decode", "waiting", "idle"}
    assert {"prefill", "decode"} <= doing
    assert max(read for read, _ in rates) > 0
    assert max(wrote for _, wrote in rates) > 0
    assert engine.snapshot().meters.kv_bytes > 0
