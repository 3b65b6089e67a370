"""What ``heddle run`` was asked to do, and what is wrong with it before anything runs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.api.plan import Plan
from engine.api.reading import ReadAs
from engine.errors import UsageError
from engine.requests.setting import check_all, same_as, setting
from engine.store.cells import shown
from engine.store.texts import check_folder

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))

JOURNAL = ".journal"
"""Put behind ``--out``: the journal lies beside the result, and the same command finds it again."""

FORMATS = {".csv": "csv", ".xlsx": "xlsx", ".jsonl": "jsonl", ".npy": "npy", ".md": "md"}
"""Formats by the ending of ``--out``."""


MODEL_HELP = "the model's folder or GGUF file; by default starter or writer, which came with Heddle, as the task needs"

OUT_HELP = (
    "result file: .jsonl, .csv, .xlsx, .npy or .md, or a folder/ for a text file a document. Its journal FILE.journal is kept beside it: after a kill or an interrupt the "
    "same command goes on, and what is done is not run again"
)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What ``heddle run`` was asked to do."""

    task: str
    settings: dict[str, Any]
    paths: Sequence[str]
    model: str = setting("", "Model", "text", MODEL_HELP, placeholder="starter|writer|PATH")
    plan: Plan = field(default_factory=Plan)
    out: str = setting("", "Result", "text", OUT_HELP, placeholder="FILE")
    live: str = setting(
        "", "Live rows", "text", "append a row as soon as a document has ended", placeholder="FILE.jsonl"
    )
    report: str = setting("", "Report", "text", "write a report of the run as JSON", placeholder="FILE")
    encoding: str = same_as(ReadAs, "encoding")
    on_bad_bytes: str = same_as(ReadAs, "on_bad_bytes")
    column: str = same_as(ReadAs, "column")
    again: bool = setting(
        False, "Again", "switch", "run documents again whose answer OUT.journal, the journal beside --out, has"
    )
    retry_quarantined: bool = setting(
        False, "Retry quarantined", "switch", "try documents again with which the engine ended twice"
    )
    patience: float = setting(
        600.0,
        "Patience",
        "number",
        "give up what does not go on for so long: a document is set aside and the command goes on; 0 waits for ever",
        minimum=0.0,
        maximum=sys.float_info.max,
        placeholder="SECONDS",
    )
    quiet: bool = setting(False, "Quiet", "switch", "no progress, no closing line")


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


def check_options(order: RunOptions) -> None:
    """Raise UsageError for what makes no sense, or for files and folders that are not there."""
    check_all(order, "Run")
    if order.out:
        out_format(order.out)
    for path in order.paths:
        if not os.path.lexists(path):
            raise UsageError(f"There is no file or folder {shown(path)}.")
    if order.live and (out_format(order.live) != "jsonl" or order.live == order.out):
        raise UsageError("--live takes a file that ends in .jsonl and is not the one of --out.")
    _check_folders(order)


def _check_folders(order: RunOptions) -> None:
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
