"""A document of a pile in memory: its record, and what is only of use while the program runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.api.snapshot import Cells, DocumentRow
from engine.api.state import State
from engine.requests.output import Answer, Encoded, Generated, Output
from engine.store.record import Record

if TYPE_CHECKING:
    import numpy.typing as npt

    from engine.documents.document import Columns
    from engine.inference.prepare.ready import Rest
    from engine.requests.item import WorkItem
    from engine.requests.request import Request
    from engine.workers.message import Prepared


KEEP_SECONDS = 1.0
"""Seconds of a worker above which an output of a step is not computed twice."""


def name_of(record: Record) -> str:
    """Return what people call a document: its file's name, and which part of it."""
    name = record.path.replace("\\", "/").rsplit("/", 1)[-1]
    return f"{name}, {record.locator}" if record.locator else name


@dataclass(slots=True)
class StepProgress:
    """One step of a document's task: which requests are open, and what came back of them."""

    step: int = 0
    state: Mapping[str, Any] = field(default_factory=dict)
    items: dict[int, WorkItem] = field(default_factory=dict)
    """What has not come back yet, by identity: anything else that comes belongs to a run that is over."""
    parts: int = 0
    """Items that were made so far."""
    rests: dict[str, Rest] = field(default_factory=dict)
    """What makes more items of requests about a long text, by key."""
    outputs: dict[str, Output] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    _left: Counter[str] = field(default_factory=Counter)
    _made: Counter[str] = field(default_factory=Counter)
    _sums: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    _answers: dict[str, dict[int, Answer]] = field(default_factory=dict)

    @classmethod
    def of(cls, found: Prepared, outputs: Mapping[str, Output]) -> StepProgress:
        """Return a step that waits for the items of ``found``; ``outputs`` are there already."""
        step = cls(found.step, found.state, rests=dict(found.rests), outputs=dict(outputs))
        step.expect(found.items)
        return step

    def expect(self, items: Iterable[WorkItem]) -> None:
        """Wait for these items too."""
        for item in items:
            self.items[id(item)] = item
            self._left[item.request] += 1
            self._made[item.request] += 1
            self.parts += 1

    def waits_for(self, item: WorkItem) -> bool:
        """Tell whether an item has not come back yet; False for one of another step, or another run."""
        return id(item) in self.items

    def take(self, item: WorkItem) -> bool:
        """Take an item off those that are waited for; False when it is none of them."""
        if self.items.pop(id(item), None) is None:
            return False
        self._left[item.request] -= 1
        return True

    def add_vector(self, item: WorkItem, vector: npt.NDArray[np.float32], seconds: float) -> Output | None:
        """Take in the vector of one part; returns the output of its request once all parts are there."""
        key = item.request
        self.seconds[key] = self.seconds.get(key, 0.0) + seconds
        mean = vector
        if item.parts > 1 or self._made[key] > 1:
            # In float64, so that the order in which workers bring the windows does not show in float32.
            sums = self._sums.setdefault(key, np.zeros(vector.shape, np.float64))
            sums += vector
            if not self._is_whole(key):
                return None
            mean = _mean(sums, self._made[key], vector)
        self.outputs[key] = output = Encoded(key, mean, self._made[key])
        return output

    def add_answer(self, item: WorkItem, answer: Answer) -> Output | None:
        """Take in the answer about one part; returns the output of its request once all parts are there."""
        key = item.request
        self.seconds[key] = self.seconds.get(key, 0.0) + answer.seconds
        answers = self._answers.setdefault(key, {})
        answers[item.part] = answer
        if not self._is_whole(key):
            return None
        self.outputs[key] = output = Generated(key, tuple(answers[part] for part in sorted(answers)))
        return output

    def _is_whole(self, key: str) -> bool:
        return not self._left[key] and key not in self.rests

    @property
    def dear(self) -> list[str]:
        """Keys of the outputs that cost so much that the journal keeps them until their document ends."""
        return [key for key in self.outputs if self.seconds.get(key, 0.0) >= KEEP_SECONDS]

    @property
    def complete(self) -> bool:
        """Whether everything has come back."""
        return not (self.items or self.rests)

    @property
    def share(self) -> float:
        """The part of the step's items that came back, from 0 to 1."""
        done = 1.0 - len(self.items) / self.parts if self.parts else 1.0
        return done * min((rest.share for rest in self.rests.values()), default=1.0)


@dataclass(slots=True)
class Document:
    """A document of the pile in memory."""

    record: Record
    summary: str = ""
    rating: tuple[str, float | None] = ("", None)
    """Label and score of its result (tasks.base.rating)."""
    cells: Cells = ()
    """What its result has for columns of their own (tasks.base.cells)."""
    note: str = ""
    """What the row should tell whatever becomes of it, such as bad bytes that were replaced."""
    progress: float = 0.0
    text: str | None = None
    columns: Columns = ()
    """What else stands in its row of a table, while its text is in memory or a worker has it."""
    in_memory: bool = False
    step: StepProgress | None = None
    """The step of its task that runs, or waits for a worker."""
    next_requests: tuple[Request, ...] | None = None
    """Requests of a later step that are not prepared yet."""
    kept: dict[tuple[int, str], tuple[str, Output]] = field(default_factory=dict)
    """Outputs that an earlier run of the program left, by step and key, each with what was asked (question.key)."""
    asked: str = ""
    """What the kept outputs must answer so as to be used; empty while that is not known."""
    writing: str = ""
    """The answer in the making."""
    fresh: bool = False
    """Whether somebody asked for it to be run again, so that no earlier answer will do."""
    renew: bool = False
    """Whether its file is to be taken as it is when it is read next, whatever it was when it was added."""
    stale: bool = False
    """Whether its file changed while it ran, so that it runs again when it has ended."""
    ticket: int = 0
    """The journal's ticket of the document's end; the row is told as done once that is committed."""
    attempt: int = 0
    """Grows with every new beginning and every step: what was read for an earlier one is not wanted any more."""

    def start_over(self) -> None:
        """Forget what was half done."""
        self.attempt += 1
        self.step, self.next_requests, self.progress, self.writing = None, None, 0.0, ""
        if self.text is None:  # both are read again
            self.columns = ()

    def kept_of(self, step: int) -> dict[str, Output]:
        """Return the kept outputs of a step that answer what is asked now, by key."""
        return {key: output for (at, key), (asked, output) in self.kept.items() if at == step and asked == self.asked}

    def row(self) -> DocumentRow:
        """Return the document as a row of the pile table."""
        record = self.record
        done = record.state == State.DONE
        return DocumentRow(
            id=record.id,
            position=record.position,
            name=name_of(record),
            path=record.path,
            size=record.size,
            state=record.state,
            reason=record.reason,
            encoding=record.encoding,
            confidence=record.confidence,
            tokens=record.tokens,
            progress=self.progress,
            seconds=record.seconds,
            worker=record.worker,
            coverage=record.used,
            unknown_share=record.unknown_share,
            summary=self.summary,
            locator=record.locator,
            label=self.rating[0] if done else "",
            score=self.rating[1] if done else None,
            cells=self.cells if done else (),
        )


def _mean(sums: npt.NDArray[np.float64], parts: int, like: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the mean of a text's windows, scaled to length 1 if the windows were."""
    mean = sums / parts
    if abs(float(np.linalg.norm(like)) - 1.0) < 1e-3:
        mean = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return mean.astype(np.float32)
