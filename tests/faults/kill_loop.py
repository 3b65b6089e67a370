"""Kills ``heddle run``, and the engine process as the window hosts it, and sees that nothing is lost and nothing twice.

    python -m tests.faults.kill_loop --kills 1000 --seed 7 [--starter] [--documents 1000]

Piles are run to their end through several kills each, by turns as a command and as the window's engine. Most kills fall
between the first and the last commit of a life, drawn evenly; a few fall into its start. Prints a line of figures for
each pile; the last line is JSON: kills, in_window (those between the first and the last commit), lost, twice, broken.
The exit code is 1 unless the last three are 0 and at least 80 % of the kills were in the window.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
for place in (ROOT, ROOT / "tests", ROOT / "tests" / "faults"):
    if str(place) not in sys.path:
        sys.path.insert(0, str(place))

import psutil  # noqa: E402 - after the path
from host_process import HostProcess  # noqa: E402
from kill_pile import Pile, Verdict  # noqa: E402
from stub_engine import PROTOCOL, vector_of  # noqa: E402

from engine import api  # noqa: E402

KILLS_A_PILE = 6
EARLY = 0.05
"""Share of the kills that are drawn from the start of a life, before anything is committed."""
JOB = "job"
PATIENCE = 120.0
"""Seconds that a life may last before the loop itself is called broken."""


@dataclass(frozen=True)
class Kind:
    """What is killed: the stub or the starter model, over piles of this size."""

    front: tuple[str, ...]
    model: str
    documents: int
    words: int


STUB = Kind((), str(ROOT), 600, 40)
STARTER = Kind(("real",), "starter", 1_000, 90)


class Command:
    """``heddle run`` as a process."""

    def __init__(self, pile: Pile, kind: Kind, *extra: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/faults/stub_engine.py"), *kind.front]
            + ["run", "embed", str(pile.folder), "--out", str(pile.out), "--quiet", *extra]
            + ["--model", kind.model, "--dtype", "float32"],
            env={**os.environ, "PYTHONPATH": str(ROOT), PROTOCOL: str(pile.runs)},
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )

    def wait(self, seconds: float) -> bool:
        """Let it work for ``seconds``; False when it has ended."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return True
        return False

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.communicate()

    def finish(self) -> str:
        """Wait for its end and return what is wrong with it, or nothing."""
        try:
            _, errors = self._process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            return "the command does not end"
        return "" if self._process.returncode == 0 else errors.decode(errors="replace")[-600:]


class Window:
    """The window's engine process, told what the window tells it."""

    def __init__(self, pile: Pile, kind: Kind, *extra: str) -> None:
        front = [*kind.front, "host"]
        code = f"import sys; from stub_engine import main; sys.exit(main({front} + sys.argv[1:]))"
        paths = os.pathsep.join(str(place) for place in (ROOT, ROOT / "tests", ROOT / "tests/faults"))
        self._pile, self._retry = pile, "--retry-quarantined" in extra
        self._kind = kind
        self._host = HostProcess(
            "--session",
            str(pile.journal),
            "--parent",
            str(os.getpid()),
            code=code,
            environment={"PYTHONPATH": paths, PROTOCOL: str(pile.runs)},
            # What the engine logs would fill a pipe that nobody reads.
            stderr=subprocess.DEVNULL,
        )
        self._told = False

    def _tell(self) -> None:
        """Say what a window says to a new engine, as soon as that has said hello."""
        hello = next((event for event in self._host.events if isinstance(event, api.Hello)), None)
        if self._told or hello is None or (self._retry and not self._host.rows):
            return
        self._told = True
        host = self._host
        if JOB not in hello.recovered:
            host.send(api.CreateJob, job=JOB, name="pile")
        # The window does not know how far the adding came; what is there already is not taken twice.
        host.send(api.AddPaths, job=JOB, paths=(str(self._pile.folder),))
        host.send(api.OpenModel, folder=self._kind.model, dtype="float32")
        if self._retry:
            aside = tuple(row.id for row in host.rows.values() if row.state == "quarantined")
            host.send(api.Retry, job=JOB, documents=aside)
        host.send(api.Submit, job=JOB, task="embed", settings={})

    def wait(self, seconds: float) -> bool:
        """Let it work for ``seconds``; False when its job has ended."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0 and not self._host.closed:
            self._host.pump(min(left, 0.05))
            self._tell()
            if self._ended():
                return False
        return not self._host.closed

    def _ended(self) -> bool:
        rows = self._host.rows.values()
        ends = ("done", "failed", "skipped") if self._retry else ("done", "failed", "skipped", "quarantined")
        done = sum(row.state in ends for row in rows)
        return done == len(self._pile.texts) and self._host.status(JOB) == "finished"

    def kill(self) -> None:
        """Kill it."""
        self._host.end()

    def finish(self) -> str:
        """Wait for the job's end, export and shut down; returns what is wrong, or nothing."""
        end = time.monotonic() + PATIENCE
        while self.wait(1.0):
            if time.monotonic() > end:
                self.kill()
                return f"the job does not end: {self._host.status(JOB)}"
        if self._host.closed:
            self.kill()
            return "the engine ended"
        told = self._host.ask(api.Export, job=JOB, path=str(self._pile.out), format="jsonl")
        self._host.send(api.Shutdown)
        code = self._host.until_ended()
        self._host.end()
        return told.error or ("" if code == 0 else f"the engine ended with {code}")


