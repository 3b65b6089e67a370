"""Gates at load: every gate has a model that must fail it, and the right models pass."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any

import decoder_models
import pytest
import torch

from engine.inference.generation import attention, check, convolution, gates, layout, twin
from engine.inference.generation.gates import Mode, choose_mode
from engine.kernels.linears.format import LinearFormat, replace_linears


@pytest.fixture(autouse=True)
def _own_attention_afterwards() -> Iterator[None]:
    yield
    attention.register()


def reason(family: str, **options: Any) -> str:
    """Return why a family does not run over slots; the model must be back at its own attention."""
    model = decoder_models.make(family)
    own = model.config._attn_implementation
    mode = choose_mode(model, **options)
    assert mode.kind == "batches", family
    assert mode.shape is None
    assert model.config._attn_implementation == own
    return mode.reason


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt_oss", "lfm2", "deepseek_v2", "mixtral"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_right_families_pass_in_both_formats(family: str, dtype: torch.dtype) -> None:
    mode = choose_mode(decoder_models.make(family).to(dtype))
    assert (mode.kind, mode.reason) == ("slots", "")
    assert mode.shape is not None
    assert all(shape.dtype == dtype for shape in mode.shape.layers.values())


def test_shapes_come_from_the_tensors_not_from_the_config() -> None:
    shape = choose_mode(decoder_models.make("deepseek_v2")).shape
    assert shape is not None
    assert [(s.heads, s.key_dim, s.value_dim) for s in shape.layers.values()] == [(4, 24, 12)] * 2
    shape = choose_mode(decoder_models.make("lfm2")).shape
    assert shape is not None
    assert sorted(shape.layers) == [1, 3]
    assert {layer: (s.channels, s.width) for layer, s in shape.states.items()} == {0: (32, 2), 2: (32, 2)}


# ------------------------------------------------------------------------------------------------- gate a: the attention
@pytest.mark.parametrize("family", ["falcon", "bloom", "mamba", "t5", "bart", "marian"])
def test_families_with_an_attention_of_their_own_fail(family: str) -> None:
    assert reason(family)


def test_alibi_fails_by_the_attention_even_when_the_signature_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "_accepts", lambda _model: None)
    for family in ("falcon", "bloom"):
        assert "attention of its own" in reason(family)


def test_a_model_that_claims_to_switch_and_does_not_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder_models.make("llama")
    monkeypatch.setattr(model, "set_attn_implementation", lambda _name: None)
    assert "does not take another attention" in choose_mode(model).reason


def test_a_model_that_accepts_another_attention_and_never_calls_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """What bloom and codegen do when they are loaded with the name of an unknown attention."""
    monkeypatch.setattr(gates, "_accepts", lambda _model: None)
    model = decoder_models.make("bloom")

    def pretend(name: str) -> None:
        model.config._attn_implementation_internal = name

    monkeypatch.setattr(model, "_can_set_attn_implementation", lambda: True)
    monkeypatch.setattr(model, "set_attn_implementation", pretend)
    monkeypatch.setattr(model, "forward", _without("position_ids", model.forward))
    assert "never calls its attention" in choose_mode(model).reason


def _without(name: str, forward: Any) -> Any:
    def call(**kwargs: Any) -> Any:
        kwargs.pop(name, None)
        return forward(**kwargs)

    return call


# ----------------------------------------------------------------------------------------------------- gate b: the cache
def test_recurrent_state_fails() -> None:
    assert "remembers more than keys and values" in reason("qwen3_5")


def test_a_convolution_without_its_states_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "KNOWN", frozenset())
    assert "remembers more than keys and values" in reason("lfm2")


def test_a_convolution_over_the_packed_row_fails_the_self_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "keep_states", lambda _model: None)
    assert "standard deviations" in reason("lfm2")


def test_a_model_that_fails_later_gets_its_convolutions_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gates, "worst_error", lambda *_a, **_k: 1.0)
    model = decoder_models.make("lfm2")
    assert choose_mode(model).kind == "batches"
    assert not any("forward" in vars(m) for m in convolution.short_convolutions(model).values())


# --------------------------------------------------------------------------------------------------- gate c: the positions
@pytest.mark.parametrize(("family", "limit"), [("phi3_longrope", 100), ("llama_dynamic", 40)])
def test_positions_that_change_with_the_longest_text_cap_the_length_or_fail(family: str, limit: int) -> None:
    model = decoder_models.make(family)
    for longest in (None, limit):
        mode = choose_mode(model, longest=longest)
        assert (mode.kind, mode.max_tokens) == ("slots", limit)
    mode = choose_mode(model, longest=limit + 1)
    assert mode.kind == "batches"
    assert f"beyond {limit} tokens" in mode.reason
    assert mode.batch == 1


@pytest.mark.parametrize(("family", "limit"), [("gpt2", 512), ("opt", 512), ("llama", None), ("gemma3_text", None)])
def test_learned_positions_end_where_their_table_ends(family: str, limit: int | None) -> None:
    assert choose_mode(decoder_models.make(family)).max_tokens == limit


def test_longrope_past_its_limit_would_be_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cap is needed: without it the self-check, taken past the limit, finds the mixture."""
    monkeypatch.setattr(gates, "rope_limit", lambda _model: None)
    monkeypatch.setattr(check, "LENGTHS", (7, 120, 26))
    monkeypatch.setattr(check, "CLASSES", (32, 160))
    assert "standard deviations" in reason("phi3_longrope")


