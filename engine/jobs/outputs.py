"""Applying what workers bring back: every message changes documents by their job's transitions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.api.state import State
from engine.jobs.advance import Advance
from engine.jobs.advancing import ask_task
from engine.jobs.ending import fail, finish
from engine.jobs.job import LIVE
from engine.workers import message

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.job import Job
    from engine.requests.item import WorkItem
    from engine.requests.output import Output
    from engine.workers.message import Message, Prepared


def apply(coordinator: Coordinator, told: Message) -> None:
    """Apply one message of a worker; called on the coordinator's thread."""
    if isinstance(told, message.Writing):
        _writing(coordinator, told)
        return
    if isinstance(told, message.Counted):
        _counted(coordinator, told)
        return
    if isinstance(told, message.HandedBack):
        coordinator.dispatcher.hand_back(told.worker, told.work)
        return
    job = coordinator.jobs.get(told.work.job)
    run = coordinator.dispatcher.run_of(told.work)
    # Of a run that was stopped, or whose task or model is another one now, nothing is wanted any more.
    wanted = job if job is not None and job.goes_on(run) else None
    if isinstance(told, message.Read):
        _read(coordinator, told, wanted)
    elif isinstance(told, message.MadeMore):
        _more(coordinator, told, wanted)
    elif isinstance(told, message.WasSetUp):
        _set_up(coordinator, told, wanted)
    elif isinstance(told, message.Vectors):
        _vectors(coordinator, told, wanted)
    elif isinstance(told, message.Written):
        _written(coordinator, told, wanted)
    elif isinstance(told, message.Failed):
        _failed(coordinator, told, wanted)
    elif isinstance(told, message.DeviceLost):
        _device_lost(coordinator, told, wanted)
    else:
        coordinator.scheduler.returned(told.worker, told.work)
        coordinator.dispatcher.let_go(told.work)
    if job is not None:
        coordinator.update(job, after_work=True)


def _read(coordinator: Coordinator, told: message.Read, job: Job | None) -> None:
    if job is not None:
        refusal = next((found.refusal for found in told.found if found.refusal), "")
        if refusal and job.status in LIVE:
            coordinator.halt(job, refusal)
        share = told.seconds / max(1, len(told.found))
        got = {found.document for found in told.found if not found.refusal}
        left = [
            n
            for n in getattr(told.work, "documents", ())
            if n not in got and coordinator.dispatcher.still_wanted(job, told.work, n)
        ]
        wanted = [found for found in told.found if coordinator.dispatcher.still_wanted(job, told.work, found.document)]
        complete = [one for found in wanted if (one := _prepared(coordinator, job, found, share))]
        ask_task(coordinator, job, complete)
        coordinator.line_up(job, left)
    coordinator.scheduler.returned(told.worker, told.work)
    coordinator.dispatcher.let_go(told.work)


def _prepared(coordinator: Coordinator, job: Job, found: Prepared, seconds: float) -> Advance | None:
    """Take in one prepared document; returns what to advance where nothing has to run."""
    number = found.document
    if found.refusal:
        return None
    if found.renewed:
        job.states.renewed(number, found.renewed)
    if found.offline and not job.trial:
        job.states.go_offline(number, found.reason)
        coordinator.went_offline()
        return None
    if found.reason:
        state = State.SKIPPED if found.skipped else State.FAILED
        fail(coordinator, job, number, found.reason, seconds, state)
        return None
    job.states.has_columns(number, found.columns)
    if found.outcome is not None:
        finish(coordinator, job, number, found.outcome, seconds, -1)
        return None
    job.states.prepared(number, found, seconds)
    step = job.pile.documents[number].step
    assert step is not None
    if step.complete:
        return Advance(number, step.step, dict(step.state), dict(step.outputs))
    coordinator.scheduler.add_items(job.id, found.items)
    if found.rests:
        coordinator.scheduler.add_unfinished(job.id, number)
    return None


def _more(coordinator: Coordinator, told: message.MadeMore, job: Job | None) -> None:
    (number,) = getattr(told.work, "documents", (-1,))
    if job is not None and coordinator.dispatcher.still_wanted(job, told.work, number):
        refused = next((ready.reason for ready in (told.ready or {}).values() if ready.reason), "")
        if told.ready is None:
            coordinator.scheduler.add_unfinished(job.id, number)
        elif refused:
            fail(coordinator, job, number, refused, 0.0)
        else:
            coordinator.scheduler.add_items(job.id, job.states.more(number, told.ready))
            step = job.pile.documents[number].step
            if step is not None and step.rests:
                coordinator.scheduler.add_unfinished(job.id, number)
    coordinator.scheduler.returned(told.worker, told.work)
    coordinator.dispatcher.let_go(told.work)


