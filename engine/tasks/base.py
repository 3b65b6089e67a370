"""What every task answers: its settings as a form, what it asks about a document, and what it makes of the answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from engine.api.commands import Preset
from engine.api.fields import FIELDS, fact_text
from engine.api.prompt_format import PromptFormat
from engine.api.snapshot import Cells
from engine.api.table_row import COLUMNS
from engine.api.task_spec import TaskSpec
from engine.errors import UsageError
from engine.requests.capability import GENERATE
from engine.requests.output import Encoded, Generated, Output
from engine.requests.overflow import DEFAULT_OVERFLOW, Overflow
from engine.requests.request import Request
from engine.requests.setting import check, setting, settings_in

if TYPE_CHECKING:
    from engine.documents.long_text import LongText

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a task made of one document.

    ``value`` is the JSON object of the row, ``summary`` the same in one line, ``vector`` float32 ``[dimension]`` where
    the task keeps one. A ``label`` (text) and a ``score`` (number) in ``value`` are columns of the table of documents;
    ``unsure`` says that the label is only the closest one (``rating``).
    """

    value: dict[str, Any]
    summary: str
    vector: Vector | None = None


NOTICE = "notice"
"""The key in a result's value under which a task says what somebody should look at; the row is shown with a warning."""


def noted(value: dict[str, Any]) -> str:
    """Return what a result says that somebody should look at, or nothing."""
    notice = value.get(NOTICE)
    return notice if isinstance(notice, str) else ""


_CELLS, _CELL = 30, 200
"""Fields of a result that the table has columns for, and characters of each."""


def cells(value: dict[str, Any]) -> Cells:
    """Return what a result has for columns of its own in the table: names of fields, and their values on one line."""
    found = value.get(FIELDS)
    if not isinstance(found, dict):
        return ()
    return tuple((str(name), fact_text(one)[:_CELL]) for name, one in islice(found.items(), _CELLS))


def with_columns(outcome: Outcome, columns: dict[str, str] | None) -> Outcome:
    """Return the outcome of a row of a table with the row's other columns beside what the task made."""
    return replace(outcome, value={**outcome.value, COLUMNS: columns}) if columns else outcome


def rating(value: dict[str, Any]) -> tuple[str, float | None]:
    """Return label and score of a result, ("", None) of one without; the label of one that is unsure is empty."""
    label, score = value.get("label"), value.get("score")
    if not isinstance(label, str) or isinstance(score, bool) or not isinstance(score, int | float):
        return "", None
    if not math.isfinite(score):
        return "", None
    return "" if value.get("unsure") else label, float(score)


@dataclass(frozen=True, slots=True)
class DocumentText:
    """A document as a task sees it; ``sha256`` stands for its content."""

    name: str
    path: str
    text: str
    sha256: str
    long: LongText | None = None
    """What reads a text that is too long to hold; ``text`` is empty then, and requests carry this instead."""
    columns: Mapping[str, str] | None = None
    """What else stands in its row of a table, by column; None where no document is meant, only the shape of a prompt."""


@dataclass(frozen=True, slots=True)
class Step:
    """Requests that a task wants answered about a document, each with a key of its own, before it goes on.

    ``state`` is a JSON object that ``advance`` gets back with the outputs; it outlives the program where an answer is
    kept (a step that is repeated after a crash gets the answers that were there).
    """

    requests: tuple[Request, ...]
    state: dict[str, Any] = field(default_factory=dict)


Outputs = Mapping[str, Output]
"""Outputs by the key of their request."""


