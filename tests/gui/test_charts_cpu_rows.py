import numpy as np
import pytest

from engine.api import ThreadTime
from gui.charts.columns import Columns
from gui.charts.cpu_rows import ENGINE, WINDOW, CpuRows

STEP = 0.2


class Clock:
    """An engine whose threads use given shares of a core, fed in steps of ``every`` seconds."""

    def __init__(self, rows, every=0.1, now=20.0):
        self.rows, self.every, self.time, self.cpu, self.now = rows, every, 500.0, {}, now

    def run(self, seconds, shares, process=ENGINE):
        for _ in range(round(seconds / self.every)):
            self.time += self.every
            self.now += self.every
            for tid, (group, share) in shares.items():
                _, before = self.cpu.get(tid, (group, 3.0))
                self.cpu[tid] = (group, before + share * self.every)
            threads = [ThreadTime(tid, *self.cpu[tid]) for tid in shares]
            self.rows.feed(process, self.time, [ThreadTime(0, "ended", 99.0), *threads])
            self.rows.advance(self.now + 1e-6)


def shares_of(rows, tid):
    """Return the shares on show of a thread, oldest first, without the columns that have no data."""
    row = next(r for r in rows.rows()[0] if r.tid == tid)
    codes = rows.columns.codes[row.slot].astype(float)
    return (codes[codes > 0] - 1.0) / 254.0


def test_columns_show_the_share_of_a_core():
    rows = CpuRows()
    Clock(rows).run(10.0, {7: ("worker 0", 0.75), 8: ("worker 1", 0.25)})
    assert shares_of(rows, 7)[1:] == pytest.approx(0.75, abs=0.01)
    assert shares_of(rows, 8)[1:] == pytest.approx(0.25, abs=0.01)
    assert [r.busy for r in rows.rows()[0]] == pytest.approx([0.75, 0.25], abs=0.01)


def test_nothing_is_charged_for_the_time_before_the_first_look():
    rows = CpuRows()
    rows.feed(ENGINE, 1.0, [ThreadTime(5, "main", 1000.0)])
    assert rows.charged(ENGINE) == 0.0


def test_charged_seconds_are_the_sum_of_all_threads():
    rows = CpuRows()
    Clock(rows).run(10.0, {7: ("worker 0", 0.75), 8: ("other", 0.25), 9: ("main", 0.0)})
    assert rows.charged(ENGINE) == pytest.approx(9.9, abs=0.01)


def test_a_late_sample_speaks_for_all_the_time_before_it():
    rows = CpuRows()
    clock = Clock(rows)
    clock.run(4.0, {7: ("worker 0", 1.0)})
    clock.now += 3.0
    rows.advance(clock.now)
    clock.time += 3.0
    clock.cpu[7] = ("worker 0", clock.cpu[7][1] + 1.5)
    clock.run(0.2, {7: ("worker 0", 0.5)})
    codes = rows.columns.codes[0, -16:]
    assert (codes > 0).all()
    assert (codes[-14:].astype(float) - 1) / 254 == pytest.approx(0.5, abs=0.05)


def test_a_silent_engine_leaves_columns_without_data():
    rows = CpuRows()
    clock = Clock(rows)
    clock.run(4.0, {7: ("worker 0", 1.0)})
    rows.advance(clock.now + 2.0)
    assert not rows.columns.codes[0, -9:].any()
    assert rows.rows()[0][0].busy == -1.0


def test_samples_slower_than_columns_leave_no_gaps():
    rows = CpuRows()
    Clock(rows, every=0.5).run(10.0, {7: ("worker 0", 0.6)})
    codes = rows.columns.codes[0]
    first = int(np.flatnonzero(codes)[0])
    assert np.count_nonzero(codes[first:] == 0) <= 2
    assert codes[first + 5 : -3].min() > 140


def test_a_thread_born_between_two_looks_is_charged_from_its_birth():
    rows = CpuRows()
    rows.feed(ENGINE, 1.0, [ThreadTime(1, "main", 5.0)])
    rows.feed(ENGINE, 1.1, [ThreadTime(1, "main", 5.0), ThreadTime(2, "worker 0", 0.08)])
    assert rows.charged(ENGINE) == pytest.approx(0.08)


def test_another_engine_with_other_threads_causes_no_spike():
    rows = CpuRows()
    clock = Clock(rows)
    clock.run(2.0, {7: ("worker 0", 0.5)})
    before = rows.charged(ENGINE)
    clock.time, clock.cpu = 3.0, {7: ("worker 0", 900.0), 70: ("worker 1", 40.0)}
    clock.run(0.1, {7: ("worker 0", 0.0), 70: ("worker 1", 0.0)})
    assert rows.charged(ENGINE) == before
    clock.run(1.0, {7: ("worker 0", 0.5), 70: ("worker 1", 0.5)})
    assert rows.charged(ENGINE) == pytest.approx(before + 1.0)


