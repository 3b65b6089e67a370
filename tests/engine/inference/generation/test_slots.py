"""KV memory: bytes are what the tensors take, copies are whole, what is given back is clean."""

from __future__ import annotations

import pytest
import torch

from engine.inference.generation.slots import STEP, LayerShape, MemoryShape, SlotMemory, StateShape

SHAPE = MemoryShape(
    {1: LayerShape(2, 6, 4, torch.float32), 3: LayerShape(1, 8, 8, torch.bfloat16)},
    {0: StateShape(5, 2, torch.float32)},
)
CLASSES = (8, 32)


@pytest.fixture
def memory() -> SlotMemory:
    return SlotMemory(SHAPE, CLASSES, budget=100_000)


def held(memory: SlotMemory) -> int:
    """Return the bytes of all tensors, counted one by one."""
    total = 0
    for c in range(len(memory.classes)):
        for layer in SHAPE.layers:
            if layer in memory._layers[c]:
                total += sum(t.numel() * t.element_size() for t in memory.layer(c, layer))
        for layer in SHAPE.states:
            if layer in memory._states[c]:
                total += memory.state(c, layer).numel() * memory.state(c, layer).element_size()
    return total


def fill(memory: SlotMemory, place: tuple[int, int], tokens: int, value: float) -> None:
    c, i = place
    memory.reach(c, tokens)
    for layer in SHAPE.layers:
        for tensor in memory.layer(c, layer):
            tensor[i, :, :tokens] = value
    memory.state(c, 0)[i] = value


def test_bytes_of_a_token_and_a_slot(memory: SlotMemory) -> None:
    assert SHAPE.token_bytes == 2 * (6 + 4) * 4 + 1 * (8 + 8) * 2
    assert SHAPE.state_bytes == 5 * 2 * 4
    assert memory.slot_bytes(0) == 8 * SHAPE.token_bytes + SHAPE.state_bytes


def test_memory_grows_as_slots_are_taken_and_the_figure_is_that_of_the_tensors(memory: SlotMemory) -> None:
    assert memory.allocated == held(memory) == 0
    for n in range(1, 6):
        memory.take(0)
        memory.reach(0, 8)
        assert memory.used(0) == n
        assert memory.allocated == memory.promised == held(memory) >= n * memory.slot_bytes(0)
    memory.take(1)
    memory.reach(1, 32)
    assert memory.allocated == held(memory)
    assert memory.layer(1, 1)[0].shape == (1, 2, 32, 6)
    assert memory.layer(1, 1)[1].shape == (1, 2, 32, 4)


def test_slots_become_as_wide_as_they_must_and_keep_what_is_there() -> None:
    memory = SlotMemory(SHAPE, (10 * STEP + 5,), budget=1_000_000)
    for slot in range(2):
        memory.take(0)
        fill(memory, (0, slot), 3, slot + 1.0)
    assert memory.layer(0, 1)[0].shape == (2, 2, STEP, 6)
    for tokens, width in ((STEP, STEP), (STEP + 1, 2 * STEP), (10 * STEP + 1, 10 * STEP + 5), (4, 10 * STEP + 5)):
        memory.reach(0, tokens)
        assert memory.layer(0, 1)[0].shape == (2, 2, width, 6)
        assert held(memory) == memory.allocated <= memory.promised
        for layer in SHAPE.layers:
            for tensor in memory.layer(0, layer):
                assert tensor[:, 0, :4, 0].tolist() == [[1, 1, 1, 0], [2, 2, 2, 0]]
                assert bool((tensor[:, :, 3:] == 0).all())
        assert memory.state(0, 0)[:, 0, 0].tolist() == [1, 2]
    memory.drop(0, 3)
    memory.drop(0, 3)
    memory.trim()
    assert memory.allocated == held(memory) == 0
    memory.take(0)
    memory.reach(0, 1)
    assert memory.layer(0, 1)[0].shape == (1, 2, STEP, 6)


