"""``heddle`` with the stub's model and one task more, which asks twice about a document; in this process alone.

Outputs of steps are kept whatever they cost. In processes with HEDDLE_STUB_HANGS the second step never begins.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import stub_engine
from stub_engine import NEVER_COUNTED

import engine.jobs.document
from engine import tasks
from engine.requests.capability import ENCODE
from engine.requests.request import Encode
from engine.tasks.base import DocumentText, FinishedRow, Outcome, Outputs, Step, vector_output

STUMBLES = "STUMBLES"
"""The task fails in the second step of a document with this in its text."""


@dataclass(frozen=True, slots=True)
class NoSettings:
    """Nothing can be set."""


class Twice:
    """Asks for the vector of a text, then for that of the text with more behind it."""

    name: ClassVar[str] = "twice"
    label: ClassVar[str] = "Twice"
    help: ClassVar[str] = "Ask twice"
    needs: ClassVar[str] = ENCODE
    settings_type: ClassVar[type] = NoSettings

    def __init__(self, settings: NoSettings) -> None:
        self.settings = settings

    def prepare_job(self) -> list[Encode]:
        return [Encode(key="once", text="once for all")]

    def start(self, document: DocumentText, job: Outputs) -> Step:
        del job
        return Step((Encode(key="first", text=document.text),), {"text": document.text})

    def advance(self, state: dict[str, Any], outputs: Outputs, job: Outputs) -> Step | Outcome:
        if "first" not in state:
            first = vector_output(outputs, "first").vector.tolist()
            text = f"{state['text']} {NEVER_COUNTED}"
            return Step((Encode(key="second", text=text),), {"first": first, "stumbles": STUMBLES in text})
        if state["stumbles"]:
            raise ValueError("over a stone")
        second = vector_output(outputs, "second").vector.tolist()
        once = vector_output(job, "once").vector.tolist()
        return Outcome({"first": state["first"], "second": second, "once": once}, "both")

    def finish_job(self, rows: Mapping[int, FinishedRow]) -> Mapping[int, dict[str, Any]]:
        return {number: {**row.value, "of": len(rows)} for number, row in rows.items()}

    def summary(self, value: dict[str, Any]) -> str:
        return f"both of {value.get('of', '?')}"


if __name__ == "__main__":
    engine.jobs.document.KEEP_SECONDS = 0.0
    tasks.TASKS[Twice.name] = Twice
    sys.exit(stub_engine.main(sys.argv[1:]))
