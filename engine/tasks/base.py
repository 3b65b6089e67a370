"""What every task answers: its settings as a form, the texts it needs once, and what it makes of a document's vector."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from engine.documents.split import Overflow
from engine.errors import UsageError
from engine.prompt_format import PromptFormat
from engine.protocol import Preset, Setting, TaskSpec

if TYPE_CHECKING:
    from engine.generation.sampling import SamplingSettings

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a task made of one document.

    ``value`` is the JSON object of the row, ``summary`` the same in one line, ``vector`` float32 ``[dimension]`` where
    the task keeps one.
    """

    value: dict[str, Any]
    summary: str
    vector: Vector | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model wrote about a document or one part of it; times in seconds, ``ttft`` to the first token."""

    text: str
    reason: str
    prompt_tokens: int
    new_tokens: int
    seconds: float
    ttft: float
    opened: bool = False
    """Whether the prompt ended within a thought, so that the text begins in one."""


class Task(Protocol):
    """One task with its settings; made once per job and shared by all lanes, so it holds nothing that changes."""

    name: ClassVar[str]
    label: ClassVar[str]
    help: ClassVar[str]
    settings_type: ClassVar[type]

    settings: Any

    def __init__(self, settings: Any) -> None:
        """Use ``settings``, an instance of ``settings_type``."""
        ...

    def anchors(self) -> list[str]:
        """Return the texts that have to be encoded once, before the first document, such as label descriptions."""
        ...

    def summary(self, value: dict[str, Any]) -> str:
        """Return the one line of a result that was made earlier."""
        ...


class VectorTask(Task, Protocol):
    """A task over the vectors of an encoder."""

    def combine(self, vector: Vector, windows: int, anchors: Vector) -> Outcome:
        """Make the result of a document from its vector (the mean of ``windows`` windows, ``[dimension]``).

        ``anchors`` are the vectors of ``anchors()``, ``[count, dimension]``.
        """
        ...


class TextTask(Task, Protocol):
    """A task over the texts of a generator."""

    sampling: SamplingSettings

    names_files: bool
    """Whether the prompt says something else about every file, whatever its text."""

    def question(self, text: str, name: str, path: str) -> str:
        """Return the user's prompt about one document."""
        ...

    def examples(self, name: str, path: str) -> Sequence[tuple[str, str]]:
        """Return pairs of a question and the answer that it should get, to be put before the question."""
        ...

    def shown(self, text: str, *, opened: bool = False) -> str:
        """Return what the window shows of an answer in the making; ``opened`` as in Answer."""
        ...

    def combine_answers(self, answers: Sequence[Answer]) -> Outcome:
        """Make the result of a document from the answers about its parts, in their order."""
        ...


def writes(task: type[Task] | Task) -> bool:
    """Tell whether the task needs a text generator; all others work on an encoder's vectors."""
    return bool(getattr(task, "writes", False))


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
    return TaskSpec(task.name, task.label, task.help, tuple(settings), writes(task), presets)


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
