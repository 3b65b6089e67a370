"""What a thread of the engine is at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Activity:
    """One step of work that a thread is at: ``seconds`` since it began or was last seen to go on.

    ``kind`` says what is to blame if it does not end: ``document``, ``folder``, ``model``, ``export``, ``work``
    (computing, which is nobody's fault before it takes absurdly long). ``subject`` is the path of it; ``step`` is read,
    tokens, prompt, list, check, load, compute, write. ``job`` and ``document`` (-1 for none) say for whom; ``size`` and
    ``mtime_ns`` are the file's, where they are known.
    """

    kind: str
    subject: str
    step: str
    job: str = ""
    document: int = -1
    size: int = 0
    mtime_ns: int = 0
    seconds: float = 0.0


_WORDS = {
    "read": "reading it",
    "tokens": "making tokens of it",
    "prompt": "writing prompts with its chat template",
    "list": "listing it",
    "check": "looking into it",
    "load": "loading it",
    "compute": "computing with it",
    "write": "writing it",
}

_KINDS = {"document": "document", "folder": "folder", "model": "model", "export": "export", "work": "model"}


def what(activity: Activity) -> str:
    """Return who does not come back and with what, as a part of a sentence."""
    kind = _KINDS.get(activity.kind, "work")
    doing = _WORDS.get(activity.step, activity.step)
    return f"the {kind} {activity.subject}: {doing} has not ended for {activity.seconds:.0f} s"
