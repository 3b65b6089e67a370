"""What every test shares: no network, no user data, no thread left behind."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

HERE = Path(__file__).resolve().parent
for folder in (HERE, HERE.parent):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

import pytest  # noqa: E402 - after the path and the environment
from PySide6.QtCore import QThread  # noqa: E402
from tqdm import tqdm  # noqa: E402

QThread.currentThread()  # Qt takes the first thread that it sees for its main one; a worker must not be it

tqdm.monitor_interval = 0  # the oracle's progress bars would start a thread that never ends


@pytest.fixture(autouse=True)
def _own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test away from the user's settings, data and model caches."""
    home = tmp_path / "home"
    for name, folder in (
        ("XDG_DATA_HOME", "data"),
        ("XDG_CONFIG_HOME", "config"),
        ("XDG_CACHE_HOME", "cache"),
        ("XDG_STATE_HOME", "state"),
        ("HF_HOME", "huggingface"),
        ("HF_HUB_CACHE", "huggingface/hub"),
    ):
        monkeypatch.setenv(name, str(home / folder))


@pytest.fixture(scope="module", autouse=True)
def _engines_are_closed() -> Iterator[None]:
    """Fail a module that leaves an engine open: its workers would run on beside everything that follows."""
    yield
    engines = sys.modules.get("engine.engine")
    left = list(engines.Engine.alive) if engines is not None else []
    for engine in left:
        engine.close(5.0)
    assert not left, f"{len(left)} engines were left open"


@pytest.fixture
def no_threads_left() -> object:
    """Fail a test that leaves a Python thread alive, and name it."""
    before = set(threading.enumerate())
    yield
    # Qt's pool threads are known to Python as dummies, which it never forgets; the engine's own fixture watches them.
    dummy = threading._DummyThread
    left = [t for t in threading.enumerate() if t not in before and t.is_alive() and not isinstance(t, dummy)]
    for thread in left:
        thread.join(5.0)
    assert not [t.name for t in left if t.is_alive()], "threads outlive the test"
