"""Jobs as a whole: those that are over stay in the file until somebody asks, and can be renamed, deleted, duplicated."""

from __future__ import annotations

import os

import pytest
from engine_helpers import reading_order, set_status, states_of, wait_until

from engine.engine import Engine
from engine.errors import UsageError


@pytest.fixture
def opened(tmp_path):
    """Open engines on one session file, one after the other; the last is closed at the end."""
    made = []

    def open_again(*, shelve: bool = True) -> Engine:
        if made:
            made.pop().close()
        made.append(Engine(str(tmp_path / "journal.sqlite"), shelve=shelve))
        return made[-1]

    yield open_again
    for engine in made:
        engine.close()


@pytest.fixture
def folder(tmp_path) -> str:
    place = tmp_path / "pile"
    place.mkdir()
    for number in range(5):
        (place / f"{number}.txt").write_text(f"text {number}", "utf-8")
    (place / "empty.txt").write_text("", "utf-8")
    return str(place)


def pile(engine: Engine, job: str, folder: str, status: str = "finished") -> None:
    engine.create_job(job, job)
    engine.add_paths(job, [folder]).result(30)
    set_status(engine, job, status, "embed")
    engine.journal.update_job(job, status=status, task="embed")


def rows(engine: Engine) -> dict[str, list[str]]:
    return {told.job: [row.state for row in told.rows] for told in engine.snapshot().rows}


def test_only_jobs_that_are_meant_to_go_on_come_back_by_themselves(opened, folder):
    engine = opened()
    for job, status in (("over", "finished"), ("halted", "paused"), ("working", "running"), ("new", "ready")):
        pile(engine, job, folder, status)
    engine = opened()
    assert engine.recovered == ("halted", "working")
    assert engine.coordinator.call(lambda: engine.coordinator.job("working").status) == "queued"
    listed = {facts.id: facts for facts in engine.list_jobs().result(10)}
    assert {job: facts.open for job, facts in listed.items()} == {
        "over": False,
        "halted": True,
        "working": True,
        "new": False,
    }
    assert {facts.counts["waiting"] for facts in listed.values()} == {5}
    assert {facts.counts["skipped"] for facts in listed.values()} == {1}


def test_without_shelving_every_job_comes_back(opened, folder):
    pile(opened(), "over", folder)
    assert opened(shelve=False).recovered == ("over",)


def test_a_job_that_is_asked_for_tells_its_rows_and_can_be_put_away_again(opened, folder):
    pile(opened(), "over", folder)
    engine = opened()
    assert rows(engine) == {}
    facts = engine.show_job("over").result(10)
    assert (facts.status, facts.task, facts.open) == ("finished", "embed", True)
    assert sorted(rows(engine)["over"]) == ["skipped"] + ["waiting"] * 5
    engine.put_away("over")
    assert engine.snapshot().jobs == ()
    assert [facts.open for facts in engine.list_jobs().result(10)] == [False]
    engine.show_job("over").result(10)
    assert len(rows(engine)["over"]) == 6


def test_a_name_is_kept_over_a_start_whether_the_job_is_open_or_not(opened, folder):
    engine = opened()
    pile(engine, "a", folder)
    engine.rename_job("a", "  letters of\nMarch ").result(10)
    assert engine.snapshot().jobs[0].name == "letters of March"
    engine = opened()
    assert [facts.name for facts in engine.list_jobs().result(10)] == ["letters of March"]
    engine.rename_job("a", "bills").result(10)
    assert engine.show_job("a").result(10).name == "bills"
    with pytest.raises(UsageError, match="needs a name"):
        engine.rename_job("a", " ").result(10)


def test_a_deletion_can_be_undone_until_the_next_start(opened, folder):
    engine = opened()
    pile(engine, "a", folder)
    pile(engine, "b", folder, "paused")
    for job in ("a", "b"):
        engine.delete_job(job).result(10)
    assert engine.list_jobs().result(10) == ()
    assert engine.snapshot().jobs == ()
    with pytest.raises(UsageError, match="no job"):
        engine.show_job("a").result(10)
    back = engine.restore_job("b").result(10)
    assert (back.status, back.counts["waiting"], back.open) == ("paused", 5, False)
    engine = opened()
    assert [facts.id for facts in engine.list_jobs().result(10)] == ["b"]
    with pytest.raises(UsageError, match="brought back"):
        engine.restore_job("a").result(10)
    assert list(engine.journal.documents("a")) == []
    assert engine.journal.integrity() == "ok"


@pytest.mark.parametrize("status", ["running", "queued"])
def test_a_job_that_runs_is_neither_deleted_nor_put_away(opened, folder, status):
    engine = opened()
    pile(engine, "a", folder, status)
    with pytest.raises(UsageError, match="Pause or stop it"):
        engine.delete_job("a").result(10)
    with pytest.raises(UsageError, match="Pause or stop it"):
        engine.put_away("a")
    assert engine.snapshot().jobs[0].status == status


@pytest.mark.parametrize("open_before", [True, False])
def test_a_duplicate_has_the_same_documents_and_task_and_nothing_done(opened, folder, open_before):
    engine = opened()
    pile(engine, "a", folder)
    if not open_before:
        engine = opened()
    facts = engine.duplicate_job("a", "b", "again").result(10)
    assert (facts.name, facts.task, facts.status, facts.open) == ("again", "embed", "ready", True)
    assert (facts.counts["waiting"], facts.counts["skipped"]) == (5, 1)
    first, second = (list(engine.journal.documents(job)) for job in ("a", "b"))
    assert [r.path for r in second] == [r.path for r in first]
    assert [r.sha256 for r in second] == [r.sha256 for r in first]
    assert not {r.id for r in first} & {r.id for r in second}
    with pytest.raises(UsageError, match="already"):
        engine.duplicate_job("a", "b").result(10)


def test_documents_that_are_to_run_first_come_before_the_others(opened, folder):
    engine = opened()
    pile(engine, "a", folder, "ready")
    numbers = list(states_of(engine, "a"))
    assert engine.run_first("a", [numbers[3], numbers[1], 999]) == 2
    assert reading_order(engine, "a") == [numbers[n] for n in (3, 1, 0, 2, 4)]


def test_a_watched_folder_fills_the_pile(opened, folder, tmp_path):
    engine = opened()
    engine._adding.watcher._period = 0.05
    pile(engine, "a", folder, "ready")
    engine.watch_folder("a", folder)
    target = os.path.join(folder, "new.txt")
    with open(target, "w", encoding="utf-8") as file:
        file.write("a new text")
    wait_until(engine, "a", lambda job: len(job.pile.documents) == 7 and not job.adding)
    assert [record.path for record in engine.journal.documents("a")][-1] == target
    engine.watch_folder("a", "")
    assert engine._adding.watcher._watches == {}
