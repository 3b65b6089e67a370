"""The door: jobs start, pause, stop, come back, and never lose a document."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from engine_helpers import one_text_a_batch, wait_until
from model_folders import make_folder
from oracle import TEXTS

from assets import path as asset
from engine.api.plan import Plan
from engine.api.state import State
from engine.cli.sample import sample_order
from engine.engine import Engine
from engine.errors import Cancelled, ModelError, UsageError
from engine.inference.encoding.encoder import Encoder
from engine.models.starter import starter_folder

LABELS = {"labels": "water, bread, error"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT folder."""
    return make_folder(tmp_path_factory.mktemp("model"), "bert")


@pytest.fixture
def engine(fresh_engine, folder):
    """An engine with a tiny model and two workers."""
    made = fresh_engine()
    made.set_plan(Plan("cpu", 2, 1, "float32")).result(30)
    made.open_model(folder).result(60)
    return made


class Gate:
    """Holds every batch of the workers until it is opened."""

    def __init__(self, monkeypatch):
        self.open = threading.Event()
        self.entered = threading.Semaphore(0)
        self.order = []
        real = Encoder.encode

        def encode(encoder, items, cancelled=None):
            self.order.append([i.document for i in items])
            self.entered.release()
            while not self.open.wait(0.01):
                if cancelled is not None and cancelled():
                    raise Cancelled("cancelled")
            return real(encoder, items, cancelled)

        monkeypatch.setattr(Encoder, "encode", encode)


def pile(engine, job, texts=TEXTS):
    engine.create_job(job)
    return engine.add_texts(job, [(f"{i}.txt", text) for i, text in enumerate(texts)]).result(30)


def states(engine, job):
    return [record.state for record in engine.journal.documents(job)]


def counts(engine, job):
    return {state: n for state, n in engine.journal.counts(job).items() if n}


def drain(engine):
    assert engine.journal.flush(30)
    rows, removed, resets = {}, set(), 0
    while True:
        snapshot = engine.snapshot()
        for told in snapshot.rows:
            resets += told.reset
            if told.reset:
                rows.clear()
            rows.update({row.id: row for row in told.rows})
            removed.update(told.removed)
        if not snapshot.more_rows:
            return snapshot, rows, removed, resets


def test_results_come_in_pile_order_whatever_the_worker(engine):
    texts = [f"{'water ' * (i * 37 % 50 + 1)}{i}" for i in range(200)]
    pile(engine, "a", texts)
    engine.submit("a", "embed")
    assert engine.wait("a", 60)
    rows = list(engine.journal.results("a"))
    assert [record.path for record, _ in rows] == [f"{i}.txt" for i in range(200)]
    assert {record.worker for record, _ in rows} == {0, 1}
    assert engine.journal.integrity() == "ok"


def test_the_label_is_the_argmax_of_the_oracles_cosines_and_right_for_four_in_five(starter_engine):
    from sentence_transformers import SentenceTransformer

    task, settings, paths = sample_order()
    starter_engine.create_job("labelled")
    starter_engine.add_paths("labelled", paths).result(60)
    starter_engine.submit("labelled", task, {**settings, "on_overflow": "head"})
    assert starter_engine.wait("labelled", 120)
    rows = [(record, result.value) for record, result in starter_engine.journal.results("labelled")]
    assert len(rows) >= 200
    with open(asset("samples", "labels.csv"), encoding="utf-8") as file:
        truth = {os.path.basename(row["file"]): row["label"] for row in csv.DictReader(file)}
    names = [line.split(":")[0] for line in settings["labels"].splitlines()]
    descriptions = [line.split(":", 1)[1].strip() for line in settings["labels"].splitlines()]
    oracle = SentenceTransformer(starter_folder(), device="cpu")
    texts = []
    for record, _ in rows:
        with open(record.path, encoding="utf-8") as file:
            texts.append(file.read())
    cosine = oracle.similarity(oracle.encode(texts), oracle.encode(descriptions)).numpy()
    assert [value["label"] for _, value in rows] == [names[i] for i in cosine.argmax(1)]
    ours = np.array([[value["scores"][name] for name in names] for _, value in rows])
    np.testing.assert_allclose(ours, cosine, atol=2e-5)
    right = [truth[os.path.basename(record.path)] == value["label"] for record, value in rows]
    assert np.mean(right) >= 0.8