class Loop:
    """Kills and counts."""

    def __init__(self, kind: Kind, seed: int, vector: Callable[[str, str], Any]) -> None:
        self.kind, self.seed, self.vector = kind, seed, vector
        self.random = random.Random(seed)
        self.verdict = Verdict()
        self.kills = self.in_window = self.quarantined = self.piles = 0
        self.start_seconds = 1.0
        """How long a life takes until a worker has finished something, as last seen."""
        self.rate = 1e-3
        """Seconds a document of a life, as last seen."""

    def pile(self, root: Path, most: int) -> None:
        """Run one pile to its end through at most ``most`` kills."""
        pile = Pile(root, self.kind.documents, self.kind.words, self.random.randrange(1 << 30))
        make = Command if self.piles % 2 == 0 else Window
        self.piles += 1
        done: set[str] = set()
        for _ in range(min(most, KILLS_A_PILE)):
            offset = pile.runs.stat().st_size if pile.runs.exists() else 0
            killed = self._live(pile, make(pile, self.kind), len(done))
            states, after, problem = pile.look()
            self.verdict.add("broken", int(bool(problem)), problem)
            self.verdict.add("lost", len(done - after), "results that were committed are gone")
            again = pile.runs_since(offset)
            self.verdict.add("twice", len(done & again.keys()), "documents that were done ran again")
            if not killed:
                break
            self.kills += 1
            self.in_window += len(done) < len(after) < len(pile.texts)
            done = after
        problem = make(pile, self.kind).finish()
        states, _, _ = pile.look()
        if states["quarantined"]:
            self.quarantined += states["quarantined"]
            problem = make(pile, self.kind, "--retry-quarantined").finish()
        self.verdict.add("broken", int(bool(problem)), problem)
        pile.judge(self.verdict, self.vector)
        left = psutil.Process().children(recursive=True)
        self.verdict.add("broken", len(left), f"processes left: {left}")

    def _live(self, pile: Pile, life: Command | Window, done: int) -> bool:
        """Let a life begin and kill it at a drawn moment; False when it ended before that."""
        began = time.monotonic()
        if self.random.random() < EARLY:
            alive = life.wait(self.random.random() * self.start_seconds)
        else:
            size = pile.runs.stat().st_size if pile.runs.exists() else 0
            while alive := life.wait(0.004):
                if pile.runs.exists() and pile.runs.stat().st_size > size:
                    break
                if time.monotonic() - began > PATIENCE:
                    self.verdict.add("broken", 1, "a life that does nothing")
                    break
            self.start_seconds = time.monotonic() - began
            while alive and pile.committed() <= done:  # the first commit of a result
                alive = life.wait(0.01)
            if alive:
                alive = life.wait(self.random.random() * self.rate * max(1, self.kind.documents - done) * 0.65)
        life.kill() if alive else life.finish()
        return alive

    def calibrate(self, root: Path) -> None:
        """Measure a life that nobody kills."""
        pile = Pile(root, self.kind.documents, self.kind.words, 1)
        life = Command(pile, self.kind)
        while life.wait(0.004) and not pile.runs.exists():
            pass
        began = time.monotonic()
        seen = lambda: sum(pile.runs_since(0).values())  # noqa: E731
        while life.wait(0.05) and seen() < self.kind.documents:
            pass
        self.rate = (time.monotonic() - began) / self.kind.documents
        problem = life.finish()
        self.verdict.add("broken", int(bool(problem)), problem)
        pile.judge(self.verdict, self.vector)


