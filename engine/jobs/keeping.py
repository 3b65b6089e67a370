"""Where a job's rows are kept: the journal for piles, nowhere for a trial."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from engine.requests.output import Output
    from engine.store.record import Record, Result


class Keeping(Protocol):
    """What a job writes; every call queues its rows and returns a ticket, and none waits for the disk."""

    def add_documents(self, records: Iterable[Record]) -> int:
        """Keep new documents."""
        ...

    def update_documents(self, records: Iterable[Record]) -> int:
        """Keep changes of documents that carry no result."""
        ...

    def update_job(self, job: str, **changes: Any) -> int:
        """Keep new values for fields of a job."""
        ...

    def remove_documents(self, job: str, documents: Iterable[int]) -> int:
        """Forget documents with their results."""
        ...

    def finish(self, record: Record, result: Result | None) -> int:
        """Keep the end of a document, state and result together."""
        ...

    def keep_output(self, document: int, step: int, output: Output, asked: str) -> int:
        """Keep an output of a step until its document ends; it answers what was ``asked`` (question.key)."""
        ...


class Unkept:
    """Takes what the journal takes, and keeps the newest result only."""

    def __init__(self) -> None:
        """Start with no result."""
        self.result: Result | None = None

    def add_documents(self, records: Iterable[Record]) -> int:
        """Keep nothing."""
        del records
        return 0

    def update_documents(self, records: Iterable[Record]) -> int:
        """Keep nothing."""
        del records
        return 0

    def update_job(self, job: str, **changes: Any) -> int:
        """Keep nothing."""
        del job, changes
        return 0

    def remove_documents(self, job: str, documents: Iterable[int]) -> int:
        """Keep nothing."""
        del job, documents
        return 0

    def finish(self, record: Record, result: Result | None) -> int:
        """Keep the result."""
        del record
        self.result = result
        return 0

    def keep_output(self, document: int, step: int, output: Output, asked: str) -> int:
        """Keep nothing."""
        del document, step, output, asked
        return 0
