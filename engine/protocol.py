"""The engine's door as messages: frozen dataclasses, framed as JSON.

Commands go down (window to engine), events come up. A frame is four bytes of length (big endian) and that many bytes
of UTF-8 JSON: ``{"type": "Pause", ...fields}``. Nothing else crosses the border: no pickles, tensors or callbacks.
File names that are not UTF-8 cross as lone surrogates, which JSON escapes carry unharmed.
"""

from __future__ import annotations

import dataclasses
import json
import struct
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from engine.activity import Activity
from engine.lanes.plan import Plan
from engine.metrics.snapshot import DocumentRow, Snapshot
from engine.protocol_jobs import JobCommand

T = typing.TypeVar("T")

VERSION = 1
"""Protocol version; the window refuses an engine that says another one in Hello."""

LIMIT = 256 * 1024 * 1024
"""Largest frame in bytes that a reader accepts; anything above is a broken stream."""


# ---------------------------------------------------------------------------------------------- what the engine offers
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
class Preset:
    """A task with settings that are worth a button: its label, what it does, and the settings other than the defaults."""

    label: str
    help: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """A task as the window and the command line see it."""

    name: str
    label: str
    help: str
    settings: tuple[Setting, ...] = ()
    writes: bool = False
    """Whether it asks a text generator, and so has a prompt to look at."""
    presets: tuple[Preset, ...] = ()


