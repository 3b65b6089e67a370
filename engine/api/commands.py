"""What the window asks of the engine. Commands go down; each is answered by the Reply with its ``request``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.api.plan import Plan
from engine.api.reading import ReadAs
from engine.requests.setting import same_as


@dataclass(frozen=True, slots=True)
class Preset:
    """A task with settings that are worth a button: its label, what it does, and the settings other than the defaults."""

    label: str
    help: str
    values: dict[str, Any] = field(default_factory=dict)


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
    """Use this plan from the next batch on. Reply when the workers have changed."""

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

    ``encoding`` is the job's chosen encoding ("" = detect), ``on_bad_bytes`` is ``fail`` or ``replace``,
    ``column`` the one of tables whose cells are the documents ("" = the one with the longest texts).
    """

    request: int
    job: str
    paths: tuple[str, ...]
    encoding: str = same_as(ReadAs, "encoding")
    on_bad_bytes: str = same_as(ReadAs, "on_bad_bytes")
    column: str = same_as(ReadAs, "column")


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


@dataclass(frozen=True, slots=True)
class ListJobs:
    """Say which jobs there are, oldest first. Reply: value {"jobs": [JobFacts]}."""

    request: int


@dataclass(frozen=True, slots=True)
class ShowJob:
    """Bring a job of the journal into memory; its rows come with the next snapshots. Reply: {"job": JobFacts}."""

    request: int
    job: str


@dataclass(frozen=True, slots=True)
class PutAway:
    """Take a job out of memory; it stays in the journal. Refused while it runs."""

    request: int
    job: str


@dataclass(frozen=True, slots=True)
class RenameJob:
    """Give a job another name."""

    request: int
    job: str
    name: str


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete a job and its results. Refused while it runs; RestoreJob brings it back until the engine's next start."""

    request: int
    job: str


@dataclass(frozen=True, slots=True)
class RestoreJob:
    """Undo DeleteJob. Reply: value {"job": JobFacts}."""

    request: int
    job: str


@dataclass(frozen=True, slots=True)
class DuplicateJob:
    """Make the job ``copy`` with the same documents, none of them done, and the same task. Reply: {"job": JobFacts}.

    Files are not read again now; one that has changed since says so when it runs.
    """

    request: int
    job: str
    copy: str
    name: str


@dataclass(frozen=True, slots=True)
class RunFirst:
    """Let waiting documents run before the others of their pile. Reply: value {"count": n}, how many still waited."""

    request: int
    job: str
    documents: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class WatchFolder:
    """Add new files of ``folder`` to the pile as soon as they stop growing; "" ends it.

    Files that are there already count as new unless they are on the pile. A job that has finished goes on with them.
    The engine forgets it at its end.
    """

    request: int
    job: str
    folder: str


@dataclass(frozen=True, slots=True)
class RestoreDocuments:
    """Undo RemoveDocuments by the id that it gave, until the engine ends. Reply: value {"count": n}."""

    request: int
    job: str
    removal: int


JobCommand = (
    ListJobs
    | ShowJob
    | PutAway
    | RenameJob
    | DeleteJob
    | RestoreJob
    | DuplicateJob
    | RunFirst
    | RestoreDocuments
    | WatchFolder
)


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
