"""Make the picture of the window at work that the README shows: the real window, the real engine, the sample pile.

    python packaging/tools/screenshot.py packaging/pictures/window.png [--theme dark] [--size 1366x768] [--moment running|finished] [--view live]

Runs under any Qt platform, also ``offscreen`` (a font must be installed).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

PATIENCE = 90_000
"""Milliseconds after which the tool gives up."""


def main() -> int:
    """Open the window, run the sample pile, save a picture of it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make a picture of Heddle's window at work.")
    parser.add_argument("target", help="PNG file to write")
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    parser.add_argument("--size", default="1366x768", help="width x height in pixels")
    parser.add_argument("--moment", choices=("empty", "running", "finished"), default="running")
    parser.add_argument("--view", choices=("table", "live"), default="table")
    parser.add_argument("--repeat", type=int, default=1, help="copies of the sample pile to run, for a longer job")
    chosen = parser.parse_args()
    from gui import app as gui_app
    from gui.settings import Settings

    application = QApplication(sys.argv[:1])
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(os.path.join(folder, "window.ini"))
        settings.set_text("theme", chosen.theme)
        options = gui_app.Options(folder, (), sample=chosen.moment != "empty")
        window = gui_app.build(options, settings, gui_app.dress(application, settings))
        window.resize(*map(int, chosen.size.split("x")))
        window.closed.connect(application.quit)
        state = {"code": 1, "started": False, "chosen": False}

        def grab() -> None:
            window.grab().save(chosen.target)
            state["code"] = 0
            window.closing.now()

        def look() -> None:
            job = window.session.job
            if chosen.moment == "empty":
                if window.session.model.status == "ready":
                    timer.stop()
                    QTimer.singleShot(1500, window, grab)
                return
            if job is None or window.session.model.status != "ready":
                return
            if not state["started"] and window.session.job is not None and job.count("waiting") > 200:
                state["started"] = True
                window.start()
            done = job.count("done")
            if not state["chosen"] and done > 20:
                state["chosen"] = True
                window.pile_panel.view.selectRow(1)
            wanted = 150 if chosen.moment == "running" else 240 * chosen.repeat
            if done >= wanted:
                timer.stop()
                QTimer.singleShot(100 if chosen.moment == "running" else 1500, window, grab)

        timer = QTimer(window)
        timer.timeout.connect(look)
        timer.start(50)
        QTimer.singleShot(PATIENCE, window, window.closing.now)
        window.show()
        window.arrangement.reset()  # the first places of a window of this size
        window.arrangement.views.show_page(("table", "live").index(chosen.view))
        application.exec()
    return int(state["code"])


if __name__ == "__main__":
    sys.exit(main())
