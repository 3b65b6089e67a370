"""What becomes of a document: the transitions between its states.

Every transition says what a document was before, what it is after, and what the journal gets. Called on the
coordinator's thread alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.api.state import State
from engine.jobs.document import Document, StepProgress
from engine.jobs.pile import Pile
from engine.jobs.row_warning import warning
from engine.store.record import Record, Result, as_failed
from engine.tasks.base import cells, noted, rating
from engine.workers.reading import CHANGED

if TYPE_CHECKING:
    from engine.documents.document import Columns
    from engine.inference.prepare.ready import Ready
    from engine.requests.item import WorkItem
    from engine.tasks.base import Outcome
    from engine.workers.message import Prepared

_FRESH = ("size", "mtime_ns", "sha256", "encoding", "confidence", "state", "reason", "tokens", "unknown_share",
          "coverage", "seconds", "worker", "deaths")  # fmt: skip
"""What a fresh look at a file says of its document anew."""


class DocumentStates:
    """Changes the states of a pile's documents."""

    def __init__(self, pile: Pile) -> None:
        """Change documents of ``pile``."""
        self._pile, self._keeping = pile, pile.keeping

    def put_in(self, number: int, document: Document) -> None:
        """Whatever it was -> what a fresh look at its changed file says; the journal gets the new row."""
        held, record = self._pile.documents[number], document.record
        held.start_over()
        held.kept.clear()
        held.summary, held.fresh, held.renew, held.text = "", False, False, None
        held.note = "; ".join(filter(None, (CHANGED, document.note)))
        fresh = {name: getattr(record, name) for name in _FRESH}
        reason = held.note if record.state == State.WAITING else record.reason
        self._pile.change(number, **{**fresh, "reason": reason})
        self._keeping.update_documents([held.record])

    def renewed(self, number: int, found: Mapping[str, Any]) -> None:
        """Waiting -> waiting, as its file was when it was read just now; the journal gets nothing before its end."""
        document = self._pile.documents[number]
        document.renew, document.note = False, str(found["note"])
        self._pile.change(
            number, reason=document.note, **{name: value for name, value in found.items() if name != "note"}
        )

    def run_again(self, number: int) -> None:
        """Over -> waiting, because its file changed while it ran; the journal gets the row."""
        document = self._pile.documents[number]
        document.stale, document.renew, document.fresh = False, True, True
        document.start_over()
        document.kept.clear()
        document.summary = ""
        self._pile.change(number, state=str(State.WAITING), reason="", seconds=0.0, worker=-1, tokens=-1)
        self._keeping.update_documents([document.record])

    def set_aside(self, number: int, reason: str) -> None:
        """Any state that may run -> quarantined, for ``reason``; the journal gets the row."""
        document = self._pile.documents[number]
        document.start_over()
        record = self._pile.change(number, state=str(State.QUARANTINED), reason=reason, worker=-1).record
        self._keeping.update_documents([record])

    def taken_by_journal(self, record: Record) -> None:
        """Any state -> what the journal says: it could not keep the row, or found it damaged; it knows already."""
        document = self._pile.documents[record.id]
        document.start_over()
        document.summary, document.fresh = "", True
        self._pile.change(record.id, state=record.state, reason=record.reason, worker=-1)

    def begin(self, number: int, worker: int) -> None:
        """Waiting or running -> running on ``worker``; the journal gets nothing, a crash lets it wait again."""
        self._pile.change(number, state=str(State.RUNNING), worker=worker)

    def prepared(self, number: int, found: Prepared, seconds: float) -> None:
        """Waiting -> waiting, with the step that its items belong to; the journal gets nothing."""
        document = self._pile.documents[number]
        document.step = StepProgress.of(found, document.kept_of(found.step))
        document.next_requests = None
        self._pile.tokens_total += sum(len(item.ids) for item in found.items)
        if found.step:
            return
        record = document.record
        self._pile.change(
            number,
            # What was counted before the run is exact; beside its prompt, a text may have a token more or less.
            tokens=found.tokens if record.tokens < 0 else record.tokens,
            unknown_share=found.unknown_share,
            coverage=found.coverage,
            seconds=seconds,
        )

    def has_columns(self, number: int, columns: Columns) -> None:
        """Waiting -> waiting, with what else stands in its row of a table; the journal gets it with the result."""
        if columns:
            self._pile.documents[number].columns = columns

    def more(self, number: int, ready: Mapping[str, Ready]) -> list[WorkItem]:
        """Waiting or running -> as it is, with more items of its long text, which are returned; the journal gets nothing."""
        document = self._pile.documents[number]
        step = document.step
        assert step is not None
        items: list[WorkItem] = []
        for key, one in ready.items():
            if one.rest is None:
                step.rests.pop(key, None)
            items += one.items
            record = document.record
            self._pile.change(number, tokens=max(one.tokens, record.tokens), unknown_share=one.unknown_share)
        step.expect(items)
        self._pile.tokens_total += sum(len(item.ids) for item in items)
        return items

    def counted(self, found: Iterable[Prepared]) -> None:
        """Waiting -> waiting, with its tokens; the journal gets the row."""
        records: list[Record] = []
        for one in found:
            if (
                one.tokens >= 0
                and self._pile.waits(one.document)
                and self._pile.documents[one.document].record.tokens < 0
            ):
                document = self._pile.change(one.document, tokens=one.tokens, unknown_share=one.unknown_share)
                records.append(document.record)
        self._keeping.update_documents(records)

    def progress(self, number: int, share: float, seconds: float = 0.0) -> None:
        """Running -> running, further on; the journal gets nothing."""
        document = self._pile.documents[number]
        document.progress = share
        if seconds:
            self._pile.change(number, seconds=document.record.seconds + seconds)
        else:
            self._pile.changes.touch(number)

    def write_on(self, number: int, text: str, tokens: int, longest: int) -> None:
        """Running -> running, with the answer so far, of ``longest`` tokens at most; the journal gets nothing."""
        document = self._pile.documents[number]
        document.writing = text
        document.summary = " ".join(text[-200:].split())
        if longest and document.step is not None and document.step.parts <= 1:
            document.progress = min(1.0, tokens / longest)
        self._pile.changes.touch(number)

    def next_step(self, number: int, step: int, state: dict[str, Any], requests: tuple[Any, ...]) -> None:
        """Running -> waiting, for the requests of its next step; the journal gets nothing."""
        document = self._pile.documents[number]
        document.attempt += 1
        document.step = StepProgress(step, state)
        document.next_requests = requests
        self._pile.change(number, state=str(State.WAITING), worker=-1)

    def keep_output(self, number: int, key: str, asked: str) -> None:
        """Running -> running; the journal gets an output that would be dear to compute again, with what was ``asked``."""
        document = self._pile.documents[number]
        if document.step is not None and asked:
            self._keeping.keep_output(number, document.step.step, document.step.outputs[key], asked)

    def done(self, number: int, outcome: Outcome, key: str, seconds: float, worker: int) -> None:
        """Running or waiting -> done; the journal gets row and result in one transaction.

        Raises DocumentError for a result that is not a number; then nothing has changed.
        """
        document = self._pile.documents[number]
        blob = None if outcome.vector is None else np.ascontiguousarray(outcome.vector, "<f4").tobytes()
        result = Result(number, outcome.value, blob, 0 if blob is None else len(blob) // 4, key)
        reason = warning(document.note, document.record, noted(outcome.value))
        seconds += document.record.seconds
        record = document.record.changed(state=str(State.DONE), seconds=seconds, worker=worker, reason=reason)
        ticket = self._keeping.finish(record, result)
        document.start_over()
        document.kept.clear()
        document.ticket, document.summary, document.progress = ticket, outcome.summary, 1.0
        document.rating, document.cells = rating(outcome.value), cells(outcome.value)
        self._pile.put(number, record)

    def revise(self, number: int, outcome: Outcome, result: Result) -> None:
        """Done -> done, with what the task made of it at the end of the job; the journal gets the new result."""
        document = self._pile.documents[number]
        if document.record.state != State.DONE:
            return
        fresh = Result(number, outcome.value, result.vector, result.dimension, result.key)
        document.ticket = self._keeping.finish(document.record, fresh)
        document.summary, document.rating = outcome.summary, rating(outcome.value)
        document.cells = cells(outcome.value)
        self._pile.changes.touch(number)

    def answer(self, number: int, source: Record, result: Result, summary: str) -> None:
        """Waiting -> done by an answer that the journal has already; the journal gets row and copy."""
        document = self._pile.documents[number]
        document.start_over()
        document.summary, document.progress = summary, 1.0
        document.rating, document.cells = rating(result.value), cells(result.value)
        known = {name: getattr(source, name) for name in ("tokens", "unknown_share", "coverage")}
        reason = warning(document.note, source, noted(result.value))
        self._pile.change(number, state=str(State.DONE), seconds=0.0, worker=-1, reason=reason, **known)
        copy = Result(number, result.value, result.vector, result.dimension, result.key)
        document.ticket = self._keeping.finish(document.record, copy)
        self._pile.answered += 1

    def end(self, number: int, state: State, reason: str, seconds: float = 0.0) -> None:
        """Waiting or running -> failed or skipped, for ``reason``; the journal gets the row."""
        document = self._pile.documents[number]
        document.start_over()
        document.summary = ""
        self._pile.change(number, state=str(state), reason=reason, seconds=document.record.seconds + seconds)
        try:
            document.ticket = self._keeping.finish(document.record, None)
        except (ValueError, TypeError, OverflowError) as error:  # a number that no row can hold
            failed = as_failed(document.record, reason or str(error), state)
            self._pile.change(number, **{item.name: getattr(failed, item.name) for item in fields(failed)})
            document.ticket = self._keeping.finish(document.record, None)

    def go_offline(self, number: int, reason: str) -> None:
        """Waiting -> offline, for ``reason``; the journal gets the row."""
        document = self._pile.change(number, state=str(State.OFFLINE), reason=reason)
        self._keeping.update_documents([document.record])

    def come_back(self, numbers: Iterable[int]) -> None:
        """Offline -> waiting; the journal gets the rows."""
        self._keeping.update_documents(
            [
                self._pile.change(n, state=str(State.WAITING), reason=self._pile.documents[n].note).record
                for n in numbers
            ]
        )

    def wait_again(self, numbers: Iterable[int]) -> None:
        """Running -> waiting, for a worker was lost; the journal gets nothing, it never knew that they ran."""
        for number in numbers:
            self._pile.change(number, state=str(State.WAITING), worker=-1)

    def cancel(self, numbers: Iterable[int]) -> None:
        """Waiting, offline or running -> cancelled; the journal gets the rows."""
        records: list[Record] = []
        for number in numbers:
            document = self._pile.documents[number]
            document.start_over()
            document.summary = ""
            records.append(self._pile.change(number, state=str(State.CANCELLED), worker=-1).record)
        self._keeping.update_documents(records)

    def retry(self, numbers: Iterable[int]) -> list[int]:
        """Any state that is over -> waiting, with a clean slate; the journal gets the rows. Returns those that changed."""
        again: list[Record] = []
        for number in numbers:
            document = self._pile.documents.get(number)
            if document is None or document.record.state in (State.WAITING, State.RUNNING):
                continue
            document.start_over()
            document.kept.clear()
            document.summary, document.fresh = "", document.record.state == State.DONE
            document.renew, document.stale = not document.in_memory, False
            cleared = {"reason": document.note, "seconds": 0.0, "worker": -1, "tokens": -1, "deaths": 0}
            again.append(self._pile.change(number, state=str(State.WAITING), **cleared).record)
        self._keeping.update_documents(again)
        return [record.id for record in again]

    def prepare_anew(self, *, counts: bool = True) -> list[int]:
        """Waiting or running -> waiting, with nothing prepared; the journal gets nothing. Returns those documents.

        Their counts of tokens are forgotten as well (they belong to another model), unless ``counts`` is false (they
        belong to another task, and a text has as many tokens as before).
        """
        self._pile.tokens_total = self._pile.tokens_done
        waiting: list[int] = []
        for number, document in self._pile.documents.items():
            if document.record.state in (State.WAITING, State.RUNNING):
                document.start_over()
                self._pile.change(number, state=str(State.WAITING), worker=-1, **({"tokens": -1} if counts else {}))
                waiting.append(number)
        return waiting
