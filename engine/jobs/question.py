"""The question: what was asked about a document, as a key under which the journal finds the answer again. No torch."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.store.record import Record
    from engine.tasks.base import Task


def model_key(fingerprint: str, dtype: str) -> str:
    """Return what stands for a model in a question: its fingerprint and the number format asked for.

    ``auto`` counts as itself, since what it comes to depends on the machine alone. Empty without a fingerprint.
    """
    return f"{fingerprint}/{dtype}" if fingerprint else ""


def question(task: Task, model: str, encoding: str, on_bad_bytes: str) -> str:
    """Return the sha256 of everything in an answer but the document: task, settings, version of the prompt, model, and
    how files become text. Empty for an unknown ``model`` (model_key), whose answers cannot be told from others'.
    """
    if not model:
        return ""
    parts = [task.name, prompt_version(task), _that_matter(task.settings), model, encoding, on_bad_bytes]
    return _digest(parts)


def _that_matter(settings: Any) -> dict[str, Any]:
    """Return the settings by name, without those whose value changes what is shown of an answer and not the answer."""
    indifferent = {item.name: item.metadata.get("same_answer", ()) for item in dataclasses.fields(settings)}
    return {name: value for name, value in dataclasses.asdict(settings).items() if value not in indifferent[name]}


def prompt_version(task: Task) -> int:
    """Return the version of a task's prompt and of how it makes a result; raised with every change that shows."""
    return int(getattr(task, "version", 1))


def names_files(task: Task) -> bool:
    """Tell whether the answer depends on a document's name besides its content."""
    return bool(getattr(task, "names_files", False))


def key(asked: str, task: Task, record: Record) -> str:
    """Return the key of one answer: the question and the document's content, and its path where the prompt names it.

    Empty when the question or the content is not known.
    """
    if not asked or not record.sha256:
        return ""
    place = os.fsencode(record.path).hex() if names_files(task) else ""
    return hashlib.sha256(f"{asked}\n{record.sha256}\n{place}".encode()).hexdigest()


def command(asked: str, paths: Sequence[str], column: str = "") -> str:
    """Return what tells one command of ``heddle run`` from another: its question, the places it was given, and the
    column of tables that it asked for.

    Workers, threads, slots, the device and the report do not count.
    """
    places = [os.fsencode(os.path.abspath(path)).hex() for path in paths]
    return _digest([asked, places, column] if column else [asked, places])


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, ensure_ascii=True).encode("ascii")).hexdigest()
