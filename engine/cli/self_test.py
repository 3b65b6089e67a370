"""``heddle --self-test``: whether this installation works, shown by running it.

Both models that come with Heddle are checked and loaded, and each runs three documents in three encodings through workers
and exports their rows. Nothing outside a temporary folder is written.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import tempfile
import time
from typing import Any, TextIO

import numpy as np

from engine.cli.guard import Guard
from engine.engine import Engine
from engine.errors import HeddleError
from engine.installation import frozen
from engine.models import starter, writer
from engine.telemetry import machine

DOCUMENTS = (
    ("utf-8", "The parcel came two weeks late, and nobody answered my letters. Please send the €20 back. \U0001f4e6"),
    (
        "utf-16",
        "Über die schnelle Lieferung habe ich mich sehr gefreut. Das Gerät läuft, die Größe passt. Schöne Grüße",
    ),
    (
        "windows-1251",
        "Здравствуйте! Я хочу отменить подписку со следующего месяца. Деньги за этот месяц возвращать не нужно. Спасибо.",
    ),
)
"""Encodings, and what the documents in them say."""

RUNS = (
    ("starter", "embed", {}),
    ("writer", "generate", {"prompt": "Summarise this letter in one sentence: {text}", "max_new_tokens": 12}),
)
"""Model, task, settings."""

PATIENCE = 240.0
"""Seconds that three short documents may take on a slow machine."""


class Failed(HeddleError):
    """Something does not work as it should."""


def self_test(output: TextIO) -> int:
    """Try everything, write what was found to ``output`` as JSON, and return the exit code: 0, or 1 with a reason."""
    began = time.monotonic()
    told: dict[str, Any] = {"ok": False, "frozen": frozen(), "versions": machine.versions(), "runs": []}
    with tempfile.TemporaryDirectory(prefix="heddle-self-test-", ignore_cleanup_errors=True) as folder:
        try:
            starter.verify_starter(starter.starter_folder())
            writer.verify_writer(writer.writer_file())
            _try_guard()
            paths = _write(folder)
            with Engine(os.path.join(folder, "journal.sqlite")) as engine:
                for run in RUNS:
                    told["runs"].append(_run(engine, folder, paths, *run))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what the test is to tell
            reason = str(error) if isinstance(error, HeddleError) else f"{type(error).__name__}: {error}"
            told["reason"] = reason
        else:
            told["ok"] = True
    told["seconds"] = round(time.monotonic() - began, 2)
    output.write(json.dumps(told, indent=2) + "\n")
    return 0 if told["ok"] else 1


def _write(folder: str) -> list[str]:
    paths = []
    for number, (encoding, text) in enumerate(DOCUMENTS, start=1):
        paths.append(os.path.join(folder, f"{number}-{encoding}.txt"))
        with open(paths[-1], "wb") as file:
            file.write(text.encode(encoding))
    return paths


def _run(
    engine: Engine, folder: str, paths: list[str], model: str, task: str, settings: dict[str, Any]
) -> dict[str, Any]:
    """Run one task on the documents and return what is to be told of it; raises HeddleError where something is wrong."""
    began = time.monotonic()
    facts = engine.open_model(model).result(PATIENCE)
    engine.create_job(task)
    engine.add_paths(task, paths).result(PATIENCE)
    engine.submit(task, task, settings)
    if not engine.wait(task, PATIENCE):
        raise Failed(f"The task {task} has not ended within {PATIENCE:g} seconds.")
    engine.journal.flush(10.0)
    rows = list(engine.journal.results(task))
    bad = [record.reason for record, _ in rows if record.state != "done"]
    if bad or len(rows) != len(paths):
        raise Failed(f"The task {task} did {len(rows) - len(bad)} of {len(paths)} documents: {'; '.join(bad)}")
    for (record, _), (encoding, text) in zip(rows, DOCUMENTS, strict=True):
        if engine.inspect(task, record.id).result(PATIENCE)["text"] != text:
            raise Failed(f"The document in {encoding} was read as {record.encoding}, and not as it was written.")
    exported = _export(engine, folder, task, facts.dimension if facts.encodes else 0)
    return {
        "model": facts.name,
        "task": task,
        "encodings": [record.encoding for record, _ in rows],
        "workers": sorted({record.worker for record, _ in rows}),
        "exported": exported,
        "seconds": round(time.monotonic() - began, 2),
    }


def _export(engine: Engine, folder: str, job: str, dimension: int) -> dict[str, int]:
    """Export the rows in every format that suits them; return the bytes of each file, by its format."""
    sizes = {}
    for kind in ("jsonl", "csv", "md", *(("npy",) if dimension else ())):
        path = os.path.join(folder, f"{job}.{kind}")
        if (count := engine.export(job, path, kind).result(PATIENCE)) != len(DOCUMENTS):
            raise Failed(f"The export as {kind} has {count} rows instead of {len(DOCUMENTS)}.")
        sizes[kind] = os.path.getsize(path)
    with open(os.path.join(folder, f"{job}.jsonl"), encoding="utf-8") as file:
        results = [json.loads(line)["result"] for line in file]
    if dimension:
        vectors = np.load(os.path.join(folder, f"{job}.npy"))
        lengths = np.linalg.norm(vectors, axis=1)
        if vectors.shape != (len(DOCUMENTS), dimension) or not np.allclose(lengths, 1.0, atol=1e-3):
            raise Failed(f"The vectors are not what they should be: {vectors.shape}, lengths {lengths.tolist()}.")
    elif not all(result["text"].strip() for result in results):
        raise Failed("A text that the writer should have written is empty.")
    return sizes


def _try_guard() -> None:
    """Start the process that looks after a command, have it answer, and end it; Windows has none."""
    if sys.platform == "win32":
        return
    try:
        guard = Guard(None)
    except OSError as error:
        raise Failed(f"No process of Heddle's own can be started: {error}") from error
    try:
        os.write(guard.write, bytes([signal.SIGINT]))
        # It would end this process after five silent seconds; it is closed long before that.
        if not select.select([guard.read], [], [], 4.0)[0] or not os.read(guard.read, 1):
            raise Failed("A process of Heddle's own was started and does not answer.")
    finally:
        guard.close()
        guard.forget()
