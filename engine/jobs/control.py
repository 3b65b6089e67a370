"""What users ask of jobs: start, pause, cancel, retry, remove, count. Every function runs on the coordinator's thread."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from engine.api.state import State
from engine.errors import UsageError
from engine.jobs.job import LIVE
from engine.workers.assignment import Stop

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.document import Document
    from engine.jobs.job import Job
    from engine.tasks.base import Task


def submit(
    coordinator: Coordinator,
    job: Job,
    task: Task,
    settings: dict[str, Any],
    priority: int,
    *,
    again: bool,
    rest: bool = False,
) -> None:
    """Queue the job's waiting documents with a task; a search for earlier answers begins (result_cache.look_up ends it).

    With ``rest``, documents that were cancelled run as well.
    Raises UsageError where the open model cannot do the task, or the job runs already.
    """
    if coordinator.workers.meters and (reason := coordinator.workers.mismatch(task)):
        raise UsageError(reason)
    if job.status in LIVE:
        raise UsageError(f"{job.name or 'The job'} runs already. Stop it before starting it with another task.")
    if (job.task_name, job.settings) != (task.name, settings):
        job.set_task(task, task.name, settings)
        # Documents that were counted under other settings are prepared anew; results stay until run again.
        prepare_anew(coordinator, job, counts=False)
    job.priority, job.again, job.question = priority, again, ""
    coordinator.scheduler.set_priority(job.id, priority)
    job.looking += 1
    if rest:
        coordinator.line_up(job, job.states.retry(job.pile.numbers(lambda d: d.record.state == State.CANCELLED)))
    start(coordinator, job)


def prepare_anew(coordinator: Coordinator, job: Job, *, counts: bool = True) -> None:
    """Let everything that waits or runs be prepared anew: the model, or the task, is another one."""
    coordinator.dispatcher.take_back(job)
    coordinator.scheduler.clear(job.id)
    coordinator.line_up(job, job.prepare_anew(counts=counts))
    coordinator.set_up_anew(job)
    coordinator.update(job)


def start(coordinator: Coordinator, job: Job) -> None:
    """Queue a job that has a task; whatever waits in it will run."""
    obstacle = coordinator.workers.obstacle(job.task)
    status, message = ("paused", obstacle) if obstacle else ("queued", "")
    job.set_status(status, message, task=job.task_name, settings=job.settings, priority=job.priority)
    if job.outputs is None:
        coordinator.set_up_anew(job)
    coordinator.dispatcher.take_back()  # what is urgent is in the next batch that a worker forms
    coordinator.update(job)


def pause(coordinator: Coordinator, job: Job) -> None:
    """Let what workers have begun finish, and take no more."""
    if job.status in LIVE:
        coordinator.halt(job, job.message)


def resume(coordinator: Coordinator, job: Job) -> None:
    """Go on with a paused job; raises UsageError for one without a task."""
    if job.task is None:
        raise UsageError("This pile has no task yet; choose one and start it.")
    if job.status == "paused":
        start(coordinator, job)


def cancel(coordinator: Coordinator, job: Job) -> None:
    """Stop the job: running work stops within a layer, what does not run is cancelled at once."""
    coordinator.dispatcher.take_back(job)
    coordinator.scheduler.clear(job.id)
    job.end_run()
    open_ = (State.WAITING, State.OFFLINE, State.RUNNING)
    job.states.cancel(job.pile.numbers(lambda document: document.record.state in open_))
    job.set_status("cancelled", job.message)
    coordinator.update(job)


def retry(coordinator: Coordinator, job: Job, numbers: Iterable[int]) -> int:
    """Make documents wait again, those named or all that failed or were cancelled; returns how many.

    What was done is run again whatever the journal knows of it, and a document that was quarantined gets a clean slate.
    """
    wanted = list(numbers) or job.pile.numbers(lambda d: d.record.state in (State.FAILED, State.CANCELLED))
    again = job.states.retry(wanted)
    coordinator.line_up(job, again)
    if again and job.task is not None and job.status in ("finished", "cancelled"):
        start(coordinator, job)
    coordinator.update(job)
    return len(again)


def remove(coordinator: Coordinator, job: Job, numbers: Iterable[int]) -> int:
    """Take documents off the pile, never running ones; with none named, all that do not run."""

    def may_go(document: Document | None) -> bool:
        return document is not None and document.record.state != State.RUNNING

    coordinator.dispatcher.take_back(job)
    wanted = [number for number in list(numbers) or list(job.pile.documents) if may_go(job.pile.documents.get(number))]
    coordinator.texts.forget(job.pile.documents[number] for number in wanted)
    coordinator.scheduler.withdraw(job.id, wanted)
    job.pile.remove(wanted)
    coordinator.update(job)
    return len(wanted)


def set_priority(coordinator: Coordinator, job: Job, priority: int) -> None:
    """Serve jobs with a higher number first."""
    job.priority = priority
    job.keeping.update_job(job.id, priority=priority)
    coordinator.scheduler.set_priority(job.id, priority)
    coordinator.dispatcher.take_back()


def count(coordinator: Coordinator, job: Job) -> Stop:
    """Let idle workers count the tokens of the waiting documents that have none yet; returns what tells of the end."""
    job.count_stop.asked = True  # an older count ends here, and this one goes on where it was
    job.count_stop = Stop()
    uncounted = job.pile.numbers(
        lambda d: d.record.state == State.WAITING and d.record.tokens < 0 and not d.record.deaths
    )
    coordinator.scheduler.count(job.id, {number: job.pile.documents[number].record.size for number in uncounted})
    return job.count_stop


def stop_counting(coordinator: Coordinator, job: Job) -> None:
    """End a count; documents that were reached keep their numbers."""
    job.count_stop.asked = True
    coordinator.scheduler.count(job.id, {})


def counted(coordinator: Coordinator, job: Job, stop: Stop) -> bool:
    """Tell whether a count is over, or nobody is left who could go on with it."""
    over = stop.asked or job.id not in coordinator.jobs or bool(coordinator.workers.gone)
    return over or not coordinator.scheduler.is_counting(job.id)


def use_model(coordinator: Coordinator, model: str) -> None:
    """Ask ``model`` (question.model_key) from now on; what jobs ask changes with it."""
    coordinator.model = model
    for job in coordinator.jobs.values():
        job.question = ""


def change_model(coordinator: Coordinator) -> None:
    """Let every job be prepared anew: tokens and vectors are another model's from now on."""
    for job in coordinator.jobs.values():
        prepare_anew(coordinator, job)


def forget_counting(coordinator: Coordinator) -> None:
    """Let every count end unfinished: the model whose tokens they were goes."""
    for job in coordinator.jobs.values():
        coordinator.scheduler.count(job.id, {})


def settled(coordinator: Coordinator, job: Job) -> bool:
    """Tell whether nothing of the job is under way."""
    return job.id not in coordinator.jobs or not (job.under_way or job.advancing)


def over(coordinator: Coordinator, job: Job) -> bool:
    """Tell whether the job has finished, was cancelled or paused, and nothing of it is under way."""
    return settled(coordinator, job) and job.status not in LIVE and not job.adding
