"""One job without a window: submit, show progress on a terminal, write rows and a report."""

from __future__ import annotations

import contextlib
import gc
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import Any, TextIO

from engine import tasks
from engine.api.snapshot import DocumentRow, JobState
from engine.cli.interrupts import LAST_RESORT, DidNotEnd, Interrupts
from engine.cli.overdue import Overdue
from engine.cli.progress import Notes, Progress
from engine.cli.report import report, save
from engine.cli.run_options import RunOptions, check_options, journal_path, out_format
from engine.cli.streams import drop_output
from engine.cli.table import table
from engine.cli.take_up import take_up
from engine.engine import Engine
from engine.errors import Cancelled, HeddleError, UsageError
from engine.jobs.aside import sentence
from engine.jobs.job import LIVE
from engine.jobs.question import command, model_key, question
from engine.models.check import require_tried
from engine.models.fingerprint import fingerprint
from engine.models.place import model_place
from engine.models.supplied import default_model
from engine.store.agreement import TRUTH, Agreement
from engine.store.cells import share_text, shown
from engine.store.export import check_target
from engine.tasks.base import writes
from engine.telemetry.garbage import collect_garbage

ALL_DONE, SOME_FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes of ``heddle run``."""


def run(
    order: RunOptions,
    *,
    output: TextIO | None = None,
    errors: TextIO | None = None,
    again: Callable[[], object] | None = None,
) -> int:
    """Run one job to its end and return the exit code; rows go to ``order.out`` or, as a table, to ``output``.

    Where a document does not come back within ``order.patience``, it is set aside, and ``again`` is called to start the
    command anew in this process' place; without one, the command ends there. Raises HeddleError for what stops the job
    before it starts: wrong settings, a model that cannot be used.
    """
    rows_to: TextIO | None = output or sys.stdout
    if rows_to is None and not order.out:
        raise UsageError("Standard output is closed, so that no row could be printed. Give a file with --out.")
    words_to: TextIO = errors or sys.stderr
    check_options(order)
    began = time.monotonic()
    task = tasks.make(order.task, order.settings)
    order = replace(order, model=order.model or default_model(writes=writes(task)))
    require_tried(
        model_place(order.model)
    )  # refused with what is wrong before anything of it is read for the fingerprint
    model = model_key(fingerprint(order.model), order.plan.dtype)
    asked = question(task, model or f"{order.model}/{order.plan.dtype}", order.encoding, order.on_bad_bytes)
    engines: list[Engine] = []
    journal = journal_path(order.out)
    interrupts = Interrupts(INTERRUPTED, partial(_force, engines, order, words_to), partial(_writes, engines), journal)
    with _main_thread_collection(), interrupts:
        mine = command(asked, order.paths, order.column)
        engine = Engine(journal, mine)
        engines.append(engine)
        overdue = Overdue(engine, order.patience, words_to)
        aside = 0
        notes = Notes(engine, words_to)
        try:
            notes.tell()
            words_to.writelines(f"{sentence(one)}\n" for one in engine.set_aside)
            engine.use_model(model)
            job, adding = take_up(engine, order, mine, words_to, interrupts, overdue)
            return _run(engine, job, adding, order, interrupts, overdue, began, rows_to, words_to, notes)
        except Cancelled:
            late = engine.stuck(LAST_RESORT / 2)
            engine.give_up(late)
            words_to.writelines(f"{sentence(one)}\n" for one in late)
            raise
        except DidNotEnd as late:
            words_to.writelines(f"{sentence(one)}\n" for one in late.activities)
            aside = engine.give_up(late.activities)
            if not (aside and order.out and again):
                return _give_up(engine, order, rows_to, words_to, notes)
        finally:
            engine.close(1.5 if interrupts.seen or aside else 5.0)
    assert again is not None
    words_to.write("The command goes on with the rest.\n")
    words_to.flush()
    again()
    return SOME_FAILED


def _give_up(engine: Engine, order: RunOptions, output: TextIO | None, errors: TextIO, notes: Notes) -> int:
    """Write the rows of what has ended, after something that does not end; returns the exit code."""
    watch = Progress(engine, errors, notes, quiet=order.quiet)
    watch.look(final=True)
    jobs = engine.piles.names()
    if jobs:
        _write(engine, jobs[0], order, watch.rows, output, errors)
    return SOME_FAILED


def _writes(engines: Sequence[Engine]) -> bool:
    """Tell whether an export is under way and goes on."""
    return any(one.kind == "export" and one.seconds < 1.0 for engine in engines for one in engine.board.now())


def _force(engines: Sequence[Engine], order: RunOptions, errors: TextIO) -> None:
    """Close what must be closed when an interrupted command does not end by itself."""
    for engine in engines:
        errors.writelines(f"{sentence(one)}\n" for one in engine.stuck(LAST_RESORT / 2))
        engine.close(0.4)
    errors.write("Interrupted. The same command goes on.\n" if order.out else "Interrupted.\n")
    errors.flush()


def _waits_offline(state: JobState) -> bool:
    """Tell whether all that is left is on a disk or share that is not there."""
    left = state.counts["waiting"] + state.counts["running"]
    return state.status in LIVE and not state.adding and not left and state.counts["offline"] > 0


def _run(
    engine: Engine,
    job: str,
    adding: Future[dict[str, int]],
    order: RunOptions,
    interrupts: Interrupts,
    overdue: Overdue,
    began: float,
    output: TextIO | None,
    errors: TextIO,
    notes: Notes,
) -> int:
    opening: Future[Any] | None = None
    live: Future[int] | None = None
    watch = Progress(engine, errors, notes, quiet=order.quiet)
    trouble = ""
    while not ((opening is None or opening.done()) and engine.wait(job, 0.0)):
        if interrupts.seen:
            engine.cancel_open()
            engine.cancel(job)
            break
        if order.live and live is None and adding.done() and adding.exception() is None:
            live = engine.grow(job, order.live)  # not before all of the pile is known: it may be a document
            interrupts.result(live, overdue)
        if opening is None and engine.piles.needs_model(job):
            interrupts.result(engine.set_plan(order.plan), overdue)
            opening = engine.open_model(order.model)
        if adding.done() and adding.exception() is not None:
            adding.result()
        if opening is not None and opening.done() and opening.exception() is not None:
            opening.result()
        overdue()
        state = watch.look()
        if engine.journal.problem != trouble:
            trouble = engine.journal.problem
            errors.write(f"\n{trouble}\n" if trouble else "The journal can be written again.\n")
        if state is not None and state.status == "paused" and (opening is None or opening.done()):
            break
        if state is not None and _waits_offline(state):
            engine.pause(job).result(5.0)
            break
        engine.wait(job, 0.1)
        collect_garbage()
    if interrupts.seen and not engine.wait(job, 2.0):
        late = engine.stuck(2.0)
        engine.give_up(late)
        errors.writelines(f"{sentence(one)}\n" for one in late)
    state = watch.look(final=True)
    assert state is not None
    if adding.done() and adding.exception() is not None:
        adding.result()
    own = adding.result().get("own", 0) if adding.done() else 0
    if own and not order.quiet:
        errors.write(f"{own:,} files that Heddle wrote were left out.\n")
    if state.adding or overdue.given_up:  # a very slow disk: the rows that are there are written
        errors.write("Not all files were looked at.\n")
    with contextlib.suppress(HeddleError) if interrupts.seen else contextlib.nullcontext():
        if order.live:
            if live is None:
                engine.grow(job, order.live).result()
            engine.end_growing(job).result()
        _write(engine, job, order, watch.rows, output, errors)
        notes.tell()
    agreement = _agreement(engine, job, order)
    if agreement.total and not order.quiet:
        share = share_text(agreement.accuracy)
        errors.write(f"{agreement.right:,} of {agreement.total:,} labels are right ({share}).\n")
    if order.report:
        check_target(engine.journal, job, order.report)
        told = report(watch.last, state, order.settings, engine, time.monotonic() - began)
        save(order.report, told | ({"agreement": agreement.facts()} if agreement.total else {}))
    if interrupts.seen:
        errors.write("Interrupted. The same command goes on.\n" if order.out else "Interrupted.\n")
        return INTERRUPTED
    if state.counts["offline"]:
        errors.write(
            f"{state.counts['offline']:,} documents wait: their disk or share is not there. "
            "Connect it and give the same command again.\n"
        )
        return SOME_FAILED
    if state.status == "paused":
        errors.write(f"{state.message or 'The job was paused.'}\n")
        return SOME_FAILED
    if state.counts["quarantined"]:
        errors.write(
            f"{state.counts['quarantined']:,} documents are quarantined: the engine ended twice with them in work, or "
            "they did not end. "
            "--retry-quarantined tries them again.\n"
        )
    if not sum(state.counts.values()):
        errors.write("No documents were found in what was given.\n")
        return WRONG_USAGE
    some = state.counts["failed"] or state.counts["quarantined"] or overdue.given_up
    return SOME_FAILED if some else ALL_DONE


def _agreement(engine: Engine, job: str, order: RunOptions) -> Agreement:
    """Return how the labels agree with the truth, where the task was told where that is."""
    if not order.settings.get(TRUTH):
        return Agreement()
    return Agreement(result.value for _, result in engine.journal.results(job) if result is not None)


def _write(
    engine: Engine, job: str, order: RunOptions, rows: dict[int, DocumentRow], output: TextIO | None, errors: TextIO
) -> None:
    answered = engine.piles.answered(job)
    if answered and not order.quiet:
        errors.write(f"{answered:,} documents were answered by an earlier run.\n")
    if order.out:
        count = engine.export(job, order.out, out_format(order.out)).result()
        if not order.quiet:
            errors.write(f"{count:,} rows written to {shown(order.out)}\n")
        return
    if output is not None:
        try:
            table(rows.values(), output)
            output.flush()
        except BrokenPipeError:  # the reader has seen enough
            drop_output()


@contextlib.contextmanager
def _main_thread_collection() -> Iterator[None]:
    """Collect garbage on this thread only while workers run (GUI law 2 holds in every process that has a pool)."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
