"""The coordinator with workers of a few lines: what is late, lost, removed or changed meanwhile costs nothing else."""

from __future__ import annotations

import pytest
from worker_machine import Machine, Twice

from engine.api.state import State
from engine.jobs import control, result_cache
from engine.jobs.document import Document
from engine.jobs.renewing import renew
from engine.requests.capability import ENCODE
from engine.requests.output import Answer, Generated
from engine.scheduling.policies import LengthBatches
from engine.scheduling.work import Read, Run
from engine.store.journal import Journal
from engine.store.record import Record
from engine.workers import message


@pytest.fixture
def machine():
    """Make machines; they are closed at the end."""
    made = []

    def make(documents, *, steps=1, prompt="ask", **options):
        new = Machine(0, steps=steps, documents=documents, **options)
        made.append(new)
        if prompt:
            submit(new, prompt)
        return new

    yield make
    for one in made:
        one.close()


def submit(machine, prompt):
    task = Twice(prompt) if machine.steps == 2 else Once(prompt)
    machine.do(
        lambda: control.submit(machine.coordinator, machine.job, task, {"prompt": prompt}, 0, again=True, rest=True)
    )
    result_cache.look_up(machine.coordinator, machine.job)
    machine.settle()


class Once(Twice):
    """Asks one thing."""

    def advance(self, state, outputs, job):
        return super().advance({"first": []}, outputs, job)


def taken(machine, kind, worker=0):
    assignment = machine.take(worker)
    assert isinstance(assignment.work, kind)
    return assignment


def prepared(machine, assignment, worker=0):
    found = tuple(machine.prepared(one) for one in assignment.documents)
    machine.post(message.Read(worker, assignment.work, found, 0.0))
    machine.settle()


def answer(machine, assignment, items, said="yes", worker=0):
    for item in items:
        machine.post(message.Written(worker, assignment.work, item, Answer(said, "end", 5, 3, 0.0, 0.0)))
    machine.settle()


def returned(machine, assignment, worker=0):
    machine.post(message.Returned(worker, assignment.work))
    machine.settle()


def help_all(machine):
    while machine.helpers.waiting:
        machine.helpers.help(0)
    machine.settle()


def states(machine):
    return [document.record.state for document in machine.job.pile.documents.values()]


def test_the_rest_of_a_document_that_failed_is_not_handed_out_again(machine):
    one = machine(2)  # of two parts and of three
    prepared(one, taken(one, Read))
    first = taken(one, Run, 0)
    waiting = one.do(lambda: one.coordinator.scheduler.load(1).items)
    assert waiting, "the other worker has some too, and has not begun"
    numbers = {item.document for item in first.work.items}
    for item in first.work.items:
        one.post(message.Failed(0, first.work, (item,), "the model failed", 0.0))
    returned(one, first)
    one.do(lambda: control.pause(one.coordinator, one.job))  # takes back what has not begun
    one.do(lambda: control.start(one.coordinator, one.job))
    one.reading, one.writing = [], []
    one.drain()
    one.finish()
    assert all(one.job.pile.documents[number].record.state == State.FAILED for number in numbers)
    assert one.job.status == "finished"


def test_a_worker_that_is_lost_while_it_reads_does_not_bring_back_what_was_removed(machine):
    one = machine(4)
    taken(one, Read, 0)
    gone = next(iter(one.job.pile.documents))
    one.there -= one.do(lambda: control.remove(one.coordinator, one.job, [gone]))
    one.lose(0)
    one.drain()
    one.finish()
    assert len(states(one)) == 3
    assert one.job.status == "finished"


def test_reading_files_another_way_from_now_on_costs_no_answer_that_is_under_way(machine):
    one = machine(1)
    prepared(one, taken(one, Read))
    run = taken(one, Run)
    one.do(lambda: one.job.read_as("cp1252", "fail"))
    answer(one, run, run.work.items)
    returned(one, run)
    one.do(one.look)
    for worker in (0, 1):
        if (more := one.take(worker)) is not None:
            answer(one, more, more.work.items, worker=worker)
            returned(one, more, worker)
    help_all(one)
    assert states(one) == [State.DONE]


