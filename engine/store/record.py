"""What the journal keeps: jobs, documents and results, as frozen dataclasses and as rows of SQLite."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Any

import numpy as np

from engine.api.reading import FAIL
from engine.api.state import State
from engine.errors import DocumentError
from engine.store.cells import clean, shown
from engine.store.checksum import Row, document_crc, job_crc, result_crc

LARGEST = 2**63 - 1
"""SQLite keeps whole numbers in 64 bits; what is larger (the time of a file dated in the year 2300) is kept as this."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job: its pile is the documents that name it.

    ``created`` in seconds since the epoch; ``settings`` are the task's own, by name; ``status`` is a status of
    ``snapshot.JobState``; ``model`` is the folder of the model, or empty. ``encoding`` and ``on_bad_bytes`` are how its
    files are read; ``command`` tells a command of ``heddle run`` from others, and is empty for the window's jobs.
    """

    id: str
    name: str = ""
    created: float = 0.0
    task: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    priority: int = 0
    status: str = "ready"
    model: str = ""
    encoding: str = ""
    on_bad_bytes: str = FAIL
    command: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """A document of a job's pile.

    ``id`` is chosen by the engine and unique in the journal; ``position`` is the order of adding; ``path`` is the name
    as ``os.fsdecode`` gives it; ``state`` a value of ``documents.State``. The rest is as in ``snapshot.DocumentRow``:
    ``tokens`` and ``worker`` are -1 until known, ``coverage`` and ``unknown_share`` run from 0 to 1, ``seconds`` is the
    time the worker took. ``deaths`` counts how often the engine ended while the document was in work. ``locator`` says
    which part of the file the document is (documents.readers), empty for a whole file; ``size`` is the part's then.
    """

    id: int
    job: str
    position: int
    path: str
    size: int = 0
    mtime_ns: int = 0
    sha256: str = ""
    encoding: str = ""
    confidence: float = 1.0
    state: str = "waiting"
    reason: str = ""
    tokens: int = -1
    unknown_share: float = 0.0
    coverage: float = 1.0
    seconds: float = 0.0
    worker: int = -1
    deaths: int = 0
    locator: str = ""

    def changed(self, **values: Any) -> Record:
        """Return the record with other values; as ``dataclasses.replace``, in two thirds of its time."""
        now = list(_values_of(self))
        for name, value in values.items():
            now[_PLACES[name]] = value
        return Record(*now)

    @property
    def used(self) -> float:
        """Share of the text that a result was made of: ``coverage`` of what is done, nothing of what is not."""
        return self.coverage if self.state == State.DONE else 0.0


_NAMES = tuple(one.name for one in fields(Record))
_PLACES = {name: place for place, name in enumerate(_NAMES)}
_values_of = attrgetter(*_NAMES)


@dataclass(frozen=True, slots=True)
class Result:
    """What a task made of one document: ``value`` is a JSON object, ``vector`` little-endian float32 or None.

    ``dimension`` is the number of floats in ``vector``, 0 without one. ``key`` is by what another job finds the answer
    to the same question about the same content (question.key), empty when it must not.
    """

    document: int
    value: dict[str, Any]
    vector: bytes | None = None
    dimension: int = 0
    key: str = ""


JOB_COLUMNS = tuple(f.name for f in fields(JobRecord))
DOCUMENT_COLUMNS = tuple({"worker": "lane"}.get(f.name, f.name) for f in fields(Record))
"""The journal's columns keep their names, so that older files are read; a worker was called a lane once."""
_PATH = DOCUMENT_COLUMNS.index("path")
RESULT_COLUMNS = ("document", "json", "vector", "key", "crc")

STATES = frozenset(map(str, State))
"""States that a document's row may have."""

_REALS = ("confidence", "unknown_share", "coverage", "seconds")
_WHOLES = ("position", "size", "mtime_ns", "tokens", "worker", "deaths")
_TEXTS = ("path", "sha256", "encoding", "reason", "locator")


def bounded(number: int) -> int:
    """Return ``number``, or the nearest one that SQLite can keep."""
    whole = int(number)
    return whole if -LARGEST <= whole <= LARGEST else (LARGEST if whole > 0 else -LARGEST)


