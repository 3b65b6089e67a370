"""The runner: piles, and what users ask of jobs. No torch, no Qt."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING

from engine import answers
from engine.dealing import Dealing
from engine.documents.document import State
from engine.job import LIVE, Document, Job, Stop

if TYPE_CHECKING:
    from engine.store.journal import Journal
    from engine.store.record import Record

TEXT_CACHE = 64 << 20
"""Characters of text kept from adding until a lane takes them; beyond that a document is read again."""


class Runner(Dealing):
    """Piles, and what users do to them and to jobs; lanes are handed their work one step down."""

    def __init__(self, journal: Journal) -> None:
        """Book into ``journal``."""
        super().__init__(journal)
        self.text_cached = 0
        self._next_document = journal.last_document_id() + 1

    def close(self) -> None:
        """End all lanes within a layer; what they hold stays unfinished and waits again when the session is reopened."""
        with self.lock:
            self._closing = True
            for job in self.jobs.values():
                job.stop.asked = True
                job.fulfil()
            self.journal.flight.land_all()  # what is cut off now is to blame for nothing
            self.offline.close()
            self.close_lanes()

    # ------------------------------------------------------------------------------------------------------- piles and texts
    def text_of(self, job: Job, number: int, *, keep: bool = False) -> tuple[Record, str | None, bool] | None:
        """Return a document's record, its text if that is in memory, and whether it lives there only.

        None if the document left the pile. The text of a file is handed over, not kept, unless ``keep`` says so.
        """
        with self.lock:
            document = job.documents.get(number)
            if document is None:
                return None
            text = document.text
            if text is not None and not document.in_memory and not keep:
                document.text = None
                self.text_cached -= len(text)
            return document.record, text, document.in_memory

    def renews(self, job: Job, number: int) -> bool:
        """Tell whether a document's file is to be taken as it is now, whatever it was when it was added."""
        with self.lock:
            document = job.documents.get(number)
            return document is not None and document.renew

    def add(self, job: Job, documents: Sequence[Document], *, settled: bool = False) -> None:
        """Put documents at the end of a pile, in order, and wake the lanes if the job runs.

        Looks for earlier answers to what the job asks, and waits for the disk before, unless it was ``settled`` then.
        """
        found = answers.find(self, job, documents, settled=settled) if job.status in LIVE else {}
        with self.lock:
            records: list[Record] = []
            for document in documents:
                if document.text is not None and not document.in_memory:
                    if self.text_cached + len(document.text) > TEXT_CACHE:
                        document.text = None
                    else:
                        self.text_cached += len(document.text)
                job.add(document)
                records.append(document.record)
            self.kept_in(job).add_documents(records)
            answers.apply(self, job, found)
            if found:
                job.drop_answered(len(documents))
            self.work.notify_all()

    def added(self, job: Job) -> None:
        """Close one call of adding; a running job that has nothing left ends now."""
        with self.lock:
            job.adding = max(0, job.adding - 1)  # adding that was given up may still come to its end
            if job.status in LIVE and self._drained(job):
                self._end(job)
            self.settled.notify_all()
            self.work.notify_all()

    # ------------------------------------------------------------------------------------------------------- what users ask
    def number(self) -> int:
        """Return the next document id."""
        with self.lock:
            self._next_document += 1
            return self._next_document - 1

    def looked_up(self, job: Job) -> None:
        """Let the lanes have what a search for earlier answers has left; a job with nothing left ends."""
        with self.lock:
            job.looking -= 1
            job.drop_answered(len(job.unprepared))
            if job.status in LIVE and self._drained(job):
                self._end(job)
            self.settled.notify_all()
            self.work.notify_all()

    def start(self, job: Job, *, rest: bool = False) -> None:
        """Queue a job that has a task; whatever waits in it will run, and with ``rest`` also what was cancelled."""
        with self.lock:
            if rest:
                self._line_up_again(job, self._cancelled(job))
            if job.stop.asked:
                job.stop = Stop()
            job.fulfil()  # who waited for the end of the last run waits for nothing now
            job.status, job.message = ("paused", self.gone) if self.gone else ("queued", "")
            self.kept_in(job).update_job(
                job.id, status=job.status, task=job.task_name, settings=job.settings, priority=job.priority
            )
            self.work.notify_all()

    def pause(self, job: Job) -> None:
        """Let the job's running work finish and take no more."""
        with self.lock:
            if job.status in LIVE:
                self._halt(job, job.message)
                self.kept_in(job).update_job(job.id, status=job.status)

    def cancel(self, job: Job) -> None:
        """Stop the job: running work stops within a layer, waiting documents are cancelled."""
        with self.lock:
            job.stop.asked = True
            job.unprepared.clear()
            job.unfinished.clear()
            job.suspects.clear()
            job.ready.clear()
            for number in job.in_lanes:
                job.documents[number].again = False
            job.anchors_taken = job.anchors is not None
            gone = [
                n
                for n, d in job.documents.items()
                if d.record.state in (State.WAITING, State.OFFLINE)
                or (d.record.state == State.RUNNING and n not in job.in_lanes)
            ]
            self._cancel_documents(job, gone)
            job.status = "cancelled"
            job.keep_time()
            self.kept_in(job).update_job(job.id, status=job.status)
            self.work.notify_all()
            self.settled.notify_all()

    def retry(self, job: Job, numbers: Iterable[int]) -> int:
        """Make documents wait again, those named or all that failed or were cancelled; returns how many.

        What was done is run again whatever the journal knows of it, files are taken as they are now, and a document that
        was quarantined gets a clean slate.
        """
        with self.lock:
            wanted = list(numbers) or [
                *(n for n, d in job.documents.items() if d.record.state == State.FAILED),
                *self._cancelled(job),
            ]
            count = self._line_up_again(job, wanted)
            if count and job.task is not None and job.status in ("finished", "cancelled"):
                self.start(job)
            return count

    def _cancelled(self, job: Job) -> list[int]:
        """Return what was cancelled, and what will be as soon as the lanes let go of it."""
        return [n for n, d in job.documents.items() if d.record.state == State.CANCELLED or _stopping(d)]

    def _line_up_again(self, job: Job, numbers: Iterable[int]) -> int:
        """Let documents that neither wait nor run wait again, from the beginning; returns how many."""
        again: list[Record] = []
        count = 0
        for number in numbers:
            document = job.documents.get(number)
            if document is None or document.record.state == State.WAITING:
                continue
            if document.record.state == State.RUNNING:
                if _stopping(document):
                    document.again = True
                    count += 1
                continue
            document.start_over()
            document.summary, document.fresh = "", document.record.state == State.DONE
            document.renew, document.stale = not document.in_memory, False
            cleared = {"reason": document.note, "seconds": 0.0, "lane": -1, "tokens": -1, "deaths": 0}
            job.change(number, state=str(State.WAITING), **cleared)
            job.line_up(number)
            again.append(document.record)
        self.kept_in(job).update_documents(again)
        return count + len(again)

    def remove(self, job: Job, numbers: Iterable[int]) -> int:
        """Take documents off the pile, never running ones; with none named, all that do not run."""
        with self.lock:
            wanted = [
                n
                for n in (list(numbers) or list(job.documents))
                if n in job.documents and job.documents[n].record.state != State.RUNNING
            ]
            for number in wanted:
                document = job.documents[number]
                if document.text is not None and not document.in_memory:
                    self.text_cached -= len(document.text)
                if job.seen is not None:
                    job.seen.forget(document.record.path)
                job.remove(number)
            self.kept_in(job).remove_documents(job.id, wanted)
            return len(wanted)

    def count(self, job: Job) -> Stop:
        """Let idle lanes count the tokens of the waiting documents that have none yet; returns what tells of the end."""
        with self.lock:
            job.count_stop.asked = True  # an older count ends here, and this one goes on where it was
            job.count_stop = Stop()
            job.uncounted.clear()
            job.uncounted.extend(
                n for n, d in job.documents.items() if d.record.state == State.WAITING and d.record.tokens < 0
            )
            self.work.notify_all()
            self.settled.notify_all()
            return job.count_stop

    def forget_counting(self) -> None:
        """Let every count end unfinished: the model whose tokens they were goes."""
        with self.lock:
            for job in self.jobs.values():
                job.uncounted.clear()
            self.settled.notify_all()

    def stop_counting(self, job: Job) -> None:
        """End a count; documents that were reached keep their numbers."""
        with self.lock:
            job.count_stop.asked = True
            job.uncounted.clear()
            self.settled.notify_all()

    def when_settled(self, job: Job) -> Future[None]:
        """Return a future that is done when nothing of the job is under way, or when it goes on after all."""
        future: Future[None] = Future()
        with self.lock:
            job.hopes.append(future)
            if not job.under_way or self._closing:
                job.fulfil()
        return future


def _stopping(document: Document) -> bool:
    """Tell whether a document is still in the lanes of a run that was stopped."""
    return document.record.state == State.RUNNING and document.run is not None and document.run.asked
