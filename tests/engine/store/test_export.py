"""Exports hold every document in pile order, are harmless in a spreadsheet, and replace a file whole or not at all."""

from __future__ import annotations

import builtins
import csv
import errno
import io
import json
import os
import struct
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.api.state import State
from engine.errors import ExportError, UsageError
from engine.store import replacement
from engine.store.export import export, jsonl_line, jsonl_row
from engine.store.journal import Journal
from engine.store.record import JobRecord, Record, Result

NOT_UTF8 = os.fsdecode(b"/pile/caf\xe9.txt")
STATES = ["done", "failed", "skipped", "cancelled", "waiting", "done"]


def label(number: int, name: str = "manual") -> Result:
    value = {"label": name, "margin": -0.25, "unsure": False, "scores": {"manual": 0.5, "=other": -1e-7}, "note": None}
    return Result(number, value)


def vector(number: int, dimension: int = 3) -> Result:
    numbers = [number + 0.1 * place for place in range(dimension)]
    return Result(number, {"dimension": dimension}, struct.pack(f"<{dimension}f", *numbers), dimension)


def fill(journal: Journal, results, paths=None, job: str = "job", task: str = "classify") -> list[Record]:
    """A job whose documents stand in the states of STATES, added out of order; returns them in pile order."""
    journal.add_job(JobRecord(job, task=task))
    records = []
    for number, state in enumerate(STATES, 1):
        path = paths[number - 1] if paths else f"/pile/{number}.txt"
        reason = f"{state}: because" if state in {"failed", "skipped"} else ""
        known = {"tokens": 10 * number, "worker": 0, "seconds": 0.5} if state == "done" else {}
        records.append(
            Record(
                number,
                job,
                number,
                path,
                sha256=f"{number:064x}",
                encoding="utf-8",
                state=state,
                reason=reason,
                **known,
            )
        )
    journal.add_documents(Record(r.id, job, r.position, r.path, sha256=r.sha256) for r in reversed(records))
    for record in records:
        journal.finish(record, results(record.id)) if record.state == "done" else journal.update_documents([record])
    return records


@pytest.fixture
def journal():
    with Journal() as journal:
        yield journal