@contextlib.contextmanager
def reference() -> Iterator[Callable[[str, str], Any]]:
    """Give what the starter model's vectors should be: those of this process, one text at a time when asked."""
    import numpy as np

    from engine.api.plan import Plan
    from engine.engine import Engine

    known: dict[str, Any] = {}
    engine = Engine()
    engine.set_plan(Plan("cpu", dtype="float32")).result()
    engine.open_model("starter").result()

    def vector(path: str, text: str) -> Any:
        if text not in known:
            folder = os.path.dirname(path)
            job = f"job-{len(known)}"
            texts = {name: Path(folder, name).read_text(encoding="utf-8") for name in sorted(os.listdir(folder))}
            engine.create_job(job)
            engine.add_texts(job, list(texts.items()))
            engine.submit(job, "embed")
            engine.wait(job)
            for record, result in engine.journal.results(job):
                known[texts[record.path]] = np.frombuffer(result.vector, "<f4")
        return known[text]

    try:
        yield vector
    finally:
        engine.close(10.0)


@contextlib.contextmanager
def _arithmetic() -> Iterator[Callable[[str, str], Any]]:
    """Give the vectors of the stub model, which are computed from the text."""
    yield lambda _path, text: vector_of(text)


def run(
    kills: int, seed: int, *, starter: bool = False, documents: int = 0, told: Callable[[str], None] = print
) -> dict[str, int]:
    """Kill ``kills`` times, over piles of ``documents`` (0: as many as usual), and return the last line's figures."""
    kind = STARTER if starter else STUB
    if documents:
        kind = replace(kind, documents=documents)
    with (
        tempfile.TemporaryDirectory(prefix="heddle-kills-") as folder,
        reference() if starter else _arithmetic() as vector,
    ):
        root = Path(folder)
        loop = Loop(kind, seed, vector)
        began = time.monotonic()
        loop.calibrate(root / "calibration")
        while loop.kills < kills and not loop.verdict.sentences:
            loop.pile(root / f"pile-{loop.piles}", kills - loop.kills)
            seconds = time.monotonic() - began
            told(
                f"{loop.piles} piles, {loop.kills} kills, {loop.in_window} in the window, "
                f"{loop.quarantined} quarantined and retried, {seconds:.0f} s"
            )
        for sentence in loop.verdict.sentences:
            told(sentence)
    verdict = loop.verdict
    return {
        "kills": loop.kills,
        "in_window": loop.in_window,
        "lost": verdict.lost,
        "twice": verdict.twice,
        "broken": verdict.broken,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the loop as the module's docstring tells."""
    parser = argparse.ArgumentParser("kill_loop", description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--starter", action="store_true", help="the starter model instead of the stub")
    parser.add_argument("--documents", type=int, default=0, help="documents of a pile, 0 for the usual number")
    options = parser.parse_args(arguments)
    found = run(
        options.kills,
        options.seed,
        starter=options.starter,
        documents=options.documents,
        told=lambda line: print(line, flush=True),
    )
    print(json.dumps(found))
    good = not (found["lost"] or found["twice"] or found["broken"])
    return 0 if good and found["in_window"] >= 0.8 * found["kills"] else 1


if __name__ == "__main__":
    sys.exit(main())
