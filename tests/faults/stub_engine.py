"""A model without torch for the kill loop: real command line, real host, real journal, lanes that answer by arithmetic.

``python tests/faults/stub_engine.py run ...`` is ``heddle run ...`` and ``... host ...`` is the window's engine process,
with one thing exchanged in that process alone: the loom, which loads models and makes lanes. Nothing in the product
knows of it. With ``real`` in front nothing is exchanged, and the process only notes what its lanes have finished.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import sys
import threading
import time
from concurrent.futures import Future
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from engine.encoding.batches import WorkItem
from engine.lanes.plan import Plan
from engine.lanes.reading import counting, read_and_count
from engine.lanes.work import Anchors, Count, Prepare, Prepared
from engine.loom import Loom
from engine.metrics.snapshot import ModelState
from engine.protocol import ModelFacts

LANES = 2
BUDGET = 256
"""Tokens in a batch of the stub."""
SECONDS_A_TOKEN = 0.00015
DIMENSION = 4

POISON = "KILLS-THE-ENGINE"
"""A document with this text in it takes the stub's process with it."""

NEVER_READ = "never-read"
"""A file or folder with this in its name is never read or listed to its end, as on a disk that does not answer."""
NEVER_COUNTED = "NEVER-COUNTED"
"""A document with this text in it is never made into tokens."""
HOLDS = "HOLDS-THE-INTERPRETER"
"""Nor is one with this, and nothing else in the process gets to run meanwhile."""
HANGS = "HEDDLE_STUB_HANGS"
"""Environment: these things happen where it is set."""

PROTOCOL = "HEDDLE_STUB_RUNS"
"""Environment: a file that takes the name of every document that a lane has finished, one a line."""


def vector_of(text: str) -> np.ndarray:
    """Return the stub's vector of a text, so that a result can be checked for being that of its document."""
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[: 4 * DIMENSION], "<u4").astype(np.float32) / 2**32


def _ids(text: str) -> np.ndarray:
    if HANGS in os.environ and NEVER_COUNTED in text:
        time.sleep(3600)
    if HANGS in os.environ and HOLDS in text:
        re.match(r"(a+)+$", "a" * 64 + "b")
    return np.array([sum(word.encode()) for word in text.split()], np.int32)