class Task(Protocol):
    """One task with its settings: a small program that turns a document into requests, and their outputs into a row.

    Made once per job and shared by all threads, so it holds nothing that changes.
    """

    name: ClassVar[str]
    label: ClassVar[str]
    help: ClassVar[str]
    needs: ClassVar[str]
    """The capability that a model must have: ``encode`` or ``generate``."""
    settings_type: ClassVar[type]

    settings: Any

    def __init__(self, settings: Any) -> None:
        """Use ``settings``, an instance of ``settings_type``."""
        ...

    def prepare_job(self) -> Sequence[Request]:
        """Return what has to be answered once, before the first document, such as the vectors of label descriptions."""
        ...

    def start(self, document: DocumentText, job: Outputs) -> Step | Outcome:
        """Return what to ask about a document first; ``job`` holds the outputs of ``prepare_job``, if they are there yet."""
        ...

    def advance(self, state: dict[str, Any], outputs: Outputs, job: Outputs) -> Step | Outcome:
        """Return what comes of the outputs of the last step: the next one, or the document's result."""
        ...

    def summary(self, value: dict[str, Any]) -> str:
        """Return the one line of a result that was made earlier."""
        ...


class WritingTask(Task, Protocol):
    """A task over texts that a generator writes."""

    def shown(self, text: str, *, opened: bool = False) -> str:
        """Return what the window shows of an answer in the making; ``opened`` as in Answer."""
        ...


@dataclass(frozen=True, slots=True)
class FinishedRow:
    """The row of a document that is done, as a task sees it at the end of its job.

    ``name`` is the document's file, and which part of it; ``vector`` float32 ``[dimension]`` where the row has one.
    """

    value: dict[str, Any]
    name: str = ""
    sha256: str = ""
    vector: Vector | None = None


class FinishingTask(Task, Protocol):
    """A task that looks at all results once every document has ended."""

    def finish_job(self, rows: Mapping[int, FinishedRow]) -> Mapping[int, dict[str, Any]]:
        """Return new values for rows, by document; ``rows`` are those of the documents that are done, in pile order."""
        ...


def writes(task: type[Task] | Task) -> bool:
    """Tell whether the task needs a text generator; all others work on an encoder's vectors."""
    return task.needs == GENERATE


def vector_output(outputs: Outputs, key: str) -> Encoded:
    """Return the output ``key``, which is a vector; raises TypeError for another kind, KeyError without one."""
    found = outputs[key]
    if not isinstance(found, Encoded):
        raise TypeError(f"the output {key!r} is no vector")
    return found


def text_output(outputs: Outputs, key: str) -> Generated:
    """Return the output ``key``, which is written text; raises TypeError for another kind, KeyError without one."""
    found = outputs[key]
    if not isinstance(found, Generated):
        raise TypeError(f"the output {key!r} is no text")
    return found


def overflow(help: str) -> Any:  # noqa: A002 - the setting's word
    """Return the field of a task's settings that says what becomes of long documents; ``help`` in the task's own terms."""
    choices = tuple(policy.value for policy in Overflow)
    return setting(DEFAULT_OVERFLOW, "Long documents", "choice", help, choices=choices)


@dataclass(frozen=True, slots=True)
class Common:
    """Settings that every task over vectors has."""

    on_overflow: str = overflow(
        "run all of it in windows (split), keep its beginning (head) or its end (tail), or refuse it (fail)"
    )
    prompt: str = field(
        default="",
        metadata={
            "label": "Prompt",
            "kind": "text",
            "help": "a text put before each document, or the name of one of the model's own prompts; "
            "empty: the model's default",
        },
    )


def specification(task: type[Task]) -> TaskSpec:
    """Return the form of a task, made from its settings' dataclass."""
    presets: tuple[Preset, ...] = getattr(task, "presets", ())
    return TaskSpec(
        task.name,
        task.label,
        task.help,
        settings_in(task.settings_type),
        task.needs,
        bool(getattr(task, "keeps_vectors", False)),
        presets,
    )


def settings_of(task: type[Task], given: dict[str, Any]) -> Any:
    """Check the settings ``given`` by name and return them typed; raises UsageError that names the setting."""
    form = {item.name: item for item in specification(task).settings}
    unknown = sorted(given.keys() - form.keys())
    if unknown:
        raise UsageError(f"The task {task.name} has no setting {unknown[0]!r}; it has {', '.join(sorted(form))}.")
    typed: dict[str, Any] = {}
    for name, one in form.items():
        value = given.get(name, one.default)
        typed[name] = check(one, value, task.name)
        if one.fields:
            PromptFormat(value, one.fields, f"{task.name}: {one.label}")
    return task.settings_type(**typed)
