"""The door's messages about jobs as a whole: list, show, put away, rename, delete, duplicate, watch, order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job as the journal knows it, in memory or not.

    ``created`` in seconds since the epoch; ``status`` as in JobState; ``counts`` documents by state; ``open`` says that
    its documents are in memory and its rows in the snapshots.
    """

    id: str
    name: str
    created: float
    task: str
    settings: dict[str, Any] = field(default_factory=dict)
    status: str = "ready"
    priority: int = 0
    model: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    open: bool = False


@dataclass(frozen=True, slots=True)
class ListJobs:
    """Say which jobs there are, oldest first. Reply: value {"jobs": [JobFacts]}."""

    request: int


@dataclass(frozen=True, slots=True)
class ShowJob:
    """Bring a job of the journal into memory; its rows come with the next snapshots. Reply: {"job": JobFacts}."""

    request: int
    job: str


@dataclass(frozen=True, slots=True)
class PutAway:
    """Take a job out of memory; it stays in the journal. Refused while it runs."""

    request: int
    job: str


@dataclass(frozen=True, slots=True)
class RenameJob:
    """Give a job another name."""

    request: int
    job: str
    name: str


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete a job and its results. Refused while it runs; RestoreJob brings it back until the engine's next start."""

    request: int
    job: str


@dataclass(frozen=True, slots=True)
class RestoreJob:
    """Undo DeleteJob. Reply: value {"job": JobFacts}."""

    request: int
    job: str


@dataclass(frozen=True, slots=True)
class DuplicateJob:
    """Make the job ``copy`` with the same documents, none of them done, and the same task. Reply: {"job": JobFacts}.

    Files are not read again now; one that has changed since says so when it runs.
    """

    request: int
    job: str
    copy: str
    name: str


@dataclass(frozen=True, slots=True)
class RunFirst:
    """Let waiting documents run before the others of their pile. Reply: value {"count": n}, how many still waited."""

    request: int
    job: str
    documents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchFolder:
    """Add new files of ``folder`` to the pile as soon as they stop growing; "" ends it.

    Files that are there already count as new unless they are on the pile. A job that has finished goes on with them.
    The engine forgets it at its end.
    """

    request: int
    job: str
    folder: str


@dataclass(frozen=True, slots=True)
class RestoreDocuments:
    """Undo RemoveDocuments by the id that it gave, until the engine ends. Reply: value {"count": n}."""

    request: int
    job: str
    removal: int


JobCommand = (
    ListJobs
    | ShowJob
    | PutAway
    | RenameJob
    | DeleteJob
    | RestoreJob
    | DuplicateJob
    | RunFirst
    | RestoreDocuments
    | WatchFolder
)
