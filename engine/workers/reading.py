"""Reading documents, starting their task and preparing its requests: on a worker between two pieces of work, or beside it."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from engine.documents.document import Source, note_of
from engine.documents.offline import is_offline
from engine.documents.opening import NotADocument, Offline
from engine.documents.read import read
from engine.documents.walk import why_not
from engine.errors import Cancelled, DocumentError, HeddleError, UsageError
from engine.inference.prepare.long import count as count_long
from engine.inference.prepare.ready import Ready, Wanted
from engine.tasks.base import DocumentText, Outcome, Outputs, Step
from engine.workers.message import Prepared

if TYPE_CHECKING:
    from engine.documents.document import Columns
    from engine.documents.long_text import LongText
    from engine.inference.prepare.ready import Prepare
    from engine.models.tokenizer import WorkerTokenizer
    from engine.requests.request import Request
    from engine.telemetry.activity import Board
    from engine.workers.assignment import Assignment, JobRun, Unread

log = logging.getLogger(__name__)

CHANGED = "the file changed after it was added, and was read again"
"""What a row says that was made of a newer state of its file."""


class Refused(UsageError):
    """The model's chat template refuses, or leaves out, what a job asks of every document."""


@dataclass(slots=True)
class _Started:
    """A document whose task was started: the step that it waits for, or what became of it at once."""

    unread: Unread
    step: Step | None = None
    done: Prepared | None = None
    columns: Columns = ()
    renewed: dict[str, Any] = field(default_factory=dict)
    ready: list[Ready] = field(default_factory=list)
    asked: list[Request] = field(default_factory=list)
    prepared: bool = False


def prepare_documents(assignment: Assignment, prepare: Prepare, board: Board) -> tuple[Prepared, ...]:
    """Return what became of the documents of ``assignment``; those it did not get to before a cancellation are left out."""
    run = assignment.run

    def ask() -> None:
        if run.stop():
            raise Cancelled("cancelled")

    started: list[_Started] = []
    for unread in assignment.documents:
        if run.stop():
            break
        started.append(_start(run, unread, assignment.outputs, board))
    for one in started:
        if one.step is None:
            continue
        try:
            with _at(board, run, one.unread, "tokens"):
                _prepare(one, prepare, ask)
        except Cancelled:
            break
        except Refused as error:
            return (Prepared(one.unread.number, refusal=str(error)),)
        except HeddleError as error:
            one.done = Prepared(one.unread.number, reason=str(error))
        except BaseException as error:  # noqa: BLE001 - a text may break the tokenizer (a Rust panic is a BaseException)
            let_exits_through(error)
            log.warning("document %d could not be tokenized: %s", one.unread.number, said(error))
            one.done = Prepared(one.unread.number, reason=f"could not be tokenized: {said(error)}")
    found = ((one, _found(one)) for one in started)
    return tuple(replace(done, columns=one.columns) if one.columns else done for one, done in found if done is not None)


def _prepare(one: _Started, prepare: Prepare, ask: Callable[[], None]) -> None:
    assert one.step is not None
    number = one.unread.number
    one.asked = [request for request in one.step.requests if request.key not in one.unread.have]
    # Where all answers are there already, what the row tells of its text still has to be found out.
    wanted = one.asked or (one.step.requests if not one.unread.step else ())
    one.ready = prepare([Wanted(number, request) for request in wanted], ask) if wanted else []
    one.prepared = True