def test_the_same_sample_twice_changes_nothing():
    rows = CpuRows()
    rows.feed(ENGINE, 1.0, [ThreadTime(1, "main", 5.0)])
    rows.feed(ENGINE, 2.0, [ThreadTime(1, "main", 5.5)])
    rows.feed(ENGINE, 2.0, [ThreadTime(1, "main", 5.9)])
    assert rows.charged(ENGINE) == pytest.approx(0.5)


def test_a_thread_that_ended_stays_until_its_last_trace_has_left():
    rows = CpuRows(Columns(count=20, step=STEP))
    clock = Clock(rows)
    clock.run(2.0, {7: ("worker 0", 0.5), 1: ("worker 1", 0.1)})
    clock.run(2.0, {1: ("worker 1", 0.1)})
    assert [r.tid for r in rows.rows()[0]] == [7, 1]
    clock.run(3.0, {1: ("worker 1", 0.1)})
    assert [r.tid for r in rows.rows()[0]] == [1]
    clock.run(2.0, {1: ("worker 1", 0.1), 7: ("worker 3", 0.0)})
    assert shares_of(rows, 7).max() == 0.0


def test_a_worker_s_next_thread_goes_on_in_the_row_of_the_one_that_ended():
    rows = CpuRows()
    clock = Clock(rows)
    clock.run(4.0, {7: ("worker 0", 0.5), 8: ("worker 1", 0.5)})
    clock.run(1.0, {8: ("worker 1", 0.5)})
    clock.run(4.0, {8: ("worker 1", 0.5), 21: ("worker 0", 0.25)})
    assert [(r.group, r.tid) for r in rows.rows()[0]] == [("worker 0", 21), ("worker 1", 8)]
    assert shares_of(rows, 21)[2] == pytest.approx(0.5, abs=0.01)
    assert shares_of(rows, 21)[-1] == pytest.approx(0.25, abs=0.01)


def test_all_but_the_threads_of_workers_are_folded_and_so_are_those_that_did_nothing():
    rows = CpuRows()
    shares = {1: ("main", 0.0), 2: ("worker 0", 0.0), 3: ("worker 0", 0.0), 4: ("other", 0.0), 5: ("outbox", 0.3)}
    Clock(rows).run(2.0, shares)
    own, others = rows.rows()
    assert [r.tid for r in own] == [2]
    assert sorted(r.tid for r in others) == [1, 3, 4, 5]


def test_workers_are_ordered_by_number_and_of_the_others_the_window_comes_last():
    rows = CpuRows()
    groups = ["other", "worker 10", "reader", "worker 2", "main", "journal", "worker 2", "walker"]
    Clock(rows).run(2.0, {tid: (group, 0.5) for tid, group in enumerate(groups, 1)})
    Clock(rows, now=22.0).run(2.0, {1: ("other", 0.5), 9: ("main", 0.5)}, process=WINDOW)
    own, others = rows.rows()
    assert [(r.group, r.rank) for r in own] == [("worker 2", 0), ("worker 2", 1), ("worker 10", 0)]
    assert [(r.process, r.group) for r in others] == [
        (ENGINE, "main"),
        (ENGINE, "journal"),
        (ENGINE, "reader"),
        (ENGINE, "walker"),
        (ENGINE, "other"),
        (WINDOW, "main"),
        (WINDOW, "other"),
    ]


def test_folded_threads_add_up_to_one_core_at_most():
    rows = CpuRows()
    Clock(rows).run(4.0, {1: ("main", 0.25), 2: ("journal", 0.5)})
    added = rows.added(rows.rows()[1])
    assert (added[-10:].astype(float) - 1) / 254 == pytest.approx(0.75, abs=0.01)
    assert added[0] == 0
    Clock(rows, now=24.0).run(4.0, {3: ("reader", 0.9), 2: ("journal", 0.5)})
    assert rows.added(rows.rows()[1])[-1] == 255


def test_a_hundred_threads_and_more_find_room():
    rows = CpuRows()
    Clock(rows).run(1.0, {tid: (f"worker {tid}", 0.5) for tid in range(1, 151)})
    shown, _ = rows.rows()
    assert len({r.slot for r in shown}) == 150


def test_a_cleared_history_is_empty():
    rows = CpuRows()
    Clock(rows).run(2.0, {1: ("main", 0.5)})
    rows.clear()
    assert rows.rows() == ([], [])
    assert not rows.columns.codes.any()
    assert rows.charged(ENGINE) == 0.0
