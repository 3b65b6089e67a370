"""One document looked at closely: its text, its result, its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.documents.document import Source
from engine.documents.read import read
from engine.errors import DocumentError, UsageError

if TYPE_CHECKING:
    from engine.documents.long_text import LongText
    from engine.job import Job
    from engine.runner import Runner
    from engine.store.record import Record


def text_of(runner: Runner, job: Job, number: int) -> tuple[Record, str, LongText | None, str]:
    """Return record and text of a document, what reads a text too long to hold, and why there is none.

    The text stays where it is. Raises UsageError when the document is no longer on the pile.
    """
    held = runner.text_of(job, number, keep=True)
    if held is None:
        raise UsageError("This document is no longer on the pile.")
    record, text, _ = held
    if text is not None:
        return record, text, None, ""
    try:
        source = Source(record.path, record.size, record.mtime_ns)
        with runner.board.doing("document", record.path, "read", job=job.id, document=number):
            found = read(source, encoding=job.encoding, on_bad_bytes=job.on_bad_bytes)
        return record, found.text, found.long, ""
    except DocumentError as error:
        return record, "", None, str(error)


def visible(value: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a result that the window shows: all, but for a thought that is kept and to be hidden."""
    hidden = {"thought"} if settings.get("thinking") == "hide" else set[str]()
    return {name: item for name, item in value.items() if name not in hidden}


def inspect(runner: Runner, job: Job, number: int, limit: int) -> dict[str, Any]:
    """Return text (at most ``limit`` characters) and result of a document, as protocol.Inspect tells.

    Raises UsageError when the document is no longer on the pile.
    """
    with runner.lock:
        document = job.documents.get(number)
        if document is None:
            raise UsageError("This document is no longer on the pile.")
        row, writing = document.row(), document.writing
    _, text, long, problem = text_of(runner, job, number)
    if long is not None:
        text = long.head(limit + 1)
    result = runner.journal.result(number)
    value = None if result is None else visible(result.value, job.settings)
    if result is not None and result.vector is not None and value is not None:
        import numpy as np

        value["vector"] = [float(x) for x in np.frombuffer(result.vector, "<f4")[:16]]
    if value is None and writing:
        value = {"text": writing, "finish_reason": ""}
    return {
        "text": text[:limit],
        "truncated": len(text) > limit,
        "text_error": problem,
        "result": value,
        "row": row,
    }
