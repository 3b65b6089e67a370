"""The journal keeps what it was given, in order, from any thread, and loses nothing when the disk refuses."""

from __future__ import annotations

import dataclasses
import os
import struct
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.api.state import State
from engine.errors import DocumentError, HeddleError
from engine.store import writer
from engine.store.journal import Journal
from engine.store.record import JobRecord, Record, Result

ODD_NAMES = [
    b"/pile/caf\xe9.txt",
    b'/pile/new\nline;"quote".txt',
    "/pile/\u202etxt.许可".encode(),
    b"/pile/" + b"x" * 255,
]


@pytest.fixture(params=["memory", "file"])
def journal(request, tmp_path):
    with Journal(None if request.param == "memory" else str(tmp_path / "session.heddle")) as journal:
        journal.add_job(JobRecord("job", "Pile", 12.5, "classify", {"labels": ["a", "b"], "threshold": 0.1}))
        yield journal


def record(number: int, **fields) -> Record:
    fields = {"job": "job", "position": number, "path": f"/pile/{number:05}.txt", **fields}
    return Record(id=number, **fields)


def done(number: int, **fields) -> tuple[Record, Result]:
    vector = struct.pack("<3f", number, 0.5, -1)
    return record(number, state="done", **fields), Result(number, {"label": "許", "n": number}, vector, 3)


def limit_pages(journal: Journal, pages: int) -> None:
    """Let SQLite's own limit play the full disk: beyond ``pages`` it raises SQLITE_FULL, as a full disk does."""
    with journal._write_gate:
        journal._connection.execute(f"PRAGMA max_page_count = {pages}")


def used_pages(journal: Journal) -> int:
    with journal._write_gate:
        return journal._connection.execute("PRAGMA page_count").fetchone()[0]


def wait_until_held(journal: Journal) -> None:
    with journal._writer._progress:
        assert journal._writer._progress.wait_for(lambda: journal._writer._problem, 60)


# ------------------------------------------------------------------------------------------------------- keeping things
def test_everything_comes_back_as_it_was_given(journal):
    records = [
        record(
            number,
            path=os.fsdecode(name),
            size=2**40,
            mtime_ns=2**62,
            sha256="ab" * 32,
            encoding="gb18030",
            confidence=0.7,
            reason="skipped: empty",
            state="skipped",
            tokens=17,
            unknown_share=0.25,
            coverage=0.5,
            seconds=1.5,
            worker=3,
        )
        for number, name in enumerate(ODD_NAMES, 1)
    ]
    journal.add_documents(records)
    assert list(journal.documents("job")) == records
    assert journal.document(2) == records[1]
    assert journal.document(99) is None
    assert journal.job("job") == JobRecord(
        "job", "Pile", 12.5, "classify", {"labels": ["a", "b"], "threshold": 0.1}, 0, "ready", ""
    )


def test_a_result_comes_back_as_it_was_given(journal):
    journal.add_documents([record(1), record(2)])
    ended, result = done(1)
    journal.finish(ended, result)
    odd = Result(2, {"text": "\udcff\x00\u202e 許", "list": [1, None, {"x": 0.1}]})
    journal.finish(record(2, state="done"), odd)
    assert journal.result(1) == result
    assert journal.result(2) == odd
    assert list(journal.results("job")) == [(ended, result), (record(2, state="done"), odd)]
    assert next(iter(journal.results("job", vectors=False)))[1] == Result(1, result.value, None, 0)


@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists)))
def test_any_json_object_is_a_result(value):
    with Journal() as journal:
        journal.add_job(JobRecord("job"))
        journal.add_documents([record(1)])
        journal.finish(record(1, state="done"), Result(1, value))
        assert journal.result(1) == Result(1, value)


def test_the_pile_is_walked_in_pile_order_across_pages(journal):
    positions = [(number * 7919) % 1500 for number in range(1500)]
    journal.add_documents(record(number + 1, position=position) for number, position in enumerate(positions))
    journal.add_job(JobRecord("other"))
    journal.add_documents([record(5000, job="other", position=3)])
    assert [document.position for document in journal.documents("job")] == list(range(1500))
    assert [document.position for document, _ in journal.results("job")] == list(range(1500))


