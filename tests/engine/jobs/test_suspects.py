"""FAULTS 20, 29: documents that were in work when the engine died run alone; a source that is away is waited for."""

from __future__ import annotations

import os

import pytest
from engine_helpers import forget_texts, wait_until
from model_folders import make_folder

from engine.api.plan import Plan
from engine.jobs import offline_sources as offline
from engine.store.hold import Hold
from engine.store.journal import Journal
from engine.store.record import JobRecord, Record


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT folder."""
    return make_folder(tmp_path_factory.mktemp("model"), "bert")


def abandon(path: str, documents: list[int]) -> None:
    """Leave the journal at ``path`` as an engine does that dies with these documents in work."""
    hold = Hold(path)
    hold.begin()
    hold.take(documents)
    os.close(hold._file)
    hold._file = None


def fill(path: str, place, count: int) -> None:
    with Journal(path) as journal:
        journal.add_job(JobRecord("job", task="embed", status="running"))
        records = []
        for number in range(1, count + 1):
            file = place / f"{number}.txt"
            file.write_text(f"text number {number}")
            status = file.stat()
            records.append(Record(number, "job", number, str(file), status.st_size, status.st_mtime_ns))
        journal.add_documents(records)


def run(engine, folder) -> dict[int, str]:
    engine.set_plan(Plan("cpu", 2, 1, "float32")).result(30)
    engine.open_model(folder).result(60)
    assert engine.wait("job", 60)
    return {record.id: record.state for record in engine.journal.documents("job")}


def test_suspects_run_alone_after_all_others_and_innocent_ones_are_done(folder, tmp_path, fresh_engine, monkeypatch):
    path = str(tmp_path / "session")
    fill(path, tmp_path, 40)
    abandon(path, [1, 2, 3])
    engine = fresh_engine(path)
    taken: list[set[int]] = []
    real = engine.journal.in_flight.take
    monkeypatch.setattr(engine.journal.in_flight, "take", lambda ids: taken.append(set(ids)) or real(ids))
    assert set(run(engine, folder).values()) == {"done"}
    suspects = [ids for ids in taken if ids & {1, 2, 3}]
    assert suspects == [{1}, {1}, {2}, {2}, {3}, {3}]
    assert taken[-6:] == suspects


def test_a_document_with_which_the_engine_died_twice_is_quarantined_and_a_retry_clears_it(
    folder, tmp_path, fresh_engine
):
    path = str(tmp_path / "session")
    fill(path, tmp_path, 10)
    abandon(path, [4, 5])
    Journal(path).close()
    abandon(path, [5])
    engine = fresh_engine(path)
    states = run(engine, folder)
    assert states.pop(5) == "quarantined"
    assert set(states.values()) == {"done"}
    row = next(r for told in engine.snapshot().rows for r in told.rows if r.id == 5)
    assert "ended twice" in row.reason
    assert engine.retry("job") == 0, "all that failed: what is quarantined needs to be named"
    assert engine.retry("job", [5]) == 1
    assert engine.wait("job", 60)
    record = engine.journal.document(5)
    assert (record.state, record.deaths) == ("done", 0)


def test_the_same_question_about_the_same_files_is_answered_without_a_model(folder, tmp_path, fresh_engine):
    pile = tmp_path / "pile"
    pile.mkdir()
    for number in range(300):
        (pile / f"{number}.txt").write_text(f"text number {number}")
    engine = fresh_engine(str(tmp_path / "session"))
    engine.create_job("job")
    engine.add_paths("job", [str(pile)]).result(30)
    engine.submit("job", "embed")
    assert set(run(engine, folder).values()) == {"done"}
    engine.close_model().result(30)
    before = {r.path: (r.tokens, x.vector) for r, x in engine.journal.results("job")}
    for job, first in (("adding first", True), ("while adding", False)):
        engine.create_job(job)
        adding = engine.add_paths(job, [str(pile)])
        if first:
            adding.result(30)
        engine.submit(job, "embed")
        adding.result(30)
        assert engine.wait(job, 30)
        assert {r.path: (r.tokens, x.vector) for r, x in engine.journal.results(job)} == before
    engine.create_job("again")
    engine.add_paths("again", [str(pile)]).result(30)
    engine.submit("again", "embed", again=True)
    assert not engine.wait("again", 0.0), "it waits for a model"
    assert engine.journal.counts("again")["waiting"] == 300
    assert engine.journal.integrity() == "ok"


def test_documents_of_a_folder_that_went_away_wait_and_go_on_when_it_is_back(
    folder, tmp_path, fresh_engine, monkeypatch
):
    monkeypatch.setattr(offline, "PERIOD", 0.05)
    path = str(tmp_path / "session")
    pile, away, stays = tmp_path / "pile", tmp_path / "away", tmp_path / "stays"
    pile.mkdir()
    stays.mkdir()
    fill(path, pile, 6)
    (stays / "gone.txt").write_text("soon gone")
    engine = fresh_engine(path)
    engine.add_paths("job", [str(stays)]).result(10)
    (stays / "gone.txt").unlink()
    (stays / "other.txt").write_text("the folder is there")
    forget_texts(engine, "job")
    os.rename(pile, away)
    engine.set_plan(Plan("cpu", 1, 1, "float32")).result(30)
    engine.open_model(folder).result(60)
    wait_until(engine, "job", lambda job: job.pile.counts["offline"] == 6 and job.pile.counts["failed"] == 1)
    assert not engine.wait("job", 0.0), "the job waits for its source"
    assert engine.journal.counts("job")["offline"] == 6
    os.rename(away, pile)
    assert engine.wait("job", 30)
    assert {r.state for r in engine.journal.documents("job") if "gone" not in r.path} == {"done"}