def test_a_device_that_is_lost_with_one_part_costs_no_answer_about_another(machine):
    one = machine(1, prompt="")
    one.add(1)  # number 2: of three parts
    submit(one, "ask")
    prepared(one, taken(one, Read))
    here, there = taken(one, Run, 0), taken(one, Run, 1)
    lost, kept = here.work.items[0], there.work.items
    one.post(message.DeviceLost(0, here.work, (lost,), "the device is gone"))
    answer(one, here, here.work.items[1:])
    returned(one, here)
    answer(one, there, kept, worker=1)
    returned(one, there, 1)
    one.writing = []
    assert one.job.status == "paused"
    assert State.RUNNING not in states(one)
    one.do(lambda: control.start(one.coordinator, one.job))
    one.settle()
    again = next(found for worker in (0, 1) if (found := one.take(worker)) is not None)
    assert again.work.items == (lost,), "only what was lost is run again"


def test_a_document_that_changed_while_it_was_read_is_read_again(machine):
    one = machine(1)
    stale = taken(one, Read)
    (number,) = one.job.pile.documents
    newer = Document(Record(number, "j", number, "1.txt", 99, sha256="new"), text="newer", in_memory=True)
    renew(one.coordinator, one.job, number, newer)
    prepared(one, stale)
    assert one.do(lambda: one.job.pile.documents[number].step) is None, "what was read of the older file is not used"
    fresh = next(found for worker in (0, 1) if (found := one.take(worker)) is not None)
    assert fresh.work.documents == (number,)


def test_documents_that_the_engine_died_with_are_read_alone_even_when_they_were_taken_back(machine):
    one = machine(3)
    blamed = list(one.job.pile.documents)
    one.do(lambda: control.cancel(one.coordinator, one.job))
    one.do(lambda: one.job.states.retry(blamed))
    for number in blamed:
        one.do(lambda n=number: one.job.pile.change(n, deaths=1))
    one.do(lambda: one.coordinator.line_up(one.job, blamed))
    one.do(lambda: control.start(one.coordinator, one.job))
    one.settle()
    one.do(lambda: control.pause(one.coordinator, one.job))
    one.add(1)
    one.do(lambda: control.start(one.coordinator, one.job))
    one.settle()
    found = [work for worker in (0, 1) if (work := one.take(worker)) is not None]
    assert [assignment.work.documents for assignment in found] == [(one.coordinator.number() - 1,)]


def test_an_engine_that_closes_leaves_its_job_to_go_on(machine, tmp_path):
    path = str(tmp_path / "a.journal")
    one = machine(1, journal=path)
    prepared(one, taken(one, Read))
    run = taken(one, Run)
    one.coordinator.close()
    returned(one, run)  # stopped within a layer
    assert one.coordinator.end(5.0)
    one.journal.close()
    with Journal(path) as journal:
        assert [job.status for job in journal.jobs()] == ["running"]
        assert [record.state for record in journal.documents("j")] == [State.WAITING]


def finishing(machine, found):
    """Bring a job to where its task looks at all results; ``found`` is what it makes of them."""
    one = machine(1, prompt="")

    class Finishing(Once):
        def finish_job(self, rows):
            return found(rows)

    task = Finishing("ask")
    one.do(lambda: control.submit(one.coordinator, one.job, task, {"prompt": "ask"}, 0, again=True))
    result_cache.look_up(one.coordinator, one.job)
    one.settle()
    prepared(one, taken(one, Read))
    for worker in (0, 1):
        if (run := one.take(worker)) is not None:
            answer(one, run, run.work.items, worker=worker)
            returned(one, run, worker)
    one.writing = []
    one.helpers.help(0)
    one.settle()
    assert one.job.finishing
    return one


def test_a_job_that_is_stopped_while_its_task_looks_at_all_results_stays_stopped(machine):
    one = finishing(machine, lambda rows: {})
    one.do(lambda: control.cancel(one.coordinator, one.job))
    help_all(one)
    assert one.job.status == "cancelled"


def test_what_is_retried_while_the_task_looks_at_all_results_runs_before_the_job_ends(machine):
    one = finishing(machine, lambda rows: {})
    one.do(lambda: control.retry(one.coordinator, one.job, list(one.job.pile.documents)))
    help_all(one)
    assert (one.job.status, states(one)) == ("running", [State.WAITING])
    one.drain()
    one.finish()
    assert one.job.status == "finished"


