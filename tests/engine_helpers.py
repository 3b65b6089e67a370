"""What tests ask of an engine's inside, through its coordinator."""

from __future__ import annotations

from collections.abc import Callable

from engine.engine import Engine
from engine.jobs.job import Job
from engine.scheduling.policies import LengthBatches


def one_text_a_batch(engine: Engine) -> None:
    """Let every batch hold a single text."""
    engine.coordinator.call(lambda: engine.coordinator.scheduler.set_policy(LengthBatches(1)))


def wait_until(engine: Engine, job: str, condition: Callable[[Job], bool], seconds: float = 30.0) -> None:
    """Wait until ``condition`` holds for a job; it is asked on the coordinator's thread."""
    found = engine.coordinator.call(lambda: engine.coordinator.job(job))
    engine.coordinator.when(lambda: condition(found)).result(seconds)


def states_of(engine: Engine, job: str) -> dict[int, str]:
    """Return the state of every document of a pile, in pile order."""
    found = engine.coordinator.call(lambda: engine.coordinator.job(job))
    return engine.coordinator.call(lambda: {n: d.record.state for n, d in found.pile.documents.items()})


def set_status(engine: Engine, job: str, status: str, task: str = "") -> None:
    """Let a job have a status that it would otherwise only get by running."""

    def change() -> None:
        found = engine.coordinator.job(job)
        found.task_name, found.status = task, status

    engine.coordinator.call(change)


def reading_order(engine: Engine, job: str) -> list[int]:
    """Return the documents of a pile that wait to be read, in the order in which they will be."""

    def look() -> list[int]:
        return list(engine.coordinator.scheduler._jobs[job].unread)

    return engine.coordinator.call(look)


def forget_texts(engine: Engine, job: str) -> None:
    """Let every document of a pile be read from its file again."""

    def forget() -> None:
        for document in engine.coordinator.job(job).pile.documents.values():
            document.text = None

    engine.coordinator.call(forget)
