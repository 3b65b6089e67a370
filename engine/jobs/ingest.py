"""Adding to a pile: paths are walked, files are read once to see whether they are text, rows appear."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from engine.api.state import State
from engine.documents.blank import is_blank
from engine.documents.document import Skipped, Source
from engine.documents.read import NotADocument, read
from engine.documents.walk import Walk
from engine.errors import DocumentError
from engine.jobs import result_cache
from engine.jobs.aside import DEAF
from engine.jobs.document import Document
from engine.jobs.job import LIVE
from engine.jobs.own import Own
from engine.jobs.renewing import changed, renew
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
        known = _known(coordinator, job, real=watched)
        if job.pile.seen is None:
            job.pile.seen = Walk()
        before: dict[str, int] | None = None
        for found in _walk(coordinator, job, paths, closing):
            if _set_aside(coordinator, job, known, found):
                continue
            with reading(coordinator, job, number := coordinator.number(), found):
                ours = own.has(found)
            if ours:
                if own.recognised:
                    counts["own"] = own.recognised
                continue
            if numbers := known.get(found.path):
                _meet_again(coordinator, job, numbers.popleft(), found)
                if not numbers:
                    known.pop(found.path, None)
                continue
            if isinstance(found, Skipped) and found.again:
                before = _numbers(coordinator, job) if before is None else before
                first = before.get(found.again)
                if first is not None and _look_again(coordinator, job, first):
                    counts["added"] += 1
                    continue
                if watched:
                    continue
            document = _document(coordinator, job, found, number)
            counts["added" if document.record.state == State.WAITING else "skipped"] += 1
            coordinator.call(partial(held.append, document))
            if time.monotonic() - flushed > FLUSH_SECONDS:
                hand_over(coordinator, job, settled=settled)
                settled = True
                flushed = time.monotonic()
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


def _known(coordinator: Coordinator, job: Job, *, real: bool) -> dict[str, deque[int]]:
    """Return the documents that a pile from the journal has, by path; a path may be there twice, as a second row.

    With ``real``, they are found by the real names of their files as well.
    """
    found: dict[str, deque[int]] = {}
    if job.pile.seen is None:
        for path, number in coordinator.call(lambda: [(d.record.path, n) for n, d in job.pile.documents.items()]):
            found.setdefault(path, deque()).append(number)
    if real:
        for path, numbers in list(found.items()):
            found.setdefault(os.path.realpath(path), numbers)
    return found


def _meet_again(coordinator: Coordinator, job: Job, number: int, found: Source | Skipped) -> None:
    """Look at a file of the pile that was found again: one that changed since is read anew."""
    record = coordinator.call(lambda: job.pile.documents[number].record)
    if isinstance(found, Skipped):
        return
    job.pile.note_device(found.path)
    if (record.size, record.mtime_ns) != (found.size, found.mtime_ns):
        renew(coordinator, job, number, _document(coordinator, job, found))


def _numbers(coordinator: Coordinator, job: Job) -> dict[str, int]:
    """Return the documents of a pile by path; of those with one path, the first."""
    return coordinator.call(lambda: {d.record.path: number for number, d in reversed(job.pile.documents.items())})


def _look_again(coordinator: Coordinator, job: Job, number: int) -> bool:
    """Look at a file that the pile has, and read it anew if it changed; tells whether it did."""
    document = coordinator.call(lambda: job.pile.documents.get(number))
    if document is None or not changed(document.record):
        return False
    status = os.stat(document.record.path)
    found = Source(document.record.path, status.st_size, status.st_mtime_ns)
    renew(coordinator, job, number, _document(coordinator, job, found))
    return True


def reading(
    coordinator: Coordinator, job: Job, number: int, found: Source | Skipped
) -> contextlib.AbstractContextManager[None]:
    """Note on the board, for the length of a block, that this file is read to become document ``number``."""
    size, mtime_ns = (found.size, found.mtime_ns) if isinstance(found, Source) else (0, 0)
    return coordinator.board.doing(
        "document", found.path, "read", job=job.id, document=number, size=size, mtime_ns=mtime_ns
    )


def _set_aside(coordinator: Coordinator, job: Job, known: dict[str, deque[int]], found: Source | Skipped) -> bool:
    """Tell whether a file that was found again is in quarantine and as it was: it is not even opened."""
    if not isinstance(found, Source) or not (numbers := known.get(found.path)):
        return False
    record = coordinator.call(lambda: job.pile.documents[numbers[0]].record)
    rests = record.state == State.QUARANTINED and (record.size, record.mtime_ns) == (found.size, found.mtime_ns)
    if rests:
        numbers.popleft()
        if not numbers:
            del known[found.path]
    return rests


def _document(coordinator: Coordinator, job: Job, found: Source | Skipped, number: int = -1) -> Document:
    number = coordinator.number() if number < 0 else number
    if isinstance(found, Source):
        job.pile.note_device(found.path)
    if isinstance(found, Skipped):
        return Document(Record(number, job.id, number, found.path, state=str(State.SKIPPED), reason=found.reason))
    record = Record(number, job.id, number, found.path, found.size, found.mtime_ns)
    state, reason = State.WAITING, ""
    try:
        with reading(coordinator, job, number, found):
            text = read(found, encoding=job.encoding, on_bad_bytes=job.on_bad_bytes)
    except NotADocument as error:
        state, reason = State.SKIPPED, str(error)
    except DocumentError as error:
        state, reason = State.FAILED, str(error)
    except Exception as error:
        log.warning("document %d could not be read: %s", number, error)  # no names or text of documents in logs
        log.debug("it happened here", exc_info=True)
        state, reason = State.FAILED, f"could not be read: {error}"
    else:
        if text.replaced:
            reason = f"{text.replaced} bad bytes were replaced"
        read_as = {"sha256": text.sha256, "encoding": text.encoding, "confidence": text.confidence}
        return Document(replace(record, reason=reason, **read_as), note=reason, text=None if text.long else text.text)
    return Document(_with_state(record, state, reason))


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
