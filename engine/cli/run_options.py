"""What ``heddle run`` was asked to do, and what is wrong with it before anything runs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.api.plan import Plan
from engine.errors import UsageError
from engine.store.cells import shown
from engine.store.texts import check_folder

PATIENCE = 600.0
"""Seconds without progress after which something is given up, unless the user says otherwise."""

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))

JOURNAL = ".journal"
"""Put behind ``--out``: the journal lies beside the result, and the same command finds it again."""

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".npy": "npy", ".md": "md"}
"""Formats by the ending of ``--out``."""


@dataclass(frozen=True, slots=True)
class RunOptions:
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


def check_options(order: RunOptions) -> None:
    """Raise UsageError for what makes no sense, or for files and folders that are not there."""
    if not 0 <= order.patience < float("inf"):
        raise UsageError("--patience takes a number of seconds, or 0 to wait for ever.")
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
