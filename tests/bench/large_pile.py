"""A pile of 100,000 documents: how long its window's events take while it is added, looked through and exported.

Opens the real window with the real engine process, adds made-up files, filters, searches, sorts and scrolls; then books
a result for every document into the journal, as the engine would, starts the program again on it, looks through it once
more and exports it. The longest event is how late a 10 ms timer of the window's thread fired. With ``--run`` the pile is
also run through the starter model, which takes minutes. Prints one JSON object; exit code 2 when something did not come
about in time.

    python tests/bench/large_pile.py [--rows 100000] [--run]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from heartbeat import Heartbeat, Scenario, Wait, make_pile
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication

from engine.api.events import Reply
from engine.store.journal import Journal
from engine.store.record import Result
from gui.app import JOURNAL, Options, build, dress
from gui.collector import Collector
from gui.main_window import MainWindow
from gui.settings import Settings
from gui.tables.pile_table import Column
from gui.theme import Theme

CHILD = """
import sys, time
import gui.app as app
from PySide6.QtCore import QTimer
real = app.build
def build(*arguments, **options):
    window = real(*arguments, **options)
    window.shown_first.connect(lambda: print("window", time.time(), flush=True))
    def look():
        job = window.session.job
        if job is not None and len(job.pile) and len(job.pile) == job.count():
            timer.stop()
            print("rows", time.time(), flush=True)
            window.closing.now()
    timer = QTimer(window)
    timer.timeout.connect(look)
    timer.start(20)
    return window
