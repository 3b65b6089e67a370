"""The loop of one worker: take an assignment, do it, post what came of it. Everything mutable in here is its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol

from engine.api.threads import name_this_thread
from engine.scheduling.work import Count, More, Run, SetUp
from engine.workers import message
from engine.workers.reading import count_documents, more_items, prepare_documents

if TYPE_CHECKING:
    from engine.inference.prepare.ready import Prepare
    from engine.models.tokenizer import WorkerTokenizer
    from engine.telemetry.activity import Board
    from engine.telemetry.meter import WorkerMeter
    from engine.workers.assignment import Assignment
    from engine.workers.inbox import Inbox
    from engine.workers.message import Message

Post = Callable[["Message"], None]
"""Puts a message into the coordinator's mailbox."""


class Inside(Protocol):
    """What runs items inside a worker: an encoder or a generator over weights that all workers share."""

    prepare: Prepare
    """Makes requests ready with the worker's own tokenizer."""

    lost: bool
    """Whether the device stopped answering; the worker takes that in, and lets it be tried again."""

    @property
    def busy(self) -> bool:
        """Whether ``step`` has something to do."""
        ...

    def set_up(self, assignment: Assignment) -> message.WasSetUp:
        """Answer what a job needs once."""
        ...

    def run(self, assignment: Assignment) -> None:
        """Take items in; they are run now, or in the steps that follow."""
        ...

    def step(self) -> None:
        """Go on with the items that were taken in."""
        ...


class Worker:
    """One worker: a device, T intra-op threads, its own tokenizer copy, over weights shared by all workers."""

    def __init__(
        self,
        index: int,
        inbox: Inbox,
        post: Post,
        meter: WorkerMeter,
        *,
        tokenizer: Callable[[], WorkerTokenizer],
        inside: Callable[[WorkerTokenizer], Inside],
        around: AbstractContextManager[None],
        board: Board,
    ) -> None:
        """Prepare worker ``index``; nothing happens before ``run`` is called on the worker's thread.

        ``tokenizer`` and ``inside`` are made there, within ``around``; what it is at is noted on ``board``.
        """
        self._index, self._around = index, around
        self._inbox, self._post, self._meter = inbox, post, meter
        self._tokenizer, self._inside, self._board = tokenizer, inside, board

    def run(self) -> None:
        """Work until the inbox is closed; called once, on the worker's own thread."""
        name_this_thread(f"worker-{self._index}")
        with self._around:
            tokenizer = self._tokenizer()
            inside = self._inside(tokenizer)
            while True:
                assignment, goes_on = self._inbox.get(wait=not inside.busy)
                if not goes_on:
                    break
                if assignment is not None:
                    self._do(assignment, tokenizer, inside)
                elif inside.busy:
                    inside.step()
                if inside.lost:
                    inside.lost = False
                    self._hand_back()
            while inside.busy:  # what was begun is brought to its end
                inside.step()

    def _hand_back(self) -> None:
        """Hand back what waits here: jobs pause when their device is lost, and none is tried twice (FAULTS 28)."""
        for assignment in self._inbox.take_back():
            self._post(message.HandedBack(self._index, assignment.work))

    def _do(self, assignment: Assignment, tokenizer: WorkerTokenizer, inside: Inside) -> None:
        work = assignment.work
        begin = time.perf_counter()
        if isinstance(work, Run):
            inside.run(assignment)
            return
        if isinstance(work, SetUp):
            self._meter.activity = "encode"
            told: Message = inside.set_up(assignment)
        elif isinstance(work, More):
            self._meter.activity = "prepare"
            told = message.MadeMore(self._index, work, more_items(assignment, tokenizer, self._board))
        elif isinstance(work, Count):
            self._meter.activity = "prepare"
            found = count_documents(assignment, tokenizer, self._board)
            told = message.Counted(self._index, work, found, time.perf_counter() - begin)
        else:
            self._meter.activity = "prepare"
            found = prepare_documents(assignment, inside.prepare, self._board)
            told = message.Read(self._index, work, found, time.perf_counter() - begin)
        self._meter.busy += time.perf_counter() - begin
        self._post(told)
