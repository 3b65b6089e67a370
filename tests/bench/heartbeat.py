"""How late the window's heartbeat is while everything else is busy, and whether the charts tell the truth about it.

Opens the real window (offscreen unless QT_QPA_PLATFORM says otherwise) with the real engine process and the starter
model, loads a pile of made-up documents, runs ``embed`` on it with all charts on, and measures how late a 10 ms timer
of the window's thread fires. Then it does the same while the model is loaded again and again and every other core is
kept busy. In between, the CPU seconds that the thread chart was charged with are held against what the operating
system says about the two processes. Prints one JSON object; exit code 2 when something did not come about in time.

    python tests/bench/heartbeat.py [--rows 10000] [--seconds 20] [--loads 8]
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
from dataclasses import dataclass

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
# The tool is run from a checkout, whose packages it measures even where another Heddle is installed.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

import psutil
from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication

from gui.app import Options, build, dress
from gui.collector import Collector
from gui.main_window import MainWindow
from gui.model_loader import STARTER
from gui.settings import Settings

BEAT = 10.0
"""Milliseconds between two beats."""

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

WORDS = (
    "account answer archive autumn balance bridge budget button calendar camera charge circle colour contract copper "
    "corner country damage decision delivery desert dinner distance doctor document driver engine evening factory "
    "family figure forest garden glass harbour hearing history holiday invoice island journey kitchen ladder language "
    "letter library machine market measure memory message mirror morning mountain office orange order paper partner "
    "payment pencil picture planet pocket problem product question quiet reason record repair report river schedule "
    "science season service signal silver station street summer supply system teacher ticket travel village voice "
    "water weather window winter worker yellow"
)


@dataclass(frozen=True)
class Wait:
    """A step of the scenario: go on when ``until`` holds, give up after ``seconds``."""

    what: str
    until: Callable[[], object]
    seconds: float


class StepError(Exception):
    """A step took too long."""


class Heartbeat(QObject):
    """A precise 10 ms timer of the window's thread that writes down how late each of its beats is."""

    def __init__(self) -> None:
        """Begin to beat; nothing is written down before ``begin``."""
        super().__init__()
        self._late: list[float] = []
        self._last = time.perf_counter()
        self._counting = False
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._timer.start(round(BEAT))

    def _beat(self) -> None:
        now = time.perf_counter()
        if self._counting:
            self._late.append(max(0.0, (now - self._last) * 1000.0 - BEAT))
        self._last = now

    def begin(self) -> None:
        """Write down from the next beat on."""
        self._counting = True

    def pause(self) -> None:
        """Write down no more."""
        self._counting = False

    def take(self) -> list[float]:
        """Stop, and return the lateness of each beat in milliseconds, sorted."""
        self._counting = False
        late, self._late = sorted(self._late), []
        return late