def test_a_job_waits_for_a_model_and_then_runs(fresh_engine, folder):
    engine = fresh_engine()
    pile(engine, "early")
    engine.submit("early", "embed")
    assert not engine.wait("early", 0.0)
    engine.open_model(folder, "float32").result(60)
    assert engine.wait("early", 30)
    assert counts(engine, "early") == {"done": len(TEXTS)}


def test_pause_finishes_what_runs_and_takes_no_more(engine, monkeypatch):
    gate = Gate(monkeypatch)
    one_text_a_batch(engine)
    pile(engine, "a")
    engine.submit("a", "embed")
    for _ in range(2):
        assert gate.entered.acquire(timeout=30)
    settled = engine.pause("a")
    assert not settled.done()
    gate.open.set()
    settled.result(30)
    found = counts(engine, "a")
    assert found == {"done": 2, "waiting": len(TEXTS) - 2}
    engine.resume("a")
    assert engine.wait("a", 30)
    assert counts(engine, "a") == {"done": len(TEXTS)}


def test_cancel_stops_what_runs_and_retry_brings_it_back(engine, monkeypatch):
    gate = Gate(monkeypatch)
    one_text_a_batch(engine)
    pile(engine, "a")
    engine.submit("a", "embed")
    for _ in range(2):
        assert gate.entered.acquire(timeout=30)
    engine.cancel("a").result(30)
    assert counts(engine, "a") == {"cancelled": len(TEXTS)}
    assert engine.snapshot().jobs[0].status == "cancelled"
    gate.open.set()
    assert engine.retry("a") == len(TEXTS)
    assert engine.wait("a", 30)
    assert counts(engine, "a") == {"done": len(TEXTS)}
    assert engine.journal.integrity() == "ok"


def test_retry_before_the_workers_came_back_runs_everything_once_more_and_nothing_twice(engine, monkeypatch):
    gate = Gate(monkeypatch)
    one_text_a_batch(engine)
    pile(engine, "a")
    engine.submit("a", "embed")
    for _ in range(2):
        assert gate.entered.acquire(timeout=30)
    settled = engine.cancel("a")
    engine.retry("a")
    gate.open.set()
    settled.result(30)
    assert engine.wait("a", 30)
    engine.retry("a")
    assert engine.wait("a", 30)
    assert counts(engine, "a") == {"done": len(TEXTS)}
    finished = [n for batch in gate.order for n in batch]
    assert len(finished) <= len(TEXTS) + 4


@pytest.mark.parametrize(
    "error",
    [MemoryError(), RecursionError("too deep"), RuntimeError("broken"), BaseException("a panic"), SystemError("x")],
    ids=repr,
)
def test_one_bad_document_fails_alone_whatever_is_raised(engine, monkeypatch, error):
    real = Encoder.encode
    bad = []

    def encode(encoder, items, cancelled=None):
        if any(i.document in bad for i in items):
            raise error
        return real(encoder, items, cancelled)

    monkeypatch.setattr(Encoder, "encode", encode)
    pile(engine, "a")
    bad += [record.id for record in engine.journal.documents("a")][3:4]
    engine.submit("a", "embed")
    assert engine.wait("a", 30)
    assert states(engine, "a") == ["done"] * 3 + ["failed"] + ["done"] * (len(TEXTS) - 4)
    reason = list(engine.journal.documents("a"))[3].reason
    assert ("out of memory" if isinstance(error, MemoryError) else "failed") in reason
    bad.clear()
    assert engine.retry("a") == 1
    assert engine.wait("a", 30)
    assert counts(engine, "a") == {"done": len(TEXTS)}


def test_a_tokenizer_that_panics_on_one_text_fails_that_text_alone(engine, monkeypatch):
    from engine.models.tokenizer import WorkerTokenizer

    real = WorkerTokenizer.ids

    def ids(self, texts, *arguments, **options):
        if any("Error 404" in text for text in texts):
            raise BaseException("panicked at src/lib.rs")  # noqa: TRY002 - what PyO3 raises is one
        return real(self, texts, *arguments, **options)

    monkeypatch.setattr(WorkerTokenizer, "ids", ids)
    pile(engine, "a")
    engine.submit("a", "embed")
    assert engine.wait("a", 30)
    assert counts(engine, "a") == {"done": len(TEXTS) - 1, "failed": 1}


