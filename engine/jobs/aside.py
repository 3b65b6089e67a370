"""Setting aside what did not come back: a document is not tried again by itself, and everything is named."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from engine.api.activity import Activity, what
from engine.api.state import State
from engine.errors import HeddleError
from engine.jobs.pile import OPEN
from engine.store.cells import shown
from engine.store.record import Record

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.store.journal import Journal
    from engine.telemetry.activity import Board

log = logging.getLogger(__name__)

_MAY_RUN = OPEN | {str(State.CANCELLED)}
"""States of documents that would run again: a document that was cancelled while it hung is no better for it."""

DEAF = "it did not answer; add it again once its disk or share does"
"""The reason of a folder's row that is left out because the engine before did not come back from it."""

SLACK = 0.5
"""Seconds by which a step may be younger than the time for which it was waited."""

STUCK_SECONDS = 5.0
"""Seconds after which a step of work that was not told to go on counts as one that does not end, when all has to end."""

_READ = "it could not be read to its end in {0:.0f} s; it is set aside until you retry it"
_TOKENS = "the model's tokenizer did not end with it in {0:.0f} s; it is set aside until you retry it"


@dataclass(frozen=True, slots=True)
class Stuck:
    """Says that a process was ended ``at`` a time of the monotonic clock because it had not come back for ``seconds``.

    One that was ``silent`` told nobody which of its threads held it up: whatever they were at may be to blame.
    """

    seconds: float
    at: float
    silent: bool = False


def left_behind(journal: Journal, board: Board, stuck: Stuck | None) -> tuple[tuple[Activity, ...], list[str]]:
    """Quarantine what the process before did not come back from; returns that, and what to tell the user.

    Without ``stuck``, a process that the system ended may have been held up by whatever it was at: only where that was one
    thing is it to blame.
    """
    if stuck is None and board.ended_at:
        stuck = Stuck(STUCK_SECONDS - 1.0, board.ended_at, silent=True)
    if stuck is None:
        return (), []
    found = culprits(board, stuck)
    blame = found if len(found) == 1 or not stuck.silent else ()
    set_aside_in(journal, blame)
    return blame, [sentence(one) if blame else suspicion(one) for one in found]


def culprits(board: Board, stuck: Stuck) -> tuple[Activity, ...]:
    """Return what the process before was at, for so long, when it was ended."""
    found = [replace(activity, seconds=stuck.at - since) for activity, since in board.left]
    return blamed(one for one in found if one.seconds >= stuck.seconds - SLACK)


def blamed(activities: Iterable[Activity]) -> tuple[Activity, ...]:
    """Return those of ``activities`` that have something of the user's to blame, the longest first."""
    return tuple(sorted((one for one in activities if one.kind != "work"), key=lambda one: -one.seconds))


def sentence(activity: Activity) -> str:
    """Return what to tell the user about something that did not come back."""
    told = shown(what(activity))
    remedy = {
        "document": "It is set aside; retry it once its disk answers or its text is mended.",
        "folder": "Adding it was ended; add it again once its disk or share answers.",
        "model": "It is not opened again by itself; open it again, or another one.",
        "export": "The file is not complete; export again, to a place that answers.",
    }.get(activity.kind, "")
    return f"{told[:1].upper()}{told[1:]}. {remedy}"


def suspicion(activity: Activity) -> str:
    """Return what to tell the user about something that may be what did not come back, as other things may."""
    return f"The engine was held up, perhaps by {shown(what(activity))}."


def reason(activity: Activity) -> str:
    """Return the reason that the row of a document gets."""
    return (_READ if activity.step == "read" else _TOKENS).format(activity.seconds)


def set_aside(coordinator: Coordinator, activities: Sequence[Activity]) -> int:
    """Quarantine the documents among ``activities``, in memory and in the journal; returns how many."""
    count = 0
    for one in activities:
        if one.kind != "document" or one.document < 0:
            continue
        known, changed = coordinator.call(partial(_in_memory, coordinator, one))
        if not known:
            _in_journal(coordinator.journal, one)
        count += changed or not known
    return count


def _in_memory(coordinator: Coordinator, one: Activity) -> tuple[bool, bool]:
    """Set aside a document whose job is in memory; returns whether it is there, and whether it changed."""
    job = coordinator.jobs.get(one.job)
    document = None if job is None else job.pile.documents.get(one.document)
    if job is None or document is None:
        return False, False
    if document.record.state not in _MAY_RUN:
        return True, False
    coordinator.scheduler.withdraw(job.id, [one.document])
    job.states.set_aside(one.document, reason(one))
    return True, True


def set_aside_in(journal: Journal, activities: Sequence[Activity]) -> None:
    """Quarantine the documents among ``activities`` in a journal that no job has been taken from yet."""
    for one in activities:
        if one.kind == "document" and one.document >= 0:
            _in_journal(journal, one)


def _in_journal(journal: Journal, one: Activity) -> None:
    with contextlib.suppress(HeddleError):
        record = journal.document(one.document)
        if record is None:  # it was being added: without a row it would be read again
            if one.job and journal.job(one.job) is not None:
                record = Record(one.document, one.job, one.document, one.subject, one.size, one.mtime_ns)
                state = {"state": str(State.QUARANTINED), "reason": reason(one)}
                journal.add_documents([replace(record, **state)])
        elif record.state in _MAY_RUN:
            journal.update_documents([replace(record, state=str(State.QUARANTINED), reason=reason(one), worker=-1)])
