"""The kinds of work that a scheduler hands to workers; jobs and documents are named, never held."""

from __future__ import annotations

from dataclasses import dataclass

from engine.requests.item import WorkItem


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """Read documents, start their task and make its requests ready to run."""

    job: str
    documents: tuple[int, ...]
    sizes: tuple[int, ...]
    """The bytes of each document's file."""
    alone: bool = False
    """Whether it is a document that was in work when the engine died, and nothing else runs beside it."""


@dataclass(frozen=True, slots=True, eq=False)
class More:
    """Make more items of one long document that is under way."""

    job: str
    documents: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SetUp:
    """Run what the job needs once, before any of its documents, such as the vectors of its labels."""

    job: str


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """Run work items: one batch, or texts that enter slots."""

    job: str
    items: tuple[WorkItem, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Count:
    """Count the tokens of documents before anything runs."""

    job: str
    documents: tuple[int, ...]
    sizes: tuple[int, ...]
    """The bytes of each document's file."""


Work = Read | More | SetUp | Run | Count
