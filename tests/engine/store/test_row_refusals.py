"""FAULTS 37: a value that SQLite refuses costs its own row, visibly; nothing is acknowledged that is not on the disk."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import sqlite3
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.api.state import State
from engine.errors import DocumentError, HeddleError
from engine.store.journal import Journal
from engine.store.record import JobRecord, Record, Result

NEIGHBOURS = 3
"""Ordinary documents before and behind the odd one, in the same write."""

texts = st.text() | st.text(alphabet=st.characters(categories=["Cs", "Cc", "Cf"])) | st.just("x" * 300)
wholes = st.integers() | st.sampled_from([2**63 - 1, 2**63, -(2**63), 2**70, -(2**70)])
reals = st.floats() | st.sampled_from([-0.0, math.nan, math.inf, -math.inf, 1e308, 5e-324])
odd_columns = st.fixed_dictionaries(
    {
        "position": wholes,
        "path": texts,
        "size": wholes,
        "mtime_ns": wholes,
        "sha256": texts,
        "encoding": texts,
        "confidence": reals,
        "state": st.sampled_from([*map(str, State), "no such state", ""]),
        "reason": texts,
        "tokens": wholes,
        "unknown_share": reals,
        "coverage": reals,
        "seconds": reals,
        "worker": wholes,
        "deaths": st.integers(0, 1),
    }
)


def plain(number: int, **values) -> Record:
    return Record(number, "job", number, f"/pile/{number}", **values)


def neighbours_and(odd: Record) -> list[Record]:
    numbers = list(range(1, 2 * NEIGHBOURS + 2))
    return [odd if n == NEIGHBOURS + 1 else plain(n) for n in numbers]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(columns=odd_columns, value=st.dictionaries(texts, reals | wholes | texts), key=texts)
def test_every_document_is_accounted_for_whatever_its_columns_hold(columns, value, key):
    number = NEIGHBOURS + 1
    odd = Record(number, "job", **columns)
    with Journal() as journal:
        told: list[Record] = []
        journal.changed = told.append
        journal.add_job(JobRecord("job"))
        journal.add_documents(neighbours_and(odd))
        journal.flush()
        with contextlib.suppress(DocumentError, ValueError, TypeError):  # refused at the door, and the caller knows
            done = dataclasses.replace(odd, state="done")
            journal.finish(done, Result(number, value, key=key))
        journal.flush()
        kept = {record.id: record for record in journal.documents("job")}
        assert sorted(kept) == list(range(1, 2 * NEIGHBOURS + 2)), "no document is lost, and none of those beside it"
        assert all(kept[n] == plain(n) for n in kept if n != number)
        assert all(record.id == number and record.reason for record in told)
        row = kept[number]
        if told and row.state != "done":
            assert (row.state, row.reason) == ("failed", told[-1].reason)
        result = journal.result(number)
        assert (result is not None) == (row.state == "done") or (columns["state"] == "done" and not told)
        assert result is None or result.key == key.encode("utf-8", "backslashreplace").decode()
        assert sum(journal.counts("job").values()) == len(kept)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    name=texts,
    created=reals,
    options=st.dictionaries(texts, reals | wholes | texts, max_size=4),
    priority=wholes,
    model=texts,
    status=texts,
)
def test_every_job_is_kept_or_refused_at_the_door(name, created, options, priority, model, status):
    with Journal() as journal:
        journal.add_job(JobRecord("before"))
        kept = True
        try:
            journal.add_job(JobRecord("odd", name, created, "embed", options, priority, status, model))
        except (ValueError, TypeError):
            kept = False
        journal.add_job(JobRecord("behind"))
        assert journal.flush()
        assert {job.id for job in journal.jobs()} == {"before", "behind"} | ({"odd"} if kept else set())
        if kept:
            with contextlib.suppress(ValueError):
                journal.update_job("odd", name=name + "!", priority=priority, created=created)
            assert journal.flush()
            job = journal.job("odd")
            assert bool(job.settings) == bool(options)
        assert journal.notes == ()


def only_short(journal: Journal, length: int) -> None:
    """Let SQLite's own limit play the value that it does not take: "string or blob too big"."""
    with journal._write_gate:
        journal._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, length)


