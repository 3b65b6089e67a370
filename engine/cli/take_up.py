"""A command meets the journal beside its result: it makes a job, or goes on with the one that is there."""

from __future__ import annotations

import os
import uuid
from concurrent.futures import Future
from typing import Any, TextIO

from engine.api.state import State
from engine.cli.interrupts import Interrupts
from engine.cli.overdue import Overdue
from engine.cli.run_options import RunOptions
from engine.engine import Engine
from engine.store.cells import shown
from engine.store.checked import DAMAGED


def take_up(
    engine: Engine, order: RunOptions, asked: str, errors: TextIO, interrupts: Interrupts, overdue: Overdue
) -> tuple[str, Future[dict[str, int]]]:
    """Return the command's job, as the journal has it or new, submitted, and the future of its files' being added.

    A different command on the same journal is a new job in it: nothing of the old one is lost, and the old command goes
    on with its own. What is done is not run again; what failed or was cancelled is tried again.
    """
    here = [order.out, order.report, order.live]
    if order.out.lower().endswith(".npy"):
        here.append(os.path.splitext(order.out)[0] + ".index.csv")
    options: dict[str, Any] = {
        "encoding": order.encoding,
        "on_bad_bytes": order.on_bad_bytes,
        "column": order.column,
        "leave_out": [path for path in here if path],
    }
    if not engine.recovered:
        others = len(engine.journal.jobs())
        if others and not order.quiet:
            errors.write(
                f"A new job: the journal beside {shown(order.out)} keeps {others} of other commands as well.\n"
            )
        job = uuid.uuid4().hex
        engine.create_job(job, "pile", asked)
        # Settings are checked before anything is loaded.
        adding = engine.add_paths(job, order.paths, **options)
        engine.submit(job, order.task, order.settings, again=order.again)
        return job, adding
    (job,) = engine.recovered[:1]
    adding = engine.add_paths(job, order.paths, **options)
    interrupts.wait(adding, overdue)  # files that changed are met before a worker reads them
    if damaged := engine.piles.documents_that(job, lambda record: record.reason == DAMAGED):
        engine.remove_documents(job, damaged)  # their files were met above, and added anew
    counts = engine.piles.counts(job)
    if not order.quiet:
        errors.write(f"Going on: {counts['done']:,} of {sum(counts.values()):,} documents are done.\n")
    states = {State.FAILED, State.CANCELLED}
    if order.again:
        states = set(State)
    elif order.retry_quarantined:
        states.add(State.QUARANTINED)
    numbers = engine.piles.documents_in(job, states)
    if numbers:
        engine.retry(job, numbers)
    engine.submit(job, order.task, order.settings, again=order.again)
    return job, adding
