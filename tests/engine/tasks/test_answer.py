"""Answer: a column a question, the words that say so word for word, and nothing answered that the text does not say."""

from __future__ import annotations

import json

import pytest
from model_folders import make_folder

from engine import tasks
from engine.api.plan import Plan
from engine.api.questions import parse_questions
from engine.cli.main import main
from engine.engine import Engine
from engine.errors import UsageError
from engine.requests.output import Answer, Generated
from engine.tasks.base import DocumentText

MAIL = "The pump is broken.\nPlease send a  new one, says Ada."


def begun(questions: str = "what: What is broken?\nWho writes?", text: str = MAIL, **settings):
    task = tasks.make("answer", {"questions": questions, **settings})
    return task, task.start(DocumentText("a.txt", "/a.txt", text, "ab" * 32), {})


def answered(*answers: tuple[str, ...]) -> dict[str, Generated]:
    return {
        f"question {at}": Generated(f"question {at}", tuple(Answer(text, "end", 10, 5, 1.0, 0.1) for text in texts))
        for at, texts in enumerate(answers, 1)
    }


def form(answer: str | None, quote: str | None = None) -> str:
    return json.dumps({"answer": answer, "quote": quote})


def test_questions_are_read_with_and_without_names():
    assert [(one.name, one.text) for one in parse_questions("a: b?\n\n Is it this: or that? \nc:\n" + "x" * 50 + ": y")] == [
        ("a", "b?"), ("Is it this", "or that?"), ("c:", "c:"),
        ("x" * 50 + ": y", "x" * 50 + ": y"),
    ]  # fmt: skip


@pytest.mark.parametrize(("questions", "said"), [(" \n", "Questions is needed"), ("a: b\na: c", "there twice")])
def test_questions_that_make_no_sense_are_refused(questions, said):
    with pytest.raises(UsageError, match=said):
        tasks.make("answer", {"questions": questions})


@pytest.mark.parametrize(
    ("text", "words"), [(MAIL, "Question: Who writes?"), ("水泵坏了，请寄新的来。", "问题：Who writes?")]
)
def test_every_question_is_asked_behind_the_text_in_its_language(text, words):
    _, step = begun(text=text, instructions="Be {kind}.")
    assert [request.key for request in step.requests] == ["question 1", "question 2"]
    asked = step.requests[1].asked(text)
    assert asked.startswith(text)
    assert asked.endswith(words + "\n\nBe {kind}.")
    shared = step.requests[0].asked(text)
    assert shared[: shared.index("What is broken")] == asked[: asked.index("Who writes")], (
        "they differ in nothing before"
    )


def test_answers_are_columns_and_quotes_stand_in_the_text():
    task, step = begun("what: What?\nwho: Who?\nwhen: When?\nwhy: Why?")
    value = task.advance(
        step.state,
        answered((form("the pump", "the PUMP is broken"),), (form("Ada", "a new one"),), (form(None, "x"),), (form("rust", "it rusts"),)),
        {},
    ).value  # fmt: skip
    assert value["fields"] == {"what": "the pump", "who": "Ada", "when": None, "why": "rust"}
    assert value["quotes"] == {"what": "The pump is broken", "who": "a  new one"}
    assert [(name, MAIL[a:b]) for name, a, b in value["spans"]] == [
        ("what", "The pump is broken"),
        ("who", "a  new one"),
    ]
    assert value["not_in_text"] == ["why"]
    assert (value["tokens_in"], value["tokens_out"]) == (40, 20)
    assert "notice" not in value


def test_of_the_parts_of_a_long_text_the_first_that_can_be_shown_answers():
    task, step = begun("what: What?")
    parts = (form(None, None), form("a guess", "nowhere"), form("the pump", "The pump"), form("Ada", "Ada"))
    value = task.advance(step.state, answered(parts), {}).value
    assert value["fields"] == {"what": "the pump"}
    assert value["parts"] == 4
    value = task.advance(step.state, answered(parts[:2]), {}).value
    assert value["fields"] == {"what": "a guess"}
    assert value["not_in_text"] == ["what"]


def test_an_answer_that_was_cut_is_named():
    task, step = begun("what: What?")
    value = task.advance(step.state, answered(('{"answer": "the pump", "quo',)), {}).value
    assert value["fields"] == {"what": "the pump"}
    assert value["notice"] == "unfinished: what"


def test_without_quotes_none_are_asked_for():
    task, step = begun("what: What?", quotes=False)
    assert "quote" not in step.requests[0].schema
    value = task.advance(step.state, answered(('{"answer": "the pump"}',)), {}).value
    assert value["fields"] == {"what": "the pump"}
    assert "quotes" not in value
    assert value["not_in_text"] == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("m"), "qwen3", modules=False, head="ForCausalLM", positions=4096)


def test_each_answer_is_what_is_answered_when_asked_alone(tmp_path, folder):
    questions = ["what: What is it?", "who: Who says so?", "Is it urgent?"]
    texts = [(f"{n}.txt", f"{n} read a number and write it " * (n + 1)) for n in range(6)]
    with Engine(str(tmp_path / "j.sqlite")) as engine:
        engine.set_plan(Plan("cpu", 2, 1, "float32", 3)).result()
        engine.open_model(folder).result()

        def run(job: str, asked: str) -> dict[str, dict]:
            engine.create_job(job)
            engine.add_texts(job, texts).result()
            engine.submit(job, "answer", {"questions": asked})
            assert engine.wait(job, 120)
            return {record.path: result.value for record, result in engine.journal.results(job)}

        together = run("all", "\n".join(questions))
        for at, question in enumerate(questions):
            for path, value in run(f"only {at}", question).items():
                ((name, answer),) = value["fields"].items()
                assert together[path]["fields"][name] == answer
    for path, value in together.items():
        assert list(value["fields"]) == ["what", "who", "Is it urgent?"]
        for name, start, stop in value["spans"]:
            assert dict(texts)[path][start:stop] == value["quotes"][name]


@pytest.mark.parametrize(("workers", "slots"), [(1, 1), (1, 4), (2, 4), (2, 16)])
def test_ten_questions_read_hardly_more_than_one_does(tmp_path, folder, workers, slots):
    for n in range(6):
        (tmp_path / f"{n}.txt").write_text(f"document {n} " + f"{n} read a number and write it again " * (12 + n))
    read, answers = [], []
    for count in (1, 10):
        out, report = tmp_path / f"{count}.jsonl", tmp_path / f"{count}.json"
        questions = "\n".join(f"q{n}: {chr(97 + n)}?" for n in range(count))
        command = ["run", "answer", *sorted(map(str, tmp_path.glob("?.txt"))), "--model", folder, "--questions", questions,
                   "--workers", str(workers), "--threads", "1", "--slots", str(slots), "--dtype", "float32", "--quiet",
                   "--out", str(out), "--report", str(report)]  # fmt: skip
        assert main(command) == 0
        read.append(json.loads(report.read_text())["generation"]["prefill_tokens"])
        answers.append([json.loads(line)["result"]["fields"]["q0"] for line in out.read_text().splitlines()])
    assert answers[0] == answers[1]
    assert read[1] <= 1.4 * read[0]
