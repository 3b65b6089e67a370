"""A job's pile: its documents in the order added, how many are in each state, and what changed.

What is on it changes here; what becomes of a document is a transition of ``document_states``. Called on the
coordinator's thread alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from engine.api.state import State
from engine.documents.offline import device_of
from engine.jobs.changes import Changes
from engine.jobs.document import Document
from engine.jobs.keeping import Keeping
from engine.store.record import Record, Result

OPEN = frozenset({str(State.WAITING), str(State.RUNNING), str(State.OFFLINE)})
"""States of documents that still need work."""


@dataclass(slots=True)
class Pile:
    """The documents of one job; their counts are derived with every change."""

    job: str
    keeping: Keeping
    """Where its rows are kept: the journal, or nowhere for a trial."""
    documents: dict[int, Document] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(map(str, State), 0))
    changes: Changes = field(default_factory=Changes)
    devices: dict[str, int] = field(default_factory=dict)
    """The file system that each folder was on when files in it were added."""
    held: list[Document] = field(default_factory=list)
    """What was read while adding and is put on the pile with more."""
    seen: Any = None
    answered: int = 0
    """Documents that the journal answered, without a worker."""
    tokens_done: int = 0
    tokens_total: int = 0
    bytes_done: int = 0
    bytes_open: int = 0

    def add(self, documents: Iterable[Document], *, keep: bool = True) -> None:
        """Nothing -> whatever their records say, at the end of the pile; the journal gets them unless it has them."""
        records: list[Record] = []
        for document in documents:
            record = document.record
            self.documents[record.id] = document
            self.counts[record.state] += 1
            self.changes.touch(record.id)
            if record.state in OPEN:
                self.bytes_open += record.size
            records.append(record)
        if keep:
            self.keeping.add_documents(records)

    def put_back(self, back: Sequence[tuple[Document, Result | None]]) -> None:
        """Off the pile -> as they were, each in its place; the journal gets rows first and results after them.

        A row whose result was lost between the two only runs again.
        """
        self.add([document for document, _ in back], keep=False)
        self.documents = dict(sorted(self.documents.items(), key=lambda entry: entry[1].record.position))
        self.seen = None  # the next walk learns anew what the pile has
        waiting = {"state": str(State.WAITING)}
        done = State.DONE
        self.keeping.add_documents(
            [replace(d.record, **waiting) if d.record.state == done else d.record for d, _ in back]
        )
        for document, result in back:
            if document.record.state == State.DONE and result is not None:
                number = document.record.id
                document.ticket = self.keeping.finish(document.record, replace(result, document=number))

    def remove(self, numbers: Iterable[int]) -> None:
        """Any state -> off the pile; the journal forgets the rows and their results."""
        gone = list(numbers)
        for number in gone:
            document = self.documents.pop(number)
            self.counts[document.record.state] -= 1
            if document.record.state in OPEN:
                self.bytes_open -= document.record.size
            if self.seen is not None:
                self.seen.forget(document.record.path)
            self.changes.remove(number)
        self.keeping.remove_documents(self.job, gone)

    def change(self, number: int, **values: Any) -> Document:
        """Give a document's record new values and keep the counts in step; returns the document."""
        return self.put(number, self.documents[number].record.changed(**values))

    def put(self, number: int, record: Record) -> Document:
        """Give a document another record and keep the counts in step; returns the document."""
        document = self.documents[number]
        was, document.record = document.record, record
        if record.state != was.state:
            self.counts[was.state] -= 1
            self.counts[record.state] += 1
        self.bytes_open += record.size * (record.state in OPEN) - was.size * (was.state in OPEN)
        self.changes.touch(number)
        return document

    def numbers(self, wanted: Callable[[Document], bool]) -> list[int]:
        """Return the documents that are ``wanted``, in pile order."""
        return [number for number, document in self.documents.items() if wanted(document)]

    def waits(self, number: int) -> bool:
        """Tell whether a document is on the pile and waits for a worker."""
        document = self.documents.get(number)
        return document is not None and document.record.state == State.WAITING

    def runs(self, number: int) -> bool:
        """Tell whether a document is on the pile and a worker has some of it."""
        document = self.documents.get(number)
        return document is not None and document.record.state == State.RUNNING

    def device(self, path: str) -> int | None:
        """Return the file system that the folder of ``path`` was on when it was added, None when that is not known."""
        return self.devices.get(os.path.dirname(path))

    def note_device(self, path: str) -> None:
        """Remember the file system that the folder of ``path`` is on."""
        folder = os.path.dirname(path)
        if folder not in self.devices and (device := device_of(folder or ".")) is not None:
            self.devices[folder] = device
