"""The quality of number formats: nothing for float32 itself, little for int8, more for int4."""

from __future__ import annotations

import json

import pytest
import torch

from engine.bench import quality
from engine.bench.shapes import SHAPES, write_folder
from engine.cli.main import main
from engine.errors import ModelError
from engine.inference.generation.gates import Mode


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("quality")
    write_folder(SHAPES["tiny"], str(place))
    return str(place)


def test_formats_cost_more_the_fewer_bits_they_have(folder):
    heard = []
    found = {one.format: one for one in quality.measure(folder, heard.append, count=2)}
    assert heard == ["float32", "bf16", "int8", "int4"]
    assert list(found) == ["bf16", "int8", "int4"]
    assert all(one.tokens == 2 * (quality.TOKENS - quality.SKIP) for one in found.values())
    assert {one.mode for one in found.values()} == {"slots"}
    assert 0 < found["int8"].kl < found["int4"].kl
    assert found["bf16"].kl < found["int4"].kl
    assert found["int8"].kl <= found["int8"].kl_p99


def test_the_divergence_is_that_of_the_textbook():
    p, q = torch.tensor([[0.5, 0.25, 0.25]]), torch.tensor([[0.25, 0.25, 0.5]])
    one = quality._compare("x", "slots", [p.log()], iter([q.log()]))
    assert one.kl == pytest.approx(0.25 * torch.log(torch.tensor(2.0)).item(), rel=1e-3)
    assert one.same == 0.0
    assert quality._compare("x", "slots", [p.log()], iter([p.log()])).kl == 0.0


def test_the_command_prints_what_was_measured(folder, monkeypatch, capsys):
    plain, found = quality.measure, []
    monkeypatch.setattr(quality, "measure", lambda *given: found.extend(plain(*given, count=1)) or found)
    assert main(["models", "check", folder, "--quality", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [one["format"] for one in told["formats"]] == ["bf16", "int8", "int4"]
    assert "runs in" in quality.report(folder, found, as_json=False)


def test_what_is_computed_over_slots_is_what_plain_forwards_give(folder):
    loaded = quality._load(folder, "float32")
    texts = quality._texts(loaded, 3)
    packed = list(quality._distributions(loaded, texts))
    loaded.model.set_attn_implementation("sdpa")
    loaded.generation = Mode("batches")
    plain = list(quality._distributions(loaded, texts))
    assert all(torch.allclose(ours, theirs, atol=1e-3) for ours, theirs in zip(packed, plain, strict=True))


def test_a_model_that_writes_nothing_is_refused():
    from engine.models.starter import starter_folder

    with pytest.raises(ModelError, match="writes no text"):
        quality.measure(starter_folder())
