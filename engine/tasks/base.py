"""What every task answers: its settings as a form, what it asks about a document, and what it makes of the answers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from engine.api.commands import Preset
from engine.api.prompt_format import PromptFormat
from engine.api.task_spec import Setting, TaskSpec
from engine.documents.split import Overflow
from engine.errors import UsageError
from engine.requests.capability import GENERATE
from engine.requests.output import Encoded, Generated, Output
from engine.requests.request import Request

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


@dataclass(frozen=True, slots=True)
class Common:
    """Settings that every task over vectors has."""

    on_overflow: str = field(
        default=Overflow.SPLIT.value,
        metadata={
            "label": "Long documents",
            "kind": "choice",
            "choices": tuple(policy.value for policy in Overflow),
            "help": "run all of it in windows (split), keep its beginning (head) or its end (tail), or refuse it (fail)",
        },
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
    settings: list[Setting] = []
    for item in dataclasses.fields(task.settings_type):
        about = item.metadata
        settings.append(
            Setting(
                name=item.name,
                label=about["label"],
                kind=about["kind"],
                default=item.default if item.default is not dataclasses.MISSING else "",
                help=about.get("help", ""),
                choices=tuple(about.get("choices", ())),
                minimum=about.get("minimum"),
                maximum=about.get("maximum"),
                required=bool(about.get("required")),
                fields=tuple(about.get("fields", ())),
                example=about.get("example", ""),
            )
        )
    presets: tuple[Preset, ...] = getattr(task, "presets", ())
    return TaskSpec(
        task.name,
        task.label,
        task.help,
        tuple(settings),
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
    for name, setting in form.items():
        value = given.get(name, setting.default)
        typed[name] = _typed(task.name, setting, value)
    return task.settings_type(**typed)


def _typed(task: str, setting: Setting, value: Any) -> Any:
    where = f"{task}: {setting.label}"
    if setting.required and not str(value).strip():
        raise UsageError(f"{where} is needed. {setting.help[:1].upper()}{setting.help[1:]}.")
    if setting.kind == "switch":
        if not isinstance(value, bool):
            raise UsageError(f"{where} is either on or off, not {value!r}.")
        return value
    if setting.kind in ("number", "integer"):
        try:
            number = int(value) if setting.kind == "integer" else float(value)
        except (TypeError, ValueError):
            raise UsageError(f"{where} has to be a number, not {value!r}.") from None
        low = -math.inf if setting.minimum is None else setting.minimum
        high = math.inf if setting.maximum is None else setting.maximum
        if not low <= number <= high:
            raise UsageError(f"{where} has to be between {low:g} and {high:g}, not {number:g}.")
        return number
    if not isinstance(value, str):
        raise UsageError(f"{where} has to be text, not {value!r}.")
    if setting.fields:
        PromptFormat(value, setting.fields, where)
    if setting.kind == "choice" and value not in setting.choices:
        raise UsageError(f"{where} has to be one of {', '.join(setting.choices)}, not {value!r}.")
    return value
