"""FAULTS 40: an engine that does not come back from something is replaced, and that is named and not tried again."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from pathlib import Path

import pytest
from window_helpers import WAIT, Recorder, wait_for

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/faults"))

from stub_engine import HANGS, HOLDS, NEVER_COUNTED, NEVER_READ  # noqa: E402

from engine.api import (  # noqa: E402
    AddPaths,
    Cancel,
    CloseModel,
    CreateJob,
    Export,
    ListJobs,
    ListModels,
    OpenModel,
    Pause,
    Submit,
)
from engine.telemetry.activity import Activity  # noqa: E402
from gui.engine_client import EngineClient  # noqa: E402
from gui.engine_process import Patience  # noqa: E402
from gui.judgement import Judge  # noqa: E402
from gui.session import Session  # noqa: E402
from gui.settings import Settings  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the stub engine is for POSIX")

SOON = Patience(hello=60, quiet=1.0, kill=60, answer=1.5, watch=0.05, backoff=(0.05,) * 5)
"""Silence alone ends no engine here for a minute: what ends one sooner is a command without an answer."""


@pytest.fixture
def client(qtbot, tmp_path, monkeypatch):
    """A client of the stub engine, in which some documents never end."""
    monkeypatch.setenv(HANGS, "1")
    made = []

    def start(patience: Patience = SOON) -> EngineClient:
        arguments = [str(ROOT / "tests/faults/stub_engine.py"), "host", "--session", str(tmp_path / "journal")]
        made.append(EngineClient(sys.executable, [*arguments, "--parent", str(os.getpid())], patience=patience))
        return made[-1]

    yield start
    for one in made:
        with qtbot.waitSignal(one.ended, timeout=WAIT):
            one.shutdown()


def make_pile(tmp_path, name: str, text: str) -> Path:
    pile = tmp_path / "pile"
    pile.mkdir()
    for number in range(6):
        (pile / f"{number}.txt").write_text(f"text number {number}")
    (pile / name).write_text(text)
    return pile


class Seen:
    """What the engines have told: rows by name, the newest state of each; deaths; greetings."""

    def __init__(self, client: EngineClient) -> None:
        self.rows: dict[str, tuple[str, str]] = {}
        self.activities: tuple[Activity, ...] = ()
        self.status = ""
        self.died, self.hello = Recorder(client.died), Recorder(client.hello)
        client.snapshot.connect(self._take)

    def _take(self, snapshot) -> None:
        self.activities = snapshot.activities
        self.status = snapshot.jobs[0].status if snapshot.jobs else ""
        for told in snapshot.rows:
            self.rows.update({row.name: (row.state, row.reason) for row in told.rows})


def begin(qtbot, client: EngineClient, pile: Path, *, kept: bool = True) -> None:
    """Run a pile; once its documents are ``kept`` in the journal, if they can be added at all."""
    client.start()
    client.send(OpenModel, folder=str(ROOT), dtype="float32")
    client.send(CreateJob, job="a", name="pile")
    replies = []
    client.send(AddPaths, lambda _: client.send(ListJobs, replies.append), job="a", paths=(str(pile),))
    if kept:
        wait_for(qtbot, lambda: replies)
    client.send(Submit, job="a", task="embed")


def test_an_engine_whose_worker_hangs_is_replaced_when_somebody_waits_and_the_document_set_aside(
    qtbot, client, tmp_path
):
    pile = make_pile(tmp_path, "odd.txt", NEVER_COUNTED)
    one = client()
    seen = Seen(one)
    begin(qtbot, one, pile)
    wait_for(qtbot, lambda: any(a.subject.endswith("odd.txt") and a.step == "tokens" for a in seen.activities))
    paused = []
    one.send(Pause, paused.append, job="a")
    wait_for(qtbot, lambda: paused)
    assert paused[0].ok, "a pause takes nothing away"
    one.send(Cancel, job="a")
    wait_for(qtbot, lambda: len(seen.hello.heard) == 2)
    assert "odd.txt" in seen.died.heard[0]
    assert [a.document for a in seen.hello.heard[1].set_aside] != [-1]
    wait_for(qtbot, lambda: seen.rows["odd.txt"][0] == "quarantined")
    assert "set aside" in seen.rows["odd.txt"][1]
    assert seen.status == "cancelled"


def test_an_engine_held_up_by_a_call_that_lets_nothing_else_run_is_replaced_and_the_document_known(
    qtbot, client, tmp_path
):
    pile = make_pile(tmp_path, "odd.txt", HOLDS)
    one = client()
    seen = Seen(one)
    begin(qtbot, one, pile)
    doing = tmp_path / "journal.doing"
    wait_for(qtbot, lambda: doing.exists() and b"tokens" in doing.read_bytes() and one.state == "not answering")
    one.send(Cancel, job="a")
    wait_for(qtbot, lambda: len(seen.hello.heard) == 2)
    assert [os.path.basename(a.subject) for a in seen.hello.heard[1].set_aside] == ["odd.txt"]
    wait_for(qtbot, lambda: seen.rows.get("odd.txt", ("",))[0] == "quarantined")


def test_work_that_nobody_asked_to_stop_is_given_up_after_the_time_that_was_set(qtbot, client, tmp_path):
    pile = make_pile(tmp_path, f"{NEVER_READ}.txt", "on a disk that does not answer")
    one = client(Patience(hello=60, kill=60, watch=0.05, progress=2.0, backoff=(0.05,) * 5))
    seen = Seen(one)
    begin(qtbot, one, pile, kept=False)
    wait_for(qtbot, lambda: len(seen.hello.heard) == 2)
    assert f"{NEVER_READ}.txt" in seen.died.heard[0]
    wait_for(qtbot, lambda: seen.rows.get(f"{NEVER_READ}.txt", ("", ""))[0] == "quarantined")


def test_a_folder_that_does_not_answer_is_left_out_by_the_next_engine_and_the_rest_is_added(qtbot, client, tmp_path):
    pile = make_pile(tmp_path, "one more.txt", "text")
    (pile / NEVER_READ).mkdir()
    one = client(Patience(hello=60, kill=60, watch=0.05, progress=2.0, backoff=(0.05,) * 5))
    session = Session(one, Settings(str(tmp_path / "window.ini")))
    notices = Recorder(session.noticed)
    one.start()
    session.commands.add_paths([str(pile)])

    def row(name: str) -> str:
        session.tick()
        return next((r.state for r in session.job.pile.records.values() if r.name == name), "")

    wait_for(qtbot, lambda: row(NEVER_READ) == "skipped" and row("one more.txt") == "waiting")
    assert len(session.job.pile.records) == 8
    assert any(str(pile / NEVER_READ) in notice.text for heard in notices.heard for notice in heard)


def test_look_ups_that_hang_hold_up_no_other(qtbot, client, tmp_path):
    pile = make_pile(tmp_path, "odd.txt", "text")
    one = client()
    begin(qtbot, one, pile)
    (tmp_path / NEVER_READ).mkdir()
    replies = {}
    for number in range(3):
        place = tmp_path / NEVER_READ / f"{number}.jsonl"
        one.send(
            Export,
            lambda reply, number=number: replies.update({number: reply}),
            job="a",
            path=str(place),
            format="jsonl",
        )
    one.send(ListModels, lambda reply: replies.update(models=reply))
    wait_for(qtbot, lambda: "models" in replies)
    assert replies["models"].ok
    assert set(replies) == {"models"}, "the exports hang"


def test_a_growing_export_goes_on_after_the_engine_died_with_every_row_once(qtbot, client, tmp_path):
    pile = tmp_path / "pile"
    pile.mkdir()
    for number in range(600):
        (pile / f"{number:04}.txt").write_text(f"{number} " + "many threads over the desk " * 12)
    one, out = client(), tmp_path / "grows.jsonl"
    session = Session(one, Settings(str(tmp_path / "window.ini")))
    one.start()  # it opens the model that was open last
    session.commands.add_paths([str(pile)])
    session.commands.start("embed", {})
    replies = []
    session.commands.export(str(out), "jsonl", replies.append, grow=True)

    def done() -> int:
        session.tick()
        return session.job.count("done")

    wait_for(qtbot, lambda: replies and done() > 100)
    os.kill(one.pid, 9)
    wait_for(qtbot, lambda: done() == 600 and session.job.state.status == "finished")
    wait_for(qtbot, lambda: out.read_bytes().count(b"\n") >= 600)
    paths = Counter(json.loads(line)["path"] for line in out.read_text().splitlines())
    assert len(paths) == 600
    assert set(paths.values()) == {1}


def verdict(command, activities, *, seconds: float, silence: float = 0.0) -> bool:
    judge = Judge(Patience(answer=5.0, progress=600.0))
    judge.sent(command)
    judge.told(tuple(activities))
    return judge.look(seconds, silence) is not None


def test_answers_that_are_still_being_written_and_exports_that_go_on_are_waited_for():
    computing = Activity("work", "/model", "compute", "a", seconds=30.0)
    reading = Activity("document", "/mail.txt", "read", "a", seconds=30.0)
    writing = Activity("export", "/out.csv", "write", "a", seconds=0.1)
    assert not verdict(CloseModel(1), [computing], seconds=60)
    assert verdict(Pause(1, "a"), [], seconds=6)
    assert not verdict(Export(1, "a", "/out.csv", "csv"), [writing, reading], seconds=60)
    assert verdict(Cancel(1, "a"), [computing], seconds=6)
    assert verdict(CloseModel(1), [reading], seconds=6)
    assert not verdict(CloseModel(1), [reading], seconds=4)
    assert verdict(ListModels(1), [Activity("model", "/m", "check", seconds=599.0)], seconds=1, silence=2.0)
