"""The window's process: arguments, data folder, one instance, theme, engine, and an orderly end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from dataclasses import dataclass, replace
from types import FrameType

from PySide6.QtCore import QCoreApplication, QTimer
from PySide6.QtWidgets import QApplication

from engine import __version__
from gui.collector import Collector
from gui.crash import ExceptionHook, FaultLog, start_logging
from gui.engine_client import EngineClient
from gui.engine_process import Patience, engine_command
from gui.english import English
from gui.main_window import MainWindow
from gui.peer import make_private
from gui.session import Session
from gui.settings import Settings
from gui.single_instance import SingleInstance
from gui.smoke import Smoke
from gui.theme import Theme
from gui.words import prepare_locale

JOURNAL = "journal.sqlite"
"""Name of the file in the data folder that keeps all jobs."""


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks for. Paths are absolute."""

    data_dir: str
    paths: tuple[str, ...] = ()
    sample: bool = False
    patience: float = 600.0
    """Seconds after which an engine is replaced that does not come back from some work; 0 waits for ever."""
    smoke: str = ""
    """Picture to save of the window once it has run the sample pile; empty without such a test."""


def options(arguments: list[str]) -> Options:
    """Read the command line; exits as argparse does when it makes no sense."""
    parser = argparse.ArgumentParser(prog="heddle-desktop", description="Runs a local model over a pile of documents.")
    parser.add_argument("paths", nargs="*", help="files and folders to begin with")
    parser.add_argument("--sample", action="store_true", help="open the sample pile")
    parser.add_argument("--data-dir", default="", help="folder for settings, jobs and logs")
    parser.add_argument(
        "--patience",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="give up what does not go on for so long (a disk, a model); 0 waits for ever",
    )
    parser.add_argument(
        "--smoke",
        default="",
        metavar="PICTURE",
        help="try the program: run the sample pile in a data folder of its own, save a picture of the window, and end",
    )
    parser.add_argument("--version", action="version", version=f"Heddle {__version__}")
    found = parser.parse_args(arguments)
    folder = found.data_dir
    if not folder:
        import platformdirs

        folder = platformdirs.user_data_dir("Heddle", appauthor=False)
    return Options(
        os.path.abspath(folder),
        tuple(map(os.path.abspath, found.paths)),
        found.sample,
        max(0.0, found.patience),
        os.path.abspath(found.smoke) if found.smoke else "",
    )


def dress(app: QApplication, settings: Settings) -> Theme:
    """Give the application its name, language, numbers and theme."""
    app.setApplicationName("Heddle")
    app.setApplicationDisplayName("")
    app.setApplicationVersion(__version__)
    app.setDesktopFileName("heddle")
    app.setQuitOnLastWindowClosed(False)  # the process ends when the engine has ended
    prepare_locale()
    english = English(app)
    QCoreApplication.installTranslator(english)
    return Theme(app, settings.text("theme", "system"))


def build(
    options: Options,
    settings: Settings,
    theme: Theme,
    *,
    command: tuple[str, list[str]] | None = None,
    patience: Patience | None = None,
) -> MainWindow:
    """Return the window with its engine client, nothing started; ``command`` replaces the engine's (for tests)."""
    program, arguments = command or engine_command(os.path.join(options.data_dir, JOURNAL))
    client = EngineClient(program, arguments, patience=patience or Patience(progress=options.patience))
    session = Session(client, settings)
    window = MainWindow(session, theme, settings)
    client.setParent(window)
    session.setParent(window)

    def begin() -> None:
        client.start()
        if options.sample:
            window.adder.sample()
        if options.paths:
            window.adder.paths(list(options.paths))
        QTimer.singleShot(0, window, window.make_live)

    window.shown_first.connect(begin)
    return window


def main(arguments: list[str] | None = None) -> int:
    """Open the window and return the exit code; 0 also when another window took the paths."""
    chosen = options(sys.argv[1:] if arguments is None else arguments)
    if not chosen.smoke:
        return _run(chosen)
    with tempfile.TemporaryDirectory(prefix="heddle-smoke-", ignore_cleanup_errors=True) as folder:
        return _run(replace(chosen, data_dir=folder, paths=(), sample=True))


def _run(chosen: Options) -> int:
    make_private(chosen.data_dir)
    app = QApplication.instance() or QApplication(sys.argv[:1])
    assert isinstance(app, QApplication)
    single = SingleInstance(chosen.data_dir)
    if not single.claim():
        if single.call(list(chosen.paths)):
            return 0
        print(f"Another window uses {chosen.data_dir} but does not answer. Close it first.", file=sys.stderr)
        return 2
    start_logging(chosen.data_dir)
    faults = FaultLog(chosen.data_dir)
    hook = ExceptionHook()
    settings = Settings(os.path.join(chosen.data_dir, "window.ini"))
    theme = dress(app, settings)
    collector = Collector()
    window = build(chosen, settings, theme)
    single.called.connect(lambda paths: _come_forward(window, paths))
    _close_on_signals(window)
    window.closed.connect(app.quit)
    window.dialogs.trace = faults.trace
    if faults.earlier:
        note = window.tr("Heddle ended unexpectedly last time. Help > Report a problem holds what it left.")
        window.session.notice("warning", note)
    smoke = Smoke(window, chosen.smoke) if chosen.smoke else None
    window.show()
    code = app.exec()
    if smoke is not None:
        code = smoke.report(code, [hook.first] if hook.first else [])
    single.close()
    hook.close()
    collector.close()
    faults.close()
    return code


def _come_forward(window: MainWindow, paths: list[str]) -> None:
    """Show the window to whoever started Heddle again, and take the paths they gave."""
    window.showNormal() if window.isMinimized() else window.show()
    window.raise_()
    window.activateWindow()
    if paths:
        window.adder.paths(paths)


def _close_on_signals(window: MainWindow) -> None:
    """Close without asking on SIGTERM and SIGINT; Python runs the handler within one tick of the window's timer."""

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        window.closing.now()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)