@dataclass(frozen=True, slots=True)
class Device:
    """A device that lanes can run on. ``id`` is ``cpu``, ``cuda:0``, ``xpu:0`` or ``mps``; memory in bytes."""

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

    ``usable`` false comes with ``problems``; ``warnings`` do not forbid loading. ``tasks`` are the names of the tasks
    this model can do. ``links`` lists symbolic links that lead outside the folder (a Hugging Face cache's own).
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
    tasks: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    source: str = ""
    kv_numbers: int = 0
    """Numbers (keys and values of all layers) that a text generator keeps of every token; 0 where nobody knows."""
    licence: str = ""
    """What the model's file says of its licence; empty where it says nothing."""


# ------------------------------------------------------------------------------------------------------------- commands
@dataclass(frozen=True, slots=True)
class OpenModel:
    """Load the model in ``folder`` (or ``starter``) in number format ``dtype``. Reply: value {"facts": ModelFacts}."""

    request: int
    folder: str
    dtype: str = "auto"


@dataclass(frozen=True, slots=True)
class CancelOpen:
    """Stop the load that is under way. Reply when it has stopped."""

    request: int


@dataclass(frozen=True, slots=True)
class CloseModel:
    """Unload the model and give its memory back. Refused while a job runs."""

    request: int


@dataclass(frozen=True, slots=True)
class ListModels:
    """Look for models: the starter, ``folders``, ``recent``, the Hugging Face cache. Reply: {"models": [ModelFacts]}."""

    request: int
    folders: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckModel:
    """Look into one folder without loading. Reply: value {"facts": ModelFacts}."""

    request: int
    folder: str


@dataclass(frozen=True, slots=True)
class SetPlan:
    """Use this plan from the next batch on. Reply when the lanes have changed."""

    request: int
    plan: Plan


@dataclass(frozen=True, slots=True)
class CreateJob:
    """A new, empty pile. ``job`` is chosen by the client (uuid4 hex), so no answer has to be waited for."""

    request: int
    job: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class AddPaths:
    """Walk files and folders into the pile. Reply at the end: value {"added": n, "skipped": n}.

    ``encoding`` is the job's chosen encoding ("" = detect), ``on_bad_bytes`` is ``fail`` or ``replace``.
    """

    request: int
    job: str
    paths: tuple[str, ...]
    encoding: str = ""
    on_bad_bytes: str = "fail"


@dataclass(frozen=True, slots=True)
class Submit:
    """Start the job: queue its waiting documents with a task. Settings are the task's own, by name.

    ``again`` asks the model also where the journal knows the answer to the same question. ``rest`` runs the documents
    that were cancelled as well.
    """

    request: int
    job: str
    task: str
    settings: dict[str, Any] = field(default_factory=dict)
    priority: int = 0
    again: bool = False
    rest: bool = False


@dataclass(frozen=True, slots=True)
class Pause:
    """Finish what runs and take no more. Reply at once; the job is ``pausing`` until nothing of it runs."""

    request: int
    job: str


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on with a paused job."""

    request: int
    job: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the job: what runs stops within a layer, what waits is cancelled. Reply when nothing of the job runs."""

    request: int
    job: str


@dataclass(frozen=True, slots=True)
class Retry:
    """Run documents again: those named, or, with none named, all that failed or were cancelled."""

    request: int
    job: str
    documents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoveDocuments:
    """Take documents off the pile (never running ones); with none named, all that do not run.

    Reply: value {"count": n, "removal": id}; RestoreDocuments undoes it, unless the id is 0.
    """

    request: int
    job: str
    documents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SetPriority:
    """A job with a higher number is served first."""

    request: int
    job: str
    priority: int


@dataclass(frozen=True, slots=True)
class Inspect:
    """Text and result of one document.

    Reply: value {"text": str, "truncated": bool, "text_error": str, "result": dict | None, "row": DocumentRow}.
    ``limit`` is the largest number of characters of text wanted.
    """

    request: int
    job: str
    document: int
    limit: int = 100_000


@dataclass(frozen=True, slots=True)
class Preview:
    """The exact prompt that the task would ask about one document, for tasks that write.

    Reply: value {"prompt": str, "rest": str, "hidden": n, "template": bool, "whole": n, "room": n, "window": n,
    "parts": n, "coverage": x, "policy": str, "reason": str}. ``limit`` is the largest number of characters wanted: of a
    longer prompt, ``prompt`` is the beginning and ``rest`` the end, with ``hidden`` characters between them. ``whole``
    counts the tokens of the prompt about the whole document and ``room`` those that fit beside the answer in the
    model's ``window``; of ``parts`` prompts the first is shown; with 0, ``reason`` says why the document is refused.
    """

    request: int
    job: str
    document: int
    task: str
    settings: dict[str, Any] = field(default_factory=dict)
    limit: int = 20_000


@dataclass(frozen=True, slots=True)
class Trial:
    """Run a task on one document and leave its row alone. The text grows in the snapshots (``trial``).

    Reply at the end: value {"document": id, "state": str, "reason": str, "result": dict | None, "summary": str,
    "seconds": x, "coverage": x}. A second trial ends the first, whose state is then ``cancelled``.
    """

    request: int
    job: str
    document: int
    task: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StopTrial:
    """End the trial that is under way."""

    request: int


@dataclass(frozen=True, slots=True)
class CountTokens:
    """Count the tokens of the pile's waiting documents that have none yet, and say what the task will do with them.

    Reply at the end: value {"documents": n, "uncounted": n, "tokens": n, "longest": n, "space": n, "longer": n,
    "parts": n, "unused": n, "policy": str}. ``space`` is what one prompt takes of a text; ``longer`` documents do not
    fit into it, and make ``parts`` prompts or leave ``unused`` tokens out, by ``policy``. With other settings the reply
    comes without counting anew. Another count of the same pile, or ``StopCounting``, ends it early.
    """

    request: int
    job: str
    task: str = ""
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StopCounting:
    """End the counting of a pile's tokens; what is counted stays."""

    request: int
    job: str


@dataclass(frozen=True, slots=True)
class Export:
    """Write the job's rows to ``path``. ``format``: csv, jsonl, npy, md, txt. Reply: value {"path": str, "rows": n}.

    With ``grow`` (jsonl only), rows of documents that end later are appended as they come; with ``resume`` as well, to
    a file that an engine before wrote and that keeps the rows it has.
    """

    request: int
    job: str
    path: str
    format: str
    grow: bool = False
    resume: bool = False


@dataclass(frozen=True, slots=True)
class Shutdown:
    """Stop taking work, drop what is in flight, end within ``seconds``. The engine answers Bye and exits 0."""

    request: int
    seconds: float = 2.0


Command = (
    OpenModel
    | CancelOpen
    | CloseModel
    | ListModels
    | CheckModel
    | SetPlan
    | CreateJob
    | AddPaths
    | Submit
    | Pause
    | Resume
    | Cancel
    | Retry
    | RemoveDocuments
    | SetPriority
    | Inspect
    | Preview
    | Trial
    | StopTrial
    | CountTokens
    | StopCounting
    | Export
    | Shutdown
    | JobCommand
)


# --------------------------------------------------------------------------------------------------------------- events
@dataclass(frozen=True, slots=True)
class Hello:
    """First event of an engine process. ``recovered`` names jobs found in the session file of an engine that died."""

    version: int
    engine: str
    pid: int
    machine: MachineFacts
    tasks: tuple[TaskSpec, ...]
    recovered: tuple[str, ...] = ()
    set_aside: tuple[Activity, ...] = ()
    """What the engine before did not come back from, if it was ended for that; not to be tried again by itself."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A snapshot on its way up; also the engine's heartbeat, sent ten times a second even when nothing changed."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the command with the same ``request``; ``error`` is a sentence for the user when not ``ok``."""

    request: int
    ok: bool
    value: dict[str, Any] = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True, slots=True)
