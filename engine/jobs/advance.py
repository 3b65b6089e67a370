"""Advancing tasks: beside the coordinator and the workers, each document's faults its own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.errors import HeddleError
from engine.workers.reading import let_exits_through, result_of, said

if TYPE_CHECKING:
    from engine.tasks.base import Outcome, Outputs, Step, Task

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Advance:
    """A document whose step is complete."""

    document: int
    step: int
    state: dict[str, Any]
    outputs: Outputs
    seconds: float = 0.0
    worker: int = -1


@dataclass(frozen=True, slots=True)
class Advanced:
    """What came of it: the next step, the result, or the reason of a failure."""

    asked: Advance
    found: Step | Outcome | None
    reason: str = ""


def advance(task: Task, job: Outputs, documents: Sequence[Advance]) -> list[Advanced]:
    """Return what ``task`` makes of each document's outputs; a fault costs that document and no other (FAULTS 46)."""
    done: list[Advanced] = []
    for one in documents:
        try:
            done.append(Advanced(one, result_of(task.advance(one.state, one.outputs, job))))
        except HeddleError as error:
            done.append(Advanced(one, None, str(error)))
        except BaseException as error:
            let_exits_through(error)
            log.exception("document %d: the task failed", one.document)
            done.append(Advanced(one, None, f"the task failed: {said(error)}"))
    return done