def test_a_vector_of_nan_fails_its_row_with_a_reason(engine, monkeypatch):
    real = Encoder.encode

    def encode(encoder, items, cancelled=None):
        vectors = real(encoder, items, cancelled)
        vectors[[i for i, item in enumerate(items) if item.document == first]] = np.nan
        return vectors

    monkeypatch.setattr(Encoder, "encode", encode)
    pile(engine, "a")
    first = next(iter(engine.journal.documents("a"))).id
    engine.submit("a", "embed")
    assert engine.wait("a", 30)
    assert counts(engine, "a") == {"done": len(TEXTS) - 1, "failed": 1}
    assert "float32" in next(iter(engine.journal.documents("a"))).reason


def test_files_that_vanish_or_change_after_adding_fail_and_the_rest_goes_on(engine, tmp_path):
    place = tmp_path / "pile"
    place.mkdir()
    for i, text in enumerate(TEXTS):
        (place / f"{i}.txt").write_text(text)
    engine.create_job("a")
    assert engine.add_paths("a", [str(place)]).result(30) == {"added": len(TEXTS), "skipped": 0}
    (place / "1.txt").unlink()
    (place / "2.txt").write_text("quite another text")
    (place / "3.txt").write_text(TEXTS[3][:5])
    engine.submit("a", "embed")
    assert engine.wait("a", 30)
    rows = {os.path.basename(r.path): r for r in engine.journal.documents("a")}
    assert [rows[f"{i}.txt"].state for i in range(5)] == ["done", "failed", "failed", "failed", "done"]
    assert "missing" in rows["1.txt"].reason
    assert "changed since" in rows["2.txt"].reason
    assert "changed since" in rows["3.txt"].reason


def test_the_job_with_the_higher_priority_is_served_first(engine, monkeypatch):
    gate = Gate(monkeypatch)
    one_text_a_batch(engine)
    pile(engine, "low", [f"old document {n}" for n in range(24)])
    pile(engine, "high")
    engine.submit("low", "embed", priority=0)
    for _ in range(2):
        assert gate.entered.acquire(timeout=30)
    engine.submit("high", "embed", priority=5)
    # Until it is known which of its answers are there already, workers may take the other's.
    wait_until(engine, "high", lambda job: not job.looking)
    high = {r.id for r in engine.journal.documents("high")}
    served = threading.Event()
    gated = Encoder.encode

    def encode(encoder, items, cancelled=None):
        # However long reading the urgent job takes: what comes next of the old one ends after its first document began.
        if high.isdisjoint(i.document for i in items):
            assert served.wait(30), "both workers took the old job's documents"
        served.set()
        return gated(encoder, items, cancelled)

    monkeypatch.setattr(Encoder, "encode", encode)
    gate.open.set()
    assert engine.wait("low", 60)
    assert engine.wait("high", 60)
    later = [n for batch in gate.order[2:] for n in batch]
    # All but the last one: that may lie in one worker's inbox when the other has nothing urgent left to take.
    begun = sorted(later.index(n) for n in high)[-2]
    # While one worker reads the urgent job, the other may run one of the old job and have the next in its inbox.
    assert sum(n not in high for n in later[:begun]) <= 2


def test_documents_added_while_the_job_runs_are_run_too(engine, monkeypatch):
    gate = Gate(monkeypatch)
    pile(engine, "a")
    engine.submit("a", "embed")
    assert gate.entered.acquire(timeout=30)
    engine.add_texts("a", [("late.txt", "the late document")]).result(30)
    gate.open.set()
    assert engine.wait("a", 30)
    assert counts(engine, "a") == {"done": len(TEXTS) + 1}


def test_removing_takes_rows_off_the_pile_but_never_running_ones(engine, monkeypatch):
    gate = Gate(monkeypatch)
    one_text_a_batch(engine)
    pile(engine, "a")
    engine.submit("a", "embed")
    for _ in range(2):
        assert gate.entered.acquire(timeout=30)
    assert engine.remove_documents("a") == len(TEXTS) - 2
    gate.open.set()
    assert engine.wait("a", 30)
    assert counts(engine, "a") == {"done": 2}
    assert engine.journal.integrity() == "ok"


def test_snapshots_tell_every_change_once(engine):
    pile(engine, "a")
    _, rows, _, resets = drain(engine)
    assert resets == 1
    assert {row.state for row in rows.values()} == {"waiting"}
    _, rows, _, _ = drain(engine)
    assert rows == {}
    engine.submit("a", "classify", LABELS)
    assert engine.wait("a", 30)
    snapshot, rows, _, _ = drain(engine)
    assert {row.state for row in rows.values()} == {"done"}
    assert snapshot.jobs[0].counts["done"] == len(TEXTS)
    assert all(row.summary for row in rows.values())
    engine.remove_documents("a")
    _, _, removed, _ = drain(engine)
    assert len(removed) == len(TEXTS)


