import math
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from engine.api import threads
from engine.api.threads import ENDED, MAIN, OTHER, ThreadMeter, group_of, name_this_thread, process_cpu, register

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def burn(seconds):
    """Use ``seconds`` of this thread's CPU time."""
    end = time.thread_time() + seconds
    x = 1.0
    while time.thread_time() < end:
        for _ in range(1000):
            x = math.sin(x)


class Busy:
    """A thread that names itself, uses CPU time, and lives until told to end."""

    def __init__(self, name, seconds, naming=name_this_thread):
        self.ready, self.end, self.tid = threading.Event(), threading.Event(), 0

        def work():
            naming(name)
            self.tid = threading.get_native_id()
            burn(seconds)
            self.ready.set()
            self.end.wait(60)

        self.thread = threading.Thread(target=work)
        self.thread.start()

    def __enter__(self):
        assert self.ready.wait(60)
        return self

    def __exit__(self, *_):
        self.end.set()
        self.thread.join(60)
        deadline = time.monotonic() + 60
        # Python lets go of a thread a moment before the system does.
        while os.path.exists(f"/proc/self/task/{self.tid}") and time.monotonic() < deadline:
            time.sleep(0)


def by_tid(sample):
    return {row.tid: row for row in sample}


def test_sum_of_the_threads_is_the_cpu_time_of_the_process():
    meter = ThreadMeter()
    with Busy("worker-0", 0.3), Busy("journal", 0.2), Busy("nobody", 0.1):
        sample = meter.sample()
        assert sum(row.cpu for row in sample) == pytest.approx(meter.process_cpu(), rel=0.05)


def test_a_busy_thread_is_charged_with_what_it_burned():
    meter = ThreadMeter()
    with Busy("worker-1", 0.4) as busy:
        assert by_tid(meter.sample())[busy.tid].cpu == pytest.approx(0.4, rel=0.1)


def test_time_of_an_ended_thread_stays_in_the_sum():
    meter = ThreadMeter()
    with Busy("worker-0", 0.4):
        before = {row.group: row.cpu for row in meter.sample()}.get(ENDED, 0.0)
    sample = meter.sample()
    assert sample[0].tid == 0
    assert sample[0].group == ENDED
    assert sample[0].cpu - before == pytest.approx(0.4, rel=0.15)
    assert sum(row.cpu for row in sample) == pytest.approx(process_cpu(), rel=0.05)


@pytest.mark.parametrize("naming", [name_this_thread, register])
def test_threads_are_grouped_by_the_name_they_gave_themselves(naming):
    names = {
        "worker-12": "worker 12",
        "journal": "journal",
        "reader": "reader",
        "walker of folders": "walker of folders",
    }
    for name, group in names.items():
        with Busy(name, 0.0, naming) as busy:
            assert by_tid(ThreadMeter().sample())[busy.tid].group == group


def test_main_thread_and_nameless_threads_have_groups_of_their_own():
    with Busy("", 0.0, lambda _: None) as busy:
        sample = by_tid(ThreadMeter().sample())
        assert sample[busy.tid].group == OTHER
        assert sample[threading.main_thread().native_id].group == MAIN


def test_registration_ends_with_its_thread():
    with Busy("reader", 0.0) as busy:
        ThreadMeter().sample()
        assert busy.tid in threads._registered
    # The system lists a thread for a moment after it has ended.
    end = time.monotonic() + 10.0
    while busy.tid in threads._registered and time.monotonic() < end:
        ThreadMeter().sample()
    assert busy.tid not in threads._registered


def test_names_that_only_look_like_a_worker_are_other():
    assert [group_of(n) for n in ("worker-", "worker x", "workers", "python", "")] == [OTHER] * 5
    assert group_of("worker-7") == "worker 7"


@linux
@pytest.mark.parametrize("reader", ["_read_schedstat", "_read_ticks", "_read_psutil"])
def test_all_sources_tell_the_same_time(reader):
    with Busy("worker-3", 0.5) as busy:
        rows = {tid: cpu for tid, _, cpu in getattr(threads, reader)()}
        assert rows[busy.tid] == pytest.approx(0.5, abs=0.06)


@linux
def test_scheduler_statistics_of_zero_fall_back_to_ticks(monkeypatch):
    real = threads._contents
    monkeypatch.setattr(threads, "_contents", lambda path: b"0 0 0\n" if path.endswith("schedstat") else real(path))
    assert threads._reader() is threads._read_ticks


def test_systems_without_proc_use_psutil(monkeypatch, tmp_path):
    monkeypatch.setattr(threads, "_TASKS", str(tmp_path / "none"))
    with Busy("worker-5", 0.2) as busy:
        row = by_tid(ThreadMeter().sample())[busy.tid]
        assert row.group == "worker 5"
        assert row.cpu > 0


@linux
def test_threads_that_torch_makes_for_a_worker_are_counted_as_that_worker():
    # A process of its own: torch's pool of this one may have been made by another thread already.
    code = """
        import threading
        from engine.api.threads import ThreadMeter, name_this_thread
        import torch

        def worker():
            name_this_thread("worker-4")
            torch.set_num_threads(2)
            a = torch.randn(1200, 1200)
            for _ in range(10):
                a @ a
            busy = [row for row in ThreadMeter().sample() if row.group == "worker 4" and row.cpu > 0.01]
            print(len(busy))

        thread = threading.Thread(target=worker)
        thread.start()
        thread.join()
    """
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], check=False, capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 2
