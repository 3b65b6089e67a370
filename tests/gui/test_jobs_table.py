"""The table of jobs: what its cells say, and that it keeps Qt's rules."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtTest import QAbstractItemModelTester

from engine.api import JobFacts
from gui.tables.jobs_table import JobColumn, JobsTable


def facts(number: int, **fields) -> JobFacts:
    return JobFacts(str(number), f"job {number}", 1000.0 + number, "embed", **fields)


def texts(table: JobsTable, row: int) -> list[str]:
    return [table.data(table.index(row, column)) for column in JobColumn]


def test_a_row_says_what_a_job_is(qtbot, theme):
    table = JobsTable(theme)
    counts = {"done": 812, "failed": 3, "waiting": 184, "quarantined": 1, "skipped": 0}
    table.set_jobs([facts(1, status="running", priority=2, counts=counts)], {"1": "/new\nmails"})
    name, state, task, documents, made, priority, watched = texts(table, 0)
    assert (name, state, task, priority, watched) == ("job 1", "running", "embed", "+2", "/new\\nmails")
    assert documents == "812 of 1,000 done, 3 failed, 1 quarantined"
    assert made
    icon = table.data(table.index(0, JobColumn.STATE), Qt.ItemDataRole.DecorationRole)
    assert not icon.isNull()
    accessible = table.data(table.index(0, JobColumn.STATE), Qt.ItemDataRole.AccessibleTextRole)
    assert accessible == "State: running"


def test_new_values_of_the_same_jobs_keep_the_rows_and_other_jobs_replace_them(qtbot, theme):
    table = JobsTable(theme)
    QAbstractItemModelTester(table, QAbstractItemModelTester.FailureReportingMode.Fatal)
    table.set_jobs([facts(1), facts(2)], {})
    with qtbot.waitSignal(table.dataChanged):
        table.set_jobs([facts(1, status="paused"), facts(2)], {})
    with qtbot.assertNotEmitted(table.dataChanged), qtbot.assertNotEmitted(table.modelReset):
        table.set_jobs([facts(1, status="paused"), facts(2)], {})
    with qtbot.waitSignal(table.modelReset):
        table.set_jobs([facts(2)], {})
    assert (table.row_of("2"), table.row_of("1")) == (0, -1)
    assert table.job(5) is None
