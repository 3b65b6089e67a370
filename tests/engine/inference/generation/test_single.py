"""The step of one document has a way of its own, which writes what generate() writes; where it does not hold, it is left."""

from __future__ import annotations

import decoder_models
import generation_oracle as oracle
import pytest
import torch
from machine_can import need_packing
from transformers.models.llama.modeling_llama import LlamaModel

from engine.errors import Cancelled
from engine.inference.fused import joining, single_trial
from engine.inference.fused.body import JoinedBody
from engine.inference.fused.layer import JoinedLayer
from engine.inference.fused.single import act_of
from engine.inference.generation.generator import Generator
from engine.inference.generation.sequence import Sequence
from engine.kernels.linears import fbgemm, int4
from engine.kernels.linears.format import LinearFormat, replace_linears
from engine.kernels.linears.int8_kernels import Int8Kernels
from engine.requests.sampling import SamplingSettings

CASES = [oracle.Case(1, 1, oracle.WHOLE, False), oracle.Case(2, 1, 16, True), oracle.Case(1, 3, 16, True)]
"""One slot a worker, and a worker that ends with one sequence."""


@pytest.fixture(autouse=True)
def _always_pays(monkeypatch):
    for module in (joining, single_trial):
        monkeypatch.setattr(module, "in_turns", lambda _functions, _turns: [1.0, 2.0])


def layers(model):
    joined = [vars(module).get("forward") for module in model.modules()]
    return [one for one in joined if isinstance(one, JoinedLayer)]


def with_single(model):
    """Return how many layers of ``model`` have a way of their own for one row, and how many do not."""
    found = [one.single is not None for one in layers(model)]
    return sum(found), len(found) - sum(found)


@pytest.fixture
def counted(monkeypatch):
    """Count the rows that took the way of their own."""
    calls = []

    def counting(before):
        def count(self, *args, **kwargs):
            made = before(self, *args, **kwargs)
            calls.append(made is not None)
            return made

        return count

    for kind in (JoinedLayer, JoinedBody):
        monkeypatch.setattr(kind, "_alone", counting(kind._alone))
    return calls


BODIES = {"llama": True, "qwen2": False, "qwen3": True, "mistral": True, "smollm3": False}
"""Families of the test models with a way for one row, and whether for their whole body: those of the other two have layers with windows and without."""


def joined_body(model):
    return any(isinstance(vars(module).get("forward"), JoinedBody) for module in model.modules())


@pytest.mark.parametrize("family", BODIES)
def test_tokens_of_one_document_equal_generate(family, counted):
    subject = oracle.changed(decoder_models.make(family), lambda model: joining.join(model, rounded=False))
    has, lacks = with_single(subject.model)
    assert (has > 0, lacks) == (True, 0)
    assert joined_body(subject.model) == BODIES[family]
    oracle.check_subject(subject, f"{family}, alone", CASES)
    assert all(counted)
    assert len(counted) > 50


def changed_body(change):
    """Return whether the body of a llama is joined after ``change``."""
    model = decoder_models.make("llama")
    change(model)
    joining.join(model, rounded=False)
    assert with_single(model) == (len(layers(model)), 0)
    return joined_body(model)


def test_a_body_that_computes_between_its_layers_stays():
    class Scaled(LlamaModel):
        def forward(self, input_ids=None, **kwargs):
            out = super().forward(input_ids=input_ids, **kwargs)
            out.last_hidden_state = out.last_hidden_state * 2
            return out

    def by_name(model):
        model.model.__class__ = Scaled

    def by_number(model):
        model.model.norm.register_forward_hook(lambda _m, _a, out: out * 2)

    assert not changed_body(by_name)
    assert changed_body(by_number), "a hook of a part is asked as the part is"


def test_a_body_that_others_watch_stays():
    assert not changed_body(lambda model: model.model.register_forward_hook(lambda *_: None))


def test_a_body_that_does_something_else_stays(monkeypatch):
    before = JoinedBody._alone
    monkeypatch.setattr(JoinedBody, "_alone", lambda self, *args: before(self, *args) * 1.01)
    assert not changed_body(lambda _model: None)


def test_a_joined_body_still_writes_through_generate():
    model = decoder_models.make("llama")
    ids = torch.from_numpy(oracle.prompts()[3])[None]

    def write():
        with torch.inference_mode():
            return model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=0)

    before = write()
    assert joining.join(model, rounded=False)
    assert joined_body(model)
    assert torch.equal(write(), before)


@pytest.mark.parametrize("family", ["starcoder2", "qwen3_moe"])
def test_a_layer_whose_mlp_is_not_known_does_without(family):
    model = decoder_models.make(family)
    joining.join(model, rounded=False)
    assert with_single(model) == (0, len(layers(model)))
    assert layers(model)


KERNELS = {
    "int8": Int8Kernels(63, few=False),
    "int8, plain rows": Int8Kernels(63, few=True),
    "int8, FBGEMM": Int8Kernels(63, few=False, fbgemm=True),
    "int8, FBGEMM filled": Int8Kernels(63, few=False, fbgemm=True, filling=True),
    "int8 as floats": Int8Kernels(0, few=False),
}
"""What a machine may compute int8 products with; which is fastest is timed at load, so it is given here."""

