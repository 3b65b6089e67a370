"""The engine process: it answers, beats, survives bad input, and ends when it should (FAULTS 32, 33)."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import psutil
import pytest
from host_process import ROOT, HostProcess
from model_folders import make_folder
from oracle import TEXTS

from engine import api
from engine.api.threads import ENDED

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny BERT folder."""
    return make_folder(tmp_path_factory.mktemp("model"), "bert")


@pytest.fixture
def pile(tmp_path):
    """A folder with one file a text."""
    place = tmp_path / "pile"
    place.mkdir()
    for i, text in enumerate(TEXTS):
        (place / f"{i}.txt").write_text(text)
    return str(place)


@pytest.fixture
def host():
    """Start engine processes that are gone after the test."""
    made = []

    def start(*arguments, **options):
        made.append(HostProcess(*arguments, **options))
        return made[-1]

    yield start
    for process in made:
        process.end()


def run_pile(process, folder, pile, *, dtype="float32"):
    assert process.ask(api.OpenModel, folder=folder, dtype=dtype).ok
    process.send(api.CreateJob, job="a", name="pile")
    assert process.ask(api.AddPaths, job="a", paths=(pile,)).value == {"added": len(TEXTS), "skipped": 0}
    assert process.ask(api.Submit, job="a", task="embed").ok
    process.until(
        lambda: process.status("a") == "finished" and sum(r.state == "done" for r in process.rows.values()) == 8
    )


def test_a_pile_goes_through_the_process_from_folder_to_file(host, folder, pile, tmp_path):
    process = host()
    hello = process.hello()
    assert hello.version == api.VERSION
    assert [task.name for task in hello.tasks] == [
        "embed",
        "classify",
        "summarise",
        "answer",
        "extract",
        "generate",
        "sentences",
        "duplicates",
    ]
    run_pile(process, folder, pile)
    number = next(iter(process.rows))
    told = process.ask(api.Inspect, job="a", document=number).value
    assert told["text"] == TEXTS[0]
    assert told["result"]["dimension"] == 32
    target = str(tmp_path / "out.jsonl")
    assert process.ask(api.Export, job="a", path=target, format="jsonl").value == {"path": target, "rows": 8}
    with open(target, encoding="utf-8") as file:
        assert len(file.readlines()) == 8
    assert process.ask(api.Shutdown).ok
    assert process.until_ended() == 0
    assert process.said_bye()


def test_errors_are_answers_with_a_sentence_and_the_engine_lives_on(host, tmp_path):
    process = host()
    process.hello()
    for kind, fields in (
        (api.Pause, {"job": "none"}),
        (api.OpenModel, {"folder": str(tmp_path)}),
        (api.Submit, {"job": "none", "task": "embed"}),
        (api.Export, {"job": "none", "path": "x", "format": "csv"}),
    ):
        reply = process.ask(kind, **fields)
        assert not reply.ok
        assert len(reply.error) > 10
    assert process.ask(api.ListModels).ok
    assert process.ask(api.CheckModel, folder=str(tmp_path)).value["facts"]["usable"] is False


def test_what_is_printed_to_standard_output_breaks_no_frame(host):
    code = (
        "import os, sys, threading\n"
        "from engine.server import stdio as host\n"
        "real = host._take_streams\n"
        "def noisy():\n"
        "    streams = real()\n"
        "    print('a library says hello'); os.write(1, b'and so does C\\n')\n"
        "    return streams\n"
        "host._take_streams = noisy\n"
        "sys.exit(host.main(sys.argv[1:]))\n"
    )
    process = host(code=code)
    process.hello()
    process.until(lambda: process.pictures > 2)


def test_the_engine_ends_when_its_input_closes(host):
    process = host()
    process.hello()
    process.process.stdin.close()
    assert process.until_ended(5) == 0


@posix
def test_sigterm_in_the_middle_of_a_job_ends_in_good_order(host, folder, tmp_path):
    place = tmp_path / "many"
    place.mkdir()
    for i in range(400):
        (place / f"{i}.txt").write_text(f"{i} " + " ".join(TEXTS * 10))
    session = str(tmp_path / "s.sqlite")
    process = host("--session", session)
    process.hello()
    assert process.ask(api.OpenModel, folder=folder, dtype="float32").ok
    process.send(api.CreateJob, job="a")
    assert process.ask(api.AddPaths, job="a", paths=(str(place),)).ok
    process.send(api.Submit, job="a", task="embed")
    process.until(lambda: any(r.state == "done" for r in process.rows.values()))
    process.process.send_signal(signal.SIGTERM)
    assert process.until_ended(5) == 0
    assert process.said_bye()
    # What was not done waits in the session; nothing was turned into cancelled.
    second = host("--session", session)
    assert second.hello().recovered == ("a",)
    second.until(lambda: len(second.rows) == 400)
    assert {r.state for r in second.rows.values()} <= {"done", "waiting"}


@posix
def test_a_killed_engine_loses_nothing_that_was_done(host, folder, pile, tmp_path):
    session = str(tmp_path / "s.sqlite")
    process = host("--session", session)
    process.hello()
    run_pile(process, folder, pile)
    process.process.kill()
    process.until_ended()
    second = host("--session", session)
    assert second.hello().recovered == ("a",)
    second.until(lambda: len(second.rows) == len(TEXTS))
    assert {r.state for r in second.rows.values()} == {"done"}
    assert second.status("a") == "finished"


