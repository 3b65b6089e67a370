"""What a task says of itself: its name and its typed settings, from which form, command line and checks are made."""

from __future__ import annotations

from dataclasses import dataclass

from engine.api.commands import Preset
from engine.requests.capability import ENCODE, GENERATE
from engine.requests.setting import Setting


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
