"""The client of the engine process, against a real child process that behaves as told."""

from __future__ import annotations

import os
import signal
import sys

import psutil
import pytest
from window_helpers import QUICK, WAIT, Recorder, wait_for

from engine.api import CancelOpen, CheckModel, CreateJob, ListModels, OpenModel, Pause, Plan, SetPlan
from gui.engine_client import EngineState
from gui.engine_process import Patience, engine_command


def test_hello_and_snapshots_arrive(qtbot, make_client):
    client = make_client()
    hello, pictures = Recorder(client.hello), Recorder(client.snapshot)
    client.start()
    wait_for(qtbot, lambda: len(pictures.heard) >= 3)
    assert hello.heard[0].pid == client.pid
    assert client.state == EngineState.READY
    assert [s.sequence for s in pictures.heard[:3]] == [1, 2, 3]


def test_a_reply_finds_the_callback_of_its_request(qtbot, make_client):
    client = make_client()
    client.start()
    replies = []
    first = client.send(ListModels, replies.append)
    second = client.send(CheckModel, replies.append, folder="/nowhere")
    wait_for(qtbot, lambda: len(replies) == 2)
    assert {r.request for r in replies} == {first, second}
    by_request = {r.request: r for r in replies}
    assert by_request[first].value["models"]
    assert by_request[second].value["facts"]["folder"] == "/nowhere"


def test_commands_given_before_hello_are_carried_out_after_it(qtbot, make_client):
    client = make_client("--hello-after", 0.3)
    replies = []
    client.start()
    client.send(ListModels, replies.append)
    assert client.state == EngineState.STARTING
    wait_for(qtbot, lambda: replies)
    assert replies[0].ok


def test_a_stopped_client_answers_with_failure_and_not_at_once(qtbot, make_client):
    client = make_client()
    replies = []
    client.send(ListModels, replies.append)
    assert replies == []
    wait_for(qtbot, lambda: replies)
    assert not replies[0].ok
    assert replies[0].error


def test_a_killed_engine_is_started_again_and_the_sentence_names_the_signal(qtbot, make_client):
    client = make_client("--stderr", "worker 0 was busy")
    died, hello = Recorder(client.died), Recorder(client.hello)
    client.start()
    wait_for(qtbot, lambda: hello.heard)
    os.kill(client.pid, signal.SIGKILL)
    wait_for(qtbot, lambda: len(hello.heard) == 2)
    assert "SIGKILL" in died.heard[0]
    assert "worker 0 was busy" in died.heard[0]
    assert client.state == EngineState.READY


def test_the_sentence_names_the_exit_code(qtbot, make_client, tmp_path):
    client = make_client("--die-on", "ListModels", "--exit-code", 7, "--marker", tmp_path / "m")
    died = Recorder(client.died)
    client.start()
    client.send(ListModels)
    wait_for(qtbot, lambda: died.heard)
    assert "exit code 7" in died.heard[0]


def test_unanswered_requests_fail_when_the_engine_dies(qtbot, make_client, tmp_path):
    client = make_client("--die-on", "ListModels", "--ignore", "CheckModel", "--marker", tmp_path / "m")
    replies = []
    client.start()
    client.send(CheckModel, replies.append, folder="/x")
    client.send(ListModels, replies.append)
    wait_for(qtbot, lambda: len(replies) == 2)
    assert not any(r.ok for r in replies)
    assert "ended" in replies[0].error


def test_commands_given_while_it_restarts_reach_the_next_engine(qtbot, make_client):
    client = make_client()
    hello, states, replies = Recorder(client.hello), Recorder(client.state_changed), []
    client.start()
    wait_for(qtbot, lambda: hello.heard)
    with qtbot.waitSignal(client.died, timeout=WAIT):
        os.kill(client.pid, signal.SIGKILL)
    client.send(ListModels, replies.append)
    wait_for(qtbot, lambda: replies)
    assert replies[0].ok
    assert states.heard == ["starting", "ready", "restarting", "starting", "ready"]


def test_a_new_engine_is_told_the_plan_and_the_model_again(qtbot, make_client):
    client = make_client()
    pictures = Recorder(client.snapshot)
    client.start()
    client.send(SetPlan, plan=Plan("cpu", 3, 2, "float32"))
    client.send(OpenModel, folder="starter")
    wait_for(qtbot, lambda: pictures.heard and pictures.heard[-1].model.status == "ready")
    with qtbot.waitSignal(client.died, timeout=WAIT):
        os.kill(client.pid, signal.SIGKILL)
    pictures.heard.clear()
    wait_for(qtbot, lambda: pictures.heard and pictures.heard[-1].model.status == "ready")
    assert pictures.heard[-1].plan.workers == 3


