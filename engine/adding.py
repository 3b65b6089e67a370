"""Adding to a pile: paths are walked, files are read once to see whether they are text, rows appear."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from engine.documents.blank import is_blank
from engine.documents.document import Skipped, Source, State
from engine.documents.read import NotADocument, read
from engine.documents.walk import Walk
from engine.errors import DocumentError
from engine.job import Document
from engine.store.record import DOCUMENT_COLUMNS, Record

if TYPE_CHECKING:
    from engine.job import Job
    from engine.runner import Runner

log = logging.getLogger(__name__)

FLUSH_SECONDS = 0.1
"""Rows are handed over at this pace, so that the table fills while a large folder is still being read."""


def add_paths(
    runner: Runner, job: Job, paths: Sequence[str], closing: Callable[[], bool], leave_out: Sequence[str] = ()
) -> dict[str, int]:
    """Walk ``paths`` into the pile of ``job``; returns how many documents wait and how many were not taken.

    Leaves out the journal's own files and what lies at ``leave_out``. A pile that came from the journal keeps its
    documents: a file that it has is only read again if it changed.
    """
    counts = {"added": 0, "skipped": 0}
    held: list[Document] = []
    flushed = time.monotonic()
    settled = False  # the disk is waited for once: what is answered while files are added is this pile's own
    own = Own(runner.journal.path, leave_out)
    try:
        known = _known(runner, job)
        if job.seen is None:
            job.seen = Walk()
        for found in job.seen.walk(paths, cancelled=closing):
            if own.has(found.path):
                continue
            if before := known.get(found.path):
                _meet_again(runner, job, before.popleft(), found)
                if not before:
                    del known[found.path]
                continue
            document = _document(runner, job, found)
            counts["added" if document.record.state == State.WAITING else "skipped"] += 1
            held.append(document)
            if time.monotonic() - flushed > FLUSH_SECONDS:
                runner.add(job, held, settled=settled)
                held, settled = [], True
                flushed = time.monotonic()
    finally:
        try:
            runner.add(job, held, settled=settled)
        finally:
            runner.added(job)
    return counts


_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


class Own:
    """Files that are Heddle's own: a journal, with all that lies beside it, and results (a folder ends in a separator)."""

    def __init__(self, journal: str | None, others: Sequence[str]) -> None:
        """Know the ``journal`` and the files at ``others``."""
        self._journal = _place(journal) if journal else ("", "")
        self._others = {name: folder for folder, name in map(_place, others)}
        self._folders = {os.path.realpath(path) for path in others if path.endswith(_SEPARATORS)}

    def has(self, path: str) -> bool:
        """Tell whether ``path`` is one of them."""
        name = os.path.basename(path)
        if self._journal[1] and name.startswith(self._journal[1]):
            return _folder(path) == self._journal[0]
        if self._folders and _folder(path) in self._folders:
            return True
        return name in self._others and _folder(path) == self._others[name]


def _place(path: str) -> tuple[str, str]:
    path = os.path.realpath(path)
    return os.path.dirname(path), os.path.basename(path)


def _folder(path: str) -> str:
    return os.path.realpath(os.path.dirname(os.path.abspath(path)))


def _known(runner: Runner, job: Job) -> dict[str, deque[int]]:
    """Return the documents that a pile from the journal has, by path; a path may be there twice, as a second row."""
    found: dict[str, deque[int]] = {}
    if job.seen is None:
        with runner.lock:
            for number, document in job.documents.items():
                found.setdefault(document.record.path, deque()).append(number)
    return found


def _meet_again(runner: Runner, job: Job, number: int, found: Source | Skipped) -> None:
    """Look at a file of the pile that was found again: one that changed since is read anew."""
    with runner.lock:
        record = job.documents[number].record
    if isinstance(found, Skipped):
        return
    job.note_device(found.path)
    if (record.size, record.mtime_ns) != (found.size, found.mtime_ns):
        _renew(runner, job, number, _document(runner, job, found))


def _renew(runner: Runner, job: Job, number: int, document: Document) -> None:
    """Put a document that was read anew in the place of an older state of its file; what runs is left alone."""
    with runner.lock:
        held = job.documents.get(number)
        if held is None or held.record.state == State.RUNNING:
            return
        held.start_over()
        held.summary, held.note = "", document.note
        waited = held.record.state == State.WAITING
        same = {"id", "job", "position", "path"}
        job.change(number, **{name: getattr(document.record, name) for name in DOCUMENT_COLUMNS if name not in same})
        if held.record.state == State.WAITING and not waited:
            job.line_up(number)
        runner.kept_in(job).update_documents([held.record])


def _document(runner: Runner, job: Job, found: Source | Skipped) -> Document:
    number = runner.number()
    if isinstance(found, Source):
        job.note_device(found.path)
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
        if text.replaced:
            reason = f"{text.replaced} bad bytes were replaced"
        read_as = {"sha256": text.sha256, "encoding": text.encoding, "confidence": text.confidence}
        return Document(replace(record, reason=reason, **read_as), note=reason, text=text.text)
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
            if not is_blank(text):
                held.append(Document(record, text=text, in_memory=True))
                counts["added"] += 1
            else:
                held.append(Document(_with_state(record, State.SKIPPED, "empty")))
                counts["skipped"] += 1
    finally:
        try:
            runner.add(job, held)
        finally:
            runner.added(job)
    return counts