@posix
def test_an_engine_killed_in_the_middle_goes_on_by_itself_once_the_model_is_back(host, folder, tmp_path):
    place = tmp_path / "many"
    place.mkdir()
    for i in range(300):
        (place / f"{i}.txt").write_text(f"{i} " + " ".join(TEXTS * 8))
    session = str(tmp_path / "s.sqlite")
    process = host("--session", session)
    process.hello()
    assert process.ask(api.OpenModel, folder=folder, dtype="float32").ok
    process.send(api.CreateJob, job="a")
    assert process.ask(api.AddPaths, job="a", paths=(str(place),)).ok
    process.send(api.Submit, job="a", task="embed")
    process.until(lambda: sum(r.state == "done" for r in process.rows.values()) > 10)
    process.process.kill()
    process.until_ended()
    second = host("--session", session)
    second.hello()
    assert second.ask(api.OpenModel, folder=folder, dtype="float32").ok
    second.until(lambda: second.status("a") == "finished")
    second.until(lambda: len(second.rows) == 300 and {r.state for r in second.rows.values()} == {"done"})


@posix
def test_the_engine_ends_within_five_seconds_of_its_parent(tmp_path):
    # A parent that starts an engine, with the pipe also held open by somebody else, and is then killed.
    keeper_read, keeper_write = os.pipe()
    code = (
        "import subprocess, sys, os, time\n"
        f"p = subprocess.Popen([sys.executable, '-m', 'engine.server.stdio', '--parent', str(os.getpid())], stdin={keeper_read},"
        f" stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, pass_fds=({keeper_read},))\n"
        "print(p.pid, flush=True)\n"
        "p.wait()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=ROOT, pass_fds=(keeper_read,)
    )
    try:
        engine = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.wait()
        engine.wait(10)
    except psutil.NoSuchProcess:
        pass
    finally:
        parent.stdout.close()
        os.close(keeper_read)
        os.close(keeper_write)


def test_a_slow_window_never_holds_up_a_worker(host, folder, tmp_path):
    place = tmp_path / "many"
    place.mkdir()
    for i in range(3000):
        (place / f"{i:04}-{'long name ' * 15}.txt").write_text(f"text {i}")
    session = str(tmp_path / "s.sqlite")
    process = host("--session", session)
    process.hello()
    assert process.ask(api.OpenModel, folder=folder, dtype="float32").ok
    process.send(api.CreateJob, job="a")
    process.send(api.AddPaths, job="a", paths=(str(place),))
    process.send(api.Submit, job="a", task="embed")
    # Nobody reads from here on; the journal tells from outside that the work goes on to its end.
    import sqlite3
    import time

    end = time.monotonic() + 60
    done = 0
    while done < 3000 and time.monotonic() < end:
        with sqlite3.connect(f"file:{session}?mode=ro", uri=True) as reader:
            done = reader.execute("SELECT COUNT(*) FROM document WHERE state = 'done'").fetchone()[0]
        reader.close()
    assert done == 3000
    process.until(lambda: len(process.rows) == 3000 and {r.state for r in process.rows.values()} == {"done"})


@posix
def test_a_load_can_be_cancelled_in_the_process(host, folder):
    code = (
        "import sys, time\n"
        "from engine.server import stdio as host\n"
        "from engine.models import load\n"
        "real = load.read_weights\n"
        "def slow(facts, folder, dtype, device, choose, progress):\n"
        "    for i in range(3000):\n"
        "        progress(0.2); time.sleep(0.01)\n"
        "    return real(facts, folder, dtype, device, choose, progress)\n"
        "load.read_weights = slow\n"
        "sys.exit(host.main(sys.argv[1:]))\n"
    )
    process = host(code=code)
    process.hello()
    opening = process.send(api.OpenModel, folder=folder, dtype="float32")
    process.until(lambda: process.snapshot is not None and process.snapshot.model.progress >= 0.4)
    assert process.ask(api.CancelOpen).ok
    assert not process.reply(opening).ok
    process.until(lambda: process.snapshot.model.status == "none")


def test_cpu_times_of_threads_sum_to_the_process(host, folder, pile):
    process = host()
    process.hello()
    run_pile(process, folder, pile)
    process.until(lambda: process.snapshot.meters.process_cpu > 0)
    snapshot = process.snapshot
    total = sum(thread.cpu for thread in snapshot.threads)
    assert abs(total - snapshot.meters.process_cpu) <= 0.05 * snapshot.meters.process_cpu
    groups = {thread.group for thread in snapshot.threads}
    assert {"worker 0", "main"} <= groups
    assert ENDED not in groups or next(t for t in snapshot.threads if t.group == ENDED).tid == 0


HOLDING = """
import signal, sys, threading
from engine.server import stdio as host
from engine.engine import Engine
lock = threading.Lock()
lock.acquire()
def snapshot(self):
    signal.raise_signal(signal.SIGTERM)
    lock.acquire()  # a thread that does not come back has it
Engine.snapshot = snapshot
sys.exit(host.main(sys.argv[1:]))
"""


@posix
def test_a_signal_at_the_worst_moment_ends_the_engine_all_the_same(host):
    process = host(code=HOLDING)
    assert process.process.wait(60) == 0
