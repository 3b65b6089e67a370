"""A family that does not run in the format that is fast here runs in float32, or says so when that format was asked for."""

from __future__ import annotations

import pytest
from model_folders import make_folder
from oracle import TEXTS, cosines, engine_vectors, oracle_vectors

from engine.engine import Engine
from engine.errors import ModelError
from engine.models.load import load
from engine.models.load_decoder import load_decoder
from engine.models.number_format import DoesNotRunError, in_one_that_runs


@pytest.fixture(autouse=True)
def _bf16_is_fast(monkeypatch):
    monkeypatch.setattr("engine.telemetry.machine.cpu_has_fast_bf16", lambda: True)


def test_vectors_are_made_in_float32(tmp_path):
    folder = make_folder(tmp_path, "deberta")
    with pytest.raises(ModelError, match=r"does not run in bf16 .* Choose float32"):
        load(folder, dtype="bf16")
    engine = Engine()
    try:
        engine.open_model(folder, "auto").result(60)
        assert engine.loaded.dtype == "float32"
        assert engine.loaded.note.endswith("; runs in float32: the family does not run in bf16")
        assert cosines(oracle_vectors(folder, TEXTS), engine_vectors(engine, TEXTS)).min() >= 0.9999
    finally:
        assert engine.close(5.0)


def test_text_is_written_in_float32(tmp_path):
    folder = make_folder(tmp_path, "xlnet", modules=False, head="ForCausalLM")
    for dtype in ("bf16", "int8"):
        with pytest.raises(ModelError, match=rf"does not run in {dtype} .* Choose float32"):
            load_decoder(folder, dtype=dtype)
    loaded = load_decoder(folder, dtype="auto")
    assert loaded.dtype == "float32"
    assert loaded.mode == "batches"
    assert loaded.note.endswith("; runs in float32: the family does not run in bf16")


def test_what_does_not_run_in_float32_either_is_refused_once(tmp_path):
    facts = load(make_folder(tmp_path, "bert"), dtype="float32").facts
    tried = []

    def never(dtype):
        tried.append(dtype)
        raise DoesNotRunError(facts, dtype, "no such product")

    with pytest.raises(DoesNotRunError, match=r"in float32 \(no such product\)\. Choose another model\."):
        in_one_that_runs("auto", "cpu", never)
    with pytest.raises(DoesNotRunError):
        in_one_that_runs("bf16", "cpu", never)
    assert tried == ["bf16", "float32", "bf16"]
