"""What counts as a difference between two recordings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from golden import compare

ROW = {"path": "/pile/a.txt", "state": "done", "result": {"label": "b", "score": 0.5}, "seconds": 0.2, "lane": 0}


def _recording(folder: Path, row: dict[str, object]) -> Path:
    folder.mkdir()
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n", "utf-8")
    return folder


def _code(tmp_path: Path, **changed: object) -> int:
    before = _recording(tmp_path / "before", ROW)
    return compare.main([str(before), str(_recording(tmp_path / "after", {**ROW, **changed}))])


def test_times_and_the_worker_do_not_count(tmp_path: Path) -> None:
    assert _code(tmp_path, seconds=0.9, lane=1) == 0


def test_a_renamed_column_does_not_count(tmp_path: Path) -> None:
    after = {name: value for name, value in ROW.items() if name != "lane"} | {"worker": 1}
    before = _recording(tmp_path / "before", ROW)
    assert compare.main([str(before), str(_recording(tmp_path / "after", after))]) == 0


def test_a_number_may_move_by_a_hundred_thousandth(tmp_path: Path) -> None:
    assert _code(tmp_path, result={"label": "b", "score": 0.500001}) == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"state": "failed"},
        {"result": {"label": "c", "score": 0.5}},
        {"result": {"label": "b", "score": 0.501}},
        {"path": "/pile/b.txt"},
    ],
)
def test_what_a_row_says_counts(tmp_path: Path, changed: dict[str, object]) -> None:
    assert _code(tmp_path, **changed) == 1


def test_bytes_that_were_the_same_have_to_stay_so(tmp_path: Path) -> None:
    same = tmp_path / "same.json"
    same.write_text('["rows.jsonl"]', "utf-8")
    before, after = _recording(tmp_path / "before", ROW), _recording(tmp_path / "after", {**ROW, "seconds": 0.3})
    assert compare.main([str(before), str(after), "--same", str(same)]) == 1
