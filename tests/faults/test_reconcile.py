"""Hostile folders, edited and killed during the run: every file ends in the export exactly once, as it should."""

from __future__ import annotations

import sys

import pytest
from reconcile import Folder, run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="names and kinds of files that POSIX has")


@pytest.mark.slow
def test_three_hostile_folders_are_accounted_for(capsys):
    found = run(3, 1, starter_every=0)
    assert found["wrong"] == 0, capsys.readouterr().out
    assert found["files"] > 300


def test_the_reconciler_knows_of_every_path_that_it_makes(tmp_path):
    folder = Folder(tmp_path / "pile", 5, many=20, encoding="")
    folder.disturb()
    assert folder.found() == folder.expected.keys()