def test_a_model_that_takes_the_engine_with_it_twice_is_not_opened_again(qtbot, make_client):
    client = make_client("--die-loading", "--load-seconds", 0.6)
    died = Recorder(client.died)
    client.start()
    client.send(OpenModel, folder="starter")
    wait_for(qtbot, lambda: len(died.heard) == 2)
    wait_for(qtbot, lambda: client.state == EngineState.READY)
    qtbot.wait(1200)
    assert client.state == EngineState.READY
    assert len(died.heard) == 2


def test_after_five_restarts_without_progress_the_client_gives_up_and_can_be_started_again(
    qtbot, make_client, tmp_path
):
    client = make_client("--die-at-start", "--marker", tmp_path / "m", "--deaths", 6)
    died, hello, replies = Recorder(client.died), Recorder(client.hello), []
    client.start()
    client.send(ListModels, replies.append)
    wait_for(qtbot, lambda: client.state == EngineState.FAILED)
    assert len(died.heard) == 6
    assert "Start engine again" in died.heard[-1]
    assert not replies[0].ok
    client.start()
    wait_for(qtbot, lambda: hello.heard)
    assert client.state == EngineState.READY


def test_a_program_that_is_not_there_is_told_and_given_up(qtbot, make_client):
    client = make_client(command=("/nowhere/python", []))
    died = Recorder(client.died)
    client.start()
    wait_for(qtbot, lambda: client.state == EngineState.FAILED)
    assert "could not be started" in died.heard[-1]


def test_a_silent_engine_is_called_not_answering_then_ended_and_replaced(qtbot, make_client, tmp_path):
    client = make_client("--silent-after", 0.2, "--marker", tmp_path / "m")
    states, died = Recorder(client.state_changed), Recorder(client.died)
    client.start()
    wait_for(qtbot, lambda: states.heard[-1:] == ["ready"] and len(states.heard) > 3)
    assert states.heard == ["starting", "ready", "not answering", "restarting", "starting", "ready"]
    assert "did not answer" in died.heard[0]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGSTOP")
def test_a_stopped_engine_process_is_killed_and_replaced(qtbot, make_client):
    client = make_client()
    hello = Recorder(client.hello)
    client.start()
    wait_for(qtbot, lambda: hello.heard)
    first = psutil.Process(client.pid)
    first.suspend()
    wait_for(qtbot, lambda: len(hello.heard) == 2)
    assert not first.is_running()


def test_a_load_that_does_not_answer_its_cancellation_is_ended_with_the_engine(qtbot, make_client):
    client = make_client("--ignore", "CancelOpen", patience=Patience(**{**_fields(QUICK), "cancel": 0.3}))
    hello, died, replies = Recorder(client.hello), Recorder(client.died), []
    client.start()
    wait_for(qtbot, lambda: hello.heard)
    client.send(CancelOpen, replies.append)
    wait_for(qtbot, lambda: len(hello.heard) == 2)
    assert "did not stop" in died.heard[0]
    assert [reply.ok for reply in replies] == [False]


def test_an_engine_that_goes_on_after_a_pause_is_ready_again(qtbot, make_client):
    client = make_client(patience=Patience(**{**_fields(QUICK), "kill": 30.0}))
    hello = Recorder(client.hello)
    client.start()
    wait_for(qtbot, lambda: hello.heard)
    process = psutil.Process(client.pid)
    process.suspend()
    wait_for(qtbot, lambda: client.state == EngineState.QUIET)
    process.resume()
    wait_for(qtbot, lambda: client.state == EngineState.READY)


def test_a_window_that_slept_does_not_blame_the_engine(qtbot, make_client, monkeypatch):
    client = make_client()
    hello, states = Recorder(client.hello), Recorder(client.state_changed)
    client.start()
    wait_for(qtbot, lambda: hello.heard)
    now = [1000.0]
    monkeypatch.setattr("gui.engine_client.time.monotonic", lambda: now[0])
    client._look()
    now[0] += 3600
    client._look()
    assert states.heard[-1] == "ready"


def test_an_engine_that_never_says_hello_is_ended(qtbot, make_client):
    client = make_client("--no-hello", patience=Patience(**{**_fields(QUICK), "hello": 0.4, "backoff": (0.05,)}))
    died = Recorder(client.died)
    client.start()
    wait_for(qtbot, lambda: client.state == EngineState.FAILED)
    assert "did not start" in died.heard[0]


