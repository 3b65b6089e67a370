"""A journal has one holder; the lock ends with the process, and what was in work when it died is known."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap

import pytest

from engine.store.hold import Hold, JournalBusy
from engine.store.journal import Journal
from engine.store.record import JobRecord, Record, Result

HOLDER = """
    import sys
    from engine.store.journal import Journal
    from engine.store.record import JobRecord, Record, Result

    journal = Journal(sys.argv[1])
    if journal.job("job") is None:
        journal.add_job(JobRecord("job"))
        journal.add_documents(Record(n, "job", n, f"/pile/{n}") for n in range(1, 6))
        journal.finish(Record(1, "job", 1, "/pile/1", state="done"), Result(1, {}))
    journal.in_flight.take([1, 2, 3])
    journal.in_flight.land([3])
    journal.flush()
    print("held", flush=True)
    sys.stdin.read()
    """


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "pile.journal")


def hold_and_die(path: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(JournalBusy, match="in use by another run"):
            Journal(path)
        child.kill()


def test_a_second_holder_is_refused_by_name_and_the_first_goes_on(path):
    with Journal(path) as journal:
        with pytest.raises(JournalBusy, match=r"pile\.journal is in use"):
            Journal(path)
        journal.add_job(JobRecord("job"))
        assert journal.flush()
    assert os.listdir(os.path.dirname(path)) == ["pile.journal"]


def test_a_lock_that_a_dead_process_left_does_not_hold(path):
    first = Hold(path)
    first.begin()
    first.take([7, 8])
    first.land([8])
    os.close(first._file)  # as the system does for a process that dies
    first._file = None
    second = Hold(path)
    assert second.abandoned
    assert second.left == {7}
    second.release()
    third = Hold(path)
    assert not third.abandoned
    third.release()


def test_a_long_list_of_what_is_in_work_is_written_anew(path):
    hold = Hold(path)
    hold.begin()
    for number in range(0, 400_000, 100):
        hold.take(range(number, number + 100))
        if number:
            hold.land(range(number - 100, number))
    assert os.path.getsize(path + ".lock") < 2_000_000
    os.close(hold._file)
    hold._file = None
    again = Hold(path)
    assert again.left == set(range(399_900, 400_000))
    again.release()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_what_was_in_work_when_the_engine_died_twice_is_quarantined_and_the_rest_waits(path):
    hold_and_die(path)
    with Journal(path) as journal:
        states = {r.id: (r.state, r.deaths) for r in journal.documents("job")}
        assert states == {1: ("done", 0), 2: ("waiting", 1), 3: ("waiting", 0), 4: ("waiting", 0), 5: ("waiting", 0)}
        assert (journal.recovered, journal.quarantined) == (1, 0)
    with Journal(path) as journal:  # an orderly end counts against nobody
        assert {r.deaths for r in journal.documents("job")} == {0, 1}
    hold_and_die(path)
    with Journal(path) as journal:
        assert (journal.recovered, journal.quarantined) == (0, 1)
        assert journal.counts("job")["quarantined"] == 1
        assert "ended twice" in journal.document(2).reason
        assert journal.integrity() == "ok"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_death_is_counted_once_even_if_the_list_is_read_twice(path, tmp_path):
    hold_and_die(path)
    left = (tmp_path / "pile.journal.lock").read_bytes()
    Journal(path).close()
    (tmp_path / "pile.journal.lock").write_bytes(left)  # as if that process had died before it emptied the list
    with Journal(path) as journal:
        assert journal.document(2).deaths == 1


def test_an_answer_is_found_by_its_key(path):
    with Journal(path) as journal:
        journal.add_job(JobRecord("job"))
        journal.add_documents([Record(1, "job", 1, "/pile/1"), Record(2, "job", 2, "/pile/2")])
        done = Record(1, "job", 1, "/pile/1", state="done", tokens=5)
        journal.finish(done, Result(1, {"a": 1}, b"\0\0\x80?", 1, key="k1"))
        found = journal.answers(["k1", "k2", ""])
        assert list(found) == ["k1"]
        assert found["k1"] == (done, Result(1, {"a": 1}, b"\0\0\x80?", 1, key="k1"))


@pytest.mark.skipif(sys.platform == "win32", reason="pipes and links of POSIX")
@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "dangling link", "bytes", "numbers", "no rights"])
def test_a_damaged_lock_does_not_keep_the_journal_closed(path, tmp_path, kind):
    Journal(path).close()
    lock, other = tmp_path / "pile.journal.lock", tmp_path / "letter.txt"
    other.write_text("dear")
    if kind == "folder":
        lock.mkdir()
        (lock / "x").write_text("x")
    elif kind == "pipe":
        os.mkfifo(lock)
    elif kind.endswith("link"):
        lock.symlink_to(other if kind == "link" else tmp_path / "nowhere")
    elif kind == "bytes":
        lock.write_bytes(bytes(range(256)) * 40)
    elif kind == "numbers":
        lock.write_text(f"7 token\n+{2**63} +{2**80} +{'9' * 6000} +-3 +\n")
    else:
        lock.write_text("7 token\n+1\n")
        lock.chmod(0)
    if kind == "no rights" and os.getuid() != 0:
        pytest.skip("only root passes over rights")
    with Journal(path) as journal:
        journal.add_job(JobRecord("job"))
        assert journal.flush()
        with pytest.raises(JournalBusy):
            Journal(path)
    assert other.read_text() == "dear"
    assert not (tmp_path / "nowhere").exists()
    assert not os.path.lexists(lock)