app.build = build
sys.exit(app.main(sys.argv[1:]))
"""
"""The program as it is started, which ends itself once every row of the last pile is there."""


class Measurement:
    """The steps in one window, and what came of them."""

    def __init__(self, window: MainWindow, options: argparse.Namespace, result: dict[str, object]) -> None:
        """Prepare to measure ``window``; figures go to ``result``."""
        self.window, self.options, self.result = window, options, result
        self.heart = Heartbeat()
        self.replies: list[Reply] = []

    def whole(self) -> bool:
        """Return whether every document is a row."""
        job = self.window.session.job
        return job is not None and not job.state.adding and len(job.pile) >= self.options.rows

    def timed(self, name: str, wait: Wait) -> Iterator[Wait]:
        """Wait, and keep the seconds and the longest event meanwhile."""
        self.heart.take()
        self.heart.begin()
        begin = time.monotonic()
        yield wait
        self.result[f"{name}_s"] = round(time.monotonic() - begin, 2)
        self.result[f"{name}_max_ms"] = round(self.heart.take()[-1], 1)

    def first(self, folder: str) -> Iterator[Wait]:
        """Add the pile, look through it, and run it if that is wanted."""
        session = self.window.session
        yield Wait("the charts", lambda: self.window.live is not None, 30)
        yield Wait("the model", lambda: session.model.status == "ready", 180)
        self.window.adder.paths([folder])
        yield from self.timed("add", Wait("all rows", self.whole, 400))
        yield from self.looks("waiting")
        if self.options.run:
            session.commands.start("embed", {})
            over = Wait("the end of the run", lambda: session.job is not None and not session.job.busy, 900)
            yield Wait("its begin", lambda: session.job is not None and session.job.busy, 60)
            yield from self.timed("run", over)

    def looks(self, state: str) -> Iterator[Wait]:
        """Filter by ``state``, search, sort and scroll."""
        panel = self.window.pile_panel
        bar = panel.view.verticalScrollBar()
        steps: list[tuple[str, Callable[[], object]]] = [
            ("filter", lambda: panel.chips.button(state).click()),
            ("search", lambda: panel.search.setText("0007")),
            ("unsearch", lambda: panel.search.setText("")),
            ("sort", lambda: panel.view.sortByColumn(Column.NAME, Qt.SortOrder.DescendingOrder)),
            ("unsort", lambda: panel.view.sortByColumn(-1, Qt.SortOrder.AscendingOrder)),
            *((f"scroll{n}", lambda n=n: bar.setValue(bar.maximum() * n // 10)) for n in range(11)),
        ]
        longest: dict[str, float] = {}
        for name, does in steps:
            self.heart.take()
            self.heart.begin()
            does()
            end = time.monotonic() + (0.6 if "search" in name else 0.2)
            yield Wait(name, lambda end=end: time.monotonic() > end, 30)
            kind = name.rstrip("0123456789")
            longest[kind] = max(longest.get(kind, 0.0), self.heart.take()[-1])
        self.result |= {f"{state}_{kind}_max_ms": round(late, 1) for kind, late in longest.items()}

    def second(self, target: str) -> Iterator[Wait]:
        """Look through a pile that is done, and export it."""
        yield Wait("all rows", self.whole, 200)
        yield from self.looks("done")
        session = self.window.session
        session.commands.export(target, "csv", self.replies.append)
        yield from self.timed("export", Wait("the export", lambda: self.replies, 200))
        self.result["export_bytes_per_document"] = round(os.path.getsize(target) / self.options.rows, 1)


def finish_all(path: str, rows: int) -> None:
    """Book a result like that of ``classify`` for every document of the only job."""
    with Journal(path) as journal:
        job = journal.jobs()[0].id
        scores = dict.fromkeys(("delivery", "billing", "praise"), 0.5)
        value = {"label": "delivery", "score": 0.5, "margin": 0.1, "unsure": False, "scores": scores, "windows": 1}
        for record in list(journal.documents(job)):
            journal.finish(replace(record, state="done", tokens=60, seconds=0.01, worker=0), Result(record.id, value))
        journal.update_job(job, status="finished", task="classify", settings={"labels": "delivery, billing, praise"})
        journal.flush(300)
        counts = journal.counts(job)
        if counts["done"] != rows:
            raise RuntimeError(f"{counts} instead of {rows} done")


def journal_bytes(path: str) -> int:
    """Return the bytes of the journal with its log."""
    return sum(os.path.getsize(path + tail) for tail in ("", "-wal") if os.path.exists(path + tail))


def start(data: str) -> dict[str, float]:
    """Start the program on ``data``; returns the seconds to the painted window and to the last row."""
    environment = {**os.environ, "PYTHONPATH": os.path.dirname(os.path.dirname(os.path.dirname(__file__)))}
    begin = time.time()
    child = subprocess.run(
        [sys.executable, "-c", CHILD, "--data-dir", data],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        timeout=180,
        check=True,
    )
    told = {line.split()[0]: float(line.split()[1]) for line in child.stdout.splitlines()}
    return {"start_window_s": round(told["window"] - begin, 2), "start_all_rows_s": round(told["rows"] - begin, 2)}


def in_window(app: QApplication, theme: Theme, data: str, steps: Callable[[MainWindow], Iterator[Wait]]) -> str:
    """Go through ``steps`` in a window of its own; returns what did not come about."""
    problems: list[str] = []
    window = build(Options(data), Settings(os.path.join(data, "window.ini")), theme)
    window.closed.connect(app.quit)

    def done(problem: str) -> None:
        problems.append(problem)
        window.closing.now()

    window.resize(1440, 900)
    window.show()
    scenario = Scenario(steps(window), done)
    app.exec()
    scenario.deleteLater()
    window.deleteLater()
    return problems[0] if problems else "the window closed"


def main() -> int:
    """Measure, print the figures as JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000, help="documents of the pile")
    parser.add_argument("--words", type=int, default=12, help="words of a document")
    parser.add_argument("--run", action="store_true", help="run the pile through the starter model as well")
    options = parser.parse_args()
    app = QApplication(sys.argv[:1])
    result: dict[str, object] = {"rows": options.rows}
    with tempfile.TemporaryDirectory(prefix="heddle-large-") as folder:
        pile, data = os.path.join(folder, "pile"), os.path.join(folder, "data")
        os.makedirs(data)
        make_pile(pile, options.rows, options.words)
        theme = dress(app, Settings(os.path.join(data, "window.ini")))
        collector = Collector()
        journal = os.path.join(data, JOURNAL)
        problem = in_window(app, theme, data, lambda w: Measurement(w, options, result).first(pile))
        if not problem:
            result["journal_bytes_per_waiting_document"] = round(journal_bytes(journal) / options.rows, 1)
            finish_all(journal, options.rows)
            result["journal_bytes_per_done_document"] = round(journal_bytes(journal) / options.rows, 1)
            result |= start(data)
            target = os.path.join(folder, "out.csv")
            problem = in_window(app, theme, data, lambda w: Measurement(w, options, result).second(target))
        collector.close()
    if problem:
        print(f"not measured: {problem}", file=sys.stderr)
    print(json.dumps(result))
    return 2 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
