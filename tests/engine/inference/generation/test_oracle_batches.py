"""Families that do not run over slots: batches through generate() give what generate() gives one by one."""

from __future__ import annotations

import threading
from typing import Any

import decoder_models
import generation_oracle as oracle
import numpy as np
import pytest
import torch

from engine.errors import Cancelled, DocumentError
from engine.inference.generation.fallback import BatchGenerator, forget_lengths
from engine.inference.generation.gates import Mode, choose_mode
from engine.inference.generation.generator import Generator
from engine.inference.generation.sequence import Event, Sequence
from engine.requests.sampling import SamplingSettings

FAMILIES = ("falcon", "bloom", "mamba", "qwen3_5", "llama4_text", "t5", "bart", "marian")


def run(model: Any, mode: Mode, prompts: list[np.ndarray], numbers: list[int], batch: int) -> dict[int, list[int]]:
    generator = BatchGenerator(model, mode, batch=batch)
    for number in numbers:
        generator.add(Sequence(number, prompts[number], SamplingSettings(max_new_tokens=oracle.NEW[number])))
    result: dict[int, list[int]] = {}
    while len(generator):
        for event in generator.step():
            assert event.finished is not None
            assert event.finished.reason == "length"
            result[event.id] = list(event.finished.tokens)
    return result


@pytest.mark.parametrize("family", FAMILIES)
def test_batches_equal_single_generate(family: str) -> None:
    mine = oracle.subject(family)
    assert mine.mode.kind == "batches"
    assert mine.mode.reason
    assert mine.mode.batch is None
    found = 0
    for batch in (1, 3, 8):
        tokens = run(mine.model, mine.mode, mine.prompts, list(range(len(oracle.NEW))), batch)
        found += oracle.ties(mine.truths, tokens, f"{family}, batch {batch}")
    assert found <= 1