def _counted(coordinator: Coordinator, told: message.Counted) -> None:
    coordinator.scheduler.returned(told.worker, told.work)
    job = coordinator.jobs.get(told.work.job)
    if job is not None:
        job.states.counted(told.found)


def _set_up(coordinator: Coordinator, told: message.WasSetUp, job: Job | None) -> None:
    coordinator.scheduler.returned(told.worker, told.work)
    coordinator.dispatcher.let_go(told.work)
    if job is None:
        return
    if told.outputs is not None:
        job.outputs = told.outputs
        coordinator.scheduler.finish_set_up(job.id)
    elif told.problem:
        coordinator.halt(job, told.problem)


def _vectors(coordinator: Coordinator, told: message.Vectors, job: Job | None) -> None:
    tokens = sum(len(item.ids) for item in told.items)
    complete: list[Advance] = []
    for item, vector in zip(told.items, told.vectors, strict=True):
        coordinator.scheduler.completed(told.worker, item)
        if job is None or not _waited_for(job, item):
            continue
        share = told.seconds * len(item.ids) / max(1, tokens)
        _computed(coordinator, job, len(item.ids))
        step = job.pile.documents[item.document].step
        assert step is not None
        output = step.add_vector(item, vector, share)
        complete += _went_on(coordinator, job, item, output, share, told.worker)
    if job is not None:
        ask_task(coordinator, job, complete)


def _written(coordinator: Coordinator, told: message.Written, job: Job | None) -> None:
    coordinator.scheduler.completed(told.worker, told.item)
    if job is None or not _waited_for(job, told.item):
        return
    answer = told.answer
    _computed(coordinator, job, answer.prompt_tokens + answer.new_tokens)
    coordinator.throughput.ttft.append(answer.ttft)
    step = job.pile.documents[told.item.document].step
    assert step is not None
    output = step.add_answer(told.item, answer)
    ask_task(coordinator, job, _went_on(coordinator, job, told.item, output, answer.seconds, told.worker))


def _computed(coordinator: Coordinator, job: Job, tokens: int) -> None:
    """Count tokens that were computed for a job."""
    job.pile.tokens_done += tokens
    coordinator.throughput.add(tokens=tokens)


def _waited_for(job: Job, item: WorkItem) -> bool:
    """Tell whether an item belongs to the step that its document is at, and take it off those that are waited for."""
    document = job.pile.documents.get(item.document)
    return document is not None and document.step is not None and document.step.take(item)


def _went_on(
    coordinator: Coordinator, job: Job, item: WorkItem, output: Output | None, seconds: float, worker: int
) -> list[Advance]:
    """Take in that an item of a document has come back; returns the document to be advanced if that was the last."""
    number = item.document
    step = job.pile.documents[number].step
    assert step is not None
    if step.complete:
        job.states.progress(number, 1.0)
        return [Advance(number, step.step, dict(step.state), dict(step.outputs), seconds, worker)]
    job.states.progress(number, step.share, seconds)
    if output is not None and item.request in step.dear:
        coordinator.keep_output(job, number, item.request)
    return []


def _writing(coordinator: Coordinator, told: message.Writing) -> None:
    for name, number, text, tokens in told.texts:
        job = coordinator.jobs.get(name)
        if job is not None and job.pile.runs(number):
            longest = getattr(getattr(job.task, "settings", None), "max_new_tokens", 0)
            job.states.write_on(number, text, tokens, longest)


def _failed(coordinator: Coordinator, told: message.Failed, job: Job | None) -> None:
    for item in told.items:
        coordinator.scheduler.completed(told.worker, item)
        if job is not None and _waited_for(job, item):
            fail(coordinator, job, item.document, told.reason, told.seconds)


def _device_lost(coordinator: Coordinator, told: message.DeviceLost, job: Job | None) -> None:
    for item in told.items:
        coordinator.scheduler.completed(told.worker, item)
    if job is None:
        return
    coordinator.scheduler.add_items(
        job.id, [item for item in told.items if coordinator.dispatcher.waits_for(job, item)]
    )
    coordinator.halt(job, told.reason)
