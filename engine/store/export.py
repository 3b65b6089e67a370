"""Exports: the rows of a job as files, in pile order, every document in them whatever became of it.

An export is a projection of the journal and can be made at any time, also while the job runs.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, BinaryIO, Protocol

import numpy as np

from engine.api.fields import FIELDS
from engine.api.state import State
from engine.api.table_row import COLUMNS
from engine.errors import ExportError, UsageError
from engine.store.cells import cell, clean, is_utf8, json_escape, path_text, shown
from engine.store.journal import Journal
from engine.store.record import Record, Result
from engine.store.replacement import replacing
from engine.store.report import write_markdown
from engine.store.targets import Targets
from engine.store.texts import write_texts
from engine.store.workbook import Workbook

FORMATS = ("csv", "xlsx", "jsonl", "npy", "md", "txt")
"""What ``export`` can write."""

_BOM = b"\xef\xbb\xbf"
_BEFORE = ("path", "name", "state", "reason")
_LOCATOR = "locator"
"""A column that is there only where a document is a part of its file."""
_AFTER = ("tokens", "unknown_share", "coverage", "seconds", "worker", "encoding", "confidence", "sha256")

_OWN = frozenset({FIELDS, COLUMNS})
"""Keys of a result below which names are the user's."""

Rows = Iterator[tuple[Record, Result | None]]
"""A pile in order, with the results."""

GoingOn = Callable[[], None]
"""Called for every row, so that a slow disk is told from one that hangs."""

Column = tuple[str, ...]
"""A column of a result: the keys that lead to the value, such as ``("scores", "manual")``."""


def quiet() -> None:
    """Tell nobody."""


def export(journal: Journal, job: str, path: str, format: str, going_on: GoingOn = quiet) -> int:  # noqa: A002 - the protocol's word
    """Write the rows of ``job`` to ``path`` and return their number.

    ``csv``: for spreadsheets; UTF-8 with BOM, RFC 4180, results flattened to columns, no vectors, text that can
    neither compute nor reorder a line. ``xlsx``: the same as a workbook, whose texts never compute; one that is longer than
    a cell holds says so at its end. ``jsonl``: a row as ``jsonl_row`` makes it on each line. ``npy``: the vectors of
    done documents as float32 ``[n, dimension]``, and beside it ``X.index.csv`` with row, path, sha256 and encoding.
    ``md``: a report with a table, and long results below it. ``txt``: ``path`` is a folder that gets a text file for
    each done document and an index.

    ``going_on`` is called for every row. The files are written whole or not at all. Raises ExportError when that fails (what was there is intact), UsageError
    for an unknown job or format and for vectors of a job that has none, HeddleError when the journal cannot be read.
    """
    record = journal.job(job)
    if record is None:
        raise UsageError(f"There is no job {job!r} to export.")
    rows = partial(pile_rows, journal, job, going_on=going_on)
    if format == "csv":
        with replacing(path) as (file,):
            return _write_table(lambda: rows(path), lambda: journal.has_parts(job), partial(_begin_csv, file), cell)
    if format == "xlsx":
        with replacing(path) as (file,):
            pile, parts = partial(rows, path), partial(journal.has_parts, job)
            return _write_table(pile, parts, partial(_begin_workbook, file), clean)
    if format == "jsonl":
        with replacing(path) as (file,):
            return _write_jsonl(file, rows(path, vectors=True), record.task)
    if format == "npy":
        stem, extension = os.path.splitext(path)
        index = (stem if extension.lower() == ".npy" else path) + ".index.csv"
        with replacing(path, index) as (vectors, index_file):
            pile = rows(path, index, vectors=True)
            return _write_npy(vectors, index_file, pile, parts=journal.has_parts(job))
    if format == "md":
        with replacing(path) as (file,):
            return write_markdown(file, record, lambda: rows(path))
    if format == "txt":
        return write_texts(path, rows(path, folder=path, vectors=True), parts=journal.has_parts(job))
    raise UsageError(f"Unknown export format {format!r}; choose one of {', '.join(FORMATS)}.")


