"""In which number format a model is loaded: the one that is fast here, or float32 where its family runs in no other."""

from __future__ import annotations

import gc
import logging
from typing import TYPE_CHECKING, TypeVar

from engine.errors import ModelError
from engine.telemetry import machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.api.facts import ModelFacts

log = logging.getLogger(__name__)

Loaded = TypeVar("Loaded")

PROBLEMS = (RuntimeError, TypeError, ValueError, AttributeError, KeyError, IndexError)
"""What a family raises whose code cannot be run as it is."""


class DoesNotRunError(ModelError):
    """A model that was read, and cannot be computed in its number format."""

    def __init__(self, facts: ModelFacts, dtype: str, why: object) -> None:
        """Say that the model of ``facts`` does not run in ``dtype``."""
        other = "another model" if dtype == "float32" else "float32, or another model"
        super().__init__(f"{facts.name} was read and does not run in {dtype} ({why}). Choose {other}.")


def in_one_that_runs(dtype: str, device: str, load: Callable[[str], Loaded]) -> tuple[Loaded, str]:
    """Return what ``load`` makes in the format that ``dtype`` asks for on ``device``, and what is to be said about it.

    Left open (``auto``), it is float32 where the family does not run in what is fast here. Else DoesNotRunError goes on.
    """
    resolved = machine.resolve_dtype(dtype, device)
    try:
        return load(resolved), ""
    except DoesNotRunError as error:
        if dtype != "auto" or resolved == "float32":
            raise
        log.warning("%s", error)
    gc.collect()  # the error held what was read
    return load("float32"), f"runs in float32: the family does not run in {resolved}"