def read_csv(path) -> tuple[list[str], list[list[str]]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    return header, rows


def read_jsonl(path) -> list[dict]:
    return [json.loads(line) for line in path.read_bytes().decode("utf-8").splitlines()]


# ------------------------------------------------------------------------------------------------------------------ csv
def test_csv_has_every_document_in_pile_order(journal, tmp_path):
    fill(journal, label)
    path = tmp_path / "rows.csv"
    assert export(journal, "job", str(path), "csv") == 6
    header, rows = read_csv(path)
    assert header == [
        *("path", "name", "state", "reason"),
        *("label", "margin", "unsure", "scores.manual", "scores.=other", "note"),
        *("tokens", "unknown_share", "coverage", "seconds", "worker", "encoding", "confidence", "sha256"),
    ]
    assert [row[2] for row in rows] == STATES
    sha = [f"{number:064x}" for number in (1, 2)]
    assert rows[0] == [
        *("/pile/1.txt", "1.txt", "done", ""),
        *("manual", "-0.25", "false", "0.5", "-1e-07", ""),
        *("10", "0.0", "1.0", "0.5", "0", "utf-8", "1.0", sha[0]),
    ]
    assert rows[1] == [
        *("/pile/2.txt", "2.txt", "failed", "failed: because"),
        *("", "", "", "", "", ""),
        *("", "0.0", "0.0", "0.0", "", "utf-8", "1.0", sha[1]),
    ]


def test_csv_is_what_spreadsheets_expect(journal, tmp_path):
    fill(journal, lambda number: label(number, '许可证, "licence"'))
    path = tmp_path / "rows.csv"
    export(journal, "job", str(path), "csv")
    data = path.read_bytes()
    assert data.startswith(b"\xef\xbb\xbfpath,name,")
    assert data.count(b"\r\n") == data.count(b"\n") == 7
    assert '"许可证, ""licence"""'.encode() in data


def test_csv_has_no_vectors(journal, tmp_path):
    fill(journal, vector, task="embed")
    path = tmp_path / "rows.csv"
    export(journal, "job", str(path), "csv")
    assert read_csv(path)[0][4:6] == ["dimension", "tokens"]


def test_a_result_column_does_not_hide_a_column_of_the_document(journal, tmp_path):
    fill(journal, lambda number: Result(number, {"state": "solid", "list": ["=1", 2]}))
    path = tmp_path / "rows.csv"
    export(journal, "job", str(path), "csv")
    header, rows = read_csv(path)
    assert header[4:6] == ["result.state", "list"]
    assert rows[0][2:6] == ["done", "", "solid", '["=1", 2]']


def test_csv_written_while_documents_finish_loses_no_value(journal, tmp_path, monkeypatch):
    records = fill(journal, label)
    real, walks = journal.results, []

    def results(job, **options):
        if walks:  # between the walk that finds the columns and the one that writes
            late = Record(5, "job", 5, "/pile/5.txt", state="done")
            journal.finish(late, Result(5, {"language": "fi"}))
        walks.append(job)
        return real(job, **options)

    monkeypatch.setattr(journal, "results", results)
    path = tmp_path / "rows.csv"
    assert export(journal, "job", str(path), "csv") == len(records)
    header, rows = read_csv(path)
    assert len(walks) == 3
    assert rows[4][header.index("language")] == "fi"
    assert rows[0][header.index("label")] == "manual"
    assert len(rows) == 6


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.text(st.one_of(st.sampled_from(list("=+-@＝＋\t\r\n ;,'\"\x00\u202e\udcff")), st.characters())))
def test_no_text_becomes_a_formula_or_breaks_the_table(tmp_path, text):
    with Journal() as journal:
        paths = ["/pile/" + text.replace("/", "").replace("\0", "").encode("utf-8", "replace").decode()] * 6
        fill(journal, lambda number: Result(number, {"text": text, text: text, "list": [text]}), paths)
        journal.update_documents([Record(2, "job", 2, paths[1], state="failed", reason=text, encoding=text)])
        path = tmp_path / "rows.csv"
        export(journal, "job", str(path), "csv")
    header, rows = read_csv(path)
    assert {len(row) for row in rows} == {len(header)}
    numbers = {header.index(name) for name in ("tokens", "unknown_share", "coverage", "seconds", "worker")}
    for row in [header, *rows]:
        for place, value in enumerate(row):
            if place not in numbers:
                assert value.lstrip(' \t\r\n"')[:1] not in set("=+-@＝＋－＠")
            assert "\x00" not in value
            assert "\u202e" not in value
            assert "\n" not in value


# ---------------------------------------------------------------------------------------------------------------- jsonl
def test_jsonl_has_exactly_the_promised_keys(journal, tmp_path):
    records = fill(journal, label)
    path = tmp_path / "rows.jsonl"
    assert export(journal, "job", str(path), "jsonl") == 6
    rows = read_jsonl(path)
    assert [row["state"] for row in rows] == STATES
    assert rows[0] == {
        "path": "/pile/1.txt",
        "sha256": f"{1:064x}",
        "encoding": "utf-8",
        "confidence": 1.0,
        "state": "done",
        "task": "classify",
        "result": label(1).value,
        "tokens": 10,
        "unknown_share": 0.0,
        "coverage": 1.0,
        "seconds": 0.5,
        "worker": 0,
        "error": "",
    }
    assert list(rows[0]) == list(rows[1])
    assert (rows[1]["result"], rows[1]["error"], rows[1]["tokens"]) == (None, "failed: because", None)
    assert rows[0] == jsonl_row(records[0], label(1), "classify")


def test_a_warning_about_a_done_document_is_no_error():
    row = jsonl_row(
        Record(1, "job", 1, "/a", state="done", reason="the model does not know this script"), label(1), "x"
    )
    assert (row["error"], row["warning"]) == ("", "the model does not know this script")


