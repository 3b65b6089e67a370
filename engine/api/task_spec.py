"""What a task says of itself: its name and its typed settings, from which form, command line and checks are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from engine.api.commands import Preset
from engine.requests.capability import ENCODE, GENERATE


@dataclass(frozen=True, slots=True)
class Setting:
    """One typed setting of a task, from which the form and the command line are made.

    ``kind``: text, multiline, labels (one ``label: description`` a line), examples (one ``document => answer`` or JSON
    object a line; a file on the command line), number, integer, switch, choice. ``example`` is a value that works, for a
    form to start with where the default is nothing.
    """

    name: str
    label: str
    kind: str
    default: Any
    help: str = ""
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    required: bool = False
    fields: tuple[str, ...] = ()
    """Of a text that is a format: what it may name in braces (prompt_format.PromptFormat)."""
    example: str = ""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A task as the window and the command line see it."""

    name: str
    label: str
    help: str
    settings: tuple[Setting, ...] = ()
    needs: str = ENCODE
    """The capability that a model must have."""
    keeps_vectors: bool = False
    """Whether its results are vectors, which can be exported as such."""
    presets: tuple[Preset, ...] = ()

    @property
    def writes(self) -> bool:
        """Whether it asks a text generator, and so has a prompt to look at."""
        return self.needs == GENERATE
