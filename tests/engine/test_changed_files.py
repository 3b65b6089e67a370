"""Files that are still being written when they are taken, or edited later: the row ends with what the file says."""

from __future__ import annotations

import json
import os
import time

import pytest
from engine_helpers import states_of
from model_folders import make_folder

from engine.cli import main as cli
from engine.documents.watch import Watcher

WHOLE = "The first half of the sentence, and then, after a pause, the rest."
HALF = WHOLE[:44]
SECONDS = 60.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny encoder."""
    return make_folder(tmp_path_factory.mktemp("model"), "bert")


@pytest.fixture
def engine(fresh_engine, folder):
    """An engine with a model, and a pile named "job"."""
    made = fresh_engine()
    made.open_model(folder).result(60)
    made.create_job("job", "pile")
    return made


def rows(engine) -> dict[str, tuple[str, str, str]]:
    """State, reason and the file's digest of each document, as the journal has them."""
    return {
        os.path.basename(record.path): (record.state, record.reason, record.sha256)
        for record, _ in engine.journal.results("job")
    }


def until(condition) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, "it never comes"
        time.sleep(0.01)


def sha256(text: str) -> str:
    import hashlib

    return hashlib.sha256(text.encode()).hexdigest()


def run(engine) -> None:
    engine.submit("job", "embed")
    assert engine.wait("job", SECONDS)


@pytest.fixture
def quick(monkeypatch):
    """Watched folders are looked at often."""
    monkeypatch.setattr("engine.documents.watch.PERIOD", 0.02)
    monkeypatch.setattr(Watcher.__init__, "__defaults__", (0.02,))


def test_a_watched_file_whose_writer_pauses_ends_with_its_full_text(engine, quick, tmp_path):
    place = tmp_path / "in"
    place.mkdir()
    engine.watch_folder("job", str(place))
    engine.submit("job", "embed")
    (place / "a.txt").write_text(HALF)
    until(lambda: rows(engine).get("a.txt", ("",))[0] == "done")
    assert rows(engine)["a.txt"][2] == sha256(HALF)
    with open(place / "a.txt", "a") as file:
        file.write(WHOLE[44:])
    until(lambda: rows(engine)["a.txt"][0] == "done" and rows(engine)["a.txt"][2] == sha256(WHOLE))
    assert "changed after it was added" in rows(engine)["a.txt"][1]
    assert len(rows(engine)) == 1


def test_a_file_that_changed_before_its_folder_was_watched_again_is_run_again(engine, quick, tmp_path):
    (tmp_path / "a.txt").write_text(HALF)
    engine.add_paths("job", [str(tmp_path)]).result(SECONDS)
    run(engine)
    (tmp_path / "a.txt").write_text(WHOLE)
    engine.watch_folder("job", str(tmp_path))
    until(lambda: rows(engine)["a.txt"][0] == "done" and rows(engine)["a.txt"][2] == sha256(WHOLE))


@pytest.mark.parametrize("same_length", [False, True])
def test_retry_takes_an_edited_file_as_it_is_now(engine, tmp_path, same_length):
    file = tmp_path / "a.txt"
    file.write_text("one and two")
    engine.add_paths("job", [str(file)]).result(SECONDS)
    before = os.stat(file)
    file.write_text("two and one" if same_length else WHOLE)
    if same_length:  # and even of the same time
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    run(engine)
    if not same_length:
        assert rows(engine)["a.txt"][:2] == ("failed", "changed since it was added")
    engine.retry("job", list(states_of(engine, "job")))
    assert engine.wait("job", SECONDS)
    state, reason, digest = rows(engine)["a.txt"]
    assert (state, digest) == ("done", sha256(file.read_text()))
    assert "changed after it was added" in reason


def test_adding_an_edited_file_again_reads_it_anew_in_its_own_row(engine, tmp_path):
    file = tmp_path / "a.txt"
    file.write_text(HALF)
    engine.add_paths("job", [str(file)]).result(SECONDS)
    file.write_text(WHOLE)
    assert engine.add_paths("job", [str(tmp_path)]).result(SECONDS)["added"] == 1
    run(engine)
    assert rows(engine) == {"a.txt": ("done", rows(engine)["a.txt"][1], sha256(WHOLE))}
    assert engine.add_paths("job", [str(file)]).result(SECONDS)["skipped"] == 1


def test_a_retried_file_that_was_emptied_is_skipped_and_one_that_is_gone_fails(engine, tmp_path):
    for name in ("empty.txt", "gone.txt"):
        (tmp_path / name).write_text(HALF)
    engine.add_paths("job", [str(tmp_path)]).result(SECONDS)
    run(engine)
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "gone.txt").unlink()
    engine.retry("job", list(states_of(engine, "job")))
    assert engine.wait("job", SECONDS)
    assert rows(engine)["empty.txt"][:2] == ("skipped", "empty")
    assert rows(engine)["gone.txt"][0] == "failed"
    assert "missing" in rows(engine)["gone.txt"][1]


def test_the_same_command_again_takes_a_file_that_had_changed_under_it(folder, tmp_path, monkeypatch):
    pile, out = tmp_path / "pile", tmp_path / "o.jsonl"
    pile.mkdir()
    (pile / "a.txt").write_text("one and two")
    before = os.stat(pile / "a.txt")
    arguments = ["run", "embed", str(pile), "--model", folder, "--out", str(out)]

    def edit(*_) -> None:
        (pile / "a.txt").write_text("two and one and more")

    from engine.workers.manager import ModelManager

    real = ModelManager.open_model
    with monkeypatch.context() as patch:  # between adding and running
        patch.setattr(ModelManager, "open_model", lambda self, *a: (edit(), real(self, *a))[1])
        assert cli.main(arguments) == 1
    assert json.loads(out.read_text())["error"] == "changed since it was added"
    assert cli.main(arguments) == 0
    (pile / "a.txt").write_text("one and two")
    os.utime(pile / "a.txt", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert cli.main(arguments) == 0
    assert json.loads(out.read_text())["sha256"] == sha256("one and two")
