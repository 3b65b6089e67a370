"""How far a job is, in a sentence, in a number, and what to do next."""

from __future__ import annotations

from PySide6.QtCore import QCoreApplication

from engine.api import JobState, Meters
from gui import words
from gui.abilities import can_do, task_named
from gui.job import Job
from gui.session import Session
from gui.words import HALTING

_GAP = "   |   "


def _tr(text: str, n: int = -1) -> str:
    return QCoreApplication.translate("progress", text, None, n)


def share(job: Job | None) -> float:
    """Return the share of documents that need no more work, 0 for an empty pile."""
    if job is None or not job.count():
        return 0.0
    return 1 - job.count("waiting", "running", "offline") / job.count()


def halting(state: JobState, *, writes: bool) -> str:
    """Return what is still under way of a job that was paused or stopped, "" for one that is in no such state."""
    if state.status == "stopping":
        return _tr("Stopping")
    if state.status != "pausing":
        return ""
    if not state.in_work:
        return _tr("Pausing")
    if writes:
        return _tr("Pausing, %Ln answers still being written", state.in_work)
    return _tr("Pausing, %Ln documents still in work", state.in_work)


def sentence(job: Job | None, meters: Meters, *, writes: bool = False, loading: bool = False) -> str:
    """Return ``812 of 1,000 done, 14 skipped, 3 failed | 22.4 documents/s | about 8 s left``.

    One that is to rest says first what is still under way, one that cannot begin before the model is there says that it waits.
    """
    if job is None or not job.count():
        return ""
    counts = job.state.counts
    parts = [
        _tr("{done} of {all} done").format(done=words.number(counts.get("done", 0)), all=words.number(job.count()))
    ]
    for state, text in (
        ("skipped", _tr("{n} skipped")),
        ("failed", _tr("{n} failed")),
        ("cancelled", _tr("{n} cancelled")),
        ("quarantined", _tr("{n} quarantined")),
        ("offline", _tr("{n} offline")),
    ):
        if counts.get(state, 0):
            parts.append(text.format(n=words.number(counts[state])))
    blocks = [", ".join(parts)]
    status = job.state.status
    if job.busy and loading:
        blocks.append(_tr("waiting for the model, which is being loaded"))
    elif job.busy:
        if meters.documents_per_s > 0:
            blocks.append(_tr("{rate} documents/s").format(rate=words.rate(meters.documents_per_s)))
        if job.state.eta >= 0:
            blocks.append(_tr("about {time} left").format(time=words.duration(job.state.eta)))
    elif status in HALTING:
        blocks.insert(0, halting(job.state, writes=writes))
    elif status in ("paused", "cancelled", "finished"):
        blocks.append(words.engine_text(status))
    if job.state.adding:
        blocks.append(words.engine_text("adding"))
    if job.state.elapsed >= 1:
        blocks.append(
            _tr("{time} so far").format(time=words.duration(job.state.elapsed))
            if job.at_work
            else _tr("took {time}").format(time=words.duration(job.state.elapsed))
        )
    return _GAP.join(blocks)


def obstacle(session: Session, task: str) -> str:
    """Return why the shown pile cannot be started now, as what to do next; "" when it can."""
    job = session.job
    if job is None or not (job.count() or job.state.adding):
        return _tr("Add files or a folder to begin.")
    if job.busy:
        return _tr("The pile is being worked on.")
    if job.count() == job.count("skipped") and not job.state.adding:
        return _tr("No document of this pile can be read.")
    if session.model.status not in ("ready", "loading"):
        return _tr("Open a model to begin.")
    return mismatch(session, task)


def mismatch(session: Session, task: str) -> str:
    """Return why the model that is open cannot do the task, "" when it can or when nothing is known of it."""
    if not can_do(session.facts, task_named(session.machine_hello, task)):
        return _tr("This model cannot do this task; choose another model or task.")
    return ""