class StubLane:
    """Takes work as a lane does; a batch lasts as long as its tokens say."""

    def __init__(self, index: int, generation: int, runner: Any) -> None:
        self._index, self._generation, self._runner = index, generation, runner
        self._texts: dict[int, tuple[str, str]] = {}
        self._pause = threading.Event()

    def run(self) -> None:
        texts = self._runner.stub_texts
        runs = os.environ.get(PROTOCOL, "")
        log = os.open(runs, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if runs else -1
        while (work := self._runner.take(self._index, self._generation)) is not None:
            begin = time.perf_counter()
            if isinstance(work, Prepare):
                found: list[Prepared] = []

                def count(documents: Any) -> list[Prepared]:
                    texts.update({one.number: (one.text, one.path) for one in documents})
                    rows = []
                    for one in documents:
                        with counting(self._runner, work.job, one):
                            rows.append((one.number, _ids(one.text)))
                    return [Prepared(n, (WorkItem(n, 0, 1, ids, 0),), len(ids)) for n, ids in rows]

                read_and_count(self._runner, work, found, count)
                self._runner.prepared(self._index, work, found, time.perf_counter() - begin)
            elif isinstance(work, Count):
                self._runner.counted(self._index, work, [], 0.0)
            elif isinstance(work, Anchors):
                vectors = np.stack([vector_of(text) for text in work.texts])
                self._runner.anchored(self._index, work, vectors, "", 0.0)
            else:
                self._pause.wait(SECONDS_A_TOKEN * sum(len(item.ids) for item in work.items))
                if any(POISON in texts[item.document][0] for item in work.items):
                    os.kill(os.getpid(), signal.SIGKILL)
                if not work.stop():
                    named = [texts.pop(item.document) for item in work.items]
                    if log >= 0:
                        os.write(log, "".join(f"{path}\n" for _, path in named).encode("utf-8", "surrogateescape"))
                    vectors = np.stack([vector_of(text) for text, _ in named])
                    self._runner.encoded(self._index, work.job, work.items, vectors, time.perf_counter() - begin)
                self._runner.encoded_back(self._index, work, time.perf_counter() - begin, 1)
        if log >= 0:
            os.close(log)


class StubLoom(Loom):
    """A loom whose models load at once and need no torch."""

    def open_model(self, folder: str, dtype: str = "auto") -> Future[Any]:
        return self._loader.submit(self._open_stub, folder)

    def _open_stub(self, folder: str) -> Any:
        from engine.lanes.pool import LanePool

        facts = ModelFacts(folder, "stub", usable=True, tasks=("embed", "classify"))
        self._stop_lanes()
        with self.runner.lock:
            for job in self.runner.jobs.values():
                job.forget_tokens()
        self._loaded = SimpleNamespace(facts=facts, overhead=0.0, lane_limit=lambda: LANES, dtype="float32")
        self.runner.use_model("stub/float32")
        self.runner.stub_texts = {}
        generation = self.runner.open_lanes(LANES, "cpu", budget=BUDGET)
        self._pool = LanePool(
            [StubLane(i, generation, self.runner).run for i in range(LANES)], partial(self._lane_broke, generation)
        )
        self.model = ModelState(status="ready", folder=folder, name="stub")
        return facts

    def set_plan(self, plan: Plan) -> Future[Plan]:
        self._plan = plan
        return self._loader.submit(lambda: plan)

    @property
    def plan(self) -> Plan:
        return Plan("cpu", LANES, 1, "float32")

    def _unload(self) -> None:
        self._stop_lanes()
        self._loaded = None


def _real(arguments: list[str]) -> int:
    """Run the command line or the host with a real model, noting what lanes have finished."""
    from engine.runner import Runner

    encoded = Runner.encoded
    log = os.open(os.environ[PROTOCOL], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def noting(self: Any, lane: int, job: Any, items: Any, *rest: Any) -> None:
        paths = [job.documents[item.document].record.path for item in items if item.document in job.documents]
        os.write(log, "".join(f"{path}\n" for path in paths).encode("utf-8", "surrogateescape"))
        encoded(self, lane, job, items, *rest)

    Runner.encoded = noting
    if arguments[:1] == ["host"]:
        from engine import host

        return host.main(arguments[1:])
    from engine import cli

    return cli.main(arguments)


def _hang() -> None:
    """Let what is asked of a disk that does not answer never return."""
    import builtins

    def hanging(call: Any) -> Any:
        def asked(path: Any, *rest: Any, **options: Any) -> Any:
            if NEVER_READ in str(path):
                time.sleep(3600)
            return call(path, *rest, **options)

        return asked

    builtins.open, os.open, os.scandir = hanging(open), hanging(os.open), hanging(os.scandir)


def main(arguments: list[str]) -> int:
    """Run the command line or the host with the stub in this process."""
    if HANGS in os.environ:
        _hang()
    if arguments[:1] == ["real"]:
        return _real(arguments[1:])
    import engine.engine
    from engine import headless

    engine.engine.Loom = StubLoom
    headless.require_tried = lambda _folder: None
    headless.fingerprint = lambda _folder: "stub"
    headless.model_key = lambda _fingerprint, _dtype: "stub/float32"
    if arguments[:1] == ["host"]:
        import engine.machine
        from engine import host
        from engine.protocol import MachineFacts

        engine.machine.facts = lambda: MachineFacts(2, "stub", 0, (), Plan("cpu", LANES, 1, "float32"), {})
        return host.main(arguments[1:])
    from engine import cli

    sys.argv[1:] = arguments
    return cli.main()  # as the command does it: this process is its own


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
