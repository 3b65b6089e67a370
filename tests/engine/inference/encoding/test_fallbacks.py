"""A model that cannot run packed is found out at load and runs slower, never wrong; each gate has a model that fails it."""

from __future__ import annotations

import pytest
import torch
from machine_can import need_packing
from model_folders import make_folder
from oracle import TEXTS, cosines, engine_vectors, oracle_vectors

from engine.errors import ModelError
from engine.inference.encoding import attention
from engine.inference.encoding.attention import (
    Layout,
    exponential_kernel,
    matmul_kernel,
    packed_attention,
    running,
    sdpa_kernel,
)
from engine.kernels.linears import packed
from engine.models import probe_texts, settle


@pytest.fixture
def bert(tmp_path):
    """A tiny BERT folder."""
    return make_folder(tmp_path, "bert")


def expect_padded(engine, folder, texts=TEXTS):
    ours = engine_vectors(engine, texts, on_overflow="head")
    assert cosines(oracle_vectors(folder, texts), ours).min() >= 0.9999
    return engine.loaded


def test_a_kernel_that_mixes_texts_fails_the_check(fresh_engine, bert, monkeypatch):
    def mixing(query, key, value, scale, layout):
        return sdpa_kernel(query, key, value, scale, Layout([sum(layout.lengths)]))

    monkeypatch.setattr(attention, "sdpa_kernel", mixing)
    engine = fresh_engine()
    engine.open_model(bert, "float32").result(60)
    loaded = expect_padded(engine, bert)
    assert loaded.mode == "padded"
    assert "standard deviations" in loaded.note


def test_a_dropped_window_fails_the_check(fresh_engine, tmp_path, monkeypatch):
    folder = make_folder(tmp_path, "modernbert")
    monkeypatch.setattr(Layout, "window_mask", lambda self, length, _window, *, causal: None)
    engine = fresh_engine()
    engine.open_model(folder, "float32").result(60)
    assert expect_padded(engine, folder).mode == "padded"


def test_wrong_positions_fail_the_check(fresh_engine, tmp_path, monkeypatch):
    folder = make_folder(tmp_path, "roberta")
    real = settle.packed_forward

    def shifted(loaded, texts, cancelled=None):
        loaded.position_offset += 1
        try:
            return real(loaded, texts, cancelled)
        finally:
            loaded.position_offset -= 1

    monkeypatch.setattr(settle, "packed_forward", shifted)
    engine = fresh_engine()
    engine.open_model(folder, "float32").result(60)
    assert expect_padded(engine, folder).mode == "padded"


def test_an_unknown_argument_to_the_attention_sends_the_model_to_padded_batches(fresh_engine, bert, monkeypatch):
    monkeypatch.setattr(attention, "_HARMLESS", frozenset())
    engine = fresh_engine()
    engine.open_model(bert, "float32").result(60)
    loaded = expect_padded(engine, bert)
    assert loaded.mode == "padded"
    assert "attention" in loaded.note


def test_a_model_whose_batches_change_its_answers_runs_one_text_at_a_time(fresh_engine, tmp_path, monkeypatch):
    folder = make_folder(tmp_path, "mpnet")
    real = settle.padded_forward

    def mixing(loaded, texts, cancelled=None):
        hidden, layout = real(loaded, texts, cancelled)
        return (hidden + 1.0 if len(texts) > 1 else hidden), layout

    monkeypatch.setattr(settle, "padded_forward", mixing)
    engine = fresh_engine()
    engine.open_model(folder, "float32").result(60)
    assert expect_padded(engine, folder).mode == "single"


def test_the_user_is_told_why_a_model_is_not_packed(fresh_engine, tmp_path):
    engine = fresh_engine()
    engine.open_model(make_folder(tmp_path, "mpnet"), "float32").result(60)
    model = engine.snapshot().model
    assert model.engine_mode == "padded"
    assert "attention of its own" in model.note


def test_linears_stay_plain_where_packing_is_not_available(fresh_engine, bert, monkeypatch):
    def missing(_weight):
        raise RuntimeError("no such operator")

    monkeypatch.setattr(packed, "_pack", missing)
    engine = fresh_engine()
    engine.open_model(bert, "float32").result(60)
    assert expect_padded(engine, bert).packed_linears == 0


