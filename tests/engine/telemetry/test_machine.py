"""The machine: cores, formats and plans, whatever the box."""

from __future__ import annotations

import pytest

from engine.api.plan import Plan
from engine.errors import UsageError
from engine.telemetry import machine


@pytest.fixture
def four_cores(monkeypatch):
    """A machine of four cores with fast bfloat16."""
    monkeypatch.setattr(machine, "core_count", lambda: 4)
    monkeypatch.setattr(machine, "cpu_has_fast_bf16", lambda: True)


@pytest.mark.parametrize(
    ("asked", "limit", "workers", "threads"),
    [
        (Plan(), None, 4, 1),
        (Plan(), 2, 2, 2),
        (Plan(), 1, 1, 4),
        (Plan(workers=2), None, 2, 2),
        (Plan(threads=4), None, 1, 4),
        (Plan(workers=3), None, 3, 1),
        (Plan(workers=8, threads=1), 2, 8, 1),
        (Plan("cuda:0", dtype="bf16"), None, 1, 1),
    ],
)
@pytest.mark.usefixtures("four_cores")
def test_workers_times_threads_fill_the_cores_unless_the_interpreter_is_the_limit(asked, limit, workers, threads):
    found = machine.resolve_plan(asked, worker_limit=limit)
    assert (found.workers, found.threads) == (workers, threads)
    assert found.dtype in ("bf16", "float32")


@pytest.mark.parametrize("cap", ["AVX2", "avx512_core", "AVX512_CORE_VNNI"])
def test_a_cap_on_onednn_takes_bfloat16_away(monkeypatch, cap):
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", cap)
    assert machine.resolve_dtype("auto", "cpu") == "float32"
    assert machine.resolve_dtype("bf16", "cpu") == "bf16"


def test_cores_are_at_least_one_and_no_more_than_the_system_has():
    import os

    assert 1 <= machine.core_count() <= (os.cpu_count() or 1)


def test_memory_is_more_than_nothing_and_less_than_all():
    assert 0 < machine.memory_available() <= machine.facts().memory_total


def test_a_device_that_is_not_here_is_refused_by_name(fresh_engine):
    with pytest.raises(UsageError, match="cuda:7"):
        fresh_engine().set_plan(Plan("cuda:7"))


@pytest.mark.parametrize("wrong", [{"workers": -1}, {"threads": 5000}, {"dtype": "int3"}])
def test_a_plan_that_no_machine_could_follow_is_refused(wrong):
    with pytest.raises(UsageError):
        Plan(**wrong)


def test_freed_memory_is_given_back_each_time_that_enough_was_laid_out(monkeypatch):
    given: list[None] = []
    monkeypatch.setattr(machine, "give_memory_back", lambda: given.append(None))
    heap = machine.HeapKeeper()
    assert [heap.laid_out(machine.HeapKeeper.EVERY // 2 + 1) for _ in range(5)] == [False, True, False, True, False]
    assert len(given) == 2