def test_counts_always_sum_to_what_was_added(engine, tmp_path):
    (tmp_path / "empty.txt").write_text(" \n")
    (tmp_path / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(64))
    (tmp_path / "good.txt").write_text("the harbour lay still")
    engine.create_job("a")
    engine.add_paths("a", [str(tmp_path / n) for n in ("empty.txt", "picture.txt", "good.txt")]).result(30)
    engine.submit("a", "embed")
    assert engine.wait("a", 30)
    assert counts(engine, "a") == {"skipped": 2, "done": 1}
    assert engine.snapshot().jobs[0].counts == dict.fromkeys(map(str, State), 0) | {"skipped": 2, "done": 1}


def test_another_task_over_the_same_pile_replaces_what_waits(engine):
    pile(engine, "a")
    engine.submit("a", "embed")
    assert engine.wait("a", 30)
    engine.submit("a", "classify", LABELS)
    assert engine.wait("a", 30)
    assert engine.retry("a", [r.id for r in engine.journal.documents("a")]) == len(TEXTS)
    assert engine.wait("a", 30)
    assert all("scores" in result.value for _, result in engine.journal.results("a"))


def test_a_running_job_refuses_another_model_and_another_start(engine, monkeypatch, folder):
    gate = Gate(monkeypatch)
    pile(engine, "a")
    engine.submit("a", "embed")
    assert gate.entered.acquire(timeout=30)
    for forbidden in (
        lambda: engine.open_model(folder),
        engine.close_model,
        lambda: engine.submit("a", "embed"),
        lambda: engine.set_plan(Plan("cpu", 1, 1, "bf16")),
    ):
        with pytest.raises(UsageError):
            forbidden()
    gate.open.set()
    assert engine.wait("a", 30)


def test_a_plan_can_change_while_a_job_runs(engine):
    pile(engine, "a", [f"water {i} " * 20 for i in range(300)])
    engine.submit("a", "embed")
    plan = engine.set_plan(Plan("cpu", 1, 2, "float32")).result(30)
    assert (plan.workers, plan.threads) == (1, 2)
    assert engine.wait("a", 60)
    assert counts(engine, "a") == {"done": 300}


def test_a_load_can_be_cancelled_and_the_next_one_works(fresh_engine, folder, monkeypatch):
    from engine.models import load as module

    started, go = threading.Event(), threading.Event()
    real = module.read_tokenizer

    def slow(*arguments, **options):
        started.set()
        assert go.wait(30)
        return real(*arguments, **options)

    monkeypatch.setattr(module, "read_tokenizer", slow)
    engine = fresh_engine()
    opening = engine.open_model(folder)
    assert started.wait(30)
    stopped = engine.cancel_open()
    go.set()
    stopped.result(30)
    with pytest.raises(Cancelled):
        opening.result(0)
    assert engine.snapshot().model.status == "none"
    engine.open_model(folder).result(60)
    assert engine.snapshot().model.status == "ready"


def test_a_model_is_unloaded_on_request(engine):
    assert engine.snapshot().workers
    engine.close_model().result(30)
    snapshot = engine.snapshot()
    assert snapshot.model.status == "none"
    assert snapshot.workers == ()


def test_a_folder_that_is_no_model_says_why(fresh_engine, tmp_path):
    engine = fresh_engine()
    with pytest.raises(ModelError, match=r"config\.json"):
        engine.open_model(str(tmp_path)).result(30)
    assert engine.snapshot().model.status == "failed"


