"""Waiting for what the coordinator knows: at once where it is so already, and nobody's question holds up another's."""

from __future__ import annotations

import pytest

from engine.engine import Engine
from engine.errors import HeddleError


@pytest.fixture
def engine():
    """An engine without a model."""
    with Engine() as made:
        yield made


def test_a_job_that_is_over_is_known_without_waiting(engine):
    engine.create_job("job")
    assert [engine.wait("job", 0.0) for _ in range(50)] == [True] * 50


def test_a_job_that_goes_on_is_not_waited_for_longer_than_was_asked(engine):
    engine.create_job("job")
    engine.add_texts("job", [("a.txt", "text")]).result(30)
    engine.submit("job", "embed", {})
    assert not engine.wait("job", 0.0)
    assert not engine.wait("job", 0.01)
    engine.cancel("job").result(30)
    assert engine.wait("job", 0.0)


def test_a_condition_that_cannot_be_told_fails_its_own_waiter_and_no_other(engine):
    asked = []

    def broken() -> bool:
        asked.append(None)
        if len(asked) == 1:
            return False
        raise KeyError("gone")

    first = engine.coordinator.when(broken)
    second = engine.coordinator.when(lambda: len(asked) > 1)
    with pytest.raises(KeyError):
        first.result(30)
    second.result(30)
    assert len(asked) == 2


def test_whoever_waits_when_the_engine_closes_is_let_go(engine):
    waiting = engine.coordinator.when(lambda: False)
    engine.close()
    waiting.result(30)
    with pytest.raises(HeddleError):
        engine.coordinator.when(lambda: False).result(30)
