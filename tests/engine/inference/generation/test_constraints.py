"""Answers that hold to a schema: what is written is what the model would choose among what may come."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch
from writing_jobs import make_decoder

from engine.errors import UsageError
from engine.inference.generation.constraints import Grammars, grammar_of
from engine.inference.generation.fallback import BatchGenerator
from engine.inference.generation.gates import Mode
from engine.inference.generation.generator import Generator
from engine.inference.generation.sequence import END, LENGTH, Finished, Sequence
from engine.models.load_decoder import load_decoder
from engine.requests.sampling import SamplingSettings

FORM = {
    "type": "object",
    "properties": {
        "the name of the customer": {"type": ["string", "null"], "maxLength": 12},
        "amount": {"type": ["integer", "null"], "minimum": 0, "maximum": 999},
        "state of the order": {"enum": ["open", "paid", None]},
        "urgent": {"type": "boolean"},
        "things": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 3},
    },
    "required": ["the name of the customer", "amount", "state of the order", "urgent", "things"],
    "additionalProperties": False,
}
SCHEMA = json.dumps(FORM)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(make_decoder(tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="module")
def loaded(folder):
    return load_decoder(folder, dtype="float32")


@pytest.fixture(scope="module")
def plain(folder):
    """The model as transformers runs it."""
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def prompts(loaded, count: int) -> list[np.ndarray]:
    return [loaded.tokenizer.prompt_ids(f"read number {n} and " + "write it again " * (n % 5)) for n in range(count)]


def generator(loaded, **options) -> Generator:
    assert loaded.generation.shape is not None
    options = {"slots": 4, "kv_budget": 10**8, "classes": (16, 48, 96, 256), "token_budget": 24, **options}
    return Generator(loaded.model, loaded.generation.shape, ends=loaded.ends, decode=loaded.tokenizer.decode, **options)


def sequence(loaded, number: int, prompt: np.ndarray, schema: str = SCHEMA, new: int = 160, **settings) -> Sequence:
    constrain = partial(loaded.grammars.constraint, schema) if schema else None
    return Sequence(number, prompt, SamplingSettings(max_new_tokens=new, **settings), f"content {number}", constrain)


def finish(running) -> dict[int, Finished]:
    found: dict[int, Finished] = {}
    while len(running):
        found.update({event.id: event.finished for event in running.step() if event.finished})
    return found


def is_valid(value: dict) -> bool:
    """Whether a value holds to FORM, told without the library that made it."""
    name, amount, state, urgent, things = (value[key] for key in FORM["required"])
    return (
        list(value) == FORM["required"]
        and (name is None or (isinstance(name, str) and len(name) <= 12))
        and (amount is None or (isinstance(amount, int) and not isinstance(amount, bool) and 0 <= amount <= 999))
        and state in ("open", "paid", None)
        and isinstance(urgent, bool)
        and isinstance(things, list)
        and len(things) <= 3
        and all(isinstance(one, str) and len(one) <= 5 for one in things)
    )


def replayed(loaded, plain, prompt: np.ndarray, count: int) -> list[int]:
    """Return what greedy search writes with one plain forward of transformers a token, forced tokens in between."""
    constraint = loaded.grammars.constraint(SCHEMA)
    tokens: list[int] = []
    while len(tokens) < count and not constraint.over:
        tokens += constraint.forced()
        if constraint.over:
            break
        ids = torch.from_numpy(np.concatenate([prompt, np.array(tokens, prompt.dtype)]).astype(np.int64))[None]
        with torch.no_grad():
            logits = plain(input_ids=ids, use_cache=False).logits[0, -1].float()
        constraint.mask(logits)
        tokens.append(int(logits.argmax()))
        constraint.accept(tokens[-1])
    return tokens


@pytest.mark.parametrize(("slots", "budget"), [(1, 16), (3, 16), (8, 512)])
def test_slots_write_what_the_model_prefers_among_what_may_come(loaded, plain, slots, budget):
    asked = prompts(loaded, 8)
    running = generator(loaded, slots=slots, token_budget=budget)
    for number, prompt in enumerate(asked):
        running.add(sequence(loaded, number, prompt))
    found = finish(running)
    for number, prompt in enumerate(asked):
        one = found[number]
        assert one.reason == END
        assert one.prompt_tokens == len(prompt)
        assert is_valid(json.loads(one.text))
        assert list(one.tokens) == replayed(loaded, plain, prompt, 160), f"prompt {number}"


def test_tokens_that_can_only_follow_cost_no_step_of_their_own(loaded):
    running = generator(loaded, slots=1, token_budget=512)
    running.add(sequence(loaded, 0, prompts(loaded, 1)[0]))
    (one,) = finish(running).values()
    statistics = running.statistics
    assert statistics.steps < len(one.tokens) * 0.7
    computed = statistics.prefill_tokens + statistics.decode_tokens
    assert computed == one.prompt_tokens + len(one.tokens) - trailing(loaded, one), "every token once"


def trailing(loaded, one: Finished) -> int:
    """Return how many tokens at the end need not be computed: the last one, or those that only end the form."""
    constraint = loaded.grammars.constraint(SCHEMA)
    place = 0
    while True:
        forced = constraint.forced()
        if constraint.over:
            return len(forced) + 1
        place += len(forced)
        constraint.accept(one.tokens[place])
        place += 1
        if constraint.over:
            return 1


def test_free_texts_beside_forms_are_what_they_are_alone(loaded):
    asked = prompts(loaded, 6)
    alone = []
    for number, prompt in enumerate(asked):
        running = generator(loaded)
        running.add(sequence(loaded, number, prompt, "", 20))
        alone.append(finish(running)[number].tokens)
    together = generator(loaded)
    for number, prompt in enumerate(asked):
        together.add(sequence(loaded, number, prompt, "", 20))
        together.add(sequence(loaded, 100 + number, prompt))
    found = finish(together)
    assert [found[number].tokens for number in range(6)] == alone
    assert all(is_valid(json.loads(found[100 + number].text)) for number in range(6))


@pytest.mark.parametrize("settings", [{"temperature": 1.5}, {"temperature": 0.7, "top_p": 0.8}, {"repetition_penalty": 1.3, "frequency_penalty": 0.5}, {"temperature": 1.0, "top_k": 5, "min_p": 0.1}])  # fmt: skip
def test_drawn_and_penalised_forms_are_valid_and_the_same_whatever_runs_beside_them(loaded, settings):
    asked = prompts(loaded, 6)
    texts = []
    for slots in (1, 6):
        running = generator(loaded, slots=slots)
        for number, prompt in enumerate(asked):
            running.add(sequence(loaded, number, prompt, **settings))
        found = finish(running)
        texts.append([found[number].text for number in range(6)])
        assert all(is_valid(json.loads(text)) for text in texts[-1])
    assert texts[0] == texts[1]


def test_models_that_run_in_batches_hold_to_a_schema_too(loaded, plain):
    running = BatchGenerator(plain, Mode("batches"), ends=loaded.ends, decode=loaded.tokenizer.decode, batch=3)
    for number, prompt in enumerate(prompts(loaded, 7)):
        running.add(sequence(loaded, number, prompt))
    running.add(sequence(loaded, 99, prompts(loaded, 1)[0], "", 10))
    found = finish(running)
    assert all(is_valid(json.loads(found[number].text)) for number in range(7))
    assert not found[99].text.startswith("{")


@pytest.mark.parametrize("new", [1, 2, 3, 4, 9, 30])
def test_a_form_that_does_not_fit_is_cut_where_the_answer_has_to_end(loaded, new):
    whole, cut = generator(loaded), generator(loaded)
    prompt = prompts(loaded, 1)[0]
    whole.add(sequence(loaded, 0, prompt))
    cut.add(sequence(loaded, 0, prompt, new=new))
    (all_of_it,), (some,) = finish(whole).values(), finish(cut).values()
    assert some.reason == LENGTH
    assert len(some.tokens) == new
    assert all_of_it.text.startswith(some.text)


def test_a_form_in_which_everything_is_forced_is_written(loaded):
    running = generator(loaded)
    running.add(sequence(loaded, 0, prompts(loaded, 1)[0], json.dumps({"const": {"a": "always the same"}})))
    (one,) = finish(running).values()
    assert (one.reason, json.loads(one.text)) == (END, {"a": "always the same"})


def test_a_sequence_that_is_taken_back_in_the_middle_of_forced_tokens_leaves_the_others_alone(loaded, plain):
    asked = prompts(loaded, 4)
    running = generator(loaded, token_budget=16)
    for number, prompt in enumerate(asked):
        running.add(sequence(loaded, number, prompt))
    for _ in range(3):
        running.step()
    running.cancel(1)
    found = finish(running)
    assert sorted(found) == [0, 2, 3]
    for number, one in found.items():
        assert list(one.tokens) == replayed(loaded, plain, asked[number], 160)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ("[]", "has to be a JSON object"),
        ("{", "no JSON"),
        ('{"type": "nothing"}', "Invalid type"),
        ('{"not": {}}', "not"),
        ('{"type": "string", "pattern": "(?=a)b"}', "look-around"),
        ('{"type": "array", "uniqueItems": true}', "uniqueItems"),
        ('{"$ref": "#/nowhere"}', "nowhere"),
    ],
)
def test_a_schema_that_cannot_be_held_to_is_refused_with_the_reason(schema, reason):
    with pytest.raises(UsageError, match=reason):
        grammar_of(schema)


def test_a_tokenizer_that_cannot_be_read_is_said_so():
    with pytest.raises(UsageError, match="older kind"):
        Grammars(lambda: "", 400, [2]).check(SCHEMA)
    with pytest.raises(UsageError, match="its tokenizer"):
        Grammars(lambda: '{"model": {}}', 400, [2]).check(SCHEMA)