def test_weights_that_lack_a_tensor_are_refused_not_filled_with_random_numbers(fresh_engine, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = make_folder(tmp_path, "bert")
    weights = os.path.join(folder, "model.safetensors")
    tensors = load_file(weights)
    name = next(n for n in tensors if "attention.self.key.weight" in n)
    save_file({k: v for k, v in tensors.items() if k != name}, weights, {"format": "pt"})
    with pytest.raises(ModelError, match="lack"):
        fresh_engine().open_model(folder).result(60)


def test_a_model_larger_than_memory_is_refused_with_the_numbers(fresh_engine, folder, monkeypatch):
    from engine.telemetry import machine

    monkeypatch.setattr(machine, "memory_available", lambda: 1000)
    with pytest.raises(ModelError, match="GB"):
        fresh_engine().open_model(folder).result(60)


@pytest.mark.parametrize(
    ("task", "settings", "words"),
    [
        ("nothing", {}, "no task"),
        ("embed", {"colour": 1}, "no setting"),
        ("embed", {"on_overflow": "shrink"}, "one of"),
        ("classify", {}, "needed"),
        ("classify", {"labels": "one"}, "two labels"),
        ("classify", {"labels": "a, a"}, "twice"),
        ("classify", {"labels": "a, b", "margin": 9}, "between"),
        ("classify", {"labels": "a, b", "threshold": "high"}, "number"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(fresh_engine, task, settings, words):
    engine = fresh_engine()
    pile(engine, "a")
    with pytest.raises(UsageError, match=words):
        engine.submit("a", task, settings)
    assert states(engine, "a") == ["waiting"] * len(TEXTS)


def test_a_session_file_brings_jobs_back_and_runs_only_what_was_not_done(fresh_engine, folder, tmp_path, monkeypatch):
    session = str(tmp_path / "session.sqlite")
    gate = Gate(monkeypatch)
    first = fresh_engine(session)
    first.set_plan(Plan("cpu", 1, 1, "float32")).result(30)
    first.open_model(folder).result(60)
    one_text_a_batch(first)
    place = tmp_path / "pile"
    place.mkdir()
    for i, text in enumerate(TEXTS):
        (place / f"{i}.txt").write_text(text)
    first.create_job("a", "my pile")
    first.add_paths("a", [str(place)]).result(30)
    first.submit("a", "classify", LABELS)
    # The three labels come first; then two documents are let through and the third is under way when it all ends.
    gate.open.set()
    while first.journal.counts("a")["done"] < 2:
        assert gate.entered.acquire(timeout=30)
    gate.open.clear()
    assert first.close(5.0)
    gate.open.set()
    gate.order.clear()
    second = fresh_engine(session)
    assert second.recovered == ("a",)
    done = second.journal.counts("a")["done"]
    assert 2 <= done <= len(TEXTS)
    _, rows, _, _ = drain(second)
    assert sum(row.summary != "" for row in rows.values()) == done
    second.open_model(folder, "float32").result(60)
    assert second.wait("a", 30)
    assert counts(second, "a") == {"done": len(TEXTS)}
    again = {n for batch in gate.order for n in batch if n > 3}
    assert len(again) <= len(TEXTS) - done + 1
    assert second.journal.integrity() == "ok"


def test_inspect_gives_text_and_result(engine, tmp_path):
    (tmp_path / "a.txt").write_text("the harbour lay still " * 100)
    engine.create_job("a")
    engine.add_paths("a", [str(tmp_path / "a.txt")]).result(30)
    engine.submit("a", "classify", LABELS)
    assert engine.wait("a", 30)
    number = next(iter(engine.journal.documents("a"))).id
    told = engine.inspect("a", number, 22).result(30)
    assert told["text"] == "the harbour lay still "
    assert told["truncated"]
    assert told["result"]["label"] in ("water", "bread", "error")
    (tmp_path / "a.txt").unlink()
    gone = engine.inspect("a", number).result(30)
    assert "missing" in gone["text_error"]
    assert gone["result"] == told["result"]


def test_an_unknown_encoding_is_refused_before_anything_is_read(fresh_engine):
    engine = fresh_engine()
    engine.create_job("a")
    with pytest.raises(UsageError, match="encoding"):
        engine.add_paths("a", ["."], encoding="klingon")


def test_the_gil_share_is_a_share(engine):
    assert engine.gil_share() == -1.0
    pile(engine, "a")
    engine.submit("a", "embed")
    assert engine.wait("a", 30)
    assert 0.0 < engine.gil_share() <= 1.0


def test_a_program_that_forgets_to_close_its_engine_ends(tmp_path):
    program = tmp_path / "forgetful.py"
    program.write_text(
        "import sys\n"
        f"sys.path.insert(0, {os.getcwd()!r})\n"
        "from engine.engine import Engine\n"
        "engine = Engine()\n"
        "engine.open_model('starter', 'float32').result(120)\n"
        "assert engine.snapshot().workers\n"
        "print('over')\n",
        encoding="utf-8",
    )
    ended = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout.strip()) == (0, "over"), ended.stderr


def test_an_engine_is_closed_by_its_block(no_threads_left):
    with Engine() as engine:
        engine.create_job("j")
        engine.add_texts("j", [("a", "b")]).result(30)
    assert engine.close(1.0)  # once more does no harm
