"""The whole fault pile through walk and read: every path accounted for, with the right reason, nothing changed."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

import pytest
from piles import Expected, make_fault_pile, spoil_fault_pile

from engine.api.state import State
from engine.documents.document import Skipped, Source, Text
from engine.documents.opening import NotADocument
from engine.documents.read import read
from engine.documents.walk import walk
from engine.errors import DocumentError


def outcome(found: Source | Skipped, on_bad_bytes: str = "fail") -> tuple[State, str, Text | None]:
    if isinstance(found, Skipped):
        return State.SKIPPED, found.reason, None
    try:
        return State.DONE, "", read(found, on_bad_bytes=on_bad_bytes)
    except NotADocument as error:
        return State.SKIPPED, str(error), None
    except DocumentError as error:
        return State.FAILED, str(error), None


def check(path: str, expected: Expected, state: State, reason: str, text: Text | None) -> None:
    assert state == expected.state, (path, reason)
    assert expected.reason in reason, path
    if text is not None:
        assert text.text == expected.text, path
        assert text.encoding in expected.encodings, path
        assert (text.confidence < 1) == expected.detected, path
        assert text.replaced == expected.replaced, path


def fingerprints(root: Path) -> dict[str, tuple[int, int, int, str]]:
    """Mode, size, mtime and bytes of everything below ``root`` (bytes of small regular files)."""
    found: dict[str, tuple[int, int, int, str]] = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            digest = ""
            if stat.S_ISREG(status.st_mode) and status.st_size < 1 << 20:
                with open(path, "rb") as file:
                    digest = hashlib.sha256(file.read()).hexdigest()
            found[path] = (status.st_mode, status.st_size, status.st_mtime_ns, digest)
    return found


@pytest.mark.parametrize("on_bad_bytes", ["fail", "replace"])
def test_every_path_of_the_fault_pile_ends_as_expected_and_no_input_changes(tmp_path, on_bad_bytes):
    root = tmp_path / "pile"
    expected = make_fault_pile(root, on_bad_bytes=on_bad_bytes)
    before = fingerprints(root)
    found = list(walk([str(root)]))
    paths = [item.path for item in found]
    assert len(paths) == len(set(paths))
    assert set(paths) == set(expected)
    for item in found:
        check(item.path, expected[item.path], *outcome(item, on_bad_bytes))
    assert fingerprints(root) == before


def test_files_that_change_between_walk_and_read_fail_and_the_rest_goes_on(tmp_path):
    root = tmp_path / "pile"
    expected = make_fault_pile(root)
    found = list(walk([str(root)]))
    spoiled = spoil_fault_pile(root)
    assert {e.state for e in spoiled.values()} <= {State.FAILED, State.SKIPPED}
    for item in found:
        check(item.path, (expected | spoiled)[item.path], *outcome(item))


@pytest.mark.skipif(os.name != "posix", reason="names and special files of POSIX")
def test_the_pile_holds_every_row_here(tmp_path):
    expected = make_fault_pile(tmp_path / "pile")
    assert {e.row for e in expected.values()} >= {10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 35, 36}
    assert any("\udce9" in path for path in expected)