def test_counts_name_every_state(journal):
    journal.add_documents(record(number) for number in range(1, 6))
    journal.finish(*done(1))
    journal.finish(record(2, state="failed", reason="not text"), None)
    some = {"waiting": 3, "done": 1, "failed": 1}
    assert journal.counts("job") == dict.fromkeys(map(str, State), 0) | some
    assert journal.last_document_id() == 5


def test_a_document_that_runs_again_has_no_result_meanwhile(journal):
    journal.add_documents([record(1), record(2)])
    journal.finish(*done(1))
    journal.finish(*done(2))
    journal.update_documents([record(1, state="waiting")])
    journal.finish(record(2, state="failed", reason="missing"), None)
    assert journal.result(1) is None
    assert journal.result(2) is None
    assert journal.integrity() == "ok"
    again = Result(1, {"label": "second"})
    journal.finish(record(1, state="done"), again)
    assert journal.result(1) == again


def test_a_document_removed_while_it_ran_leaves_nothing(journal):
    journal.add_documents([record(1), record(2), record(3)])
    journal.finish(*done(1))
    journal.remove_documents("job", [1, 2])
    journal.finish(*done(2))
    assert journal.flush()  # and nothing was refused
    assert list(journal.documents("job")) == [record(3)]
    assert journal.result(1) is None
    assert journal.result(2) is None
    assert journal.integrity() == "ok"


def test_a_job_can_change_but_not_its_id(journal):
    journal.update_job("job", status="running", settings={"k": 1}, priority=2, name="\udcff")
    job = journal.job("job")
    assert (job.status, job.settings, job.priority, job.name) == ("running", {"k": 1}, 2, "\\udcff")
    with pytest.raises(ValueError, match="id"):
        journal.update_job("job", id="x")
    assert [job.id for job in journal.jobs()] == ["job"]


# ------------------------------------------------------------------------------------------- what does not go together
@pytest.mark.parametrize(
    ("ended", "result", "kind"),
    [
        (record(1, state="done"), None, ValueError),
        (record(1, state="failed"), Result(1, {}), ValueError),
        (record(1, state="done"), Result(2, {}), ValueError),
        (record(1, state="done"), Result(1, {}, b"\0" * 8, 3), ValueError),
        (record(1, state="done"), Result(1, {"score": float("nan")}), DocumentError),
        (record(1, state="done"), Result(1, {}, struct.pack("<2f", 1, float("inf")), 2), DocumentError),
        (record(1, state="done"), Result(1, {"score": object()}), TypeError),
        (record(1, state="failed", seconds=float("nan")), None, ValueError),
    ],
)
def test_a_result_that_cannot_be_kept_is_refused_at_the_door(journal, ended, result, kind):
    journal.add_documents([record(1)])
    with pytest.raises(kind):
        journal.finish(ended, result)
    assert journal.document(1) == record(1)
    assert journal.integrity() == "ok"


def test_a_write_that_sqlite_refuses_does_not_take_others_with_it(journal):
    journal.add_documents([record(1), record(2)])
    journal.add_documents([record(2), record(3)])  # one id twice
    journal.finish(*done(1))
    journal.add_documents([record(4, size=2**70)])  # no integer of SQLite: bounded
    journal.add_documents([record(5)])
    with pytest.raises(HeddleError, match="refused 1 of the writes"):
        journal.flush()
    assert journal.flush()
    assert [(document.id, document.state) for document in journal.documents("job")] == [
        (1, "done"),
        (2, "waiting"),
        (3, "waiting"),
        (4, "waiting"),
        (5, "waiting"),
    ]
    assert journal.document(4).size == 2**63 - 1
    assert journal.integrity() == "ok"


def test_integrity_names_a_done_document_without_a_result(journal):
    journal.add_documents([record(1)])
    journal.update_documents([record(1, state="done")])
    assert journal.integrity() == "document 1 is done and has no result"


