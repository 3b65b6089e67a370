"""A job as the window knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.api import JobFacts, JobState
from gui.pile import Pile
from gui.words import BUSY, HALTING, STATES


@dataclass(slots=True)
class Job:
    """A pile that is open in the window.

    ``asked`` counts commands under way that a second click would give twice; ``interrupted`` are paths and the column of their tables whose adding
    the engine did not survive, ``unanswered`` the commands that it did not answer before it ended; ``growing`` are the
    files that get a row for each document that ends.
    """

    id: str
    name: str
    state: JobState
    pile: Pile = field(default_factory=Pile)
    asked: int = 0
    settled: bool = True
    creating: bool = False
    submitted: tuple[str, dict[str, Any]] | None = None
    """The task and settings that it was started with from here."""
    interrupted: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    unanswered: list[tuple[Callable[..., Any], dict[str, Any]]] = field(default_factory=list)
    growing: set[str] = field(default_factory=set)

    @property
    def busy(self) -> bool:
        """Whether workers work for it or will by themselves."""
        return self.state.status in BUSY

    @property
    def at_work(self) -> bool:
        """Whether something of it is under way now or will be by itself."""
        return self.busy or self.state.status in HALTING

    @property
    def can_resume(self) -> bool:
        """Whether it was paused, even if some of it is still under way."""
        return self.state.status in ("paused", "pausing")

    def count(self, *states: str) -> int:
        """Return how many documents are in one of ``states``; with none named, all."""
        return sum(self.state.counts.get(state, 0) for state in states or STATES)


def new_job(number: str, name: str) -> Job:
    """Return an empty job that the engine has not heard of yet."""
    return Job(number, name, JobState(number, name, "ready", False, 0, "", {}, 0, 0, 0.0, -1.0))


def job_of(facts: JobFacts) -> Job:
    """Return a job of the journal, whose rows are still to come."""
    state = JobState(
        facts.id, facts.name, facts.status, False, facts.priority, facts.task, dict(facts.counts), 0, 0, 0.0, -1.0
    )
    return Job(facts.id, facts.name, state, submitted=(facts.task, facts.settings) if facts.task else None)
