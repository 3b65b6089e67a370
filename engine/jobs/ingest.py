"""Adding to a pile: paths are walked, files are read once to see whether they are text, rows appear."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from engine.api.state import State
from engine.api.table_row import column_of
from engine.documents.blank import is_blank
from engine.documents.document import Skipped, Source, Text, note_of
from engine.documents.opening import NotADocument
from engine.documents.read import read_all
from engine.documents.walk import Walk
from engine.errors import DocumentError
from engine.jobs import result_cache
from engine.jobs.aside import DEAF
from engine.jobs.document import Document
from engine.jobs.job import LIVE
from engine.jobs.known import Known, is_as_kept, known_documents, set_aside, take
from engine.jobs.own import Own
from engine.jobs.renewing import changed, renew, same_in_newer_file
from engine.store.record import Record

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.job import Job

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.1
"""Rows are handed over at this pace, so that the table fills while a large folder is still being read."""


def add_paths(
    coordinator: Coordinator,
    job: Job,
    paths: Sequence[str],
    closing: Callable[[], bool],
    leave_out: Sequence[str] = (),
    *,
    watched: bool = False,
) -> dict[str, int]:
    """Walk ``paths`` into the pile of ``job``; returns how many documents wait, how many were not taken, and
    how many files are Heddle's own, if there are any.

    Leaves out what Heddle wrote, unless it was named itself, and what lies at ``leave_out``, which is about to be
    written; raises UsageError when that is a document. A file that the pile has is only read again if it changed.
    ``watched`` says that nobody named the paths: a watch found them.
    """
    counts = {"added": 0, "skipped": 0}
    held = job.pile.held
    flushed = time.monotonic()
    settled = False  # the disk is waited for once: what is answered while files are added is this pile's own
    own = Own(coordinator.journal.path, leave_out, () if watched else paths)
    try:
        # A pile that walked before knows its files; of one in parts, some may have been taken off the pile since.
        walked = job.pile.seen is not None
        known = known_documents(coordinator, job, real=watched, parts_only=walked)
        if job.pile.seen is None:
            job.pile.seen = Walk()
        before: Known | None = None
        for found in _walk(coordinator, job, paths, closing):
            if set_aside(coordinator, job, known, found):
                continue
            with reading(coordinator, job, number := coordinator.number(), found):
                ours = own.has(found)
            if ours:
                if own.recognised:
                    counts["own"] = own.recognised
                continue
            new: Iterator[Document]
            numbers = [] if walked and isinstance(found, Skipped) else take(known, found.path)
            if numbers:
                new = _meet_again(coordinator, job, numbers, found)
            elif isinstance(found, Skipped) and found.again:
                before = known_documents(coordinator, job) if before is None else before
                first = before.get(found.again)
                now = _look_again(coordinator, job, first[0]) if first else None
                if first and now is not None:
                    counts["added"] += 1
                    new = _meet_again(coordinator, job, first[0], now)
                elif watched:
                    continue
                else:
                    new = _documents(coordinator, job, found, number)
            else:
                new = _documents(coordinator, job, found, number)
            for document in new:
                counts["added" if document.record.state == State.WAITING else "skipped"] += 1
                coordinator.call(partial(held.append, document))
                if time.monotonic() - flushed > FLUSH_SECONDS:
                    hand_over(coordinator, job, settled=settled)
                    settled = True
                    flushed = time.monotonic()
                if closing():
                    break
    finally:
        try:
            hand_over(coordinator, job, settled=settled)
        finally:
            added(coordinator, job)
    return counts


def hand_over(coordinator: Coordinator, job: Job, *, settled: bool = False) -> None:
    """Put what was read and is held back on the pile; also when the thread that read it does not come back."""

    def take() -> list[Document]:
        held = list(job.pile.held)
        job.pile.held.clear()
        return held

    add_documents(coordinator, job, coordinator.call(take), settled=settled)


def add_documents(coordinator: Coordinator, job: Job, documents: Sequence[Document], *, settled: bool = False) -> None:
    """Put documents at the end of a pile, in order; workers are given them if the job runs.

    Looks for earlier answers to what the job asks, and waits for the disk before, unless it was ``settled`` then.
    """
    found = result_cache.find(coordinator, job, documents, settled=settled) if job.status in LIVE else {}

    def add() -> None:
        coordinator.texts.admit(documents)
        job.pile.add(documents)
        result_cache.apply(coordinator, job, found)
        coordinator.line_up(job, [d.record.id for d in documents if d.record.state == State.WAITING])

    coordinator.call(add)


def added(coordinator: Coordinator, job: Job) -> None:
    """Close one call of adding; a running job that has nothing left ends now."""

    def end() -> None:
        job.adding = max(0, job.adding - 1)  # adding that was given up may still come to its end
        coordinator.update(job)

    coordinator.call(end)


def _walk(
    coordinator: Coordinator, job: Job, paths: Sequence[str], closing: Callable[[], bool]
) -> Iterator[Source | Skipped]:
    """Walk ``paths``, noting on the board which place the system is asked about."""
    assert job.pile.seen is not None
    at = paths[0] if paths else ""

    def looking(path: str) -> str:
        nonlocal at
        at = path
        if path in coordinator.deaf:  # once: whoever adds it again wants to know whether it answers now
            coordinator.deaf.discard(path)
            return DEAF
        coordinator.board.move(path)
        return ""

    walk = job.pile.seen.walk(paths, cancelled=closing, looking=looking)
    while True:
        # The rows are made outside of this block: what is read then is not the folder's fault.
        with coordinator.board.doing("folder", at, "list", job=job.id):
            found = next(walk, None)
        if found is None:
            return
        yield found


def _meet_again(coordinator: Coordinator, job: Job, numbers: list[int], found: Source | Skipped) -> Iterator[Document]:
    """Look at a file of the pile that was found again: what changed since is read anew, parts that are new are returned."""
    if isinstance(found, Skipped):
        return
    records = coordinator.call(lambda: {n: job.pile.documents[n].record for n in numbers if n in job.pile.documents})
    job.pile.note_device(found.path)
    whole = next((n for n, record in records.items() if not record.locator), None)
    if whole is not None:
        if not is_as_kept(found, records[whole]):
            for document in _documents(coordinator, job, found, whole=True):
                if document.record.locator:
                    yield document
                else:
                    renew(coordinator, job, whole, document)
        return
    parts = {record.locator: number for number, record in records.items()}
    column = "" if job.column else column_of(next(iter(parts), ""))
    for document in _documents(coordinator, job, found, column=column):
        number = parts.get(document.record.locator, -1)
        if number < 0:
            yield document
        elif records[number].sha256 != document.record.sha256:
            renew(coordinator, job, number, document)
        elif records[number].mtime_ns != document.record.mtime_ns:
            same_in_newer_file(coordinator, job, number, document.record.mtime_ns)


def _look_again(coordinator: Coordinator, job: Job, numbers: list[int]) -> Source | None:
    """Return the file of documents that the pile has as it is now, if it changed."""
    document = coordinator.call(lambda: job.pile.documents.get(numbers[0]))
    if document is None or not changed(document.record):
        return None
    status = os.stat(document.record.path)
    return Source(document.record.path, status.st_size, status.st_mtime_ns)


def reading(
    coordinator: Coordinator, job: Job, number: int, found: Source | Skipped
) -> contextlib.AbstractContextManager[None]:
    """Note on the board, for the length of a block, that this file is read to become document ``number``."""
    size, mtime_ns = (found.size, found.mtime_ns) if isinstance(found, Source) else (0, 0)
    return coordinator.board.doing(
        "document", found.path, "read", job=job.id, document=number, size=size, mtime_ns=mtime_ns
    )


def _documents(
    coordinator: Coordinator,
    job: Job,
    found: Source | Skipped,
    number: int = -1,
    column: str = "",
    *,
    whole: bool = False,
) -> Iterator[Document]:
    """Read a file into the documents that it holds; one that cannot be read is one document that says why.

    ``column`` is the one of a table whose cells the pile has already, ``whole`` says that it has the file as one document.
    """
    number = coordinator.number() if number < 0 else number
    if isinstance(found, Skipped):
        yield Document(Record(number, job.id, number, found.path, state=str(State.SKIPPED), reason=found.reason))
        return
    job.pile.note_device(found.path)
    documents = read_all(
        found, encoding=job.encoding, on_bad_bytes=job.on_bad_bytes, column=column or job.column, whole=whole
    )
    while True:
        record = Record(number, job.id, number, found.path, found.size, found.mtime_ns)
        state, reason = State.WAITING, ""
        read: tuple[Source, Text] | None = None
        try:
            with reading(coordinator, job, number, found):
                read = next(documents, None)
        except NotADocument as error:
            state, reason = State.SKIPPED, str(error)
        except DocumentError as error:
            state, reason = State.FAILED, str(error)
        except Exception as error:
            log.warning("document %d could not be read: %s", number, error)  # no names or text of documents in logs
            log.debug("it happened here", exc_info=True)
            state, reason = State.FAILED, f"could not be read: {error}"
        if state != State.WAITING:
            yield Document(_with_state(record, state, reason))
            return
        if read is None:
            return
        source, text = read
        yield _of(replace(record, size=source.size, locator=source.locator), text)
        if not source.locator:
            return
        number = coordinator.number()


def _of(record: Record, text: Text) -> Document:
    """Return the document of a text that was read."""
    reason = note_of(text)
    record = replace(record, reason=reason, sha256=text.sha256, encoding=text.encoding, confidence=text.confidence)
    if text.problem:
        return Document(_with_state(record, State.FAILED, text.problem))
    if text.columns and is_blank(text.text):  # a row of a table whose other cells say something
        return Document(_with_state(record, State.SKIPPED, "empty"))
    return Document(record, note=reason, text=None if text.long else text.text, columns=text.columns)


def _with_state(record: Record, state: State, reason: str) -> Record:
    return replace(record, state=str(state), reason=reason)


def add_texts(coordinator: Coordinator, job: Job, texts: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Put (name, text) pairs on the pile of ``job``; returns how many wait and how many were empty."""
    counts = {"added": 0, "skipped": 0}
    held: list[Document] = []
    try:
        for name, text in texts:
            number = coordinator.number()
            data = text.encode("utf-8", "surrogatepass")
            record = Record(number, job.id, number, name, len(data), 0, hashlib.sha256(data).hexdigest(), "utf-8")
            if not is_blank(text):
                held.append(Document(record, text=text, in_memory=True))
                counts["added"] += 1
            else:
                held.append(Document(_with_state(record, State.SKIPPED, "empty")))
                counts["skipped"] += 1
    finally:
        try:
            add_documents(coordinator, job, held)
        finally:
            added(coordinator, job)
    return counts
