"""One job without a window: submit, show progress on a terminal, write rows and a report."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TextIO

from engine import tasks
from engine.api.activity import Activity
from engine.api.plan import Plan
from engine.api.snapshot import DocumentRow, JobState, Snapshot
from engine.api.state import State
from engine.cli.interrupts import LAST_RESORT, DidNotEnd, Interrupts
from engine.cli.report import report, save
from engine.cli.streams import drop_output
from engine.engine import Engine
from engine.errors import Cancelled, HeddleError, UsageError
from engine.jobs.aside import sentence
from engine.jobs.job import LIVE
from engine.jobs.question import command, model_key, question
from engine.models.check import require_tried
from engine.models.fingerprint import fingerprint
from engine.models.place import model_place
from engine.store.cells import escape, shown
from engine.store.checked import DAMAGED
from engine.store.export import check_target
from engine.store.texts import check_folder
from engine.telemetry.garbage import collect_garbage

ALL_DONE, SOME_FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
"""Exit codes of ``heddle run``."""

PATIENCE = 600.0
"""Seconds without progress after which something is given up, unless the user says otherwise."""

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))

JOURNAL = ".journal"
"""Put behind ``--out``: the journal lies beside the result, and the same command finds it again."""

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".npy": "npy", ".md": "md"}
"""Formats by the ending of ``--out``."""


@dataclass(frozen=True, slots=True)
class Order:
    """What ``heddle run`` was asked to do."""

    task: str
    settings: dict[str, Any]
    paths: Sequence[str]
    model: str = "starter"
    plan: Plan = field(default_factory=Plan)
    out: str = ""
    report: str = ""
    live: str = ""
    """A JSONL file that gets a row as soon as a document has ended."""
    encoding: str = ""
    on_bad_bytes: str = "fail"
    quiet: bool = False
    again: bool = False
    """Run documents whose answer is known, too."""
    retry_quarantined: bool = False
    patience: float = PATIENCE
    """Seconds after which work that does not go on is given up; 0 waits for ever."""


def journal_path(out: str) -> str | None:
    """Return where the journal of a run with the result file ``out`` is kept; None, in memory, without one."""
    return out.rstrip("".join(_SEPARATORS)) + JOURNAL if out else None


def out_format(path: str) -> str:
    """Return the export format that the ending of ``path`` names; a name that ends like a folder's gets text files.

    Raises UsageError for any other.
    """
    if path.endswith(_SEPARATORS):
        return "txt"
    found = FORMATS.get(os.path.splitext(path)[1].lower())
    if found is None:
        raise UsageError(
            f"The result file has to end in {', '.join(FORMATS)}, or, for a folder of texts, in {os.sep}; {shown(path)} does not."
        )
    return found


def run(
    order: Order,
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
    if not 0 <= order.patience < float("inf"):
        raise UsageError("--patience takes a number of seconds, or 0 to wait for ever.")
    words_to: TextIO = errors or sys.stderr
    if order.out:
        out_format(order.out)
    for path in order.paths:
        if not os.path.lexists(path):
            raise UsageError(f"There is no file or folder {shown(path)}.")
    if order.live and (out_format(order.live) != "jsonl" or order.live == order.out):
        raise UsageError("--live takes a file that ends in .jsonl and is not the one of --out.")
    _check_folders(order)
    began = time.monotonic()
    task = tasks.make(order.task, order.settings)
    require_tried(
        model_place(order.model)
    )  # refused with what is wrong before anything of it is read for the fingerprint
    model = model_key(fingerprint(order.model), order.plan.dtype)
    asked = question(task, model or f"{order.model}/{order.plan.dtype}", order.encoding, order.on_bad_bytes)
    engines: list[Engine] = []
    journal = journal_path(order.out)
    interrupts = Interrupts(INTERRUPTED, partial(_force, engines, order, words_to), partial(_writes, engines), journal)
    with _main_thread_collection(), interrupts:
        engine = Engine(journal, command(asked, order.paths))
        engines.append(engine)
        overdue = _Overdue(engine, order.patience, words_to)
        aside = 0
        notes = _Notes(engine, words_to)
        try:
            notes.tell()
            words_to.writelines(f"{sentence(one)}\n" for one in engine.set_aside)
            engine.use_model(model)
            job, adding = _take_up(engine, order, command(asked, order.paths), words_to, interrupts, overdue)
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


class _Overdue:
    """Looks whether something has not gone on for longer than the user is patient."""

    def __init__(self, engine: Engine, patience: float, errors: TextIO) -> None:
        self._engine, self._patience, self._errors = engine, patience, errors
        self.given_up: set[Activity] = set()
        """Folders that adding was ended for."""

    def __call__(self) -> bool:
        """Tell whether adding was ended because a folder does not answer; raises DidNotEnd for anything else."""
        if self._patience <= 0:
            return False
        late = [one for one in self._engine.board.now(self._patience) if replace(one, seconds=0) not in self.given_up]
        if others := [one for one in late if one.kind != "folder"]:
            raise DidNotEnd(tuple(others))
        for one in late:  # the documents that were found go on
            self.given_up.add(replace(one, seconds=0))
            self._errors.write(f"{sentence(one)}\n")
            self._engine.end_adding(one.job)
        return bool(self.given_up)


def _give_up(engine: Engine, order: Order, output: TextIO | None, errors: TextIO, notes: _Notes) -> int:
    """Write the rows of what has ended, after something that does not end; returns the exit code."""
    watch = _Watch(engine, errors, notes, quiet=order.quiet)
    watch.look(final=True)
    jobs = engine.piles.names()
    if jobs:
        _write(engine, jobs[0], order, watch.rows, output, errors)
    return SOME_FAILED


def _writes(engines: Sequence[Engine]) -> bool:
    """Tell whether an export is under way and goes on."""
    return any(one.kind == "export" and one.seconds < 1.0 for engine in engines for one in engine.board.now())


def _force(engines: Sequence[Engine], order: Order, errors: TextIO) -> None:
    """Close what must be closed when an interrupted command does not end by itself."""
    for engine in engines:
        errors.writelines(f"{sentence(one)}\n" for one in engine.stuck(LAST_RESORT / 2))
        engine.close(0.4)
    errors.write("Interrupted. The same command goes on.\n" if order.out else "Interrupted.\n")
    errors.flush()


def _check_folders(order: Order) -> None:
    for path in filter(None, (order.out, order.report, order.live)):
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(folder):
            raise UsageError(f"The folder {shown(folder)} does not exist; make it first.")
    if order.out.endswith(_SEPARATORS):
        check_folder(order.out)  # what would be refused at the end is refused before anything runs
    journal = journal_path(order.out)
    if journal and (os.path.islink(journal) or (os.path.isfile(journal) and os.stat(journal).st_nlink > 1)):
        raise UsageError(
            f"{shown(journal)} is a link to another file, and would be written as the journal of this run. "
            "Remove it, or choose another name for --out."
        )


def _take_up(
    engine: Engine, order: Order, asked: str, errors: TextIO, interrupts: Interrupts, overdue: _Overdue
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


def _needs_workers(engine: Engine, job: str) -> bool:
    """Tell whether something is there that the journal has no answer to."""
    return engine.piles.needs_model(job)


def _waits_offline(state: JobState) -> bool:
    """Tell whether all that is left is on a disk or share that is not there."""
    left = state.counts["waiting"] + state.counts["running"]
    return state.status in LIVE and not state.adding and not left and state.counts["offline"] > 0


def _run(
    engine: Engine,
    job: str,
    adding: Future[dict[str, int]],
    order: Order,
    interrupts: Interrupts,
    overdue: _Overdue,
    began: float,
    output: TextIO | None,
    errors: TextIO,
    notes: _Notes,
) -> int:
    opening: Future[Any] | None = None
    live: Future[int] | None = None
    watch = _Watch(engine, errors, notes, quiet=order.quiet)
    trouble = ""
    while not ((opening is None or opening.done()) and engine.wait(job, 0.0)):
        if interrupts.seen:
            engine.cancel_open()
            engine.cancel(job)
            break
        if order.live and live is None and adding.done() and adding.exception() is None:
            live = engine.grow(job, order.live)  # not before all of the pile is known: it may be a document
            interrupts.result(live, overdue)
        if opening is None and _needs_workers(engine, job):
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
    if order.report:
        check_target(engine.journal, job, order.report)
        save(order.report, report(watch.last, state, order.settings, engine, time.monotonic() - began))
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


def _write(
    engine: Engine, job: str, order: Order, rows: dict[int, DocumentRow], output: TextIO | None, errors: TextIO
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


def table(rows: Iterator[DocumentRow] | Any, output: TextIO) -> None:
    """Print one line a document: state, result or reason, and name, in pile order."""
    ordered = sorted(rows, key=lambda row: row.position)
    width = max([len(_said(row)) for row in ordered] + [6])
    width = min(width, 60)
    output.writelines(f"{row.state:<9} {_said(row)[:width]:<{width}}  {shown(where(row))}\n" for row in ordered)


def where(row: DocumentRow) -> str:
    """Return the place of a document: its file, and which part of it."""
    return f"{row.path}, {row.locator}" if row.locator else row.path


def _said(row: DocumentRow) -> str:
    """What became of a document, on one line."""
    if row.state == "done":
        return escape(f"{row.summary} ({row.reason})" if row.reason else row.summary)
    return escape(row.reason)


class _Notes:
    """Writes down what the journal has to tell, each sentence once."""

    def __init__(self, engine: Engine, errors: TextIO) -> None:
        self._journal, self._errors, self._told = engine.journal, errors, 0

    def tell(self) -> None:
        """Write what is new."""
        notes = self._journal.notes[self._told :]
        self._told += len(notes)
        self._errors.writelines(f"{note}\n" for note in notes)


class _Watch:
    """Takes snapshots, keeps the rows, and draws one line of progress on a terminal."""

    def __init__(self, engine: Engine, errors: TextIO, notes: _Notes, *, quiet: bool) -> None:
        self._engine = engine
        self._errors = errors
        self._draws = errors.isatty() and not quiet
        self._drawn = 0.0
        self._notes = notes
        self.rows: dict[int, DocumentRow] = {}
        self.last: Snapshot = engine.snapshot()
        self._take(self.last)

    def look(self, *, final: bool = False) -> JobState | None:
        """Take a snapshot (all of them, if ``final``) and return the job's state."""
        self._notes.tell()
        if final:
            self._engine.journal.flush(10.0)
        self.last = self._engine.snapshot()
        self._take(self.last)
        while final and self.last.more_rows:
            self.last = self._engine.snapshot()
            self._take(self.last)
        state = self.last.jobs[0] if self.last.jobs else None
        if self._draws and state is not None and (final or time.monotonic() - self._drawn > 0.2):
            self._draw(state, final=final)
        return state

    def _take(self, snapshot: Snapshot) -> None:
        for told in snapshot.rows:
            for row in told.rows:
                self.rows[row.id] = row

    def _draw(self, state: JobState, *, final: bool) -> None:
        self._drawn = time.monotonic()
        total = sum(state.counts.values())
        ended = total - state.counts["waiting"] - state.counts["running"]
        model = self.last.model
        if model.status == "loading":
            line = f"loading {model.name}: {model.stage} {model.progress:.0%}"
        else:
            bar = int(24 * ended / total) if total else 0
            line = f"[{'#' * bar}{'.' * (24 - bar)}] {ended:,} of {total:,}"
            line += f" | {self.last.meters.documents_per_s:.1f} documents/s"
            if state.eta >= 0:
                line += f" | about {state.eta:.0f} s left"
            if state.counts["failed"]:
                line += f" | {state.counts['failed']} failed"
        width = shutil.get_terminal_size().columns - 1
        self._errors.write("\r" + escape(line)[:width].ljust(width) + ("\n" if final else ""))
        self._errors.flush()


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
