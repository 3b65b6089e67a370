"""The queue hands out everything once, longest first, within its budget."""

from __future__ import annotations

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.requests.item import WorkItem
from engine.scheduling.queue import SMALLEST_BATCH, BatchQueue


def items(lengths):
    return [WorkItem(i, 0, 1, np.zeros(n, np.int32)) for i, n in enumerate(lengths)]


lengths = st.lists(st.integers(1, 700), max_size=80)


@given(lengths, st.integers(1, 3000), st.integers(1, 4), st.booleans())
def test_every_item_leaves_once_within_the_budget(sizes, budget, workers, padded):
    queue = BatchQueue()
    queue.add(items(sizes))
    seen = []
    while batch := queue.take(budget, workers=workers, padded=padded):
        cost = len(batch) * len(batch[0].ids) if padded else sum(len(i.ids) for i in batch)
        assert len(batch) == 1 or cost <= max(budget, SMALLEST_BATCH)
        seen += [i.document for i in batch]
    assert sorted(seen) == list(range(len(sizes)))
    assert queue.tokens == 0


@given(lengths)
def test_the_longest_leave_first(sizes):
    queue = BatchQueue()
    queue.add(items(sizes))
    out = []
    while batch := queue.take(500, more_to_come=True):
        out += [len(i.ids) for i in batch]
    assert out == sorted(sizes, reverse=True)


def test_the_last_batches_shrink_so_that_workers_end_together():
    queue = BatchQueue()
    queue.add(items([10] * 1000))
    sizes = []
    while batch := queue.take(4096, workers=2):
        sizes.append(sum(len(i.ids) for i in batch))
    assert sizes[0] <= 2500
    assert sizes[-1] <= SMALLEST_BATCH
    assert sizes == sorted(sizes, reverse=True)


loads = st.lists(st.tuples(st.integers(0, 3000), st.integers(-2, 9)), min_size=1, max_size=5)


@given(lengths, loads, st.data())
def test_a_deal_gives_each_worker_once_what_it_has_room_for(sizes, workers, data):
    queue = BatchQueue()
    queue.add(items(sizes))
    held, rooms, dealt = [tokens for tokens, _ in workers], [max(0, room) for _, room in workers], []
    before = -1
    while before < len(dealt):
        before = len(dealt)
        for worker in data.draw(st.permutations(range(len(workers)))):
            share = queue.deal(worker, list(zip(held, rooms, strict=True)))
            assert len(share) <= rooms[worker]
            rooms[worker] -= len(share)
            held[worker] += sum(len(item.ids) for item in share)
            dealt += [item.document for item in share]
    assert queue.tokens == sum(sizes) - sum(sizes[n] for n in dealt)
    left = [item.document for item in queue.clear()]
    assert sorted(dealt + left) == list(range(len(sizes)))
    assert not left or not any(rooms)
    if left and dealt:  # the shortest ones wait
        assert min(sizes[n] for n in dealt) >= max(sizes[n] for n in left)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=40), st.integers(1, 4), st.integers(0, 3))
def test_a_worker_with_nothing_always_gets_something(sizes, workers, worker):
    queue = BatchQueue()
    queue.add(items(sizes))
    assert queue.deal(worker % workers, [(0, 1)] * workers)


@given(st.lists(st.integers(1, 700), min_size=2, max_size=32), st.integers(2, 4))
def test_a_small_pile_keeps_all_workers_alike_busy(sizes, workers):
    queue = BatchQueue()
    queue.add(items(sizes))
    loads = [(0, 32)] * workers
    while queue:
        for worker in range(workers):
            loads[worker] = (loads[worker][0] + sum(len(item.ids) for item in queue.deal(worker, loads)), 32)
    held = [tokens for tokens, _ in loads]
    assert max(held) - min(held) <= max(sizes)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 4), st.integers(1, 5), st.integers(0, 2**32))
def test_what_shares_a_beginning_goes_to_one_worker_as_long_as_there_is_other_work(questions, workers, slots, seed):
    pick = Random(seed)
    queue = BatchQueue()
    for document, count in enumerate(questions):
        queue.add(
            [WorkItem(document, 0, 1, np.zeros(100 + at, np.int32), request=str(at), shared=90) for at in range(count)]
        )
    running: list[list[WorkItem]] = [[] for _ in range(workers)]
    done: list[WorkItem] = []
    while queue or any(running):
        worker = pick.randrange(workers)
        owners = {item.document: at for at, items in enumerate(running) for item in items}
        loads = [(sum(len(item.ids) for item in items), slots - len(items)) for items in running]
        share = queue.deal(worker, loads, owners)
        assert len(share) <= max(0, loads[worker][1])
        if not any(running):
            assert share or not queue, "work that nobody has is begun"
        of_others = [owners.get(item.document, worker) != worker for item in share]
        assert all(of_others) or not any(of_others), "others' documents only where there is nothing else"
        running[worker] += share
        if running[worker] and pick.random() < 0.5:
            done.append(running[worker].pop(pick.randrange(len(running[worker]))))
    assert sorted((item.document, item.request) for item in done) == sorted(
        (document, str(at)) for document, count in enumerate(questions) for at in range(count)
    )
    assert queue.tokens == 0


def test_a_document_with_several_questions_is_read_by_one_worker():
    queue = BatchQueue()
    for document in range(4):
        queue.add([WorkItem(document, 0, 1, np.zeros(100, np.int32), request=str(at), shared=90) for at in range(3)])
    first = queue.deal(0, [(0, 4), (0, 4)])
    owners = {item.document: 0 for item in first}
    second = queue.deal(1, [(sum(len(item.ids) for item in first), 0), (0, 4)], owners)
    assert len(first) + len(second) == 8
    assert {item.document for item in first}.isdisjoint(item.document for item in second)


def test_clear_gives_back_what_was_in_it():
    queue = BatchQueue()
    queue.add(items([3, 2, 1]))
    assert sorted(i.document for i in queue.clear()) == [0, 1, 2]
    assert not queue
    assert queue.take(10) == []