def test_a_packed_linear_that_answers_wrongly_is_not_used(monkeypatch):
    plain = torch.nn.Linear(64, 64).requires_grad_(False)
    monkeypatch.setattr(packed, "_apply", lambda rows, _packed, _bias: rows * 0)
    assert not packed.packing_pays(plain.weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_packed_linear_agrees_with_the_plain_one(dtype):
    torch.manual_seed(1)
    plain = torch.nn.Linear(96, 160).to(dtype).requires_grad_(False)
    rows = torch.randn(3, 7, 96).to(dtype)
    need_packing(dtype)
    ours = packed.PackedLinear(plain.weight, plain.bias)
    torch.testing.assert_close(ours(rows), plain(rows), rtol=2e-2, atol=2e-2)


def reference(query, key, value, scale, lengths):
    out, start = [], 0
    for n in lengths:
        part = [x[start : start + n].transpose(0, 1).double() for x in (query, key, value)]
        scores = part[0] @ part[1].transpose(1, 2) * scale
        out.append((scores.softmax(-1) @ part[2]).transpose(0, 1))
        start += n
    return torch.cat(out).float()


@pytest.mark.parametrize("lengths", [[1], [5, 5, 5], [33, 32, 31, 16, 16, 1], [64, 3], [100] * 70])
@pytest.mark.parametrize(
    "kernel",
    [sdpa_kernel, matmul_kernel(16), matmul_kernel(32), exponential_kernel(8)],
    ids=["fused", "16", "32", "exponential"],
)
def test_kernels_attend_within_each_text_only(lengths, kernel):
    torch.manual_seed(2)
    rows = [torch.randn(sum(lengths), 3, 8) for _ in range(3)]
    ours = kernel(*rows, 0.3, Layout(lengths))
    torch.testing.assert_close(ours, reference(*rows, 0.3, lengths), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("size", [300.0, -300.0], ids=["overflow", "underflow"])
def test_scores_beyond_the_range_of_the_exponential_are_done_the_careful_way(size):
    torch.manual_seed(4)
    lengths = [9, 9, 4]
    query = torch.full((sum(lengths), 2, 8), 1.0)
    key = torch.full_like(query, size) + torch.randn_like(query)
    value = torch.randn_like(query)
    ours = exponential_kernel(8)(query, key, value, 1.0, Layout(lengths))
    assert torch.isfinite(ours).all()
    torch.testing.assert_close(ours, reference(query, key, value, 1.0, lengths), rtol=1e-3, atol=1e-4)


def test_a_gelu_is_fused_only_where_it_is_the_exact_one():
    for act, fused in ((torch.nn.GELU(), True), (torch.nn.GELU("tanh"), False), (torch.nn.ReLU(), False)):
        block = torch.nn.Module()
        plain = torch.nn.Linear(32, 64).requires_grad_(False)
        block.dense, block.intermediate_act_fn = packed.PackedLinear(plain.weight, plain.bias), act
        rows = torch.randn(5, 32)
        packed.fuse_gelu(block)
        assert (block.dense.after[0] == "gelu") == fused
        torch.testing.assert_close(block.intermediate_act_fn(block.dense(rows)), act(plain(rows)), rtol=1e-4, atol=1e-5)


def test_a_window_sees_only_what_is_near():
    torch.manual_seed(3)
    lengths, window = [12, 5], 4
    rows = [torch.randn(1, 2, sum(lengths), 8) for _ in range(3)]

    class Module:
        is_causal = False

    with running(Layout(lengths), sdpa_kernel):
        ours, _ = packed_attention(Module(), *rows, None, scaling=0.3, sliding_window=window)
    expected, start = [], 0
    for n in lengths:
        q, k, v = (x[0, :, start : start + n] for x in rows)
        place = torch.arange(n)
        far = (place[:, None] - place[None]).abs() >= window
        expected.append(((q @ k.transpose(1, 2) * 0.3).masked_fill(far, float("-inf")).softmax(-1) @ v).transpose(0, 1))
        start += n
    torch.testing.assert_close(ours[0], torch.cat(expected), rtol=1e-4, atol=1e-5)


def test_random_probe_texts_carry_the_models_marks(starter_engine):
    loaded = starter_engine.loaded
    (text,) = probe_texts.probe_texts(loaded, [9])
    assert text[0] == loaded.tokenizer.prefix[0]
    assert text[-1] == loaded.tokenizer.suffix[-1]
    assert len(text) == 9


def test_an_encoder_decoder_without_an_encoder_of_its_own_is_refused_in_a_sentence(fresh_engine, tmp_path):
    folder = make_folder(tmp_path, "bart")
    with pytest.raises(ModelError, match=r"family bart writes text.*Choose an embedding model\.$"):
        fresh_engine().open_model(folder, "float32").result(60)