def test_names_and_texts_that_are_not_utf8_still_make_valid_json(journal, tmp_path):
    odd = "\udcff\u202e\u2028\x85 许"
    paths = [NOT_UTF8, "/pile/许可.txt", "/pile/new\nline.txt", *(f"/pile/{n}" for n in range(3))]
    fill(journal, lambda number: Result(number, {odd: [odd, {"x": odd}]}), paths, task=odd)
    path = tmp_path / "rows.jsonl"
    export(journal, "job", str(path), "jsonl")
    text = path.read_bytes().decode("utf-8")
    assert "\u202e" not in text
    assert len(text.splitlines()) == 6
    assert "许" in text
    rows = read_jsonl(path)
    kept = odd.replace("\udcff", "\\udcff")
    assert rows[0]["result"] == {kept: [kept, {"x": kept}]}
    assert (rows[0]["path"], rows[0]["path_bytes"]) == ("/pile/caf\\xe9.txt", b"/pile/caf\xe9.txt".hex())
    assert [row["path"] for row in rows[1:3]] == paths[1:3]
    assert not [row for row in rows[1:] if "path_bytes" in row]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_vectors_in_jsonl_are_the_float32_and_short(numbers):
    packed = struct.pack(f"<{len(numbers)}f", *numbers)
    row = jsonl_row(Record(1, "job", 1, "/a", state="done"), Result(1, {"n": 1}, packed, len(numbers)), "embed")
    back = json.loads(jsonl_line(row))["result"]
    assert back["n"] == 1
    assert np.array(back["vector"], "<f4").tobytes() == packed
    assert all(len(repr(number)) <= 22 for number in back["vector"])


def test_a_tenth_is_written_as_a_tenth():
    row = jsonl_row(Record(1, "job", 1, "/a", state="done"), Result(1, {}, struct.pack("<f", 0.1), 1), "embed")
    assert '"vector": [0.1]' in jsonl_line(row)


# ------------------------------------------------------------------------------------------------------------------ npy
def test_npy_is_readable_by_numpy_in_place(journal, tmp_path):
    fill(journal, vector, task="embed", paths=["=1.txt", *(f"/pile/{n}" for n in range(5))])
    path = tmp_path / "vectors.npy"
    assert export(journal, "job", str(path), "npy") == 2
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    assert (array.shape, array.dtype) == ((2, 3), np.dtype("<f4"))
    assert array.tobytes() == (vector(1).vector or b"") + (vector(6).vector or b"")
    header, rows = read_csv(tmp_path / "vectors.index.csv")
    assert header == ["row", "path", "sha256", "encoding", "confidence"]
    assert [row[:3] for row in rows] == [["0", "'=1.txt", f"{1:064x}"], ["1", "/pile/4", f"{6:064x}"]]
    assert sorted(os.listdir(tmp_path)) == ["vectors.index.csv", "vectors.npy"]


def test_npy_holds_many_rows_of_any_width(journal, tmp_path):
    journal.add_job(JobRecord("job"))
    journal.add_documents(Record(n, "job", n, f"/{n}") for n in range(1, 2001))
    for n in range(1, 2001):
        journal.finish(Record(n, "job", n, f"/{n}", state="done"), vector(n, 384))
    path = tmp_path / "vectors"
    assert export(journal, "job", str(path), "npy") == 2000
    array = np.load(path, mmap_mode="r")
    assert array.shape == (2000, 384)
    assert np.array_equal(array[:, 0], np.arange(1, 2001, dtype="<f4"))
    assert (tmp_path / "vectors.index.csv").exists()


def test_vectors_of_a_job_without_vectors_are_refused_and_nothing_is_written(journal, tmp_path):
    fill(journal, label)
    with pytest.raises(UsageError, match="no vectors"):
        export(journal, "job", str(tmp_path / "vectors.npy"), "npy")
    assert os.listdir(tmp_path) == []


def test_vectors_of_two_widths_are_refused(journal, tmp_path):
    fill(journal, lambda number: vector(number, number), task="embed")
    with pytest.raises(ExportError, match="different models"):
        export(journal, "job", str(tmp_path / "vectors.npy"), "npy")
    assert os.listdir(tmp_path) == []


# -------------------------------------------------------------------------------------------------- whole or not at all
FORMATS = ["csv", "jsonl", "npy"]


@pytest.fixture
def old(journal, tmp_path):
    """A folder with older exports, and a function that exports over one and expects an error of a kind."""
    fill(journal, vector, task="embed")
    before = {}
    for name in ("out.csv", "out.jsonl", "out.npy", "out.index.csv"):
        before[name] = f"old {name}".encode()
        (tmp_path / name).write_bytes(before[name])

    def fails(kind: str, match: str, path=None) -> None:
        with pytest.raises(ExportError, match=match) as caught:
            export(journal, "job", str(path or tmp_path / f"out.{kind}"), kind)
        assert "was not written" in str(caught.value)
        assert f"out.{kind}" in str(caught.value)
        assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before

    return fails


