"""Linears replaced while a model is read: the same model as one whose linears are replaced afterwards."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from engine.bench.shapes import SHAPES, write_folder
from engine.errors import ModelError
from engine.inference import fused
from engine.kernels.linears import loading
from engine.kernels.linears.format import LinearFormat, replace_linears, settle_tables
from engine.kernels.linears.int4 import Int4Linear
from engine.kernels.linears.int8 import Int8Linear
from engine.kernels.linears.int8_kernels import Int8Kernels
from engine.kernels.mapped import let_files_go
from engine.models.load_decoder import load_decoder
from engine.telemetry.machine import HeapKeeper

SHAPE = replace(SHAPES["tiny"], kind="qwen2", hidden=128, mlp=192, shards=3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("formats")
    write_folder(SHAPE, str(place))
    return str(place)


def plain_logits(model, ids):
    model.set_attn_implementation("sdpa")
    with torch.inference_mode():
        return model(input_ids=ids, use_cache=False).logits.float()


@pytest.mark.parametrize("every", [0, 1 << 26])
@pytest.mark.parametrize("dtype", ["float32", "bf16", "int8", "int4"])
def test_a_model_read_into_a_format_is_the_one_replaced_afterwards(folder, dtype, every, monkeypatch):
    # Joined operations round at other places; what is read is looked at as it was read.
    monkeypatch.setattr(fused, "join", lambda *_args, **_kwargs: 0)
    given: list[None] = []
    monkeypatch.setattr(loading, "let_files_go", lambda: given.append(let_files_go()))
    monkeypatch.setattr(HeapKeeper, "EVERY", every)
    # Which operators are fastest is timed for every model, and their results differ by their rounding.
    kernels = Int8Kernels.find()
    monkeypatch.setattr(Int8Kernels, "find", staticmethod(lambda: kernels))
    loaded = load_decoder(folder, dtype=dtype)
    assert loaded.dtype == dtype
    assert loaded.mode == "slots", loaded.note
    # Floats stay plain where their shape did not pay when it was timed; whole numbers always take the place.
    plain = sum(type(m) is torch.nn.Linear for m in loaded.model.model.layers.modules())
    assert plain == 0 or dtype in ("float32", "bf16")
    assert len(given) == (0 if every else 7 * SHAPE.layers - plain)
    own = next(p.dtype for p in loaded.model.parameters() if p.dim() == 1)
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=own).eval().requires_grad_(False)
    made = LinearFormat(dtype)
    replace_linears(theirs, made)
    settle_tables(theirs, made)
    ids = torch.arange(300, 340)[None]
    # Packing a shape or not is measured, and both are right: floats agree within their rounding, whole numbers exactly.
    near = {"float32": 1e-4, "bf16": 0.1}.get(dtype, 0.0)
    torch.testing.assert_close(plain_logits(loaded.model, ids), plain_logits(theirs, ids), rtol=near, atol=near)


def test_no_float_copy_of_a_linear_stays(folder):
    for dtype, kind in (("int8", Int8Linear), ("int4", Int4Linear)):
        model = load_decoder(folder, dtype=dtype).model
        made = sum(m.out_features for m in model.modules() if isinstance(m, kind))
        # Query, key, value, gate and up may have become one; the output layer is int8 in both.
        assert (
            made >= (3 * SHAPE.hidden + 2 * SHAPE.hidden * SHAPE.kv_heads // SHAPE.heads + 2 * SHAPE.mlp) * SHAPE.layers
        )
        assert all(p.dim() == 1 for p in model.parameters())
        assert not any(type(m) in (torch.nn.Linear, torch.nn.Embedding) for m in model.modules())
        assert getattr(model.config, "quantization_config", None) is None


def test_a_missing_weight_is_named_in_every_format(folder, tmp_path):
    for name in os.listdir(folder):
        os.link(os.path.join(folder, name), tmp_path / name)
    shard = max(tmp_path.glob("*.safetensors"))
    tensors = load_file(shard)
    name = next(n for n in tensors if n.endswith("down_proj.weight"))
    del tensors[name]
    shard.unlink()
    save_file(tensors, shard, metadata={"format": "pt"})
    index = tmp_path / "model.safetensors.index.json"
    text = index.read_text()
    index.unlink()
    index.write_text(text.replace(f'"{name}": "{shard.name}"', f'"other.{name}": "{shard.name}"'))
    with pytest.raises(ModelError, match="down_proj"):
        load_decoder(str(tmp_path), dtype="int8")


def test_what_is_measured_at_load_may_be_cancelled_between_tensors(folder):
    from engine.errors import Cancelled

    asked = iter(range(10_000))
    with pytest.raises(Cancelled):
        load_decoder(folder, dtype="int8", cancelled=lambda: next(asked) > 12)