FORMATS = ["packed", "half", "bf16", "int4", *KERNELS]


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_the_same_logits_alone_and_in_the_joined_layer(name, monkeypatch, counted):
    """One document step by step, with the way of its own and without it."""
    if (name == "half" or "FBGEMM" in name) and not fbgemm.available():
        pytest.skip("this machine has no FBGEMM")
    if name == "int4" and not int4.works():
        pytest.skip("this machine has no operator for int4")
    if name == "bf16":
        need_packing(torch.bfloat16)
    monkeypatch.setattr("engine.kernels.linears.format.halving_pays", lambda: name == "half")
    monkeypatch.setattr("engine.kernels.linears.format.packing_pays", lambda _weight: name in ("packed", "bf16"))
    kernels = KERNELS.get(name, KERNELS["int8"])
    monkeypatch.setattr(Int8Kernels, "find", staticmethod(lambda: kernels))
    monkeypatch.setattr("engine.kernels.linears.int8_kernels._LARGE", 1)
    dtype = {"packed": "float32", "half": "float32"}.get(name, "int8" if name in KERNELS else name)
    rounded = dtype in ("int8", "int4")
    # Wide enough for int4's blocks to be stacked.
    model = decoder_models.make("qwen2", hidden_size=256, num_attention_heads=4, num_key_value_heads=2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.bfloat16())
    if name == "bf16":
        model.to(torch.bfloat16)
    assert replace_linears(model, LinearFormat(dtype))
    mode = oracle.choose_mode(model, rounded=rounded)
    joining.join(model, rounded=rounded)
    if not kernels.levels:
        assert with_single(model) == (0, model.config.num_hidden_layers)
        return
    assert with_single(model) == (model.config.num_hidden_layers, 0)
    prompt = oracle.prompts()[1]
    model.generation_config.eos_token_id = model.config.eos_token_id = None

    def logits():
        seen = []
        hook = model.register_forward_hook(lambda _m, _a, out: seen.append(out.logits[0, -1].float()))
        try:
            generator = Generator(model, mode.shape, slots=1, kv_budget=oracle.BUDGET, classes=oracle.CLASSES)
            generator.add(Sequence(0, prompt, SamplingSettings(max_new_tokens=6)))
            events = [event for _ in range(7) for event in generator.step()]
        finally:
            hook.remove()
        assert events[-1].finished
        return torch.stack(seen[:2])  # rounding may choose other tokens later

    ours = logits()
    rows = len(counted)
    assert rows
    for module in model.modules():
        vars(module).pop("forward", None) if isinstance(vars(module).get("forward"), JoinedBody) else None
    for one in layers(model):
        one.single = None
    theirs = logits()
    assert len(counted) == rows
    error = float((ours - theirs).square().mean().sqrt() / theirs.std())
    assert error < (1e-5 if dtype == "float32" else 0.05)


def elsewhere(layer):
    def forward(row, keys, *rest):
        out = layer(row, keys, *rest)
        keys[0, 0, 0, 0] += 1
        return out

    return forward


def failing(_layer):
    def forward(*_):
        raise RuntimeError("not here")

    return forward


WRONG = {
    "computes something else": lambda layer: lambda *given: layer(*given) * 1.001,
    "writes to another place": elsewhere,
    "fails when it runs": failing,
}


@pytest.mark.parametrize("way", WRONG)
def test_a_way_that_is_wrong_is_left(way, monkeypatch):
    monkeypatch.setattr(single_trial, "compiled", WRONG[way])
    model = decoder_models.make("llama")
    assert joining.join(model, rounded=False)
    assert with_single(model) == (0, model.config.num_hidden_layers)


def test_without_the_compiler_layers_stay_joined(monkeypatch):
    def gone(*_args, **_kwargs):
        raise RuntimeError("TorchScript is no more")

    monkeypatch.setattr(torch.jit, "script", gone)
    model = decoder_models.make("llama")
    assert joining.join(model, rounded=False)
    assert with_single(model) == (0, model.config.num_hidden_layers)


def test_a_way_that_takes_longer_is_left(monkeypatch):
    monkeypatch.setattr(single_trial, "in_turns", lambda _functions, _turns: [2.0, 1.0])
    model = decoder_models.make("llama")
    assert joining.join(model, rounded=False)
    assert with_single(model) == (0, model.config.num_hidden_layers)


@pytest.mark.parametrize("at", [1, 2])
def test_a_step_alone_stops_within_a_layer_and_can_go_on(at):
    subject = oracle.changed(decoder_models.make("llama"), lambda model: joining.join(model, rounded=False))
    asked = -1

    def cancelled():
        nonlocal asked
        asked += asked >= 0
        return asked == at

    generator = Generator(
        subject.model, subject.mode.shape, slots=1, kv_budget=oracle.BUDGET, classes=oracle.CLASSES, cancelled=cancelled
    )
    generator.add(Sequence(0, subject.prompts[0], SamplingSettings(max_new_tokens=oracle.NEW[0])))
    events = generator.step() + generator.step()
    asked = 0
    with pytest.raises(Cancelled):
        generator.step()
    assert asked == at
    while len(generator):
        events += generator.step()
    assert list(events[-1].finished.tokens) == subject.truths[0].tokens


def test_activations_are_known_by_what_they_do():
    assert act_of(torch.nn.SiLU(), torch.float32) == "silu"
    assert act_of(torch.nn.GELU(), torch.float32) == "gelu"
    assert act_of(torch.nn.GELU(approximate="tanh"), torch.float32) == "tanh"
    assert act_of(torch.nn.Identity(), torch.float32) == ""
    assert act_of(torch.nn.ReLU(), torch.float32) is None
