"""What lanes of every kind do first: read documents again and count their tokens, each failing alone."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.documents.document import Source
from engine.documents.read import NotADocument, Offline, read
from engine.errors import Cancelled, DocumentError
from engine.lanes.long import count as count_long
from engine.lanes.work import Count, Prepared
from engine.renewing import read_anew

if TYPE_CHECKING:
    from engine.documents.long_text import LongText
    from engine.job import Job
    from engine.lanes.work import Prepare
    from engine.models.tokenizer import LaneTokenizer
    from engine.runner import Runner
    from engine.store.record import Record

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Document:
    """A document with its text, on the lane that counts its tokens."""

    number: int
    text: str
    path: str
    sha256: str
    long: LongText | None = None
    """A text that is too long to hold; ``text`` is empty then."""


NOTHING = "empty: the model's tokenizer finds nothing to read in it"
"""The reason of a document with text of which not one token is left, such as accents on their own."""

Counter = Callable[[Sequence[Document]], list[Prepared]]
"""Turns documents into work items, or says why not; raises whatever a tokenizer raises."""


def count_documents(runner: Runner, lane: int, work: Count, tokenizer: LaneTokenizer) -> None:
    """Count the tokens of the documents of ``work``, and book them; one that cannot be read is left for its run."""

    def stopped() -> None:
        if work.stop():
            raise Cancelled("cancelled")

    def count(documents: Sequence[Document]) -> list[Prepared]:
        found: list[Prepared] = []
        for one in documents:
            with counting(runner, work.job, one):
                if one.long is not None:
                    tokens, unknown = count_long(one.long, tokenizer, stopped)
                else:
                    ids = tokenizer.ids([one.text], stopped)[0]
                    tokens, unknown = len(ids), int((ids == tokenizer.unknown_id).sum())
            found.append(Prepared(one.number, (), tokens, unknown / max(1, tokens)))
        return found

    begin = time.perf_counter()
    found: list[Prepared] = []
    try:
        read_and_count(runner, work, found, count)
    finally:
        runner.counted(lane, work, found, time.perf_counter() - begin)


def counting(runner: Runner, job: Job, document: Document) -> contextlib.AbstractContextManager[None]:
    """Note on the board, for the length of a block, that this document is turned into tokens."""
    return runner.board.doing("document", document.path, "tokens", job=job.id, document=document.number)


def read_and_count(runner: Runner, work: Prepare | Count, found: list[Prepared], count: Counter) -> None:
    """Fill ``found`` with what became of the documents of ``work``; those it does not get to are left out."""
    documents: list[Document] = []
    for number in work.documents:
        if work.stop():
            return
        try:
            document = _read(runner, work.job, number, keep=isinstance(work, Count))
            if document is not None:
                documents.append(document)
        except NotADocument as error:
            found.append(Prepared(number, reason=str(error), skipped=True))
        except DocumentError as error:
            found.append(Prepared(number, reason=str(error), offline=isinstance(error, Offline)))
        except Exception as error:
            log.warning("document %d could not be read: %s", number, said(error))
            log.debug("it happened here", exc_info=True)
            found.append(Prepared(number, reason=f"could not be read: {said(error)}"))
    try:
        found.extend(count(documents))
        return
    except Cancelled:
        return
    except BaseException as error:  # noqa: BLE001 - one text may break the tokenizer (a Rust panic is a BaseException)
        let_exits_through(error)
        log.warning("tokenizing %d texts failed (%s); one by one", len(documents), said(error))
    for document in documents:
        try:
            found.extend(count([document]))
        except Cancelled:
            return
        except DocumentError as error:
            found.append(Prepared(document.number, reason=str(error), offline=isinstance(error, Offline)))
        except BaseException as error:  # noqa: BLE001 - as above, for this text alone
            let_exits_through(error)
            found.append(Prepared(document.number, reason=f"could not be tokenized: {said(error)}"))


def _read(runner: Runner, job: Job, number: int, *, keep: bool) -> Document | None:
    """Return a document that is still on the pile, read anew unless its text is in memory and its file unchanged."""
    held = runner.text_of(job, number, keep=keep)
    if held is None:
        return None
    record, text, in_memory = held
    if runner.renews(job, number):
        record, fresh = read_anew(runner, job, number, record)
        return Document(number, fresh.text, record.path, record.sha256, fresh.long)
    source = Source(record.path, record.size, record.mtime_ns)
    if in_memory and text is not None:
        return Document(number, text, record.path, record.sha256)
    with runner.board.doing("document", record.path, "read", job=job.id, document=number):
        return _read_file(job, record, source, text)


def _read_file(job: Job, record: Record, source: Source, text: str | None) -> Document:
    if text is None or not _unchanged(source):
        fresh = read(source, encoding=job.encoding, on_bad_bytes=job.on_bad_bytes, device=job.device(record.path))
        if record.sha256 and fresh.sha256 != record.sha256:
            raise DocumentError("changed since it was added")
        return Document(record.id, fresh.text, record.path, record.sha256, fresh.long)
    return Document(record.id, text, record.path, record.sha256)


def _unchanged(source: Source) -> bool:
    """Tell whether the file is still the one that was added, by size and time of change."""
    try:
        found = os.stat(source.path)
    except OSError:
        return False
    return Source(source.path, found.st_size, found.st_mtime_ns) == source


def too_long(tokens: int, room: int) -> str:
    """Return the reason of a document that does not fit and must not be cut."""
    return (
        f"longer than the window: {tokens:,} tokens, the model takes {room:,}; "
        "choose to split it or to keep its beginning or end"
    )


def said(error: BaseException) -> str:
    """Return the first line of what an error says, or its kind."""
    try:
        text = str(error).strip().splitlines()
    except Exception:  # noqa: BLE001 - an error that cannot even tell what it is
        text = []
    return (text[0] if text else type(error).__name__)[:300]


def let_exits_through(error: BaseException) -> None:
    """Raise ``error`` again if it asks for the end of the program rather than telling of a fault."""
    if isinstance(error, (KeyboardInterrupt, SystemExit, GeneratorExit)):
        raise error
