"""Adding to a pile: paths are walked, files are read once to see whether they are text, rows appear."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.documents.document import Skipped, Source, State
from engine.documents.read import NotADocument, read
from engine.documents.walk import Walk
from engine.errors import DocumentError
from engine.job import Document
from engine.store.record import Record

if TYPE_CHECKING:
    from engine.job import Job
    from engine.runner import Runner

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.1
"""Rows are handed over at this pace, so that the table fills while a large folder is still being read."""


def add_paths(runner: Runner, job: Job, paths: Sequence[str], closing: Callable[[], bool]) -> dict[str, int]:
    """Walk ``paths`` into the pile of ``job``; returns how many documents wait and how many were not taken."""
    counts = {"added": 0, "skipped": 0}
    held: list[Document] = []
    flushed = time.monotonic()
    try:
        if job.seen is None:
            job.seen = Walk()
        for found in job.seen.walk(paths, cancelled=closing):
            document = _document(runner, job, found)
            counts["added" if document.record.state == State.WAITING else "skipped"] += 1
            held.append(document)
            if time.monotonic() - flushed > FLUSH_SECONDS:
                runner.add(job, held)
                held = []
                flushed = time.monotonic()
    finally:
        runner.add(job, held)
        runner.added(job)
    return counts


def _document(runner: Runner, job: Job, found: Source | Skipped) -> Document:
    number = runner.number()
    if isinstance(found, Skipped):
        return Document(Record(number, job.id, number, found.path, state=str(State.SKIPPED), reason=found.reason))
    record = Record(number, job.id, number, found.path, found.size, found.mtime_ns)
    state, reason = State.WAITING, ""
    try:
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
        record = replace(record, sha256=text.sha256, encoding=text.encoding, confidence=text.confidence)
        if text.replaced:
            reason = f"{text.replaced} bad bytes were replaced"
        return Document(replace(record, reason=reason), note=reason, text=text.text)
    return Document(_with_state(record, state, reason))


def _with_state(record: Record, state: State, reason: str) -> Record:
    return replace(record, state=str(state), reason=reason)


def add_texts(runner: Runner, job: Job, texts: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Put (name, text) pairs on the pile of ``job``; returns how many wait and how many were empty."""
    counts = {"added": 0, "skipped": 0}
    held: list[Document] = []
    try:
        for name, text in texts:
            number = runner.number()
            data = text.encode("utf-8", "surrogatepass")
            record = Record(number, job.id, number, name, len(data), 0, hashlib.sha256(data).hexdigest(), "utf-8")
            if text.strip():
                held.append(Document(record, text=text, in_memory=True))
                counts["added"] += 1
            else:
                held.append(Document(_with_state(record, State.SKIPPED, "empty")))
                counts["skipped"] += 1
    finally:
        runner.add(job, held)
        runner.added(job)
    return counts