def _found(one: _Started) -> Prepared | None:
    """Return what became of a document, None where it was not got to."""
    if one.done is not None or one.step is None:
        return None if one.done is None else replace(one.done, renewed=one.renewed)
    if not one.prepared:
        return None
    if not one.asked:  # all outputs of the step were there already
        facts = [ready for ready in one.ready if not ready.reason]
        return Prepared(
            one.unread.number,
            step=one.unread.step,
            state=one.step.state,
            renewed=one.renewed,
            tokens=facts[0].tokens if facts else -1,
            unknown_share=max((ready.unknown_share for ready in facts), default=0.0),
            coverage=min((ready.coverage for ready in facts), default=1.0),
        )
    number = one.unread.number
    refused = next((ready for ready in one.ready if ready.reason), None)
    if refused is not None:
        return Prepared(
            number, reason=refused.reason, tokens=refused.tokens, skipped=refused.nothing, renewed=one.renewed
        )
    items = tuple(item for ready in one.ready for item in ready.items)
    parts: dict[str, int] = {}
    for item in items:
        parts[item.request] = parts.get(item.request, 0) + 1
    return Prepared(
        number,
        items,
        parts,
        one.unread.step,
        one.step.state,
        one.ready[0].tokens,
        max(ready.unknown_share for ready in one.ready),
        min(ready.coverage for ready in one.ready),
        renewed=one.renewed,
        rests={
            request.key: ready.rest
            for request, ready in zip(one.asked, one.ready, strict=True)
            if ready.rest is not None
        },
    )


def _start(run: JobRun, unread: Unread, outputs: Outputs, board: Board) -> _Started:
    """Read a document and start its task; whatever goes wrong costs this document alone."""
    number = unread.number
    if unread.requests is not None:
        return _Started(unread, Step(unread.requests, dict(unread.state)))
    renewed: dict[str, Any] = {}
    try:
        with _at(board, run, unread, "read"):
            if unread.renew:
                text, long, columns, renewed = _read_anew(run, unread)
            else:
                text, long, columns = text_of(run, unread)
    except NotADocument as error:
        return _Started(unread, done=Prepared(number, reason=str(error), skipped=True))
    except DocumentError as error:
        return _Started(unread, done=Prepared(number, reason=str(error), offline=isinstance(error, Offline)))
    except Exception as error:
        log.warning("document %d could not be read: %s", number, said(error))
        log.debug("it happened here", exc_info=True)
        return _Started(unread, done=Prepared(number, reason=f"could not be read: {said(error)}"))
    assert run.task is not None
    try:
        sha256 = str(renewed.get("sha256", unread.sha256))
        asked = DocumentText(name_of(unread.path), unread.path, text, sha256, long, dict(columns))
        found = result_of(run.task.start(asked, outputs))
    except HeddleError as error:
        return _Started(unread, done=Prepared(number, reason=str(error)))
    except BaseException as error:
        let_exits_through(error)
        log.exception("document %d: the task failed", number)
        return _Started(unread, done=Prepared(number, reason=f"the task failed: {said(error)}"))
    if isinstance(found, Outcome):
        return _Started(unread, done=Prepared(number, outcome=found), renewed=renewed, columns=columns)
    if long is not None and all(request.long is None for request in found.requests):
        return _Started(unread, done=Prepared(number, reason="too long for this task"), renewed=renewed)
    return _Started(unread, found, renewed=renewed, columns=columns)


def result_of(found: Step | Outcome) -> Step | Outcome:
    """Return what a task's own code returned; raises TypeError where that is neither a step nor a result."""
    if not isinstance(found, Step | Outcome):
        raise TypeError(f"it returned neither a step nor a result, but {type(found).__name__}")
    return found


def count_documents(assignment: Assignment, tokenizer: WorkerTokenizer, board: Board) -> tuple[Prepared, ...]:
    """Return the tokens of the documents of ``assignment``; one that cannot be read is left for its run."""
    run = assignment.run
    found: list[Prepared] = []

    def ask() -> None:
        if run.stop():
            raise Cancelled("cancelled")

    for unread in assignment.documents:
        try:
            ask()
            with _at(board, run, unread, "read"):
                text, long, _ = text_of(run, unread)
            with _at(board, run, unread, "tokens"):
                if long is not None:
                    tokens, strange = count_long(long, tokenizer, ask)
                else:
                    (ids,) = tokenizer.ids([text], ask)
                    tokens, strange = len(ids), int((ids == tokenizer.unknown_id).sum())
        except Cancelled:
            break
        except BaseException as error:  # noqa: BLE001 - it will say so when it runs
            let_exits_through(error)
            continue
        found.append(Prepared(unread.number, tokens=tokens, unknown_share=strange / max(1, tokens)))
    return tuple(found)


