"""Weights that other code computes with: found at load, kept as they are, and never written with as NaN."""

from __future__ import annotations

import decoder_models
import numpy as np
import pytest
import torch
import transformers
from machine_can import need_packing
from safetensors.torch import load_file, save_file
from torch.nn.functional import linear

from engine.errors import ModelError
from engine.inference.generation.check import random_ids
from engine.kernels.linears import format as number_format
from engine.kernels.linears.format import LinearFormat, replace_linears, restore_linears
from engine.kernels.linears.packed import PackedLinear
from engine.kernels.linears.used_weights import used_weights
from engine.models.load_decoder import load_decoder


class _Reader(torch.nn.Module):
    """Calls ``right``, asks ``typed`` for its type before it calls it, and computes with ``taken`` itself."""

    def __init__(self) -> None:
        super().__init__()
        self.right, self.typed, self.taken = (torch.nn.Linear(32, 32) for _ in range(3))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        rows = self.typed(self.right(rows).to(self.typed.weight.dtype))
        return linear(rows, self.taken.weight.T.reshape(32, 32))


def test_only_a_weight_that_is_computed_with_is_found():
    model = _Reader().requires_grad_(False)
    assert used_weights(model, lambda: model(torch.ones(3, 32))) == set()
    assert replace_linears(model, LinearFormat("int8")) == 3
    assert used_weights(model, lambda: model(torch.ones(3, 32))) == {"taken"}


def test_a_packed_weight_that_is_computed_with_gets_its_numbers_back(monkeypatch):
    monkeypatch.setattr(number_format, "packing_pays", lambda _weight: True)
    torch.manual_seed(0)
    model = _Reader().requires_grad_(False)
    rows = torch.randn(3, 32)
    before, numbers = model(rows), model.taken.weight.clone()
    assert replace_linears(model, LinearFormat("bf16")) == 3
    assert model(rows).isnan().all()
    restore_linears(model, used_weights(model, lambda: model(rows)))
    assert torch.equal(model.taken.weight, numbers)
    assert type(model.right) is type(model.typed) is PackedLinear
    torch.testing.assert_close(model(rows), before)


def test_an_int8_weight_that_is_computed_with_gets_its_numbers_back_up_to_their_rounding():
    torch.manual_seed(0)
    model = _Reader().requires_grad_(False)
    rows = torch.randn(3, 32)
    before, numbers = model(rows), model.taken.weight.clone()
    replace_linears(model, LinearFormat("int8"))
    restore_linears(model, used_weights(model, lambda: model(rows)))
    torch.testing.assert_close(model.taken.weight, numbers, rtol=0, atol=0.02 * float(numbers.abs().max()))
    torch.testing.assert_close(model(rows), before, rtol=0, atol=0.05 * float(before.abs().max()))


@pytest.mark.parametrize("dtype", ["float32", "bf16", "int8", "int4"])
@pytest.mark.parametrize("family", ["mamba", "falcon_mamba"])
def test_a_family_that_computes_with_its_weights_is_read_with_those_as_they_are(family, dtype, tmp_path, monkeypatch):
    if dtype == "bf16":
        need_packing(torch.bfloat16)
    monkeypatch.setattr(number_format, "packing_pays", lambda _weight: True)
    folder = str(decoder_models.folder(family, tmp_path / family))
    loaded = load_decoder(folder, dtype=dtype)
    kept = {name.rsplit(".", 1)[-1] for name, m in loaded.model.named_modules() if type(m) is torch.nn.Linear}
    assert kept == {"dt_proj"}
    ids = torch.from_numpy(random_ids(decoder_models.VOCABULARY, 30, 1))[None]
    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        ours, right = loaded.model(ids).logits.float(), theirs(ids).logits
    error = float((ours - right).square().mean().sqrt() / right.std())
    assert error < {"float32": 1e-4, "bf16": 0.1, "int8": 0.2, "int4": 0.9}[dtype]


def test_a_family_that_only_calls_its_linears_is_read_once_and_replaced_whole(tmp_path, monkeypatch):
    read = []
    real = load_decoder.__globals__["read_weights"]
    monkeypatch.setitem(load_decoder.__globals__, "read_weights", lambda *args: (read.append(args), real(*args))[1])
    loaded = load_decoder(str(decoder_models.folder("llama", tmp_path / "llama")), dtype="int8")
    assert len(read) == 1
    assert not [m for m in loaded.model.modules() if type(m) is torch.nn.Linear]


def test_a_model_whose_numbers_are_none_is_refused_by_its_folder(tmp_path):
    folder = decoder_models.folder("llama", tmp_path / "broken")
    weights = load_file(folder / "model.safetensors")
    weights["model.layers.1.mlp.up_proj.weight"][3, 5] = np.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"NaN.*download the model again.*broken"):
        load_decoder(str(folder), dtype="float32")
