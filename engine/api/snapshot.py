"""The snapshot: an immutable picture of the engine, taken by the window ten times a second.

A snapshot holds only what changed since the one before; the first one after a start holds everything. Times are
seconds of the engine's monotonic clock, CPU times are seconds, memory is bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.api.activity import Activity
from engine.api.plan import Plan

Cells = tuple[tuple[str, str], ...]
"""Columns of a result: each a name and a value on one line."""


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """One row of the pile table. ``id`` is unique in the engine's session; ``position`` is the order of adding.

    ``state`` is a value of documents.State; ``reason`` says why a row failed or was skipped, or warns about a row that
    is done. ``tokens`` is -1 until counted; ``progress`` runs from 0 to 1; ``worker`` is -1 until a worker took it;
    ``summary`` is the result in one line; ``confidence`` below 1 marks a detected encoding. ``locator`` says which part
    of the file the document is, empty for all of it; ``name`` ends with it. ``label`` and ``score`` are those of the
    result, where its task gives such: an empty label with a score is one that the task is not sure of. ``cells`` are what
    the result has for columns of their own.
    """

    id: int
    position: int
    name: str
    path: str
    size: int
    state: str
    reason: str = ""
    encoding: str = ""
    confidence: float = 1.0
    tokens: int = -1
    progress: float = 0.0
    seconds: float = 0.0
    worker: int = -1
    coverage: float = 1.0
    unknown_share: float = 0.0
    summary: str = ""
    locator: str = ""
    label: str = ""
    score: float | None = None
    cells: Cells = ()

    @classmethod
    def of(cls, values: Sequence[Any]) -> DocumentRow:
        """Build a row from its fields in their order, as they cross the door; raises ValueError for more or fewer."""
        given = dict(zip(cls.__dataclass_fields__, values, strict=True))
        return cls(**{**given, "cells": tuple(map(tuple, given["cells"]))})


@dataclass(frozen=True, slots=True)
class JobState:
    """A job's counts and clock. ``status``: adding, ready, queued, running, paused, finished, cancelled.

    ``adding`` is true while paths are still being walked and read. ``tokens_total`` counts what is known so far;
    ``eta`` is seconds left, or -1 when a number would mean nothing. ``rejected`` counts the paths that were not taken
    (they are rows of state skipped as well).
    """

    id: str
    name: str
    status: str
    adding: bool
    priority: int
    task: str
    counts: dict[str, int]
    tokens_done: int
    tokens_total: int
    elapsed: float
    eta: float
    message: str = ""
    in_work: int = 0
    """Documents that workers hold now; while the job is pausing, they are finished first."""


@dataclass(frozen=True, slots=True)
class JobRows:
    """The rows of one job that changed, and the ids that are gone; ``reset`` says that the rows replace all before."""

    job: str
    rows: tuple[DocumentRow, ...] = ()
    removed: tuple[int, ...] = ()
    reset: bool = False


@dataclass(frozen=True, slots=True)
class ModelState:
    """The model in the engine. ``status``: none, loading, ready, failed. ``progress`` runs from 0 to 1 while loading.

    ``engine_mode`` says how it runs (``packed`` or ``padded``) and ``note`` why it fell back, if it did.
    """

    status: str = "none"
    folder: str = ""
    name: str = ""
    progress: float = 0.0
    stage: str = ""
    message: str = ""
    dtype: str = ""
    engine_mode: str = ""
    note: str = ""
    parameters: int = 0
    dimension: int = 0
    max_tokens: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What one worker does now. ``activity``: waiting, prepare (reading), encode, prefill, decode, idle, ended.

    A worker that prefills and decodes in one step is told as doing what took most of the step's tokens; idle is a worker with
    nothing queued, or with all of it paused.
    """

    index: int
    device: str
    activity: str
    documents: int
    tokens: int
    busy: float


@dataclass(frozen=True, slots=True)
class ThreadTime:
    """CPU time of one OS thread since it was born. ``group`` is ``worker 0`` ... for a worker's threads, else a role."""

    tid: int
    group: str
    cpu: float


@dataclass(frozen=True, slots=True)
class Meters:
    """Running totals of the process and rates over the last five seconds.

    ``queue_ready`` work items wait for a worker with their tokens counted; ``queue_waiting`` documents still wait to be
    read. ``gil_share`` is the share of worker time spent holding the interpreter, -1 when unknown. Workers that write count
    prompt tokens computed (``prefill_tokens``) and copied from a shared beginning (``prefix_tokens``), tokens written
    (``decode_tokens``) and the bytes of their keys and values; ``prefill_per_s`` and ``decode_per_s`` are those tokens
    over the last five seconds.
    """

    documents: int = 0
    tokens: int = 0
    documents_per_s: float = 0.0
    tokens_per_s: float = 0.0
    queue_ready: int = 0
    queue_waiting: int = 0
    rss: int = 0
    memory_available: int = 0
    memory_total: int = 0
    process_cpu: float = 0.0
    gil_share: float = -1.0
    prefill_tokens: int = 0
    decode_tokens: int = 0
    prefix_tokens: int = 0
    kv_bytes: int = 0
    prefill_per_s: float = 0.0
    decode_per_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TrialState:
    """A trial under way: of which document, its state, the newest of its text so far, its progress from 0 to 1."""

    document: int
    state: str
    text: str = ""
    progress: float = 0.0


@dataclass(frozen=True, slots=True)
class Notice:
    """A sentence for the user. ``level``: info, warning, error."""

    level: str
    text: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The picture. ``jobs`` and ``rows`` hold what changed; ``more_rows`` says that further rows wait for the next."""

    sequence: int
    time: float
    model: ModelState = field(default_factory=ModelState)
    plan: Plan = field(default_factory=Plan)
    jobs: tuple[JobState, ...] = ()
    rows: tuple[JobRows, ...] = ()
    more_rows: bool = False
    workers: tuple[WorkerState, ...] = ()
    threads: tuple[ThreadTime, ...] = ()
    meters: Meters = field(default_factory=Meters)
    notices: tuple[Notice, ...] = ()
    trial: TrialState | None = None
    activities: tuple[Activity, ...] = ()
    """What helpers and workers have been at for longer than a second, the longest first."""
