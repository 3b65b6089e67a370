"""The generator of a worker: events, ends, cancelling, prefixes and memory, on tiny models."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence as Rows
from typing import Any

import decoder_models
import generation_oracle as oracle
import numpy as np
import pytest
import torch

from engine.errors import Cancelled, DocumentError, UsageError
from engine.inference.generation import attention
from engine.inference.generation.gates import choose_mode
from engine.inference.generation.generator import Generator
from engine.inference.generation.prefix import Prefix
from engine.inference.generation.sequence import Event, Finished, Sequence
from engine.requests.sampling import SamplingSettings


def letters(tokens: Rows[int]) -> str:
    """Decode every token to two letters of its own."""
    return "".join(chr(97 + t // 26) + chr(97 + t % 26) for t in tokens)


def make(family: str = "llama", **options: Any) -> Generator:
    mine = oracle.subject(family)
    assert mine.mode.shape is not None
    options = {"slots": 4, "kv_budget": oracle.BUDGET, "classes": oracle.CLASSES, "token_budget": 16, **options}
    return Generator(mine.model, mine.mode.shape, **options)


def ask(number: int, new: int | None = None, family: str = "llama", **options: Any) -> Sequence:
    prompt = oracle.subject(family).prompts[number]
    settings = SamplingSettings(max_new_tokens=new or oracle.NEW[number], **options)
    return Sequence(number, prompt, settings, sha256=f"document {number}")


def finish(generator: Generator, seen: list[Event] | None = None) -> dict[int, Finished]:
    result: dict[int, Finished] = {}
    while len(generator):
        events = generator.step()
        if seen is not None:
            seen.extend(events)
        result.update({e.id: e.finished for e in events if e.finished})
    return result


def true_tokens(number: int, family: str = "llama") -> list[int]:
    return oracle.subject(family).truths[number].tokens


def test_events_carry_every_token_and_all_the_text_once() -> None:
    generator = make(decode=letters)
    for number in range(5):
        generator.add(ask(number))
    seen: list[Event] = []
    finished = finish(generator, seen)
    for number in range(5):
        mine = [e for e in seen if e.id == number]
        assert sum(e.tokens for e in mine) == len(finished[number].tokens) == oracle.NEW[number]
        assert "".join(e.text for e in mine) == finished[number].text == letters(true_tokens(number))
        assert [e.finished is not None for e in mine] == [False] * (len(mine) - 1) + [True]
        assert finished[number].prompt_tokens == oracle.LENGTHS[number]
        assert finished[number].waited >= 0
        assert 0 < finished[number].ttft <= finished[number].seconds


def test_a_stop_text_that_spans_tokens_ends_the_text_before_it() -> None:
    text = letters(true_tokens(2))
    place = next(i for i in range(7, 40, 2) if text.find(text[i : i + 4]) == i)
    generator = make(decode=letters)
    generator.add(ask(2, stop=(text[place : place + 4],)))
    generator.add(ask(3))
    seen: list[Event] = []
    finished = finish(generator, seen)
    assert finished[2].reason == "stop"
    assert finished[2].text == text[:place] == "".join(e.text for e in seen if e.id == 2)
    assert finished[3].reason == "length"
    assert list(finished[3].tokens) == true_tokens(3)


def test_an_end_token_of_the_generation_config_ends_the_text_and_is_not_part_of_it() -> None:
    model = decoder_models.make("llama")
    tokens = true_tokens(2)
    end = next(t for i, t in enumerate(tokens) if t not in tokens[:i] and i >= 3)
    model.generation_config.eos_token_id = [198, end]
    shape = choose_mode(model).shape
    assert shape is not None
    generator = Generator(model, shape, slots=2, kv_budget=oracle.BUDGET, decode=letters)
    generator.add(ask(2))
    finished = finish(generator)[2]
    assert finished.reason == "end"
    assert list(finished.tokens) == tokens[: tokens.index(end)]
    assert finished.text == letters(finished.tokens)


@pytest.mark.parametrize("family", ["llama", "gemma2", "lfm2"])
@pytest.mark.parametrize("at", [1, 2, 5, 8])
def test_cancelling_stops_a_long_prefill_within_a_layer_and_it_can_go_on(family: str, at: int) -> None:
    """One flag is asked per attention layer; the step that it broke is computed again from the same state."""
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked == at

    generator = make(family, cancelled=cancelled, token_budget=32)
    for number in (2, 4):
        generator.add(ask(number, family=family))
    steps = 0
    finished: dict[int, Finished] = {}
    broken = 0
    while len(generator):
        try:
            finished.update({e.id: e.finished for e in generator.step() if e.finished})
        except Cancelled:
            broken += 1
            assert asked == at, "nothing ran after the layer that was told to stop"
        steps += 1
    assert broken == 1
    assert [list(finished[n].tokens) for n in (2, 4)] == [true_tokens(n, family) for n in (2, 4)]


def test_one_sequence_is_taken_back_waiting_or_running_and_the_others_do_not_notice() -> None:
    generator = make(slots=2)
    for number in range(4):
        generator.add(ask(number))
    for _ in range(4):
        generator.step()
    running, waiting = generator.cancel(0), generator.cancel(3)
    assert running is not None
    assert running.finished is not None
    assert running.finished.reason == "cancelled"
    assert list(running.finished.tokens) == true_tokens(0)[: len(running.finished.tokens)]
    assert waiting is not None
    assert waiting.finished is not None
    assert waiting.finished.tokens == ()
    assert generator.cancel(0) is None
    finished = finish(generator)
    assert {n: list(f.tokens) for n, f in finished.items()} == {n: true_tokens(n) for n in (1, 2)}


def test_clearing_takes_everything_back_with_its_memory() -> None:
    generator = make()
    prefix = Prefix(oracle.subject("llama").shared)
    for number in range(6):
        generator.add(ask(number), prefix)
    generator.step()
    events = generator.clear()
    assert sorted(e.id for e in events) == list(range(6))
    assert all(e.finished is not None and e.finished.reason == "cancelled" for e in events)
    assert len(generator) == 0
    assert generator.memory.allocated == 0
    assert generator.scheduler.reserved == 0
    assert generator.step() == []
    generator.add(ask(1), prefix)
    assert list(finish(generator)[1].tokens) == true_tokens(1)


def test_a_shared_prefix_is_computed_once_and_reused_by_workers_that_come_later() -> None:
    mine = oracle.subject("llama")
    prefix = Prefix(mine.shared)
    users = [n for n in range(len(oracle.NEW)) if prefix.begins(mine.prompts[n])]
    assert len(users) >= 3
    first, second, without = make(), make(), make()
    for generator, given in ((first, prefix), (second, prefix), (without, None)):
        for number in range(len(oracle.NEW)):
            generator.add(ask(number), given)
        finished = finish(generator)
        assert {n: list(f.tokens) for n, f in finished.items()} == {n: true_tokens(n) for n in finished}
        assert [finished[n].prefix_tokens for n in users] == [oracle.SHARED if given else 0] * len(users)
    total, saved = sum(oracle.LENGTHS), len(users) * oracle.SHARED
    assert without.statistics.prefill_tokens == total
    assert first.statistics.prefill_tokens == total - saved + oracle.SHARED
    assert second.statistics.prefill_tokens == total - saved
    assert first.statistics.prefix_tokens == second.statistics.prefix_tokens == saved
    assert sum(oracle.NEW) - len(oracle.NEW) == first.statistics.decode_tokens


def test_a_prompt_that_only_looks_like_the_prefix_does_not_use_it() -> None:
    mine = oracle.subject("llama")
    prefix = Prefix(mine.shared)
    assert not prefix.begins(mine.shared), "one token is needed to sample from"
    other = mine.prompts[1].copy()
    other[oracle.SHARED - 1] += 1
    assert not prefix.begins(other)
    assert not Prefix(np.array([], np.int64)).begins(other)


def test_sampled_text_is_the_same_alone_and_in_a_crowd() -> None:
    options = {"temperature": 1.1, "top_p": 0.95, "seed": 3}
    alone: dict[int, tuple[int, ...]] = {}
    for number in range(6):
        generator = make(slots=1, token_budget=4096)
        generator.add(ask(number, new=16, **options))
        alone[number] = finish(generator)[number].tokens
    crowd = make(slots=5, token_budget=16)
    for number in reversed(range(6)):
        crowd.add(ask(number, new=16, **options))
    assert {n: f.tokens for n, f in finish(crowd).items()} == alone
    other = make()
    other.add(ask(0, new=16, **{**options, "seed": 4}))
    assert finish(other)[0].tokens != alone[0]


def test_logits_are_computed_for_sampled_rows_alone() -> None:
    model = decoder_models.make("llama")
    shape = choose_mode(model).shape
    assert shape is not None
    rows: list[int] = []
    model.lm_head.register_forward_pre_hook(lambda _module, args: rows.append(args[0].shape[1]))
    generator = Generator(model, shape, slots=2, kv_budget=oracle.BUDGET, token_budget=16)
    generator.add(ask(2, new=3))
    finish(generator)
    assert rows == [0, 0, 0, 1, 1, 1], "61 prompt tokens in four pieces, then two tokens more"


def test_memory_stays_in_its_budget_flat_and_clean() -> None:
    mine = oracle.subject("gemma2")
    assert mine.mode.shape is not None
    budget = 3 * 96 * mine.mode.shape.token_bytes
    generator = make("gemma2", slots=8, kv_budget=budget)
    sizes: list[int] = []
    for turn in range(3):
        for number in range(len(oracle.NEW)):
            generator.add(ask(number, family="gemma2"))
        while len(generator):
            generator.step()
            assert generator.memory.allocated <= budget
            sizes.append(generator.memory.allocated)
        if turn == 0:
            first = max(sizes)
    assert max(sizes) == first
    for c in range(len(oracle.CLASSES)):
        for layer in mine.mode.shape.layers:
            if layer in generator.memory._layers[c]:
                assert all(bool((t == 0).all()) for t in generator.memory.layer(c, layer))


def test_what_can_never_fit_is_refused_with_the_numbers_and_the_rest_goes_on() -> None:
    generator = make(max_tokens=60)
    with pytest.raises(
        DocumentError, match="61 tokens and up to 31 new ones are more than the 60 that the model takes"
    ):
        generator.add(ask(2))
    small = make(kv_budget=16 * oracle.subject("llama").mode.shape.token_bytes)  # pyright: ignore[reportOptionalMemberAccess]
    with pytest.raises(DocumentError, match="MB of KV memory"):
        small.add(ask(2))
    with pytest.raises(DocumentError, match="more than the 96 that one slot holds"):
        make().add(ask(2, new=40))
    generator.add(ask(0))
    assert list(finish(generator)[0].tokens) == true_tokens(0)


@pytest.mark.parametrize(
    ("sequence", "problem"),
    [
        (Sequence(0, np.array([], np.int64), SamplingSettings()), "prompt is empty"),
        (Sequence(0, np.array([5, 199]), SamplingSettings()), "does not belong to this model"),
        (Sequence(0, np.array([5, -1]), SamplingSettings()), "does not belong to this model"),
        (Sequence(0, np.array([5]), SamplingSettings(stop=("x",))), "need the model's tokenizer"),
    ],
)
def test_impossible_sequences_are_refused(sequence: Sequence, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        make().add(sequence)


def test_a_number_is_used_once_at_a_time() -> None:
    generator = make()
    generator.add(ask(0))
    with pytest.raises(UsageError, match="already"):
        generator.add(ask(0))


def test_the_attention_refuses_to_run_outside_a_worker() -> None:
    model = oracle.subject("llama").model
    with pytest.raises(attention.UnsupportedAttentionError, match="outside a worker"):
        model(input_ids=torch.tensor([[1, 2, 3]]))


def test_an_error_in_a_step_leaves_nothing_half_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of memory in a forward: the worker may clear, or try again, and the texts stay right."""
    generator = make()
    for number in range(4):
        generator.add(ask(number))
    for _ in range(3):
        generator.step()
    right: Callable[..., Any] = generator._model.forward

    def full(**_kwargs: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr(generator, "_model", full)
    with pytest.raises(MemoryError):
        generator.step()
    monkeypatch.setattr(generator, "_model", right)
    assert {n: list(f.tokens) for n, f in finish(generator).items()} == {n: true_tokens(n) for n in range(4)}
