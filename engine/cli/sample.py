"""The sample pile: where it lies, the task that shows it best, and summaries of a few of its mails."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from typing import Any, TextIO

from assets import path as asset
from engine.errors import HeddleError, UsageError

SUMMARIES = 5
"""How many mails are summarised where there is no window."""


def sample_order() -> tuple[str, dict[str, Any], list[str]]:
    """Return (task, settings, paths) of the sample pile; raises UsageError if the installation lacks it."""
    try:
        with open(asset("samples", "task.json"), encoding="utf-8") as file:
            told = json.load(file)
    except OSError as error:
        raise UsageError("The sample pile is not part of this installation; install Heddle again.") from error
    labels = "\n".join(f"{label['name']}: {label['description']}" for label in told["labels"])
    return told["task"], {"labels": labels}, [str(asset("samples", "mails"))]


def write_summaries(output: TextIO, errors: TextIO) -> None:
    """Have the writer summarise the first mails of the sample pile; each goes to ``output`` as soon as it is written.

    What keeps it from that goes to ``errors``: the sample pile's rows are there all the same.
    """
    from engine.engine import Engine
    from engine.models.supplied import SUPPLIED
    from engine.tasks import TASKS

    ours = next(each for each in SUPPLIED if each.writes)
    task, preset = next((name, preset) for name, one in TASKS.items() for preset in getattr(one, "presets", ()))
    mails = sorted(asset("samples", "mails").glob("*.txt"))[:SUMMARIES]
    output.write(f"\n{len(mails)} of the mails summarised by {ours.label}. {ours.advice}\n\n")
    output.flush()
    with Engine() as engine:
        try:
            engine.open_model(ours.name).result()
            engine.create_job("summaries")
            engine.add_paths("summaries", [str(mail) for mail in mails]).result()
            engine.submit("summaries", task, preset.values)
        except HeddleError as error:
            errors.write(f"{error}\n")
            return
        told: set[int] = set()
        while True:
            ended = engine.wait("summaries", 0.1)
            if ended:
                engine.journal.flush(10.0)
            for record, result in engine.journal.results("summaries"):
                if record.id in told or (result is None and not ended):
                    continue
                told.add(record.id)
                text = record.reason if result is None else str(result.value.get("text", ""))
                _write(output, os.path.basename(record.path), text)
            if ended:
                return


def _write(output: TextIO, name: str, text: str) -> None:
    width = min(100, shutil.get_terminal_size().columns)
    lines = textwrap.wrap(" ".join(text.split()), width - 4, initial_indent="    ", subsequent_indent="    ")
    output.write("\n".join([name, *lines]) + "\n")
    output.flush()