def test_another_protocol_version_is_refused_without_trying_again(qtbot, make_client):
    client = make_client("--version", 99)
    died, hello = Recorder(client.died), Recorder(client.hello)
    client.start()
    wait_for(qtbot, lambda: client.state == EngineState.FAILED)
    assert len(died.heard) == 1
    assert "99" in died.heard[0]
    assert hello.heard == []


def test_a_broken_stream_ends_the_engine(qtbot, make_client):
    client = make_client("--garbage", patience=Patience(**{**_fields(QUICK), "backoff": (0.05,)}))
    died = Recorder(client.died)
    client.start()
    wait_for(qtbot, lambda: client.state == EngineState.FAILED)
    assert "protocol" in died.heard[0]


def test_shutdown_ends_the_engine_and_tells_when_it_is_gone(qtbot, make_client):
    client = make_client()
    hello, died = Recorder(client.hello), Recorder(client.died)
    client.start()
    wait_for(qtbot, lambda: hello.heard)
    process = psutil.Process(client.pid)
    with qtbot.waitSignal(client.ended, timeout=WAIT):
        client.shutdown()
    assert not process.is_running()
    assert client.state == EngineState.STOPPED
    assert died.heard == []


@pytest.mark.parametrize("arguments", [("--ignore", "Shutdown"), ("--no-hello",)])
def test_an_engine_that_does_not_obey_shutdown_is_killed(qtbot, make_client, arguments):
    client = make_client(*arguments)
    client.start()
    if "--no-hello" not in arguments:
        wait_for(qtbot, lambda: client.state == EngineState.READY)
    process = psutil.Process(client.pid)
    with qtbot.waitSignal(client.ended, timeout=WAIT):
        client.shutdown()
    assert not process.is_running()


def test_shutdown_while_it_waits_to_restart_starts_nothing(qtbot, make_client):
    client = make_client(patience=Patience(**{**_fields(QUICK), "backoff": (60.0,)}))
    hello = Recorder(client.hello)
    client.start()
    wait_for(qtbot, lambda: hello.heard)
    os.kill(client.pid, signal.SIGKILL)
    wait_for(qtbot, lambda: client.state == EngineState.RESTARTING)
    with qtbot.waitSignal(client.ended, timeout=WAIT):
        client.shutdown()
    assert client.state == EngineState.STOPPED


def test_the_last_200_lines_of_standard_error_are_kept(qtbot, make_client):
    lines = [part for n in range(250) for part in ("--stderr", f"line {n}")]
    client = make_client(*lines)
    client.start()
    wait_for(qtbot, lambda: client.log_lines[-1:] == ["line 249"])
    assert client.log_lines[0] == "line 50"
    assert len(client.log_lines) == 200


def test_progress_forgives_earlier_deaths(qtbot, make_client, tmp_path):
    """Each life finishes documents and then dies: more deaths than the limit allows, none of them in a row."""
    session = tmp_path / "s.sqlite"
    client = make_client(
        "--session",
        session,
        "--keep",
        "--rows",
        30,
        "--per-tick",
        2,
        "--die-at",
        3,
        "--deaths",
        7,
        "--marker",
        tmp_path / "m",
    )
    died, pictures = Recorder(client.died), Recorder(client.snapshot)
    client.start()
    client.send(OpenModel, folder="starter")
    client.send(CreateJob, job="a", name="A")
    from engine.api import AddPaths, Submit

    client.send(AddPaths, job="a", paths=("/x",))
    client.send(Submit, job="a", task="embed")
    wait_for(
        qtbot, lambda: pictures.heard and pictures.heard[-1].jobs and pictures.heard[-1].jobs[0].status == "finished"
    )
    assert len(died.heard) == 7


def test_the_real_command_runs_the_engine_module_for_this_process():
    program, arguments = engine_command("/tmp/x.sqlite")
    assert program == sys.executable
    assert arguments[arguments.index("-m") + 1] == "engine.server.stdio"
    assert arguments[arguments.index("--session") + 1] == "/tmp/x.sqlite"
    assert arguments[arguments.index("--parent") + 1] == str(os.getpid())


def test_a_frozen_build_is_its_own_engine(monkeypatch):
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert engine_command("s")[1][:2] == ["--module", "engine.server.stdio"]


def test_a_refused_command_is_answered_with_its_sentence(qtbot, make_client):
    client = make_client("--refuse", "Pause")
    replies = []
    client.start()
    client.send(Pause, replies.append, job="a")
    wait_for(qtbot, lambda: replies)
    assert not replies[0].ok
    assert "refuse" in replies[0].error


def _fields(patience: Patience) -> dict:
    return {name: getattr(patience, name) for name in Patience.__slots__}
