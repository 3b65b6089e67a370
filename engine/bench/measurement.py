"""One measurement's folder, prompts and sides: what is written for them, and how each is started."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any, Self

from engine.api.codec import plain
from engine.api.plan import Plan
from engine.bench.shapes import SHAPES, cached_folder
from engine.bench.side_process import SideProcess
from engine.bench.work import BATCH, Work
from engine.installation import process_command
from engine.telemetry import machine

PACKAGES = {"openvino": "openvino_genai", "llamacpp": "llama_cpp"}
"""The package that each side from another project needs."""


class Measurement:
    """The folder, the prompts and the processes of one measurement."""

    def __init__(self, shape: str, work: Work, peer_python: str = "") -> None:
        """Write what the sides read: the weights of ``shape`` and the prompts of ``work``."""
        self.shape, self.peer_python = shape, peer_python
        self.folder = cached_folder(shape)
        self.cores = machine.core_count()
        self._started: list[SideProcess] = []
        self._place = tempfile.TemporaryDirectory()
        self.prompts = os.path.join(self._place.name, "prompts.json")
        with open(self.prompts, "w", encoding="utf-8") as file:
            json.dump(work.prompts, file)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._started:
            self.end_last()
        self._place.cleanup()

    def ours(self, plan: Plan, *, reuse: bool = True) -> SideProcess:
        """Start Heddle's side; without ``reuse`` it computes the beginning that prompts share for each of them."""
        options = {"vocabulary": SHAPES[self.shape].vocabulary, "reuse": reuse}
        given = [self.folder, self.prompts, json.dumps(plain(plan)), json.dumps(options)]
        return self._start(SideProcess("heddle", process_command("engine.bench.generate_ours", *given)))

    def peer(self, kind: str, **options: Any) -> SideProcess:
        """Start another side, in its own environment where one was named."""
        given = {"threads": self.cores, "batch": BATCH, "cache": f"{self.folder}-peers", **options}
        os.makedirs(given["cache"], exist_ok=True)
        apart = bool(kind in PACKAGES and self.peer_python)
        words = [kind, self.folder, self.prompts, json.dumps(given)]
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "generate_peer.py")
        command = [self.peer_python, script] if apart else process_command("engine.bench.generate_peer")
        return self._start(SideProcess(kind, [*command, *words], ours=not apart))

    def limits(self, dtype: str) -> SideProcess:
        """Start the side that measures what the machine can do."""
        return self._start(SideProcess("limits", process_command("engine.bench.limits", dtype, str(self.cores))))

    def long_slot(self, dtype: str, threads: int) -> SideProcess:
        """Start the side that drives a generator with a long sequence in it."""
        return self._start(
            SideProcess("long_slot", process_command("engine.bench.long_slot", self.folder, dtype, str(threads)))
        )

    def end_last(self) -> None:
        """End the side that was started last."""
        if self._started:
            self._started.pop().end()

    def _start(self, process: SideProcess) -> SideProcess:
        self._started.append(process)
        return process


def peer_dtype(dtype: str) -> str:
    """Return the number format for transformers: the same float format, or the machine's best for packed weights."""
    return dtype if dtype in ("float32", "bf16") else machine.resolve_dtype("auto", "cpu")
