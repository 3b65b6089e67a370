"""Engines for tests: one with the starter model for a module, and fresh ones that must leave no thread behind."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from engine.engine import Engine


@pytest.fixture(scope="module")
def starter_engine() -> Iterator[Engine]:
    """An engine with the starter model in float32, whose answers do not depend on the machine."""
    engine = Engine()
    engine.open_model("starter", "float32").result(60)
    yield engine
    assert engine.close(5.0)


@pytest.fixture
def fresh_engine(no_threads_left: object) -> Iterator[Callable[..., Engine]]:
    """Make engines that are closed at the end, by which time none of their threads may be alive."""
    del no_threads_left
    before = _system_threads()
    made: list[Engine] = []

    def make(session: str | None = None) -> Engine:
        made.append(Engine(session))
        return made[-1]

    yield make
    for engine in made:
        assert engine.close(10.0), "a worker did not end"

    # Workers are threads that Python did not start; OpenMP's own workers stay with the process by design.
    def left() -> set[str]:
        return {name for tid, name in _system_threads().items() if tid not in before and name.startswith("worker-")}

    # A thread that has ended stays listed for a moment while the system buries it.
    end = time.monotonic() + 5.0
    while left() and time.monotonic() < end:
        os.sched_yield() if hasattr(os, "sched_yield") else None
    assert not left(), f"workers outlive their engine: {left()}"


def _system_threads() -> dict[int, str]:
    if sys.platform != "linux":
        return {thread.native_id or 0: thread.name for thread in threading.enumerate()}
    found: dict[int, str] = {}
    for task in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{task}/comm", encoding="utf-8") as file:
                found[int(task)] = file.read().strip()
        except OSError:
            continue
    return found
