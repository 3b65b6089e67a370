"""A rate is a mean over time that has gone by."""

from __future__ import annotations

from engine.jobs.throughput import Throughput


def test_a_batch_that_ends_all_at_once_is_no_rate_of_thousands():
    throughput = Throughput()
    for _ in range(100):
        throughput.add(documents=1, tokens=20)
    documents, tokens = throughput.rates()
    assert 0 < documents <= 100
    assert 0 < tokens <= 2000