@pytest.mark.parametrize("family", ["falcon", "qwen3_5", "t5"])
def test_two_workers_share_a_model_in_batches(family: str) -> None:
    mine = oracle.subject(family)
    result: dict[int, list[int]] = {}

    def worker(index: int) -> None:
        torch.set_num_threads(1)
        result.update(run(mine.model, mine.mode, mine.prompts, list(range(index, len(oracle.NEW), 2)), 3))

    threads = [threading.Thread(target=worker, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert oracle.ties(mine.truths, result, f"{family}, 2 workers") <= 1


@pytest.mark.parametrize("family", ["phi3_longrope", "llama_dynamic"])
def test_texts_beyond_the_reach_of_their_positions_run_alone_and_right(family: str) -> None:
    model = decoder_models.make(family)
    random = np.random.default_rng(1)
    lengths, new = (95, 7, 130, 30), 14
    prompts = [random.integers(3, decoder_models.VOCABULARY, n) for n in lengths]
    truths = []
    for prompt in prompts:
        forget_lengths(model)
        truths.append(oracle.truth(model, prompt, new))
    mode = choose_mode(model, longest=144)
    assert mode.kind == "batches"
    assert mode.batch == 1
    assert mode.alone is not None
    generator = BatchGenerator(model, mode)
    for number, prompt in enumerate(prompts):
        generator.add(Sequence(number, prompt, SamplingSettings(max_new_tokens=new)))
    result: dict[int, list[int]] = {}
    while len(generator):
        events = generator.step()
        assert len(events) == 1
        assert events[0].finished is not None
        result[events[0].id] = list(events[0].finished.tokens)
    assert oracle.ties(truths, result, family) == 0


@pytest.mark.parametrize("temperature", [0.0, 0.9])
def test_sampling_means_the_same_over_slots_and_in_batches(temperature: float) -> None:
    mine = oracle.subject("llama")
    assert mine.mode.shape is not None
    settings = SamplingSettings(
        max_new_tokens=12, temperature=temperature, top_k=40, top_p=0.9, repetition_penalty=1.3, frequency_penalty=0.2
    )
    slots = Generator(mine.model, mine.mode.shape, slots=4, kv_budget=oracle.BUDGET, classes=oracle.CLASSES)
    texts: list[dict[int, tuple[int, ...]]] = [{}, {}]
    for number, prompt in enumerate(mine.prompts):
        slots.add(Sequence(number, prompt, settings, sha256=str(number)))
    while len(slots):
        texts[0].update({e.id: e.finished.tokens for e in slots.step() if e.finished})
    assert mine.mode.kind == "slots"
    own = decoder_models.make("llama")  # with an attention of transformers'
    batches = BatchGenerator(own, Mode("batches"), batch=4)
    for number, prompt in enumerate(mine.prompts):
        batches.add(Sequence(number, prompt, settings, sha256=str(number)))
    while len(batches):
        texts[1].update({e.id: e.finished.tokens for e in batches.step() if e.finished})
    assert texts[0] == texts[1]
    assert len(texts[0]) == len(mine.prompts)


def test_a_running_row_is_taken_back_between_tokens_and_the_others_go_on() -> None:
    mine = oracle.subject("falcon")
    seen: list[Event] = []

    def listen(events: list[Event]) -> None:
        seen.extend(events)
        if sum(event.id == 1 for event in seen) == 3:
            generator.cancel(1)

    generator = BatchGenerator(mine.model, mine.mode, batch=4, listener=listen)
    for number in range(3):
        generator.add(Sequence(number, mine.prompts[number], SamplingSettings(max_new_tokens=10)))
    events = {event.id: event for event in generator.step()}
    finished = {number: event.finished for number, event in events.items() if event.finished}
    assert finished[1].reason == "cancelled"
    assert len(finished[1].tokens) == 4
    for number in (0, 2):
        assert finished[number].reason == "length"
        assert list(finished[number].tokens) == mine.truths[number].tokens[:10]
    assert len(generator) == 0


@pytest.mark.parametrize("family", ["falcon", "mamba", "t5"])
def test_cancelling_stops_a_batch_within_a_layer_and_nothing_is_lost(family: str) -> None:
    mine = oracle.subject(family)
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked == 7

    generator = BatchGenerator(mine.model, mine.mode, batch=4, cancelled=cancelled)
    for number in range(3):
        generator.add(Sequence(number, mine.prompts[number], SamplingSettings(max_new_tokens=10)))
    with pytest.raises(Cancelled):
        generator.step()
    assert asked == 7
    assert len(generator) == 3
    finished = {event.id: event.finished for event in generator.step() if event.finished}
    assert [list(finished[n].tokens) for n in range(3)] == [mine.truths[n].tokens[:10] for n in range(3)]


def test_what_waits_is_taken_back_and_a_text_too_long_is_refused_with_the_numbers() -> None:
    mine = oracle.subject("falcon")
    generator = BatchGenerator(mine.model, mine.mode, max_tokens=50)
    with pytest.raises(DocumentError, match="61 tokens and up to 10 new ones are more than the 50"):
        generator.add(Sequence(2, mine.prompts[2], SamplingSettings(max_new_tokens=10)))
    generator.add(Sequence(0, mine.prompts[0], SamplingSettings(max_new_tokens=10)))
    generator.add(Sequence(5, mine.prompts[5], SamplingSettings(max_new_tokens=10)))
    event = generator.cancel(0)
    assert event is not None
    assert event.finished is not None
    assert event.finished.reason == "cancelled"
    assert [e.id for e in generator.clear()] == [5]
    assert generator.step() == []


def test_an_end_token_of_the_generation_config_ends_a_row_and_is_not_part_of_it() -> None:
    model = decoder_models.make("falcon")
    prompts = oracle.prompts()
    tokens = oracle.truth(model, prompts[1], 10).tokens
    end = next(t for i, t in enumerate(tokens) if t not in tokens[:i] and i >= 2)
    model.generation_config.eos_token_id = [end, 198]
    generator = BatchGenerator(model, Mode("batches"), batch=2)
    generator.add(Sequence(1, prompts[1], SamplingSettings(max_new_tokens=10)))
    (event,) = generator.step()
    assert event.finished is not None
    assert event.finished.reason == "end"
    assert list(event.finished.tokens) == tokens[: tokens.index(end)]