@pytest.mark.parametrize("kind", FORMATS)
def test_a_full_disk_leaves_the_old_file(old, monkeypatch, kind):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(replacement.os, "fsync", full)
    old(kind, r"disk is full: more than [\d.]+ \w+ needed, [\d.]+ \wB free\. Make room .*The old file is unchanged")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
@pytest.mark.parametrize("kind", FORMATS)
def test_a_disk_that_fills_up_while_writing_leaves_the_old_file(old, monkeypatch, kind):
    def open_full(name, mode):
        real(name, mode).close()
        return real("/dev/full", "wb")

    real = builtins.open
    monkeypatch.setattr(replacement, "open", open_full, raising=False)
    old(kind, "disk is full")


@pytest.mark.parametrize(("kind", "call"), [("csv", 1), ("jsonl", 1), ("npy", 1), ("npy", 2)])
def test_a_rename_that_fails_leaves_all_old_files(old, monkeypatch, kind, call):
    calls = []
    real = os.replace

    def replace(source, target):
        calls.append(target)
        if len(calls) == call:
            raise PermissionError(errno.EACCES, "Permission denied", target)
        real(source, target)

    monkeypatch.setattr(replacement.os, "replace", replace)
    old(kind, "read-only, or another program has the file open")


def test_a_rename_that_fails_leaves_no_new_file_of_a_pair(journal, tmp_path, monkeypatch):
    fill(journal, vector, task="embed")
    real = os.replace

    def replace(source, target):
        if target.endswith(".csv"):
            raise OSError(errno.EIO, "Input/output error", target)
        real(source, target)

    monkeypatch.setattr(replacement.os, "replace", replace)
    with pytest.raises(ExportError, match="Input/output error"):
        export(journal, "job", str(tmp_path / "out.npy"), "npy")
    assert os.listdir(tmp_path) == []


def test_old_files_of_a_pair_are_kept_on_disks_without_links_too(old, monkeypatch):
    def no_links(source, _target):
        raise PermissionError(errno.EPERM, "Operation not permitted", source)

    def replace(source, target):
        if target.endswith(".index.csv"):
            raise OSError(errno.EIO, "Input/output error", target)
        real(source, target)

    real = os.replace
    monkeypatch.setattr(replacement.os, "link", no_links)
    monkeypatch.setattr(replacement.os, "replace", replace)
    old("npy", "Input/output error")


def test_any_exception_in_the_middle_leaves_the_old_file(journal, tmp_path, monkeypatch):
    fill(journal, label)
    path = tmp_path / "rows.jsonl"
    path.write_text("old")

    def interrupted(*_args, **_options):
        yield Record(1, "job", 1, "/a"), None
        raise KeyboardInterrupt

    monkeypatch.setattr(journal, "results", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export(journal, "job", str(path), "jsonl")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["rows.jsonl"]


def test_a_file_too_large_for_its_disk_leaves_the_old_file(old):
    resource = pytest.importorskip("resource", reason="no limits on file sizes here")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        old("jsonl", "takes no file of that size")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_folder_that_is_a_file_is_named(old, tmp_path, kind):
    old(kind, "not a folder", tmp_path / "out.csv" / f"out.{kind}")


@pytest.mark.parametrize("kind", FORMATS)
def test_a_missing_folder_is_named(old, tmp_path, kind):
    old(kind, "does not exist", tmp_path / "nowhere" / f"out.{kind}")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0,
    reason="root may write everywhere; faults/test_disks.py has a read-only disk",
)
def test_a_read_only_folder_is_named(journal, tmp_path):
    fill(journal, label)
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ExportError, match="read-only"):
            export(journal, "job", str(tmp_path / "out.csv"), "csv")
    finally:
        tmp_path.chmod(0o700)


