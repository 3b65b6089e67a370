"""How long from the start of the process to the painted window, and to the starter model being ready (work D).

    python tests/bench/start.py [--runs 5]

Every run is a fresh process with a data folder of its own, as ``heddle-desktop`` starts it. Prints JSON: the median and
the worst of the runs in seconds. Needs no display (QT_QPA_PLATFORM=offscreen unless told otherwise).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

CHILD = """
import sys, time
import gui.app as app
from PySide6.QtCore import QTimer
real = app.build
def build(*arguments, **options):
    window = real(*arguments, **options)
    window.shown_first.connect(lambda: print("window", time.time(), flush=True))
    def look():
        if window.session.model.status == "ready":
            timer.stop()
            print("model", time.time(), "torch" in sys.modules, flush=True)
            window.closing.now()
    timer = QTimer(window)
    timer.timeout.connect(look)
    timer.start(20)
    return window
app.build = build
sys.exit(app.main(sys.argv[1:]))
"""


def measure() -> tuple[float, float]:
    """Start the window once; returns the seconds to the painted window and to the ready model."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {"QT_QPA_PLATFORM": "offscreen", **os.environ, "PYTHONPATH": str(ROOT)}
        begin = time.time()
        child = subprocess.run(
            [sys.executable, "-c", CHILD, "--data-dir", folder],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            timeout=120,
            check=True,
        )
    told = {line.split()[0]: line.split() for line in child.stdout.splitlines()}
    if told["model"][2] != "False":
        raise RuntimeError("the window's process imported torch")
    return float(told["window"][1]) - begin, float(told["model"][1]) - begin


def main() -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(description="Measure how long Heddle takes to show its window.")
    parser.add_argument("--runs", type=int, default=5)
    runs = [measure() for _ in range(parser.parse_args().runs)]
    windows, models = zip(*runs, strict=True)
    print(
        json.dumps(
            {
                "window_s": round(statistics.median(windows), 3),
                "window_worst_s": round(max(windows), 3),
                "model_s": round(statistics.median(models), 3),
                "model_worst_s": round(max(models), 3),
                "runs": len(runs),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
