"""Files that changed since they were added: their rows are made anew of what the files say now."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from engine.documents.document import Source, State
from engine.documents.offline import is_offline
from engine.documents.read import Offline, read
from engine.documents.walk import why_not
from engine.errors import DocumentError
from engine.store.record import DOCUMENT_COLUMNS, Record

if TYPE_CHECKING:
    from engine.documents.document import Text
    from engine.job import Document, Job
    from engine.runner import Runner

CHANGED = "the file changed after it was added, and was read again"
"""What a row says that was made of a newer state of its file."""

_SAME = frozenset(("id", "job", "position", "path"))


def changed(record: Record) -> bool:
    """Tell whether the file of a record is there and is not what it was, by size and time of change."""
    try:
        status = os.stat(record.path)
    except (OSError, ValueError):
        return False
    now = Source(record.path, status.st_size, status.st_mtime_ns)
    return (now.size, now.mtime_ns) != (record.size, record.mtime_ns)


def renew(runner: Runner, job: Job, number: int, document: Document) -> None:
    """Put a document that was read anew in the place of an older state of its file; one that runs is run again then."""
    with runner.lock:
        held = job.documents.get(number)
        if held is None:
            return
        if held.record.state == State.RUNNING:
            held.stale = True
            return
        held.start_over()
        if held.text is not None and not held.in_memory:
            runner.text_cached -= len(held.text)
            held.text = None
        record = document.record
        held.summary, held.fresh, held.renew = "", False, False
        held.note = _joined(CHANGED, document.note)
        reason = held.note if record.state == State.WAITING else record.reason
        waited = held.record.state == State.WAITING
        fields = {name: getattr(record, name) for name in DOCUMENT_COLUMNS if name not in _SAME}
        job.change(number, **{**fields, "reason": reason})
        if held.record.state == State.WAITING and not waited:
            job.line_up(number)
        runner.kept_in(job).update_documents([held.record])


def run_again(runner: Runner, job: Job, number: int) -> None:
    """Let a document that has just ended wait again, because its file changed while it ran; under the runner's lock."""
    document = job.documents[number]
    document.stale, document.renew, document.fresh = False, True, True
    document.start_over()
    document.summary = ""
    job.change(number, state=str(State.WAITING), reason="", seconds=0.0, lane=-1, tokens=-1)
    job.line_up(number)
    runner.kept_in(job).update_documents([document.record])


def read_anew(runner: Runner, job: Job, number: int, record: Record) -> tuple[Record, Text]:
    """Read the file of a document as it is now, whatever it was when it was added; returns its record and text.

    Raises DocumentError as ``read`` does.
    """
    try:
        status = os.stat(record.path)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and is_offline(record.path, error, job.device(record.path)):
            raise Offline("source offline: its folder is not there; it goes on when that is back") from error
        raise DocumentError(why_not(error, record.path)) from error
    source = Source(record.path, status.st_size, status.st_mtime_ns)
    text = read(source, encoding=job.encoding, on_bad_bytes=job.on_bad_bytes, device=job.device(record.path))
    with runner.lock:
        document = job.documents.get(number)
        if document is None:
            return record, text
        document.renew = False
        document.note = f"{text.replaced} bad bytes were replaced" if text.replaced else ""
        if record.sha256 and text.sha256 != record.sha256:
            document.note = _joined(CHANGED, document.note)
        job.change(
            number,
            size=source.size,
            mtime_ns=source.mtime_ns,
            sha256=text.sha256,
            encoding=text.encoding,
            confidence=text.confidence,
            reason=document.note,
        )
        return document.record, text


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))