def test_what_is_not_a_file_is_never_replaced(journal, tmp_path):
    fill(journal, label)
    (tmp_path / "out.csv").mkdir()
    with pytest.raises(ExportError, match="a folder"):
        export(journal, "job", str(tmp_path / "out.csv"), "csv")
    with pytest.raises(ExportError, match="not a regular file"):
        export(journal, "job", os.devnull, "csv")
    assert os.listdir(tmp_path) == ["out.csv"]


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs links")
def test_a_link_keeps_pointing_and_permissions_stay(journal, tmp_path):
    fill(journal, label)
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "real.csv").chmod(0o640)
    (tmp_path / "out.csv").symlink_to("real.csv")
    export(journal, "job", str(tmp_path / "out.csv"), "csv")
    assert (tmp_path / "out.csv").is_symlink()
    assert len(read_csv(tmp_path / "real.csv")[1]) == 6
    assert (tmp_path / "real.csv").stat().st_mode & 0o777 == 0o640


def test_a_name_of_255_bytes_can_be_written(journal, tmp_path):
    fill(journal, label)
    path = tmp_path / ("x" * 251 + ".csv")
    assert export(journal, "job", str(path), "csv") == 6
    with pytest.raises(ExportError, match="too long"):
        export(journal, "job", str(tmp_path / ("x" * 252 + ".csv")), "csv")
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", FORMATS)
def test_a_document_of_the_pile_is_never_overwritten(journal, tmp_path, kind):
    path = tmp_path / f"letter.{kind}"
    path.write_text("a document of the user")
    fill(journal, vector, [str(tmp_path / "." / f"letter.{kind}")] * 6, task="embed")
    with pytest.raises(ExportError, match="a document of this pile"):
        export(journal, "job", str(path), kind)
    assert path.read_text() == "a document of the user"
    assert os.listdir(tmp_path) == [path.name]


def test_the_journal_itself_is_never_overwritten(tmp_path):
    path = str(tmp_path / "session.heddle")
    with Journal(path) as journal:
        fill(journal, label)
        with pytest.raises(ExportError, match="own journal"):
            export(journal, "job", path, "csv")
        assert journal.integrity() == "ok"


def test_unknown_jobs_and_formats_are_named(journal, tmp_path):
    fill(journal, label)
    with pytest.raises(UsageError, match="no job 'nobody'"):
        export(journal, "nobody", str(tmp_path / "x.csv"), "csv")
    with pytest.raises(UsageError, match="odf"):
        export(journal, "job", str(tmp_path / "x.odf"), "odf")
    assert os.listdir(tmp_path) == []


def test_exports_during_a_running_job_always_hold_the_whole_pile(tmp_path):
    with Journal(str(tmp_path / "session.heddle")) as journal:
        journal.add_job(JobRecord("job"))
        journal.add_documents(Record(n, "job", n, f"/pile/{n}") for n in range(1, 1001))

        def worker() -> None:
            for n in range(1, 1001):
                journal.finish(Record(n, "job", n, f"/pile/{n}", state="done"), label(n))

        thread = threading.Thread(target=worker)
        thread.start()
        counts = []
        while thread.is_alive() or not counts:
            export(journal, "job", str(tmp_path / "rows.csv"), "csv")
            rows = read_csv(tmp_path / "rows.csv")[1]
            assert [row[1] for row in rows] == [str(n) for n in range(1, 1001)]
            assert all((row[2] == "done") == (len(row) > 11 and row[4] == "manual") for row in rows)
            counts.append(sum(row[2] == "done" for row in rows))
        thread.join()
    assert counts == sorted(counts)


def test_csv_output_is_read_by_the_csv_module_of_strict_rules(journal, tmp_path):
    fill(journal, lambda number: label(number, 'a"b,c\r\nd'))
    path = tmp_path / "rows.csv"
    export(journal, "job", str(path), "csv")
    text = path.read_bytes().decode("utf-8-sig")
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    assert rows[1][4] == 'a"b,c\\r\\nd'


@pytest.mark.parametrize("state", [state for state in State if state != State.DONE])
def test_nothing_was_used_of_the_text_of_a_document_that_is_not_done(state):
    record = Record(1, "job", 0, "/pile/a.txt", state=str(state))
    assert jsonl_row(record, None, "embed")["coverage"] == 0
    assert jsonl_row(replace(record, state="done"), Result(1, {}), "embed")["coverage"] == 1