def test_long_slots_do_not_become_wider_step_by_step() -> None:
    memory = SlotMemory(SHAPE, (100 * STEP,), budget=1_000_000)
    memory.take(0)
    widths = set()
    for tokens in range(1, 100 * STEP + 1):
        memory.reach(0, tokens)
        widths.add(memory.layer(0, 1)[0].shape[2])
        assert tokens <= max(widths)
    assert len(widths) < 60
    assert max(widths) == 100 * STEP


def test_the_budget_counts_slots_as_wide_as_they_can_become() -> None:
    probe = SlotMemory(SHAPE, CLASSES, budget=0)
    memory = SlotMemory(SHAPE, CLASSES, budget=5 * probe.slot_bytes(0))
    for _ in range(5):
        memory.take(0)
        assert memory.promised <= memory.budget
    memory.reach(0, 8)
    assert memory.allocated <= memory.budget


def test_the_budget_is_kept_by_giving_back_what_other_classes_hold_unused() -> None:
    probe = SlotMemory(SHAPE, CLASSES, budget=0)
    budget = probe.slot_bytes(1) + 2 * probe.slot_bytes(0)
    memory = SlotMemory(SHAPE, CLASSES, budget=budget)
    for _ in range(5):
        memory.take(0)
        memory.reach(0, 8)
        assert memory.allocated <= budget
    for _ in range(4):
        memory.drop(0, 0)
    memory.take(1)
    memory.reach(1, 32)
    assert memory.allocated == held(memory) <= budget
    assert (memory.used(0), memory.used(1)) == (1, 1)


def test_growing_keeps_what_is_there(memory: SlotMemory) -> None:
    memory.take(0)
    fill(memory, (0, 0), 8, 7.0)
    for _ in range(4):
        memory.take(0)
    assert bool((memory.layer(0, 1)[0][0] == 7).all())
    assert bool((memory.layer(0, 1)[0][1:] == 0).all())


def test_a_sequence_is_copied_to_a_higher_class_whole(memory: SlotMemory) -> None:
    memory.take(0)
    fill(memory, (0, 0), 8, 3.0)
    memory.take(1)
    memory.copy((0, 0), (1, 0), 8, 0)
    for layer in SHAPE.layers:
        for tensor in memory.layer(1, layer):
            assert bool((tensor[0, :, :8] == 3).all())
            assert bool((tensor[0, :, 8:] == 0).all())
    assert bool((memory.state(1, 0)[0] == 3).all())


def test_a_shorter_sequence_leaves_nothing_of_a_longer_one_behind(memory: SlotMemory) -> None:
    """A NaN that is only masked would still reach its neighbours: 0 x NaN is NaN."""
    memory.take(0)
    memory.take(0)
    fill(memory, (0, 0), 8, float("nan"))
    fill(memory, (0, 1), 3, 2.0)
    memory.copy((0, 1), (0, 0), 3, 8)
    memory.drop(0, 3)
    memory.take(0)
    for layer in SHAPE.layers:
        for tensor in memory.layer(0, layer):
            assert bool(torch.isfinite(tensor).all())
            assert bool((tensor[0, :, :3] == 2).all())
            assert bool((tensor[0, :, 3:] == 0).all())
            assert bool((tensor[1] == 0).all())
    assert bool((memory.state(0, 0)[1] == 0).all())


def test_a_saved_prefix_is_a_copy_of_its_own(memory: SlotMemory) -> None:
    memory.take(0)
    fill(memory, (0, 0), 8, 5.0)
    saved = memory.save((0, 0), 6)
    memory.drop(0, 8)
    memory.take(1)
    memory.load((1, 0), saved)
    key, value = memory.layer(1, 3)
    for tensor in (key, value):
        assert bool((tensor[0, :, :6] == 5).all())
        assert bool((tensor[0, :, 6:] == 0).all())
    assert bool((memory.state(1, 0)[0] == 5).all())
