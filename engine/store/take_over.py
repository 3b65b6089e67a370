"""Taking over: what a dead process had in work waits again, and rows that went missing are told."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from engine.api.state import State
from engine.store.cells import escape, shown
from engine.store.checksum import fact_crc, fits
from engine.store.hold import Hold, NoHold
from engine.store.record import Record
from engine.store.statements import (
    BACK_ONLINE,
    DIED,
    FACT,
    FATAL,
    KNOW,
    QUARANTINE,
    RECOVER,
    SET_TALLY,
    TALLY,
)

_QUARANTINED = "the engine ended twice while this document was in work; it is set aside until you retry it"


@dataclass(frozen=True, slots=True)
class TakenOver:
    """How many documents wait again, and how many must not; sentences about rows that are missing."""

    recovered: int = 0
    quarantined: int = 0
    notes: tuple[str, ...] = ()


def take_over(connection: sqlite3.Connection, in_flight: Hold | NoHold, path: str | None) -> TakenOver:
    """Put back what a dead process had in work, in one transaction.

    What it had in work is counted against the documents once, whatever kills this process before its list is gone.
    Raises sqlite3.Error, and then nothing was changed.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        if in_flight.token and _fact(connection, "flight") != in_flight.token:
            connection.executemany(DIED, [(number,) for number in in_flight.left])
            _know(connection, "flight", in_flight.token)
        quarantined = connection.execute(QUARANTINE, (_QUARANTINED,)).rowcount
        recovered = connection.execute(RECOVER).rowcount
        connection.execute(BACK_ONLINE)
        notes = _missing(connection, path)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    in_flight.begin()
    return TakenOver(recovered, quarantined, tuple(notes))


def as_taken_over(record: Record, left: frozenset[int]) -> Record:
    """Return a record as it will be once the disk takes what ``take_over`` writes; ``left`` was in work at a death."""
    if record.state not in {State.WAITING, State.RUNNING, State.OFFLINE}:
        return record
    deaths = record.deaths + (record.id in left)
    if deaths >= FATAL:
        return replace(record, state=str(State.QUARANTINED), worker=-1, reason=_QUARANTINED, deaths=deaths)
    if record.state == State.OFFLINE:
        return replace(record, state=str(State.WAITING), reason="", deaths=deaths)
    return replace(
        record, state=str(State.WAITING), worker=-1 if record.state == State.RUNNING else record.worker, deaths=deaths
    )


def _missing(connection: sqlite3.Connection, path: str | None) -> list[str]:
    """Compare the counts of rows with the rows, and keep those of the rows from now on."""
    notes: list[str] = []
    name = "in memory" if path is None else shown(path)
    for job, title, counted, found in connection.execute(TALLY).fetchall():
        if counted == found or connection.execute(SET_TALLY, (found, job)).rowcount == 0:
            continue  # or the job's own row is damaged, which is told when it is read
        pile = f"the pile {escape(title)!r}" if title else "a pile"
        if found < counted:
            notes.append(
                f"The journal {name} was damaged: {counted - found:,} of the {counted:,} documents of {pile} are missing. "
                "Add their files again: those that are there are not run again."
            )
        else:
            notes.append(
                f"The journal {name} was damaged: {pile} has {found:,} documents, and {counted:,} were counted."
            )
    (jobs,) = connection.execute("SELECT COUNT(*) FROM job").fetchone()
    counted = _fact(connection, "jobs")
    if counted != str(jobs):
        known = counted or "an unknown number"
        notes.append(f"The journal {name} was damaged: it has {jobs:,} jobs, and {known} were counted.")
        _know(connection, "jobs", str(jobs))
    return notes


def _fact(connection: sqlite3.Connection, name: str) -> str:
    """Return a fact, "" for one that is not there or not what was written."""
    connection.text_factory, before = (lambda data: data.decode("utf-8", "replace")), connection.text_factory
    try:
        row = connection.execute(FACT, (name,)).fetchone()
    finally:
        connection.text_factory = before
    return row[0] if row is not None and fits(row[1], fact_crc, name, row[0]) else ""


def _know(connection: sqlite3.Connection, name: str, value: str) -> None:
    connection.execute(KNOW, (name, value, fact_crc(name, value)))
