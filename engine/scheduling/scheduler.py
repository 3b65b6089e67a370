"""The scheduler: which work a worker gets next, and what has to run again when one is lost.

Holds the queues of all jobs and what every worker has; decides by priority, then age. It knows documents by number only,
and everything it is told it is told by its owner, the coordinator: no locks, threads or clocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from engine.requests.item import WorkItem
from engine.scheduling.given import Given, WorkerState, documents_of
from engine.scheduling.job_queue import JobQueue, take_first
from engine.scheduling.policies import LengthBatches, Load, Policy
from engine.scheduling.queue import BatchQueue
from engine.scheduling.work import Count, More, Read, Run, SetUp, Work


class Scheduler:
    """Work of all jobs for all workers of one model."""

    def __init__(self) -> None:
        """Start without jobs and workers."""
        self._jobs: dict[str, JobQueue] = {}
        self._workers: list[WorkerState] = []
        self._policy: Policy = LengthBatches(1)
        self._alone: Work | None = None
        """Work of a suspect document, which has the engine to itself."""

    # ---------------------------------------------------------------------------------------------------------------- jobs
    def add_job(self, job: str, priority: int = 0, created: float = 0.0) -> None:
        """Take in a job, closed: nothing of it is handed out."""
        self._jobs[job] = JobQueue(priority, created)

    def remove_job(self, job: str) -> None:
        """Forget a job; what workers have of it is dropped when it comes back."""
        self._jobs.pop(job, None)

    def open(self, job: str) -> None:
        """Let workers have work of the job from now on."""
        self._jobs[job].open = True

    def close(self, job: str) -> None:
        """Hand out no more of the job; what waits stays."""
        self._jobs[job].open = False

    def set_priority(self, job: str, priority: int) -> None:
        """Serve jobs with a higher number first."""
        self._jobs[job].priority = priority

    def expect(self, job: str, *, more: bool) -> None:
        """Tell whether more documents are on their way into the job."""
        self._jobs[job].expecting = more

    def need_set_up(self, job: str, *, needed: bool) -> None:
        """Tell whether the job needs something once before its first item runs."""
        queue = self._jobs[job]
        queue.set_up, queue.setting_up = not needed, None

    def is_idle(self, job: str) -> bool:
        """Tell whether nothing of the job waits, is under way, or is expected (counting apart)."""
        queue = self._jobs[job]
        return not (queue.waits or queue.under_way or queue.expecting)

    def under_way(self, job: str) -> int:
        """Return how many pieces of work of the job workers have (counting apart)."""
        return self._jobs[job].under_way

    def is_counting(self, job: str) -> bool:
        """Tell whether documents of the job wait to be counted, or are being counted."""
        queue = self._jobs[job]
        return bool(queue.uncounted or queue.counting)

    def waiting(self, job: str) -> tuple[int, int]:
        """Return how many documents wait to be read, and how many items are ready."""
        queue = self._jobs[job]
        return len(queue.unread) + len(queue.suspects), len(queue.ready) + sum(map(len, queue.apart.values()))

    # ----------------------------------------------------------------------------------------------------------- documents
    def add_documents(self, job: str, documents: Iterable[tuple[int, int]], *, suspect: bool = False) -> None:
        """Let documents (number, bytes) wait to be read; suspects each run alone, after all others."""
        queue, waiting = self._jobs[job], dict(documents)
        (queue.suspects if suspect else queue.unread).update(waiting)
        if suspect:
            queue.suspected.update(waiting)
        else:
            queue.suspected.difference_update(waiting)

    def count(self, job: str, documents: Mapping[int, int]) -> None:
        """Let idle workers count the tokens of these documents, and of no others of the job."""
        queue = self._jobs[job]
        queue.uncounted = dict(documents)
        queue.counts.clear()

    def withdraw(self, job: str, documents: Iterable[int]) -> None:
        """Take documents out of every queue; what workers have of them goes on, but does not wait again."""
        queue, gone = self._jobs[job], frozenset(documents)
        for waiting in (queue.unread, queue.suspects, queue.unfinished, queue.apart, queue.uncounted):
            for number in gone & waiting.keys():
                del waiting[number]
        queue.ready.remove(gone)
        queue.suspected -= gone
        for given in self._of_queue(queue):
            given.withdrawn |= gone & set(documents_of(given.work))

    def clear(self, job: str) -> None:
        """Take everything out of the job's queues; what workers have goes on, but does not wait again."""
        queue = self._jobs[job]
        for waiting in (queue.unread, queue.suspects, queue.unfinished, queue.apart, queue.uncounted):
            waiting.clear()
        queue.ready.clear()
        queue.suspected.clear()
        queue.counts.clear()
        queue.setting_up = None
        for given in self._of_queue(queue):
            given.withdrawn.update(documents_of(given.work))

    def _of_queue(self, queue: JobQueue) -> list[Given]:
        return [given for worker in self._workers for given in worker.given if given.queue is queue]

    def run_first(self, job: str, documents: Iterable[int]) -> int:
        """Let documents be read before the others of their job; returns how many of them still wait."""
        queue = self._jobs[job]
        first = {number: queue.unread[number] for number in documents if number in queue.unread}
        queue.unread = first | {number: size for number, size in queue.unread.items() if number not in first}
        return len(first)

    def add_unfinished(self, job: str, document: int) -> None:
        """Let more items of a long document be made when few are ready."""
        self._jobs[job].unfinished[document] = 0

    def add_items(self, job: str, items: Sequence[WorkItem]) -> None:
        """Take in items that are ready to run."""
        queue = self._jobs[job]
        queue.ready.add([item for item in items if item.document not in queue.suspected])
        for item in items:
            if item.document in queue.suspected:
                queue.apart.setdefault(item.document, []).append(item)

    # -------------------------------------------------------------------------------------------------------------- workers
    def set_workers(self, count: int, policy: Policy) -> None:
        """Hand out work to ``count`` new workers by ``policy``; whatever the ones before had is forgotten.

        The owner gives back what those had (``lost``) before.
        """
        self._workers = [WorkerState() for _ in range(count)]
        self._policy, self._alone = policy, None

    def set_policy(self, policy: Policy) -> None:
        """Hand out work by another policy from now on."""
        self._policy = policy

    def load(self, worker: int) -> Load:
        """Return what a worker has."""
        return self._workers[worker].load()

    def next(self, worker: int) -> Work | None:
        """Return the next work of ``worker``, which has it from now on; None when there is nothing for it."""
        if not self._workers[worker].alive:
            return None
        work = self._choose(worker)
        if work is not None:
            self._give(worker, work)
        return work

    def _give(self, worker: int, work: Work) -> None:
        mine, queue = self._workers[worker], self._jobs[work.job]
        mine.given.append(Given(work, queue))
        if isinstance(work, Count):
            queue.counts.append(work)
            queue.counting += 1
            return
        queue.under_way += 1
        if isinstance(work, SetUp):
            queue.setting_up = work
        elif not queue.suspected.isdisjoint(documents_of(work)):
            self._alone = work
        if isinstance(work, Run):
            for item in work.items:
                mine.items[id(item)] = item
                mine.tokens += len(item.ids)

    def completed(self, worker: int, item: WorkItem) -> None:
        """Take in that an item has come to its end, whatever that was."""
        mine = self._workers[worker]
        if mine.items.pop(id(item), None) is not None:
            mine.tokens -= len(item.ids)

    def returned(self, worker: int, work: Work) -> None:
        """Take in that a worker is through with ``work``; items that did not come to their end are dropped."""
        given = self._find(worker, work)
        if given is None:
            return
        self._workers[worker].given.remove(given)
        queue = given.queue
        if isinstance(work, Run):
            for item in work.items:
                self.completed(worker, item)
        if isinstance(work, Count):
            queue.counting -= 1
            queue.counts = [one for one in queue.counts if one is not work]
        else:
            queue.under_way -= 1
        if queue.setting_up is work:
            queue.setting_up = None
        if self._alone is work:
            self._alone = None

    def _find(self, worker: int, work: Work) -> Given | None:
        return next((given for given in self._workers[worker].given if given.work is work), None)

    def finish_set_up(self, job: str) -> None:
        """Take in that the job has what it needs once."""
        self._jobs[job].set_up = True

    def hand_back(
        self,
        worker: int,
        work: Work,
        wants_document: Callable[[int], bool] = lambda _: True,
        wants_item: Callable[[WorkItem], bool] = lambda _: True,
    ) -> list[WorkItem]:
        """Let ``work``, as far as it did not come to its end and is still wanted, wait again; returns items that run again."""
        mine, given = self._workers[worker], self._find(worker, work)
        open_ = [item for item in work.items if id(item) in mine.items] if isinstance(work, Run) else []
        goes_on = not isinstance(work, Count) or (given is not None and work in given.queue.counts)
        self.returned(worker, work)
        if given is None or not goes_on or self._jobs.get(work.job) is not given.queue:
            return []
        queue = given.queue
        left = [item for item in open_ if item.document not in given.withdrawn and wants_item(item)]
        self.add_items(work.job, left)
        if isinstance(work, Run | SetUp):
            return left
        back = [number for number in work.documents if number not in given.withdrawn and wants_document(number)]
        if isinstance(work, More):
            queue.unfinished = dict.fromkeys(back, 0) | queue.unfinished
            return left
        size = dict(zip(work.documents, work.sizes, strict=True))
        if isinstance(work, Count):
            queue.uncounted = {number: size[number] for number in back} | queue.uncounted
        else:
            queue.suspects = {n: size[n] for n in back if n in queue.suspected} | queue.suspects
            queue.unread = {n: size[n] for n in back if n not in queue.suspected} | queue.unread
        return left

    def works(self, worker: int) -> list[Work]:
        """Return what a worker has."""
        return [given.work for given in self._workers[worker].given]

    def lost(self, worker: int) -> list[tuple[Work, list[WorkItem]]]:
        """Count on a worker no more; what it had waits again. Returns its works, each with the items that run again."""
        mine = self._workers[worker]
        mine.alive = False
        return [(work, self.hand_back(worker, work)) for work in self.works(worker)]

    @property
    def alive(self) -> int:
        """The number of workers that were not lost."""
        return sum(worker.alive for worker in self._workers)

    # --------------------------------------------------------------------------------------------------------- the decision
    def _choose(self, worker: int) -> Work | None:
        if self._alone is not None:
            return None
        load = self._workers[worker].load()
        order = sorted(self._jobs.items(), key=lambda entry: (-entry[1].priority, entry[1].created))
        for job, queue in order:
            if not queue.open:
                continue
            if self._workers[worker].reads_above(queue.priority):  # it would begin this before it is given what it read
                return None
            if (found := self._of_job(job, queue, worker, load)) is not None:
                return found
            if self._policy.waits_its_turn and queue.ready and queue.set_up:
                return None
        return self._suspect(order, worker, load) or self._count(load)

    def _of_job(self, job: str, queue: JobQueue, worker: int, load: Load) -> Work | None:
        if self._policy.takes_reading(load) and self._policy.few(queue.ready, max(1, self.alive)):
            if (number := queue.first_unfinished(suspect=False)) is not None:
                del queue.unfinished[number]
                return More(job, (number,))
            if queue.unread:
                return Read(job, *take_first(queue.unread))
        if not queue.set_up and queue.setting_up is None and self._policy.takes_reading(load):
            return SetUp(job) if queue.waits or queue.expecting or queue.under_way else None
        return self._items(job, queue, queue.ready, worker, load)

    def _items(self, job: str, queue: JobQueue, ready: BatchQueue, worker: int, load: Load) -> Run | None:
        if not queue.set_up or not ready or not self._policy.takes_items(load):
            return None
        alive = [index for index, one in enumerate(self._workers) if one.alive]
        loads = [self._workers[index].load() for index in alive]
        more = bool(queue.unread or queue.unfinished) or queue.expecting
        items = self._policy.share(ready, alive.index(worker), loads, more_to_come=more)
        return Run(job, tuple(items)) if items else None

    def _suspect(self, order: Sequence[tuple[str, JobQueue]], worker: int, load: Load) -> Work | None:
        """Return work of a document that was in work when the engine died, once nothing else is under way.

        It gets the engine to itself: if the engine dies again, nobody else is blamed, and all that could be done is done.
        """
        if any(one.given for one in self._workers):
            return None
        for job, queue in order:
            if queue.open and (found := self._suspect_of(job, queue, worker, load)) is not None:
                return found
        return None

    def _suspect_of(self, job: str, queue: JobQueue, worker: int, load: Load) -> Work | None:
        if queue.apart and queue.set_up:
            number = next(iter(queue.apart))
            ready = BatchQueue()
            ready.add(queue.apart.pop(number))
            found = self._items(job, queue, ready, worker, load)
            if left := ready.clear():
                queue.apart = {number: left} | queue.apart
            return found
        if not self._policy.takes_reading(load):
            return None
        if (number := queue.first_unfinished(suspect=True)) is not None:
            del queue.unfinished[number]
            return More(job, (number,))
        if queue.suspects:
            number = next(iter(queue.suspects))
            return Read(job, (number,), (queue.suspects.pop(number),), alone=True)
        return None

    def _count(self, load: Load) -> Count | None:
        if load.works or load.items or any(q.open and q.suspects_wait for q in self._jobs.values()):
            return None
        for job, queue in self._jobs.items():
            if queue.uncounted:
                return Count(job, *take_first(queue.uncounted))
        return None