# -------------------------------------------------------------------------------------------------------------- threads
def test_several_threads_may_finish_and_read_at_once(journal):
    workers, each = 4, 300
    journal.add_documents(record(number) for number in range(1, workers * each + 1))
    errors: list[BaseException] = []
    finished = threading.Event()

    def worker(index: int) -> None:
        try:
            for number in range(index + 1, workers * each + 1, workers):
                ticket = journal.finish(*done(number, worker=index))
                if number % 100 == 0:
                    assert journal.result(number) is not None  # a read sees the write before it
                    assert journal.acknowledged >= ticket
        except BaseException as error:
            errors.append(error)

    def reader() -> None:
        try:
            while not finished.is_set():
                for ended, result in journal.results("job"):
                    assert (ended.state == "done") == (result is not None)
                assert sum(journal.counts("job").values()) == workers * each
        except BaseException as error:
            errors.append(error)

    watch = threading.Thread(target=reader)
    threads = [threading.Thread(target=worker, args=(index,)) for index in range(workers)]
    for thread in (watch, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    finished.set()
    watch.join()
    assert errors == []
    assert journal.counts("job")["done"] == workers * each
    assert [result for _, result in journal.results("job")] == [done(n)[1] for n in range(1, workers * each + 1)]
    assert journal.integrity() == "ok"


def test_nothing_is_acknowledged_before_its_commit(journal):
    journal.add_documents([record(1)])
    assert journal.flush()
    before = journal.acknowledged
    with journal._write_gate:  # the writer cannot commit now
        ticket = journal.finish(*done(1))
        assert ticket > before
        assert not journal.flush(timeout=0.01)
        assert journal.acknowledged == before
        assert journal.backlog == 1
    assert journal.flush()
    assert journal.acknowledged == ticket
    assert journal.backlog == 0


def test_a_few_writes_are_committed_without_anyone_asking(journal):
    ticket = journal.add_documents([record(1)])
    with journal._writer._progress:
        assert journal._writer._progress.wait_for(lambda: journal._writer._acknowledged >= ticket, 60)


# ------------------------------------------------------------------------------------------------------------ disk full
def test_a_full_disk_delays_writes_and_loses_none(journal, monkeypatch):
    monkeypatch.setattr(writer, "RETRY_SECONDS", 0.02)
    journal.add_documents(record(number) for number in range(1, 401))
    journal.flush()
    limit_pages(journal, used_pages(journal))
    for number in range(1, 401):
        journal.finish(*done(number, reason="x" * 200))
    wait_until_held(journal)
    assert "cannot be written" in journal.problem
    assert "full" in journal.problem
    if journal.path is not None:
        assert "session.heddle" in journal.problem
        assert "its disk is full" in journal.problem
        assert "B free" in journal.problem
    with pytest.raises(HeddleError, match="full"):
        journal.counts("job")
    assert journal.backlog > 0
    limit_pages(journal, 1_000_000)
    assert journal.flush(60)
    assert journal.problem == ""
    assert journal.backlog == 0
    assert [result for _, result in journal.results("job")] == [done(number)[1] for number in range(1, 401)]
    assert journal.integrity() == "ok"


def test_closing_with_a_full_disk_ends_and_says_what_is_unwritten(journal):
    journal.add_documents([record(1)])
    journal.flush()
    limit_pages(journal, used_pages(journal))
    journal.add_documents(record(number, path="/pile/" + "x" * 3000) for number in range(2, 30))
    wait_until_held(journal)
    assert journal.close(timeout=0.05) == 28
    assert not journal._writer._thread.is_alive()


# -------------------------------------------------------------------------------------------------------------- closing
def test_closing_commits_what_is_queued(tmp_path):
    path = str(tmp_path / "session.heddle")
    journal = Journal(path)
    journal.add_job(JobRecord("job"))
    journal.add_documents(record(number) for number in range(1, 3001))
    assert journal.close() == 0
    assert journal.close() == 0
    with Journal(path) as again:
        assert again.counts("job")["waiting"] == 3000


def test_a_closed_journal_says_so(journal):
    journal.add_documents(record(number) for number in range(1, 400))
    walk = journal.documents("job")
    next(walk)
    journal.close()
    for call in (lambda: journal.add_job(JobRecord("x")), journal.jobs, lambda: list(walk)):
        with pytest.raises(HeddleError, match="closed"):
            call()
    assert not journal._writer._thread.is_alive()


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        record(1).state = "done"  # type: ignore[misc]
