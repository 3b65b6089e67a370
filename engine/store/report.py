"""The report: a job as Markdown, with a table of all documents and, below it, what was written about each."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from engine.api.state import State
from engine.store.agreement import Agreement
from engine.store.cells import escape, share_text, shown
from engine.store.record import JobRecord, Record, Result

Rows = Iterator[tuple[Record, Result | None]]

# What Markdown, or the HTML that it may hold, would read as more than a character (CommonMark 0.31, 2.4).
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:@=^$])")
_FENCE = re.compile("`{3,}")
_LONGEST = 200
"""Characters of a result in the table; a longer one ends with an ellipsis there and stands below it whole."""


def write_markdown(file: BinaryIO, job: JobRecord, rows: Callable[[], Rows]) -> int:
    """Write the report of ``job`` and return the number of documents.

    ``rows`` walks the pile; it is walked three times. Names, reasons and results are untrusted: they are written so
    that they show as the characters they are, and cannot become links, pictures or HTML.
    """

    def line(text: str = "") -> None:
        file.write(f"{text}\n".encode())

    counts = dict.fromkeys(map(str, State), 0)
    agreement = Agreement()
    for record, result in rows():
        counts[record.state] = counts.get(record.state, 0) + 1
        if result is not None:
            agreement.add(result.value)
    total = sum(counts.values())
    line(f"# {_plain(job.name or job.task)}")
    line()
    line(f"- Task: {_plain(job.task)}")
    if job.model:
        line(f"- Model: {_plain(job.model)}")
    for name, value in job.settings.items():
        if value not in {"", None}:
            line(f"- {_plain(name)}: {_plain(str(value))}")
    line(f"- Started: {time.strftime('%Y-%m-%d %H:%M', time.localtime(job.created))}")
    line(f"- Documents: {total:,} (" + ", ".join(f"{n:,} {state}" for state, n in counts.items() if n) + ")")
    for text in _against_truth(agreement):
        line(text)
    line()
    line("| document | state | result | tokens | coverage |")
    line("|---|---|---|---:|---:|")
    for record, result in rows():
        said = _said(record, result)
        cut = said if len(said) <= _LONGEST else said[: _LONGEST - 1] + "…"
        tokens = "" if record.tokens < 0 else f"{record.tokens:,}"
        line(f"| {_plain(_name(record))} | {record.state} | {_plain(cut)} | {tokens} | {share_text(record.used)} |")
    for record, result in rows():
        said = _said(record, result)
        if len(said) > _LONGEST or "\n" in said:
            line()
            line(f"## {_plain(_name(record))}")
            line()
            for text in _fenced(said):
                line(text)
    return total


def _against_truth(found: Agreement) -> Iterator[str]:
    """Return what the report tells of labels whose truth is known; nothing where none is."""
    if not found.total:
        return
    yield f"- Right: {found.right:,} of {found.total:,} ({share_text(found.accuracy)}), {found.unsure:,} unsure"
    yield ""
    yield "| label | documents | precision | recall | F1 |"
    yield "|---|---:|---:|---:|---:|"
    for label in found.labels:
        one = found.of(label)
        shares = " | ".join(share_text(one[name]) for name in ("precision", "recall", "f1"))
        yield f"| {_plain(label)} | {one['documents']:,.0f} | {shares} |"
    yield ""
    names = [_plain(label) for label in found.labels]
    yield f"| right ↓ given → | {' | '.join(names)} |"
    yield "|---|" + "---:|" * len(names)
    for truth, name in zip(found.labels, names, strict=True):
        row = " | ".join(f"{found.pairs[truth, label]:,}" for label in found.labels)
        yield f"| {name} | {row} |"


def _said(record: Record, result: Result | None) -> str:
    """Return what a document's row says: its result as text, or why there is none."""
    if result is None or record.state != State.DONE:
        return record.reason
    text = result_text(result)
    return f"{text} ({record.reason})" if record.reason else text


def result_text(result: Result) -> str:
    """Return a result as a person would read it: what was written, or the values by name."""
    text = result.value.get("text")
    if isinstance(text, str):
        return text
    return ", ".join(f"{name}: {_value(value)}" for name, value in result.value.items())


def _value(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _name(record: Record) -> str:
    name = shown(os.path.basename(record.path) or record.path)
    return f"{name}, {shown(record.locator)}" if record.locator else name


def _plain(text: str) -> str:
    """Return ``text`` on one line, as Markdown that shows just these characters."""
    return _SPECIAL.sub(r"\\\1", escape(" ".join(text.split()))).replace("\\<", "&lt;").replace("\\&", "&amp;")


def _fenced(text: str) -> Iterator[str]:
    """Return ``text`` as a block of code, whose fence is longer than any in the text."""
    longest = max((len(found) for found in _FENCE.findall(text)), default=2)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text"
    for line in text.splitlines():
        yield escape(line)
    yield fence