def jsonl_row(record: Record, result: Result | None, task: str) -> dict[str, Any]:
    r"""Return one document as the object of its JSONL line; every string in it has a UTF-8 form.

    Keys: path, sha256, encoding, confidence (of a detected encoding, 1.0 if it is certain), state, task, result (an object, with ``vector`` if there is one, or None), tokens and
    worker (None until known), unknown_share, coverage, seconds, error (why it is not done, or empty). Only where there is
    something to say: ``locator``, the part of the file that the document is, ``columns``, what else stands in its row of a table, ``warning``, the reason shown with a done document, and ``path_bytes``, the name in hexadecimal
    when it is not UTF-8 (``path`` shows such bytes as ``\xff``).
    """
    done = record.state == State.DONE
    value: dict[str, Any] | None = None
    columns: dict[str, str] | None = None
    if result is not None:
        value = _clean(result.value)
        columns = value.pop(COLUMNS, None) if value else None
        if result.vector is not None:
            value = {**(value or {}), "vector": _floats(result.vector)}
    row: dict[str, Any] = {
        "path": path_text(record.path),
        "sha256": clean(record.sha256),
        "encoding": clean(record.encoding),
        "confidence": record.confidence,
        "state": str(record.state),
        "task": clean(task),
        "result": value,
        "tokens": _known(record.tokens),
        "unknown_share": record.unknown_share,
        "coverage": record.used,
        "seconds": record.seconds,
        "worker": _known(record.worker),
        "error": "" if done else clean(record.reason),
    }
    if record.locator:
        row["locator"] = clean(record.locator)
    if columns:
        row[COLUMNS] = columns
    if done and record.reason:
        row["warning"] = clean(record.reason)
    if not is_utf8(record.path):
        row["path_bytes"] = os.fsencode(record.path).hex()
    return row


def jsonl_line(row: dict[str, Any]) -> str:
    """Return a row of ``jsonl_row`` as one line of JSON, with its end; nothing in it reorders or breaks the line."""
    return json_escape(json.dumps(row, ensure_ascii=False, allow_nan=False)) + "\n"


def pile_rows(
    journal: Journal, job: str, *targets: str, folder: str = "", vectors: bool = False, going_on: GoingOn = quiet
) -> Rows:
    """Walk the pile; raises ExportError when a target is the journal itself or a document of the pile."""
    place = Targets(*targets, folder=folder)
    if journal.path is not None:
        for suffix in ("", "-wal", "-shm", ".lock", ".doing"):
            if target := place.met_by(journal.path + suffix):
                raise ExportError(f"{shown(target)} was not written: it is Heddle's own journal. Choose another name.")
    for record, result in journal.results(job, vectors=vectors):
        place.check(record)
        going_on()
        yield record, result


def check_target(journal: Journal, job: str, path: str) -> None:
    """Raise ExportError when the file ``path`` is the journal itself or a document of the pile."""
    for _ in pile_rows(journal, job, path):
        pass


# ------------------------------------------------------------------------------------------------------------------ csv
class _Utf8:
    """What the csv module writes to: text in, UTF-8 into the file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode("utf-8"))


class _Table(Protocol):
    """What rows are written to."""

    def writerow(self, values: list[str | int | float], /) -> object:
        """Write a row."""
        ...


@contextlib.contextmanager
def _begin_csv(file: BinaryIO, header: list[str]) -> Iterator[_Table]:
    table = _table(file)
    table.writerow(header)
    yield table


@contextlib.contextmanager
def _begin_workbook(file: BinaryIO, header: list[str]) -> Iterator[_Table]:
    file.seek(0)
    file.truncate()
    book = Workbook(file, header)
    yield book
    book.close()


def _write_table(
    rows: Callable[[], Rows],
    has_parts: Callable[[], bool],
    begin: Callable[[list[str]], contextlib.AbstractContextManager[_Table]],
    text: Callable[[str], str],
) -> int:
    """Write the pile as a table that ``begin`` makes under its header; ``text`` makes a text harmless there."""
    columns: dict[Column, None] = {}  # in the order in which they are met
    parts = has_parts()
    for _, result in rows():
        columns.update(dict.fromkeys(_flat(result)))
    while True:
        late: dict[Column, None] = {}
        count = 0
        with begin([*_BEFORE, *([_LOCATOR] if parts else []), *map(text, _titles(columns)), *_AFTER]) as table:
            for record, result in rows():
                values = _flat(result)
                late.update({column: None for column in values if column not in columns})
                table.writerow(_row(record, [values.get(column) for column in columns], parts=parts, text=text))
                count += 1
        if not late and parts == has_parts():
            return count
        # A document was done, or added, between the walks and brought columns of its own.
        columns.update(late)
        parts = has_parts()


def _table(file: BinaryIO) -> Any:
    if file.tell():
        file.seek(0)
        file.truncate()
    file.write(_BOM)  # or spreadsheets take the file for the system's old 8-bit encoding
    return csv.writer(_Utf8(file), lineterminator="\r\n")


def _titles(columns: Iterable[Column]) -> list[str]:
    """Return the heading of each column: a row's own and extracted fields by their own names unless another has it."""
    taken = {*_BEFORE, _LOCATOR, *_AFTER, *(".".join(column) for column in columns if column[0] not in _OWN)}
    titles: dict[Column, str] = {}
    for group in (FIELDS, COLUMNS, None):  # what was found comes before what was there
        for column in columns:
            if (column[0] if column[0] in _OWN and len(column) > 1 else None) == group:
                titles[column] = _title(column, taken)
                taken.add(titles[column])
    return [titles[column] for column in columns]


