"""Near duplicates: planted ones are found, of each group the first is kept, and nothing else is called one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cli.main import main
from engine.models.starter import starter_folder
from engine.tasks import duplicates
from engine.tasks.base import FinishedRow
from engine.tasks.duplicates import Duplicates, DuplicatesSettings

SAMPLES = Path(__file__).resolve().parents[3] / "assets/samples/mails"


def rows_of(vectors, sha256=None):
    return {
        number: FinishedRow({}, f"{number}.txt", "" if sha256 is None else sha256[number], np.asarray(v, np.float32))
        for number, v in enumerate(vectors)
    }


def kept(found):
    return [number for number, value in found.items() if value["keep"]]


def test_of_texts_that_are_alike_the_first_is_kept_and_the_others_name_it():
    task = Duplicates(DuplicatesSettings(similarity=0.9))
    found = task.finish_job(rows_of([[1, 0], [0, 1], [1, 0.1], [0.1, 2], [-1, 0]]))
    assert kept(found) == [0, 1, 4]
    assert [found[n]["duplicate_of"] for n in (2, 3)] == ["0.txt", "1.txt"]
    assert [found[n]["group"] for n in range(5)] == [1, 2, 1, 2, None]
    assert [task.summary(found[n]) for n in (0, 2, 4)] == ["keep: the first of 2", "duplicate of 0.txt (0.99)", "keep"]


def test_the_same_bytes_are_duplicates_whatever_the_vectors_say_and_follow_their_first_to_what_it_is_alike():
    task = Duplicates(DuplicatesSettings(similarity=0.9))
    found = task.finish_job(rows_of([[1, 0], [1, 0.01], [0, 1], [0, 1]], ["a", "b", "b", "c"]))
    assert [found[n]["duplicate_of"] for n in range(4)] == ["", "0.txt", "0.txt", ""]


def test_rows_without_a_vector_and_an_empty_pile_are_left_alone():
    task = Duplicates(DuplicatesSettings())
    assert task.finish_job({}) == {}
    assert kept(task.finish_job({1: FinishedRow({})})) == [1]


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.floats(0.2, 0.99))
def test_blocks_change_nothing_and_what_is_kept_is_never_alike(seed, block, enough):
    """Against the plain definition, one document after the other."""
    vectors = np.random.default_rng(seed).normal(size=(23, 3)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected: list[int] = []
    for number in range(len(unit)):
        if not expected or (unit[expected] @ unit[number]).max() < enough:
            expected.append(number)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duplicates, "_BLOCK", block)
        found = Duplicates(DuplicatesSettings(similarity=enough)).finish_job(rows_of(vectors))
    close = {n for n in range(len(unit)) if abs((unit[:n] @ unit[n]) - enough).min(initial=1.0) < 1e-5}
    assert close or kept(found) == expected


def test_planted_duplicates_among_the_sample_mails_are_found_and_no_others(tmp_path):
    pile = tmp_path / "pile"
    pile.mkdir()
    mails = sorted(SAMPLES.glob("*.txt"))[:60]
    for mail in mails:
        shutil.copy(mail, pile)
    text = mails[7].read_text()
    (pile / "x copy.txt").write_text(text)
    (pile / "y signed.txt").write_text(f"{text}\n\nKind regards\n")
    out = tmp_path / "rows.jsonl"
    assert main(["run", "duplicates", str(pile), "--model", starter_folder(), "--out", str(out), "--quiet"]) == 0
    rows = {Path(row["path"]).name: row["result"] for row in map(json.loads, out.read_text().splitlines())}
    found = {name: result["duplicate_of"] for name, result in rows.items() if not result["keep"]}
    assert found == {"x copy.txt": mails[7].name, "y signed.txt": mails[7].name}
    assert rows[mails[7].name]["size"] == 3