class Bye:
    """Last event: the engine ends in good order."""

    reason: str = ""


Event = Hello | Picture | Reply | Bye


# ---------------------------------------------------------------------------------------------------------------- codec
_MESSAGES: dict[str, type] = {c.__name__: c for c in (*typing.get_args(Command), *typing.get_args(Event))}


class ProtocolError(Exception):
    """The stream does not hold a frame of this protocol; the connection is of no use any more."""


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def plain(value: Any) -> Any:
    """Return ``value`` as what JSON knows: dataclasses become dicts, a DocumentRow a list in field order (compact)."""
    if isinstance(value, DocumentRow):
        return [getattr(value, name) for name in DocumentRow.__dataclass_fields__]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f: plain(getattr(value, f)) for f in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    return value


def _build(hint: Any, value: Any) -> Any:
    if hint is DocumentRow:
        return DocumentRow(*value)
    if dataclasses.is_dataclass(hint):
        return restore(typing.cast("type", hint), value)
    origin = typing.get_origin(hint)
    if origin is tuple:
        item = typing.get_args(hint)[0]
        if item is DocumentRow:
            return tuple(DocumentRow(*v) for v in value)
        return tuple(_build(item, v) for v in value)
    if origin in (typing.Union, types.UnionType):
        if value is None:
            return None
        return _build(next(a for a in typing.get_args(hint) if a is not type(None)), value)
    if hint is float and isinstance(value, int):
        return float(value)
    return value


def restore(kind: type[T], value: dict[str, Any]) -> T:
    """Build the dataclass ``kind`` from what ``plain`` made of it; unknown fields raise ProtocolError."""
    hints = _hints(kind)
    unknown = value.keys() - hints.keys()
    if unknown:
        raise ProtocolError(f"{kind.__name__} has no field {min(unknown)!r}")
    return kind(**{name: _build(hints[name], item) for name, item in value.items()})


def encode(message: Command | Event) -> bytes:
    """Return the frame of one message."""
    body = json.dumps({"type": type(message).__name__, **plain(message)}, separators=(",", ":")).encode("ascii")
    return struct.pack(">I", len(body)) + body


def decode(body: bytes) -> Command | Event:
    """Build the message of one frame's body; raises ProtocolError when it is none of this protocol."""
    try:
        value = json.loads(body)
        kind = _MESSAGES[value.pop("type")]
        return restore(kind, value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"not a message of protocol {VERSION}: {error}") from error


class Frames:
    """Cuts a byte stream into messages: feed it what arrived, take out what is complete."""

    def __init__(self) -> None:
        """Start with nothing read."""
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Command | Event]:
        """Add ``data`` and return the messages that are complete now; raises ProtocolError on a broken stream."""
        self.add(data)
        return list(self.messages())

    def add(self, data: bytes) -> None:
        """Add ``data``, to be cut by ``messages``."""
        self._buffer += data

    def messages(self) -> Iterator[Command | Event]:
        """Take out one complete message after the other, each when it is asked for; raises ProtocolError."""
        while len(self._buffer) >= 4:
            (length,) = struct.unpack_from(">I", self._buffer)
            if length > LIMIT:
                raise ProtocolError(f"a frame of {length} bytes is above the limit of {LIMIT}")
            if len(self._buffer) < 4 + length:
                break
            body = bytes(self._buffer[4 : 4 + length])
            del self._buffer[: 4 + length]
            yield decode(body)
