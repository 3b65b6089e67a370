"""FAULTS 9, 28: a clock that jumps, and a device that is lost."""

from __future__ import annotations

import time

import pytest
import torch
from model_folders import make_folder

from engine.api.plan import Plan
from engine.engine import Engine
from engine.inference.encoding.encoder import Encoder


@pytest.fixture
def engine(tmp_path):
    """An engine with a tiny model, a journal and one worker."""
    made = Engine(str(tmp_path / "session"))
    made.set_plan(Plan("cpu", 1, 1, "float32")).result(30)
    made.open_model(make_folder(tmp_path / "model", "bert")).result(60)
    yield made
    assert made.close(5.0)


def test_a_clock_that_jumps_runs_nothing_again_and_tells_no_strange_times(engine, monkeypatch):
    encoded: list[int] = []
    real = Encoder.encode
    now = [1e9]

    def encode(self, items, *rest):
        encoded.extend(item.document for item in items)
        now[0] += 1e8 if len(encoded) % 2 else -1.5e8  # years forth and back
        return real(self, items, *rest)

    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(Encoder, "encode", encode)
    engine.create_job("job")
    engine.add_texts("job", [(f"{n}", f"text {n}") for n in range(300)]).result(30)
    engine.submit("job", "embed")
    assert engine.wait("job", 60)
    assert sorted(encoded) == sorted(set(encoded))
    (job,) = engine.snapshot().jobs
    assert job.counts["done"] == 300
    assert 0 <= job.elapsed < 60
    assert all(0 <= record.seconds < 60 for record in engine.journal.documents("job"))


@pytest.mark.skipif(not hasattr(torch, "AcceleratorError"), reason="this torch has no such error")
def test_a_lost_device_pauses_the_job_once_and_names_it_and_another_device_goes_on(engine, monkeypatch):
    calls: list[int] = []

    def lost(self, items, *rest):
        calls.append(len(items))
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "encode", lost)
        engine.create_job("job", "letters")
        engine.add_texts("job", [(f"{n}", f"text {n}") for n in range(50)]).result(30)
        engine.submit("job", "embed")
        assert engine.wait("job", 60)
        (job,) = engine.snapshot().jobs
        assert job.status == "paused"
        assert "cpu stopped answering" in job.message
        assert "Choose another device" in job.message
        assert len(calls) == 1, "it does not try again by itself"
        assert engine.journal.counts("job")["failed"] == 0
    engine.resume("job")
    assert engine.wait("job", 60)
    assert engine.journal.counts("job")["done"] == 50
