"""The models that come with Heddle, by the names under which they can be asked for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import ModelError
from engine.models import starter, writer


@dataclass(frozen=True, slots=True)
class Supplied:
    """One of them: ``name`` stands for it in commands, ``label`` is shown; ``place`` raises ModelError if it is missing."""

    name: str
    label: str
    place: Callable[[], str]
    writes: bool
    advice: str = ""


SUPPLIED = (
    Supplied("starter", starter.NAME, starter.starter_folder, writes=False),
    Supplied("writer", writer.NAME, writer.writer_file, writes=True, advice=writer.ADVICE),
)


def supplied(name: str) -> Supplied | None:
    """Return the model that comes with Heddle under ``name``, None where there is none."""
    return next((each for each in SUPPLIED if each.name == name), None)


def supplied_at(path: str) -> Supplied | None:
    """Return which of them lies at ``path``, None for another model."""
    real = os.path.realpath(path)
    for each in SUPPLIED:
        try:
            if os.path.realpath(each.place()) == real:
                return each
        except ModelError:
            continue
    return None


def default_model(*, writes: bool) -> str:
    """Return the name of the one for tasks that write text, or for those that do not."""
    return next(each.name for each in SUPPLIED if each.writes == writes)