def test_a_result_that_the_task_cannot_sum_up_at_the_end_pauses_the_job_and_says_why(machine):
    one = finishing(machine, lambda rows: {number: {} for number in rows})  # its summary wants a text
    help_all(one)
    assert one.job.status == "paused"
    assert "at the end of the job" in one.job.message


@pytest.mark.parametrize("made", [None, {}, SystemExit("no"), MemoryError(), 3], ids=repr)
def test_whatever_a_task_makes_of_answers_costs_that_document_alone(machine, made):
    class Odd(Once):
        def advance(self, state, outputs, job):
            if "odd" not in next(iter(outputs.values())).answers[0].text:
                return super().advance(state, outputs, job)
            if isinstance(made, BaseException):
                raise made
            return made

    one = machine(2, prompt="")
    odd = Odd("ask")
    one.do(lambda: control.submit(one.coordinator, one.job, odd, {"prompt": "ask"}, 0, again=True))
    result_cache.look_up(one.coordinator, one.job)
    one.settle()
    prepared(one, taken(one, Read))
    first = next(iter(one.job.pile.documents))
    for worker in (0, 1, 0, 1):
        if (run := one.take(worker)) is not None:
            for item in run.work.items:
                answer(one, run, [item], "odd" if item.document == first else "even", worker)
            returned(one, run, worker)
    one.writing = []
    while one.helpers.waiting:
        future, function = one.helpers.waiting.pop(0)
        try:
            future.set_result(function())
        except BaseException as error:
            future.set_exception(error)
    one.settle()
    assert states(one) == [State.FAILED, State.DONE]
    assert "the task failed" in one.job.pile.documents[first].record.reason
    assert one.job.status == "finished"


def test_an_output_that_was_kept_answers_the_question_it_was_made_for_and_no_other(machine):
    one = machine(1, steps=2, prompt="")
    (number,) = one.job.pile.documents
    one.do(lambda: control.use_model(one.coordinator, "a model"))
    one.do(lambda: one.job.pile.change(number, sha256="abc"))
    one.do(lambda: setattr(one.job, "task", Twice("mine")))
    asked = one.do(lambda: one.coordinator.key_of(one.job, one.job.pile.documents[number].record))
    kept = Generated("a", (Answer("earlier", "end", 1, 1, 2.0, 0.0),))
    one.do(lambda: one.job.pile.documents[number].kept.update({(0, "a"): (asked, kept)}))
    submit(one, "another")
    (unread,) = taken(one, Read).documents
    assert unread.have == frozenset()
    one.do(lambda: control.pause(one.coordinator, one.job))
    submit(one, "mine")
    (unread,) = next(found for worker in (0, 1) if (found := one.take(worker)) is not None).documents
    assert unread.have == {"a"}


def test_a_count_ends_when_the_last_worker_is_lost(machine):
    one = machine(2, prompt="")
    stop = one.do(lambda: control.count(one.coordinator, one.job))
    counted = one.coordinator.when(lambda: control.counted(one.coordinator, one.job, stop))
    one.settle()
    assert not counted.done()
    for worker in (0, 1):
        one.coordinator.worker_ended(worker, one.generation, "it broke")
    one.settle()
    assert counted.done()


@pytest.mark.parametrize("way", ["resumed", "brought back"])
def test_a_job_whose_task_the_open_model_cannot_do_pauses_with_the_reason_and_no_row_of_it_fails(machine, way):
    one = machine(3)
    one.do(lambda: control.pause(one.coordinator, one.job))
    one.do(lambda: one.coordinator.open_workers(2, "cpu", LengthBatches(64, 8), ENCODE))
    if way == "resumed":
        one.do(lambda: control.resume(one.coordinator, one.job))
    else:
        one.do(lambda: one.job.set_status("queued"))
        one.do(lambda: one.coordinator.put(one.job))
    one.settle()
    assert one.job.status == "paused"
    assert "needs a text generator" in one.job.message
    assert states(one) == [State.WAITING] * 3