# -------------------------------------------------------------------------------------------------- gate d: the first step
def test_chunked_attention_that_lives_in_the_mask_fails() -> None:
    assert "layer 0 keeps 16 tokens and asks its attention for all" in reason("llama4_text")


def _faulty(monkeypatch: pytest.MonkeyPatch, **forced: Any) -> None:
    """Let the model's call arrive with other arguments than it made."""
    right = attention.slots_attention

    def wrong(*args: Any, **kwargs: Any) -> Any:
        return right(*args, **{**kwargs, **forced})

    monkeypatch.setattr(attention, "slots_attention", wrong)
    attention.register()


def test_a_dropped_window_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    _faulty(monkeypatch, sliding_window=None)
    assert "keeps 11 tokens and asks its attention for all" in reason("mistral")


@pytest.mark.parametrize("name", ["position_bias", "indices", "chunk_size"])
def test_an_unknown_argument_fails(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    _faulty(monkeypatch, **{name: 3})
    assert f"hands {name!r} to its attention" in reason("llama")


def test_dropout_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    _faulty(monkeypatch, dropout=0.1)
    assert "hands 'dropout'" in reason("llama")


def test_an_attention_that_looks_ahead_fails() -> None:
    model = decoder_models.make("llama")
    model.model.layers[1].self_attn.is_causal = False
    assert "looks ahead" in choose_mode(model).reason


def test_a_layer_called_twice_fails() -> None:
    model = decoder_models.make("llama")
    model.model.layers[1].self_attn = model.model.layers[0].self_attn
    assert "layer 1 never calls its attention" in choose_mode(model).reason
    model = decoder_models.make("llama")
    layer = model.model.layers[1].self_attn
    own = layer.forward
    layer.forward = lambda *a, **k: (own(*a, **k), own(*a, **k))[0]
    assert "layer 1 calls its attention 2 times" in choose_mode(model).reason


# -------------------------------------------------------------------------------------------------- gate e: the self-check
def _all_views_open(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in (layout.DecodeGroup, layout.ChunkRows):
        own = kind.view

        def open_view(self: object, _window: int | None, *rest: Any, own: Any = own, **named: Any) -> Any:
            return own(self, None, *rest, **named)

        monkeypatch.setattr(kind, "view", open_view)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_window_that_the_engine_ignores_fails(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype) -> None:
    _all_views_open(monkeypatch)
    assert "standard deviations" in choose_mode(decoder_models.make("mistral").to(dtype)).reason


def test_a_window_too_long_for_the_check_is_found_by_the_tiny_twin(monkeypatch: pytest.MonkeyPatch) -> None:
    _all_views_open(monkeypatch)
    model = decoder_models.make("mistral", sliding_window=400)
    assert "twin" in choose_mode(model).reason
    monkeypatch.setattr(gates, "make_twin", lambda _model: None)
    assert choose_mode(decoder_models.make("mistral", sliding_window=400)).kind == "slots", "only the twin can tell"


@pytest.mark.parametrize(("family", "argument"), [("gemma2", "softcap"), ("gpt_oss", "s_aux")])
def test_a_softcap_or_sink_that_the_engine_ignores_fails(
    monkeypatch: pytest.MonkeyPatch, family: str, argument: str
) -> None:
    _faulty(monkeypatch, **{argument: None})
    assert "standard deviations" in reason(family)


def test_a_wrong_scale_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    _faulty(monkeypatch, scaling=None)
    assert "standard deviations" in reason("granite")


def test_wrong_positions_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    right = check._rows

    def wrong(step: Any) -> Any:
        sampled, ids, positions, rows = right(step)
        positions[: len(step.decode)] += 1
        return sampled, ids, positions, rows

    monkeypatch.setattr(check, "_rows", wrong)
    assert "standard deviations" in reason("llama")


def test_a_wrong_slot_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    own = layout.DecodeGroup.__init__

    def wrong(self: Any, length_class: int, start: int, slots: list[int], done: list[int], device: Any) -> None:
        own(self, length_class, start, slots, done, device)
        if len(slots) > 1:
            self.slots = self.slots.flip(0)

    monkeypatch.setattr(layout.DecodeGroup, "__init__", wrong)
    assert "standard deviations" in reason("llama")


@pytest.mark.parametrize(
    ("error", "noise", "kind"), [(0.3, 0.2, "slots"), (0.3, 0.1, "batches"), (0.7, 0.6, "batches")]
)
def test_a_rounded_model_may_be_off_by_what_its_own_rounding_explains_and_no_more(
    monkeypatch: pytest.MonkeyPatch, error: float, noise: float, kind: str
) -> None:
    monkeypatch.setattr(gates, "make_twin", lambda _model: None)
    monkeypatch.setattr(gates, "worst_error", lambda *_a, **_k: error)
    monkeypatch.setattr(gates, "own_noise", lambda *_a, **_k: noise)
    assert choose_mode(decoder_models.make("llama"), rounded=True).kind == kind
    assert choose_mode(decoder_models.make("llama")).kind == "batches", "float32 has no such excuse"


@pytest.mark.parametrize("fault", ["window", "scale"])
def test_rounding_does_not_excuse_a_fault_in_int8(monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    monkeypatch.setattr(gates, "make_twin", lambda _model: None)
    model = decoder_models.make("mistral" if fault == "window" else "granite")
    replace_linears(model, LinearFormat("int8"))
    assert choose_mode(model, rounded=True).kind == "slots"
    _all_views_open(monkeypatch) if fault == "window" else _faulty(monkeypatch, scaling=None)
    assert "standard deviations" in choose_mode(model, rounded=True).reason


def test_an_error_on_the_way_sends_the_model_to_the_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_args: Any, **_kwargs: Any) -> Any:
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(attention, "slots_attention", broken)
    attention.register()
    assert "no such kernel" in reason("llama")


# ------------------------------------------------------------------------------------------------------------ twins, batches
@pytest.mark.parametrize(
    "family", ["llama", "qwen2", "qwen3", "mistral", "gemma2", "gemma3_text", "phi3", "gpt2", "gpt_oss", "smollm3"]
)
def test_configs_of_real_size_have_a_tiny_float32_twin_with_small_windows(family: str) -> None:
    import transformers

    config = transformers.AutoConfig.for_model(family)
    kind = transformers.models.auto.modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING[type(config)]
    model = kind.__new__(kind)
    torch.nn.Module.__init__(model)
    model.config = config
    with torch.inference_mode():
        small = twin.make_twin(model)
        assert small is not None
        assert sum(p.numel() for p in small.parameters()) < 8e6
        assert next(small.parameters()).dtype is torch.float32
        attention.register()
        small.set_attn_implementation(attention.NAME)
        windows = gates.cache_windows(small)
        assert all(window is None or window <= twin.WINDOW for window in windows.values())
        shape = gates.first_step(small, windows)
        assert check.worst_error(small, shape, "eager") < 1e-4


def test_the_twin_keeps_every_kind_of_layer() -> None:
    model = decoder_models.make("gemma3_text")
    small = twin.make_twin(model)
    assert small is not None
    assert set(small.config.layer_types) == set(model.config.layer_types)


def test_a_family_whose_neighbours_change_the_answer_runs_one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = decoder_models.make("falcon")
    assert choose_mode(model).batch is None
    own = model.transformer.h[0].forward

    def leaky(self: Any, hidden: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        return own(hidden + hidden.mean(0, keepdim=True), *args, **kwargs)

    model.transformer.h[0].forward = types.MethodType(leaky, model.transformer.h[0])
    assert choose_mode(model).batch == 1


def test_a_mode_over_slots_has_no_reason_and_one_in_batches_has() -> None:
    assert Mode("slots").reason == ""
    assert reason("t5") == "the family reads with an encoder and writes with a decoder"
