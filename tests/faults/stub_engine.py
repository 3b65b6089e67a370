"""A model without torch for the kill loop: real command line, real host, real journal, workers that answer by arithmetic.

``python tests/faults/stub_engine.py run ...`` is ``heddle run ...`` and ``... host ...`` is the window's engine process,
with one thing exchanged in that process alone: the model manager, which loads models and makes workers. Nothing in the product
knows of it. With ``real`` in front nothing is exchanged, and the process only notes what its workers have finished.
"""

from __future__ import annotations

import contextlib
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

from engine.api.facts import ModelFacts
from engine.api.plan import Plan
from engine.api.snapshot import ModelState
from engine.inference.prepare.ready import Ready
from engine.requests.item import WorkItem
from engine.requests.output import Encoded
from engine.scheduling.policies import LengthBatches
from engine.workers import message
from engine.workers.manager import ModelManager
from engine.workers.worker import Worker

WORKERS = 2
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
"""Environment: a file that takes the name of every document that a worker has finished, one a line."""


def vector_of(text: str) -> np.ndarray:
    """Return the stub's vector of a text, so that a result can be checked for being that of its document."""
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[: 4 * DIMENSION], "<u4").astype(np.float32) / 2**32


def _ids(text: str) -> np.ndarray:
    if HANGS in os.environ and NEVER_COUNTED in text:
        time.sleep(3600)
    if HANGS in os.environ and HOLDS in text:
        re.match(r"(a+)+$", "a" * 64 + "b")
    return np.array([sum(word.encode()) for word in text.split()], np.int32)


class StubTokenizer:
    """A tokenizer of words."""

    unknown_id = -1

    def ids(self, texts: Any, cancelled: Any = None) -> list[np.ndarray]:
        del cancelled
        return [_ids(text) for text in texts]


class NotingWorker(Worker):
    """A worker that notes the name of every document that it is given."""

    def __init__(self, *arguments: Any, paths: dict[int, str], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._paths = paths

    def _do(self, assignment: Any, tokenizer: Any, inside: Any) -> None:
        self._paths.update({one.number: one.path for one in assignment.documents})
        super()._do(assignment, tokenizer, inside)


class StubInside:
    """Runs a batch as an encoder does; it lasts as long as its tokens say, and vectors come by arithmetic."""

    busy = lost = False

    def __init__(self, index: int, meter: Any, post: Any, texts: dict[int, str], paths: dict[int, str]) -> None:
        self._index, self._meter, self._post, self._texts, self._paths = index, meter, post, texts, paths
        self._pause = threading.Event()
        runs = os.environ.get(PROTOCOL, "")
        self._log = os.open(runs, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if runs else -1

    def prepare(self, wanted: Any, ask: Any) -> list[Ready]:
        ready = []
        for one in wanted:
            ask()
            ids = _ids(one.request.text)
            self._texts[one.document] = one.request.text
            ready.append(Ready((WorkItem(one.document, 0, 1, ids, 0, request=one.request.key),), len(ids)))
        return ready

    def set_up(self, assignment: Any) -> message.WasSetUp:
        outputs = {one.key: Encoded(one.key, vector_of(one.text)) for one in assignment.requests}
        return message.WasSetUp(self._index, assignment.work, outputs, "", 0.0)

    def step(self) -> None:
        pass

    def run(self, assignment: Any) -> None:
        work, begin = assignment.work, time.perf_counter()
        self._pause.wait(SECONDS_A_TOKEN * sum(len(item.ids) for item in work.items))
        if any(POISON in self._texts[item.document] for item in work.items):
            os.kill(os.getpid(), signal.SIGKILL)
        if not assignment.run.stop():
            texts = [self._texts.pop(item.document) for item in work.items]
            if self._log >= 0:
                named = "".join(f"{self._paths[item.document]}\n" for item in work.items)
                os.write(self._log, named.encode("utf-8", "surrogateescape"))
            vectors = np.stack([vector_of(text) for text in texts])
            seconds = time.perf_counter() - begin
            self._post(message.Vectors(self._index, work, work.items, vectors, seconds))
        self._meter.steps += 1
        self._post(message.Returned(self._index, work))


class StubManager(ModelManager):
    """A model manager whose models load at once and need no torch."""

    def open_model(self, folder: str, dtype: str = "auto") -> Future[Any]:
        return self._loader.submit(self._open_stub, folder)

    def _open_stub(self, folder: str) -> Any:
        from engine.workers.pool import WorkerPool

        facts = ModelFacts(folder, "stub", usable=True, capabilities=("encode",))
        self._stop_workers()
        self.source.use_model("stub", "float32")
        self._loaded = SimpleNamespace(facts=facts, overhead=0.0, worker_limit=lambda: WORKERS, dtype="float32")
        self.source.model_changed()
        policy = LengthBatches(BUDGET)
        inboxes, meters, post, generation = self.source.open_workers(WORKERS, "cpu", policy, "encode")
        texts: dict[int, str] = {}
        paths: dict[int, str] = {}
        workers = [
            NotingWorker(
                index,
                inbox,
                post,
                meter,
                tokenizer=StubTokenizer,
                inside=lambda _, i=index, m=meter: StubInside(i, m, post, texts, paths),
                around=contextlib.nullcontext(),
                board=self.source.board,
                paths=paths,
            )
            for index, (inbox, meter) in enumerate(zip(inboxes, meters, strict=True))
        ]
        self._pool = WorkerPool([worker.run for worker in workers], partial(self._worker_broke, generation))
        self.model = ModelState(status="ready", folder=folder, name="stub")
        return facts

    def set_plan(self, plan: Plan) -> Future[Plan]:
        self._plan = plan
        return self._loader.submit(lambda: plan)

    @property
    def plan(self) -> Plan:
        return Plan("cpu", WORKERS, 1, "float32")

    def _unload(self) -> None:
        self._stop_workers()
        self._loaded = None


def _real(arguments: list[str]) -> int:
    """Run the command line or the host with a real model, noting what workers have finished."""
    from engine.jobs import outputs

    vectors = outputs._vectors
    log = os.open(os.environ[PROTOCOL], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def noting(coordinator: Any, told: Any, job: Any) -> None:
        if job is not None:
            paths = [job.pile.documents[i.document].record.path for i in told.items if i.document in job.pile.documents]
            os.write(log, "".join(f"{path}\n" for path in paths).encode("utf-8", "surrogateescape"))
        vectors(coordinator, told, job)

    outputs._vectors = noting
    if arguments[:1] == ["host"]:
        from engine.server import stdio as host

        return host.main(arguments[1:])
    from engine.cli import main as cli

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
    from engine.cli import run as headless

    engine.engine.ModelManager = StubManager
    headless.require_tried = lambda _folder: None
    headless.fingerprint = lambda _folder: "stub"
    headless.model_key = lambda _fingerprint, _dtype: "stub/float32"
    if arguments[:1] == ["host"]:
        import engine.telemetry.machine
        from engine.api.facts import MachineFacts
        from engine.server import stdio as host

        engine.telemetry.machine.facts = lambda: MachineFacts(2, "stub", 0, (), Plan("cpu", WORKERS, 1, "float32"), {})
        return host.main(arguments[1:])
    from engine.cli import main as cli

    sys.argv[1:] = arguments
    return cli.main()  # as the command does it: this process is its own


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