def finite(number: float) -> float:
    """Return ``number`` as a float without the sign of a zero, which SQLite drops; raises ValueError for NaN and infinities."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{value} is no number that a row can hold")
    return value + 0.0


def path_bytes(path: str) -> bytes:
    """Return a file name as the operating system gave it; one that no system gave becomes UTF-8 that shows what it was."""
    try:
        return os.fsencode(path)
    except UnicodeEncodeError:
        return clean(path).encode()


def job_value(name: str, value: Any) -> Any:
    """Return the field ``name`` of a job as SQLite keeps it; settings become JSON. Raises ValueError and TypeError."""
    if name == "settings":
        return json_text(value)
    if name == "created":
        return finite(value)
    if name == "priority":
        return bounded(value)
    if not isinstance(value, str):
        raise TypeError(f"a job's {name} is text, not {type(value).__name__}")
    return clean(value)


def job_row(job: JobRecord, documents: int = 0) -> Row:
    """Return a job in the order of JOB_COLUMNS, and behind it the count of its documents and the checksum."""
    row = tuple(job_value(name, getattr(job, name)) for name in JOB_COLUMNS)
    return *row, documents, job_crc(row, documents)


def job_from(row: Row) -> JobRecord:
    """Build the job of a row in the order of JOB_COLUMNS."""
    values = dict(zip(JOB_COLUMNS, row, strict=True))
    values["settings"] = json.loads(values["settings"])
    return JobRecord(**values)


def document_row(record: Record) -> Row:
    """Return a document in the order of DOCUMENT_COLUMNS, and behind it the checksum; its numbers are bounded.

    Raises ValueError for a number that is not finite and for an unknown state, TypeError for a value of another type.
    """
    if record.state not in STATES:
        raise ValueError(f"document {record.id}: there is no state {clean(str(record.state))!r}")
    try:
        reals = finite(record.confidence), finite(record.unknown_share), finite(record.coverage), finite(record.seconds)
    except ValueError as error:
        raise ValueError(
            f"document {record.id}: confidence, unknown share, coverage and seconds must be finite"
        ) from error
    row = (
        record.id,
        clean(record.job),
        bounded(record.position),
        path_bytes(record.path),
        bounded(record.size),
        bounded(record.mtime_ns),
        clean(record.sha256),
        clean(record.encoding),
        reals[0],
        str(record.state),
        clean(record.reason),
        bounded(record.tokens),
        reals[1],
        reals[2],
        reals[3],
        bounded(record.worker),
        bounded(record.deaths),
        clean(record.locator),
    )
    return *row, document_crc(row)


def as_failed(record: Record, reason: str, state: State = State.FAILED) -> Record:
    """Return a record that can be kept, in the state ``state`` and with ``reason``, of one that cannot as it is."""
    values: dict[str, Any] = {}
    for name in _REALS:
        try:
            values[name] = finite(getattr(record, name))
        except (ValueError, TypeError, OverflowError):
            values[name] = Record.__dataclass_fields__[name].default
    for name in _WHOLES:
        try:
            values[name] = bounded(getattr(record, name))
        except (ValueError, TypeError, OverflowError):
            values[name] = 0 if name == "position" else Record.__dataclass_fields__[name].default
    for name in _TEXTS:
        value = getattr(record, name)
        values[name] = value if isinstance(value, str) else ""
    return replace(record, **{**values, "state": str(state), "reason": reason, "worker": -1})


def document_from(row: Row) -> Record:
    """Build the document of a row in the order of DOCUMENT_COLUMNS."""
    (*values,) = row
    values[_PATH] = os.fsdecode(values[_PATH])
    return Record(*values)


def result_row(record: Record, result: Result) -> Row:
    """Return a result in the order of RESULT_COLUMNS.

    Raises DocumentError when the result holds a NaN or an infinity (the model overflowed: no JSON and no use), and
    ValueError when the parts do not belong together.
    """
    if result.document != record.id:
        raise ValueError(f"a result of document {result.document} for document {record.id}")
    if len(result.vector or b"") != 4 * result.dimension or (result.vector is None) != (result.dimension == 0):
        raise ValueError(f"document {record.id}: {len(result.vector or b'')} bytes for {result.dimension} float32")
    try:
        text = json_text(result.value)
        numbers = result.vector is None or bool(np.isfinite(np.frombuffer(result.vector, "<f4")).all())
    except ValueError as error:
        raise _not_a_number(record) from error
    if not numbers:
        raise _not_a_number(record)
    key = clean(result.key)
    return record.id, text, result.vector, key, result_crc(record.id, text, result.vector, key)


def result_from(row: Row) -> Result:
    """Build the result of a row (document, JSON text, vector, key)."""
    document, text, vector, key = row
    return Result(document, json.loads(text), vector, len(vector or b"") // 4, key)


def json_text(value: Any) -> str:
    """Return ``value`` as compact JSON that UTF-8 can hold; raises ValueError for NaN and infinities."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # lone surrogates survive as JSON escapes only
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text


def _not_a_number(record: Record) -> DocumentError:
    return DocumentError(
        f"{shown(record.path)}: the model answered with a value that is not a number. "
        "Retry it; if it happens again, choose the number format float32."
    )