def _title(column: Column, taken: Container[str]) -> str:
    if column[0] in _OWN and len(column) > 1:
        own = ".".join(column[1:])
        return ".".join(column) if own in taken else own
    name = ".".join(column)
    return f"result.{name}" if name in (*_BEFORE, _LOCATOR, *_AFTER) else name


def _row(record: Record, values: Sequence[Any], *, parts: bool, text: Callable[[str], str]) -> list[str | int | float]:
    path = path_text(record.path)
    return [
        text(path),
        text(path_text(os.path.basename(record.path))),
        text(record.state),
        text(record.reason),
        *([text(record.locator)] if parts else []),
        *(_value(value, text) for value in values),
        _value(_known(record.tokens), text),
        record.unknown_share,
        record.used,
        record.seconds,
        _value(_known(record.worker), text),
        text(record.encoding),
        record.confidence,
        text(record.sha256),
    ]


def _flat(result: Result | None) -> dict[Column, Any]:
    """Return the values of a result by column: objects are opened, lists stay whole."""
    flat: dict[Column, Any] = {}

    def visit(prefix: Column, value: Any) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                visit((*prefix, key), item)
        else:
            flat[prefix] = value

    if result is not None:
        visit((), result.value)
    return flat


def _value(value: Any, text: Callable[[str], str]) -> str | int | float:
    """Return a value for a cell: numbers of ours stay numbers, text is made harmless."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return value
    return text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


# ---------------------------------------------------------------------------------------------------------- jsonl, npy
def _write_jsonl(file: BinaryIO, rows: Rows, task: str) -> int:
    count = 0
    for record, result in rows:
        file.write(jsonl_line(jsonl_row(record, result, task)).encode("utf-8"))
        count += 1
    return count


def _write_npy(file: BinaryIO, index_file: BinaryIO, rows: Rows, *, parts: bool) -> int:
    index = _table(index_file)
    index.writerow(["row", "path", "sha256", "encoding", "confidence", *([_LOCATOR] if parts else [])])
    count = dimension = start = 0
    for record, result in rows:
        if result is None or result.vector is None:
            continue
        if count == 0:
            dimension = result.dimension
            start = _write_header(file, 0, dimension)
        elif result.dimension != dimension:
            raise ExportError(
                f"The vector of {shown(record.path)} has {result.dimension} numbers, those before it {dimension}: "
                "they were made by different models. Run the job again with one model."
            )
        file.write(result.vector)
        index.writerow(
            [
                count,
                cell(path_text(record.path)),
                cell(record.sha256),
                cell(record.encoding),
                record.confidence,
                *([cell(record.locator)] if parts else []),
            ]
        )
        count += 1
    if count == 0:
        raise UsageError("This job has no vectors to export. Run the task embed, or choose CSV or JSONL.")
    # The number of rows is known now; numpy leaves room in the header for the first axis to grow.
    file.seek(0)
    if _write_header(file, count, dimension) != start:
        raise ExportError("numpy wrote two headers of different lengths; choose JSONL for the vectors.")
    return count


def _write_header(file: BinaryIO, rows: int, dimension: int) -> int:
    """Write the header of a .npy file for float32 ``[rows, dimension]``; returns the position behind it."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (rows, dimension)}
    np.lib.format.write_array_header_1_0(file, header)
    return file.tell()


def _floats(vector: bytes) -> list[float]:
    """Return float32 numbers as those Python floats whose text is the shortest that gives the float32 back."""
    return [float(str(number)) for number in np.frombuffer(vector, "<f4")]


def _known(number: int) -> int | None:
    return None if number < 0 else number


def _clean(value: Any) -> Any:
    """Return a JSON value whose strings all have a UTF-8 form."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {clean(str(key)): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value
