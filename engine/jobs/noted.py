"""What helpers do with files of others, noted on the board so that one that does not answer can be named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.models.check import check
from engine.models.place import model_place
from engine.store.export import export
from engine.telemetry.activity import Board, touch

if TYPE_CHECKING:
    from engine.api.facts import ModelFacts
    from engine.store.journal import Journal


def check_model(board: Board, folder: str) -> ModelFacts:
    """Look into one folder and try its tokenizer and template, without loading."""
    with board.doing("model", folder, "check"):
        return check(model_place(folder))


def write_rows(board: Board, journal: Journal, job: str, path: str, format: str) -> int:  # noqa: A002 - the protocol's word
    """Write a job's rows to a file; returns their number or raises ExportError."""
    with board.doing("export", path, "write", job=job):
        return export(journal, job, path, format, touch)
