"""The plan of a benchmark is the fastest of those that were left open, with only the runs that there is time for."""

from __future__ import annotations

import pytest

from engine.api.plan import Plan
from engine.bench import choice, generate
from engine.bench.choice import choose_plan, plans_to_try
from engine.bench.generate import Order
from engine.bench.side_process import Deadline
from engine.errors import HeddleError

LAZY = Plan("cpu", 0, 0, "auto", 0)


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    monkeypatch.setattr(choice.machine, "core_count", lambda: 2)
    monkeypatch.setattr(choice.machine, "resolve_dtype", lambda dtype, _: "bf16" if dtype == "auto" else dtype)


class Measurement:
    """Starts sides that are as fast as their plan says, or fail, and remembers how many live at once."""

    def __init__(self, speed):
        self.speed, self.alive, self.most, self.trials = speed, 0, 0, []

    def ours(self, plan):
        self.alive += 1
        self.most = max(self.most, self.alive)
        return self

    def end_last(self):
        self.alive -= 1

    def ready(self):
        pass

    def ask(self, asked):
        self.trials.append(asked["documents"])
        speed = self.speed(Plan(**asked["plan"]))
        if not speed:
            raise HeddleError("this format does not run here")
        return {"tokens": speed, "seconds": 1.0}


def test_an_open_plan_tries_workers_slots_and_formats():
    assert {(p.workers, p.threads, p.slots, p.dtype) for p in plans_to_try(LAZY, 64)} == {
        (workers, threads, slots, dtype)
        for workers, threads, slots in ((2, 1, 32), (1, 2, 32), (1, 2, 64))
        for dtype in ("bf16", "int8")
    }


def test_a_given_format_is_kept():
    assert {plan.dtype for plan in plans_to_try(Plan("cpu", 0, 0, "float32", 0), 64)} == {"float32"}


@pytest.mark.parametrize(
    "given", [Plan("cpu", 1, 0, "auto", 0), Plan("cpu", 0, 2, "auto", 0), Plan("cpu", 0, 0, "auto", 8)]
)
def test_a_plan_with_something_in_it_is_taken_as_it_is(given):
    measurement = Measurement(lambda _: 1)
    assert choose_plan(measurement, given, 64, 64, {}) == (given, [])
    assert not measurement.trials


def test_the_fastest_is_taken_and_formats_do_not_share_a_process():
    measurement = Measurement(lambda plan: 10 * plan.slots + (5 if plan.dtype == "int8" else 0) + plan.workers)
    best, tried = choose_plan(measurement, LAZY, 64, 16, {})
    assert best == Plan("cpu", 1, 2, "int8", 64)
    assert len(tried) == 6
    assert tried[-1] == {
        "plan": {"device": "cpu", "workers": 1, "threads": 2, "dtype": "int8", "slots": 64},
        "tokens_per_s": 646.0,
    }
    assert set(measurement.trials) == {16}
    assert (measurement.alive, measurement.most) == (0, 1)


def test_a_format_that_does_not_run_is_left_out_with_its_reason():
    left_out = {}
    measurement = Measurement(lambda plan: 0 if plan.dtype == "int8" else 10 * plan.workers)
    best, tried = choose_plan(measurement, LAZY, 32, 32, left_out)
    assert best == Plan("cpu", 2, 1, "bf16", 32)
    assert len(tried) == 2
    assert left_out == {"int8": "this format does not run here"}
    assert measurement.alive == 0


def test_nothing_is_measured_where_no_format_runs():
    measurement = Measurement(lambda _: 0)
    with pytest.raises(HeddleError, match="does not run here"):
        choose_plan(measurement, LAZY, 32, 32, {})
    assert measurement.alive == 0


@pytest.mark.parametrize(("seconds", "count"), [(2.0, 32), (20.0, 19), (200.0, 8)])
def test_a_slow_machine_measures_fewer_long_prompts_but_never_very_few(monkeypatch, seconds, count):
    probed = []

    class Transformers:
        def __init__(self, _, work, *__):
            probed.extend(map(len, work.prompts))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def peer(self, kind, **_):
            assert kind == "transformers"
            return self

        def ready(self):
            pass

        def ask(self, asked):
            assert asked == {"documents": 2, "new_tokens": 64}
            return {"seconds": 2 * seconds, "tokens": 5000}

    monkeypatch.setattr(generate, "Measurement", Transformers)
    order = Order(shape="tiny", pairs=1, long=True)
    work = order.work()
    fits = generate._that_fits(order, work, Deadline(1e9))
    assert len(fits.prompts) == count
    lengths = [len(prompt) for prompt in work.prompts]
    assert probed == [max(lengths), min(lengths)]