def quantile(late: list[float], share: float) -> float:
    """Return the smallest lateness that ``share`` of the beats do not exceed."""
    return late[min(len(late) - 1, max(0, -int(-share * len(late) // 1) - 1))]


def make_pile(folder: str, rows: int, words: int) -> None:
    """Write ``rows`` text files of ``words`` random words each."""
    chance, known = random.Random(20), WORDS.split()
    for number in range(rows):
        place = os.path.join(folder, f"{number // 500:03}")
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, f"{number:05}.txt"), "w", encoding="utf-8") as file:
            file.write(f"Number {number}. {' '.join(chance.choices(known, k=words))}.\n")


@contextlib.contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """Keep ``count`` cores busy with processes of their own."""
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def cpu_seconds(pid: int) -> float:
    """Return the user and system CPU seconds of a process as the operating system counts them."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


class Measurement:
    """The scenario, as steps that the window's own event loop goes through, and what came of it."""

    def __init__(self, window: MainWindow, options: argparse.Namespace, folder: str) -> None:
        """Prepare to measure ``window`` with the pile in ``folder``."""
        self.window = window
        self.session = window.session
        self.options = options
        self.folder = folder
        self.heart = Heartbeat()
        self.result: dict[str, object] = {}
        self.heart.begin()

    # ------------------------------------------------------------------------------------------------------ conditions
    def model_ready(self) -> bool:
        """Return whether the model is there."""
        return self.session.model.status == "ready"

    def loaded(self) -> bool:
        """Return whether every document is a row of the window."""
        job = self.session.job
        return job is not None and not job.state.adding and len(job.pile.records) >= self.options.rows

    def busy(self) -> bool:
        """Return whether documents are being finished."""
        job = self.session.job
        return job is not None and job.state.status == "running" and job.count("done") > 0

    def idle(self) -> bool:
        """Return whether the pile rests."""
        job = self.session.job
        return job is not None and not job.busy and not job.asked

    # -------------------------------------------------------------------------------------------------------- scenario
    def steps(self) -> Iterator[Wait]:
        """Go through the measurement; each step waits for what it yields."""
        begin = time.monotonic()
        yield Wait("the charts", lambda: self.window.live is not None, 30.0)
        yield Wait("the model", self.model_ready, 180.0)
        self.result["start_max_ms"] = round(self.heart.take()[-1], 1)
        self.result["model_after_s"] = round(time.monotonic() - begin, 1)

        self.heart.begin()
        self.window.adder.paths([self.folder])
        yield Wait("all rows", self.loaded, 300.0)
        self.tell("adding", self.heart.take())

        self.session.commands.start("embed", {})
        yield Wait("the first documents", self.busy, 120.0)
        yield from self.measure_running()
        self.session.commands.stop()
        yield Wait("the end of the job", self.idle, 60.0)

        with busy_cores(max(1, CORES - 1)):  # the loader itself is busy on one core
            for _ in range(self.options.loads):
                self.heart.begin()
                self.session.loader.open(STARTER)
                yield Wait("a load", lambda: self.session.model.status == "loading", 30.0)
                yield Wait("the loaded model", self.model_ready, 120.0)
                self.heart.pause()
        self.tell("loading", self.heart.take())

    def measure_running(self) -> Iterator[Wait]:
        """Measure the heartbeat and the charts' truth while the job runs."""
        # Imported here: the window imports its charts after it is shown, and that is part of what is measured.
        from gui.charts.card import ChartCard
        from gui.charts.cpu_rows import ENGINE, WINDOW
        from gui.panels.live import LivePanel

        live = self.window.live
        assert isinstance(live, LivePanel)
        charts = live.findChildren(ChartCard)
        if len(charts) < 5 or not all(chart.isVisible() for chart in charts):
            raise StepError("not all charts are on show")
        pids = {ENGINE: self.session.client.pid, WINDOW: os.getpid()}
        charged = {name: live.threads.charged(name) for name in pids}
        spent = {name: cpu_seconds(pid) for name, pid in pids.items()}
        begin = time.monotonic()
        self.heart.begin()
        end = begin + self.options.seconds

        def over() -> bool:
            if self.idle():  # a fast machine: the same documents once more
                self.session.commands.start("embed", {}, again=True)
            return time.monotonic() >= end

        yield Wait("the measurement", over, self.options.seconds + 30.0)
        late = self.heart.take()
        seconds = time.monotonic() - begin
        charged = {name: live.threads.charged(name) - charged[name] for name in pids}
        spent = {name: cpu_seconds(pid) - spent[name] for name, pid in pids.items()}
        if self.options.screenshot:
            self.window.grab().save(self.options.screenshot)
        job = self.session.job
        self.tell("", late)
        self.result |= {
            "rows": len(job.pile.records) if job is not None else 0,
            "documents_per_s": round(self.session.meters.documents_per_s, 1),
            "cores": CORES,
            "engine_cores_used": round(spent[ENGINE] / seconds, 2),
            "window_cores_used": round(spent[WINDOW] / seconds, 3),
            "cpu_error_engine": round(charged[ENGINE] / spent[ENGINE] - 1.0, 4),
            "cpu_error_window": round(charged[WINDOW] / spent[WINDOW] - 1.0, 4),
            "cpu_sum_error": round(abs(sum(charged.values()) / sum(spent.values()) - 1.0), 4),
        }

    def tell(self, phase: str, late: list[float]) -> None:
        """Keep the figures of one phase."""
        name = f"{phase}_" if phase else ""
        self.result |= {
            f"{name}p50_ms": round(quantile(late, 0.5), 2),
            f"{name}p95_ms": round(quantile(late, 0.95), 2),
            f"{name}p99_ms": round(quantile(late, 0.99), 2),
            f"{name}max_ms": round(late[-1], 2),
            f"{name}beats": len(late),
        }


class Scenario(QObject):
    """Goes through steps inside the event loop, looking twenty times a second whether the next one is due."""

    def __init__(self, steps: Iterator[Wait], done: Callable[[str], None]) -> None:
        """Begin; ``done`` is called once, with the name of the step that took too long or nothing."""
        super().__init__()
        self._steps, self._done = steps, done
        self._step: Wait | None = None
        self._deadline = 0.0
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        self._timer.start(50)

    def _look(self) -> None:
        try:
            if self._step is not None and not self._step.until():
                if time.monotonic() < self._deadline:
                    return
                raise StepError(f"{self._step.what} did not come within {self._step.seconds:g} s")
            self._step = next(self._steps)
            self._deadline = time.monotonic() + self._step.seconds
        except StopIteration:
            self._end("")
        except StepError as error:
            self._steps.close()  # type: ignore[attr-defined] - a generator
            self._end(str(error))

    def _end(self, problem: str) -> None:
        self._timer.stop()
        self._done(problem)


def main() -> int:
    """Measure, print the figures as JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=10_000, help="documents of the pile")
    parser.add_argument("--words", type=int, default=180, help="words of a document")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of the measurement")
    parser.add_argument("--loads", type=int, default=8, help="how often the model is loaded while measuring")
    parser.add_argument("--screenshot", default="", help="PNG file for a picture of the window at work")
    options = parser.parse_args()
    app = QApplication(sys.argv[:1])
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="heddle-heartbeat-") as folder:
        pile, data = os.path.join(folder, "pile"), os.path.join(folder, "data")
        os.makedirs(data)
        make_pile(pile, options.rows, options.words)
        settings = Settings(os.path.join(data, "window.ini"))
        theme = dress(app, settings)
        collector = Collector()
        window = build(Options(data), settings, theme)
        window.closed.connect(app.quit)
        measurement = Measurement(window, options, pile)

        def done(problem: str) -> None:
            if problem:
                problems.append(problem)
            window.closing.now()

        window.resize(1440, 900)  # the screen of the offscreen platform is a small one
        window.show()
        window.arrangement.reset()
        window.arrangement.docks["live"].show()  # beside the table, so that both are painted
        scenario = Scenario(measurement.steps(), done)
        app.exec()
        scenario.deleteLater()
        collector.close()
    if problems:
        print(f"not measured: {problems[0]}", file=sys.stderr)
    print(json.dumps(measurement.result))
    return 2 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
