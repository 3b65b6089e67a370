"""A run whose standard streams are closed, or whose reader goes away, writes its files and says in its exit code how it went."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from faulty import ROOT, STUB, make_pile, rows_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a POSIX shell closes the streams")


def run(closing: str, *arguments: str, reads: bool = True) -> tuple[int, str]:
    """Run the command with streams as the shell's ``closing`` says; standard error is a pipe that nobody ``reads``."""
    read, write = os.pipe()
    if not reads:
        os.close(read)
    line = f'exec "$@" {closing}'
    command = [sys.executable, STUB, "run", "embed", *arguments, "--model", str(ROOT)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(["/bin/sh", "-c", line, "sh", *command], stderr=write, env=environment, cwd=ROOT)
    os.close(write)
    code = process.wait(60)
    said = ""
    if reads:
        with open(read, encoding="utf-8") as file:
            said = file.read()
    return code, said


@pytest.mark.parametrize(("closing", "reads"), [("2>&-", True), ("", False), (">&-", True), ("<&- >&- 2>&-", True)])
def test_closed_streams_cost_words_and_no_rows(tmp_path, closing, reads):
    pile, out, live = make_pile(tmp_path / "pile", 5), tmp_path / "rows.jsonl", tmp_path / "live.jsonl"
    (pile / "odd.txt").write_bytes(b"caf\xe9 au lait")
    code, _ = run(closing, str(pile), "--out", str(out), "--live", str(live), "--encoding", "utf-8", reads=reads)
    assert code == 1
    assert sorted(row["state"] for row in rows_of(out).values()) == ["done"] * 5 + ["failed"]
    assert rows_of(live) == rows_of(out)


def test_rows_that_nobody_could_read_are_refused_before_anything_runs(tmp_path):
    code, said = run(">&-", str(make_pile(tmp_path / "pile", 1)))
    assert code == 2
    assert "--out" in said
