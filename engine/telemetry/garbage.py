"""Python's garbage collector, run by hand on the main thread where automatic collection is off."""

from __future__ import annotations

import gc

from engine.telemetry import machine


def collect_garbage() -> None:
    """Run Python's garbage collector if it is due and does not run by itself."""
    if gc.isenabled():
        return
    counts, limits = gc.get_count(), gc.get_threshold()
    for generation in (2, 1, 0):
        if limits[generation] and counts[generation] > limits[generation]:
            gc.collect(generation)
            return


def give_back() -> None:
    """Give memory back that was let go: what only cycles hold is found, and free pages go to the system."""
    gc.collect()
    machine.give_memory_back()
