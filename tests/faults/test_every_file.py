"""FAULTS 10-19, 35, 36: a folder with every case ends with every file accounted for, for the right reason."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import stat
from collections import Counter

import pytest
from model_folders import make_folder
from piles import make_fault_pile, spoil_fault_pile

from engine.api.plan import Plan
from engine.engine import Engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    """An engine with a tiny model and two workers."""
    made = Engine()
    made.set_plan(Plan("cpu", 2, 1, "float32")).result(30)
    made.open_model(make_folder(tmp_path_factory.mktemp("model"), "bert", max_seq_length=64)).result(60)
    yield made
    assert made.close(5.0)


def digests(root):
    found = {}
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            if stat.S_ISREG(status.st_mode) and status.st_size < 1 << 24:
                with open(path, "rb") as file:
                    found[path] = hashlib.sha256(file.read()).hexdigest()
    return found


def run(engine, root, job, policy):
    engine.create_job(job)
    return engine.add_paths(job, [str(root)], on_bad_bytes=policy).result(120)


@pytest.mark.parametrize("policy", ["fail", "replace"])
def test_every_file_is_accounted_for_with_the_right_reason(engine, tmp_path, policy):
    root = tmp_path / "pile"
    expected = make_fault_pile(root, on_bad_bytes=policy)
    told = run(engine, root, policy, policy)
    expected |= spoil_fault_pile(root)
    before = digests(root)
    engine.submit(policy, "embed")
    assert engine.wait(policy, 120)
    records = {record.path: record for record in engine.journal.documents(policy)}
    # I1: nothing lost, nothing twice, nothing invented.
    assert set(records) == set(expected)
    counts = Counter(record.state for record in records.values())
    assert sum(counts.values()) == told["added"] + told["skipped"]
    for path, want in expected.items():
        record = records[path]
        shown = (path.encode("utf-8", "surrogateescape"), record.state, record.reason)
        assert record.state == want.state, shown
        assert want.reason in record.reason, shown
        if want.encodings:
            assert record.encoding in want.encodings, shown
            assert (record.confidence < 1.0) == want.detected, shown
        if want.replaced:
            assert str(want.replaced) in record.reason, shown
    # I2, I3, I4: results for what is done and for nothing else, and the journal is whole.
    assert engine.journal.integrity() == "ok"
    # I8: inputs unchanged, byte for byte.
    assert digests(root) == before


def test_exports_of_the_fault_pile_are_safe_and_whole(engine, tmp_path):
    root = tmp_path / "pile"
    expected = make_fault_pile(root)
    run(engine, root, "export", "fail")
    engine.submit("export", "classify", {"labels": "=cmd|' /C calc'!A0, @sum, +1"})
    assert engine.wait("export", 120)
    target = str(tmp_path / "out.csv")
    assert engine.export("export", target, "csv").result(60) == len(expected)
    with open(target, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert len(rows) == len(expected) + 1
    for row in rows[1:]:
        for value in row:
            if value[:1] in "=+-@\t\r" and value:
                float(value)  # only numbers of ours may begin so
    lines = str(tmp_path / "out.jsonl")
    assert engine.export("export", lines, "jsonl").result(60) == len(expected)
    with open(lines, encoding="utf-8") as file:
        assert Counter(json.loads(line)["state"] for line in file) == Counter(want.state for want in expected.values())