def test_a_refused_row_is_failed_on_the_disk_before_it_is_acknowledged(tmp_path):
    path = str(tmp_path / "pile.journal")
    with Journal(path) as journal:
        told: list[tuple[int, str, int]] = []
        journal.changed = lambda record: told.append((record.id, record.state, journal.acknowledged))
        journal.add_job(JobRecord("job"))
        journal.add_documents([plain(n) for n in range(1, 1001)])
        journal.flush()
        only_short(journal, 20_000)
        for n in range(1, 1001):
            text = "x" * 30_000 if n == 500 else "short"
            ticket = journal.finish(plain(n, state="done"), Result(n, {"text": text}))
        assert journal.flush(30)
        assert journal.acknowledged == ticket
        with contextlib.closing(sqlite3.connect(path)) as other:
            states = dict(other.execute("SELECT id, state FROM document").fetchall())
            results = {row[0] for row in other.execute("SELECT document FROM result")}
        assert states == {n: "failed" if n == 500 else "done" for n in range(1, 1001)}
        assert results == set(states) - {500}
        assert "too big" in journal.document(500).reason
        assert [(number, state) for number, state, _ in told] == [(500, "failed")]
        assert told[0][2] < ticket, "it is told before it counts as acknowledged"
        assert journal.integrity() == "ok"


def test_a_refused_row_among_those_added_costs_no_other(tmp_path):
    with Journal(str(tmp_path / "pile.journal")) as journal:
        journal.add_job(JobRecord("job"))
        journal.flush()
        only_short(journal, 20_000)
        journal.add_documents(plain(n, encoding="x" * 30_000 if n == 7 else "utf-8") for n in range(1, 1001))
        with pytest.raises(HeddleError, match="refused 1 of the writes"):  # it is too long in its failed row as well
            journal.flush(30)
        assert sum(journal.counts("job").values()) == 999


@pytest.mark.parametrize("what", ["no column named seconds", "no such table"])
def test_an_error_that_is_not_of_the_disk_stops_and_is_not_tried_for_ever(tmp_path, what):
    path = str(tmp_path / "pile.journal")
    change = "RENAME COLUMN seconds TO lost" if "column" in what else "RENAME TO lost"
    journal = Journal(path)
    stopped: list[str] = []
    journal.stopped = stopped.append
    journal.add_job(JobRecord("job"))
    journal.flush()
    with contextlib.closing(sqlite3.connect(path)) as other:
        other.execute(f"ALTER TABLE document {change}")
    ticket = journal.add_documents([plain(1)])
    assert not journal.flush(30)
    assert journal.broken
    assert journal.acknowledged < ticket
    assert stopped == [journal.problem]
    assert what in journal.problem
    assert "start it again" in journal.problem
    with pytest.raises(HeddleError, match="cannot be written any more"):
        journal.counts("job")
    assert journal.close() == 1
    with Journal(path) as again:  # which finds the tables wrong, and recovers what is there
        assert [job.id for job in again.jobs()] == ["job"]
        assert "damaged" in again.notes[0]


def test_vectors_and_names_of_any_bytes_come_back(tmp_path):
    path = str(tmp_path / "pile.journal")
    names = [os.fsdecode(bytes([n, 47, 255 - n])) for n in range(1, 256)]
    with Journal(path) as journal:
        journal.add_job(JobRecord("job"))
        journal.add_documents(Record(n, "job", n, name) for n, name in enumerate(names, 1))
        for n, name in enumerate(names, 1):
            journal.finish(Record(n, "job", n, name, state="done"), Result(n, {}, struct.pack("<2f", -0.0, 1e-45), 2))
    with Journal(path) as journal:
        assert [(record.path, result.vector) for record, result in journal.results("job")] == [
            (name, struct.pack("<2f", -0.0, 1e-45)) for name in names
        ]
        assert journal.notes == ()