def more_items(assignment: Assignment, tokenizer: WorkerTokenizer, board: Board) -> dict[str, Ready] | None:
    """Return more items of the long document of ``assignment``, by the key of their request; None when cancelled."""
    run, (unread,) = assignment.run, assignment.documents

    def ask() -> None:
        if run.stop():
            raise Cancelled("cancelled")

    found: dict[str, Ready] = {}
    for key, rest in assignment.rests.items():
        try:
            with _at(board, run, unread, "tokens"):
                found[key] = rest.more(tokenizer, ask)
        except Cancelled:
            return None
        except DocumentError as error:
            found[key] = Ready(reason=str(error))
        except BaseException as error:  # noqa: BLE001 - a text may break the tokenizer (a Rust panic is a BaseException)
            let_exits_through(error)
            log.warning("a long text could not be tokenized: %s", said(error))
            found[key] = Ready(reason=f"could not be tokenized: {said(error)}")
    return found


def text_of(run: JobRun, unread: Unread) -> tuple[str, LongText | None, Columns]:
    """Return a document's text, or what reads a long one, from the file unless it is in memory and that is unchanged.

    With it comes what else stands in its row of a table. Raises DocumentError.
    """
    source = Source(unread.path, unread.size, unread.mtime_ns, unread.locator)
    if unread.text is not None and (unread.in_memory or _unchanged(source)):
        return unread.text, None, unread.columns
    fresh = read(source, encoding=run.encoding, on_bad_bytes=run.on_bad_bytes, device=unread.device)
    if unread.sha256 and fresh.sha256 != unread.sha256:
        raise DocumentError("changed since it was added")
    return fresh.text, fresh.long, fresh.columns


def _read_anew(run: JobRun, unread: Unread) -> tuple[str, LongText | None, Columns, dict[str, Any]]:
    """Read a file as it is now; returns its text, and what its document's record says of it from now on."""
    try:
        status = os.stat(unread.path)
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and is_offline(unread.path, error, unread.device):
            raise Offline("source offline: its folder is not there; it goes on when that is back") from error
        raise DocumentError(why_not(error, unread.path)) from error
    source = Source(unread.path, status.st_size, status.st_mtime_ns, unread.locator)
    text = read(source, encoding=run.encoding, on_bad_bytes=run.on_bad_bytes, device=unread.device)
    notes = [CHANGED] if unread.sha256 and text.sha256 != unread.sha256 else []
    if note := note_of(text):
        notes.append(note)
    renewed = {
        "size": len(text.text.encode("utf-8", "surrogatepass")) if source.locator else source.size,
        "mtime_ns": source.mtime_ns,
        "sha256": text.sha256,
        "encoding": text.encoding,
        "confidence": text.confidence,
        "note": "; ".join(notes),
    }
    return text.text, text.long, text.columns, renewed


def _at(board: Board, run: JobRun, unread: Unread, step: str) -> contextlib.AbstractContextManager[None]:
    """Note on the board, for the length of a block, that this document is read or turned into tokens."""
    number, size, mtime_ns = unread.number, unread.size, unread.mtime_ns
    return board.doing("document", unread.path, step, job=run.job, document=number, size=size, mtime_ns=mtime_ns)


def name_of(path: str) -> str:
    """Return the file name of a path of any system."""
    return path.replace("\\", "/").rsplit("/", 1)[-1]


def _unchanged(source: Source) -> bool:
    """Tell whether the file is still the one that was added."""
    try:
        return source.is_as(os.stat(source.path))
    except OSError:
        return False


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
