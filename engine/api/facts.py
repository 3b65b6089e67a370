"""What the engine knows of machine, models and jobs, as it tells the window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.api.plan import Plan
from engine.requests.capability import ENCODE, GENERATE


@dataclass(frozen=True, slots=True)
class Device:
    """A device that workers can run on. ``id`` is ``cpu``, ``cuda:0``, ``xpu:0`` or ``mps``; memory in bytes."""

    id: str
    name: str
    memory_total: int
    memory_free: int
    dtypes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What the engine found on this machine."""

    cores: int
    instruction_set: str
    memory_total: int
    devices: tuple[Device, ...]
    default_plan: Plan
    versions: dict[str, str]


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model folder as models.folder read it, without loading: what it is, whether it can run, and why not.

    ``usable`` false comes with ``problems``; ``warnings`` do not forbid loading. ``capabilities`` are the
    kinds of request that this model answers (requests.capability). ``links`` lists symbolic links that lead outside the folder (a Hugging Face cache's own).
    """

    folder: str
    name: str
    usable: bool
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    family: str = ""
    architecture: str = ""
    kind: str = ""
    parameters: int = 0
    dtype: str = ""
    bytes: int = 0
    memory: dict[str, int] = field(default_factory=dict)
    dimension: int = 0
    max_tokens: int = 0
    pooling: str = ""
    capabilities: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    source: str = ""
    kv_numbers: int = 0
    """Numbers (keys and values of all layers) that a text generator keeps of every token; 0 where nobody knows."""
    licence: str = ""
    """What the model's file says of its licence; empty where it says nothing."""

    @property
    def encodes(self) -> bool:
        """Whether it makes vectors of texts."""
        return ENCODE in self.capabilities

    @property
    def writes(self) -> bool:
        """Whether it writes text."""
        return GENERATE in self.capabilities


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job as the journal knows it, in memory or not.

    ``created`` in seconds since the epoch; ``status`` as in JobState; ``counts`` documents by state; ``open`` says that
    its documents are in memory and its rows in the snapshots.
    """

    id: str
    name: str
    created: float
    task: str
    settings: dict[str, Any] = field(default_factory=dict)
    status: str = "ready"
    priority: int = 0
    model: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    open: bool = False
