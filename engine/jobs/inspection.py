"""One document looked at closely: its text, its result, its row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.documents.document import Source, Text
from engine.documents.read import read
from engine.errors import DocumentError, UsageError

if TYPE_CHECKING:
    from engine.api.snapshot import DocumentRow
    from engine.documents.document import Columns
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.job import Job
    from engine.store.record import Record


def text_of(coordinator: Coordinator, job: Job, number: int) -> tuple[Record, Text, str]:
    """Return record and text of a document, and why there is none.

    The text stays where it is. Raises UsageError when the document is no longer on the pile.
    """

    def held() -> tuple[Record, str | None, Columns]:
        document = job.pile.documents.get(number)
        if document is None:
            raise UsageError("This document is no longer on the pile.")
        return document.record, document.text, document.columns

    record, text, columns = coordinator.call(held)
    if text is not None:
        return record, Text(text, record.sha256, record.encoding, record.confidence, columns=columns), ""
    try:
        source = Source(record.path, record.size, record.mtime_ns, record.locator)
        with coordinator.board.doing("document", record.path, "read", job=job.id, document=number):
            found = read(source, encoding=job.encoding, on_bad_bytes=job.on_bad_bytes)
        return record, found, ""
    except DocumentError as error:
        return record, Text("", record.sha256, record.encoding, record.confidence), str(error)


def visible(value: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a result that the window shows: all, but for a thought that is kept and to be hidden."""
    hidden = {"thought"} if settings.get("thinking") == "hide" else set[str]()
    return {name: item for name, item in value.items() if name not in hidden}


def inspect(coordinator: Coordinator, job: Job, number: int, limit: int) -> dict[str, Any]:
    """Return text (at most ``limit`` characters) and result of a document, as protocol.Inspect tells.

    Raises UsageError when the document is no longer on the pile.
    """

    def look() -> tuple[DocumentRow, str]:
        document = job.pile.documents.get(number)
        if document is None:
            raise UsageError("This document is no longer on the pile.")
        return document.row(), document.writing

    row, writing = coordinator.call(look)
    _, found, problem = text_of(coordinator, job, number)
    text = found.text if found.long is None else found.long.head(limit + 1)
    result = coordinator.journal.result(number)
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
        "columns": dict(found.columns),
        "result": value,
        "row": row,
    }
