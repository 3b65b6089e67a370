"""The walk: each real file once, in order, whatever the file system holds."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from engine.documents import walk as walk_module
from engine.documents.document import Skipped, Source
from engine.documents.walk import Walk, walk

posix = pytest.mark.skipif(os.name != "posix", reason="links, FIFOs and raw names of POSIX")


def fill(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"This is {name}.\n", encoding="utf-8")


def taken(found: list[Source | Skipped], root: Path) -> list[str]:
    return [os.path.relpath(item.path, root).replace(os.sep, "/") for item in found if isinstance(item, Source)]


def reasons(found: list[Source | Skipped], root: Path) -> dict[str, str]:
    return {os.path.relpath(item.path, root): item.reason for item in found if isinstance(item, Skipped)}


# --------------------------------------------------------------------------------------------------------------- order
def test_names_come_in_natural_order_and_a_folders_files_before_its_folders(tmp_path):
    fill(tmp_path, "chapter 10.txt", "Chapter 2.txt", "chapter 1.txt", "b/x.txt", "a/10/y.txt", "a/9/y.txt", "a/z.txt")
    assert taken(list(walk([str(tmp_path)])), tmp_path) == [
        "chapter 1.txt",
        "Chapter 2.txt",
        "chapter 10.txt",
        "a/z.txt",
        "a/9/y.txt",
        "a/10/y.txt",
        "b/x.txt",
    ]


def test_paths_come_in_the_order_they_were_named(tmp_path):
    fill(tmp_path, "a.txt", "b/c.txt", "d.txt")
    named = [str(tmp_path / name) for name in ("d.txt", "b", "a.txt")]
    assert taken(list(walk(named)), tmp_path) == ["d.txt", "b/c.txt", "a.txt"]


def test_the_walk_is_lazy_and_looks_no_further_than_it_is_asked(tmp_path):
    fill(tmp_path, "a.txt")

    def endless():
        yield str(tmp_path / "a.txt")
        raise AssertionError("asked for a second path")

    assert isinstance(next(walk(endless())), Source)


def test_a_source_carries_path_size_and_time_of_the_file(tmp_path):
    fill(tmp_path, "a.txt")
    status = os.stat(tmp_path / "a.txt")
    assert list(walk([str(tmp_path)])) == [Source(str(tmp_path / "a.txt"), status.st_size, status.st_mtime_ns)]


def test_a_walk_ends_when_it_is_cancelled(tmp_path):
    fill(tmp_path, *(f"{n}.txt" for n in range(20)))
    answers = itertools.chain([False] * 5, itertools.repeat(True))
    assert len(list(walk([str(tmp_path)], cancelled=lambda: next(answers)))) < 5


# ---------------------------------------------------------------------------------------------------- each file once
def test_a_file_named_twice_is_taken_once(tmp_path):
    fill(tmp_path, "a.txt")
    path = str(tmp_path / "a.txt")
    assert list(walk([path, path]))[1] == Skipped(path, f"already in the pile: {path}")


def test_a_second_walk_into_the_same_pile_takes_only_what_is_new(tmp_path):
    fill(tmp_path, "a.txt")
    pile = Walk()
    assert taken(list(pile.walk([str(tmp_path)])), tmp_path) == ["a.txt"]
    fill(tmp_path, "b.txt")
    again = list(pile.walk([str(tmp_path)]))
    assert taken(again, tmp_path) == ["b.txt"]
    assert reasons(again, tmp_path) == {"a.txt": f"already in the pile: {tmp_path / 'a.txt'}"}


def test_a_file_that_was_taken_off_the_pile_can_be_added_again(tmp_path):
    fill(tmp_path, "a.txt")
    pile = Walk()
    list(pile.walk([str(tmp_path)]))
    pile.forget(str(tmp_path / "a.txt"))
    pile.forget("never seen")
    assert taken(list(pile.walk([str(tmp_path)])), tmp_path) == ["a.txt"]


def test_a_new_file_with_the_number_of_a_deleted_one_is_taken(tmp_path):
    fill(tmp_path, "a.txt")
    pile = Walk()
    list(pile.walk([str(tmp_path)]))
    os.rename(tmp_path / "a.txt", tmp_path / "b.txt")  # the same number under another name
    assert taken(list(pile.walk([str(tmp_path)])), tmp_path) == ["b.txt"]


def test_folders_that_hold_each_other_or_are_named_twice_are_walked_once(tmp_path):
    fill(tmp_path, "in/a.txt", "in/deep/b.txt")
    outer, inner = str(tmp_path / "in"), str(tmp_path / "in" / "deep")
    found = list(walk([inner, outer, outer]))
    assert taken(found, tmp_path) == ["in/deep/b.txt", "in/a.txt"]
    assert [item.reason for item in found if isinstance(item, Skipped)] == [
        f"folder already walked: {inner}",
        f"folder already walked: {outer}",
    ]


@posix
def test_links_between_folders_end_and_real_names_win(tmp_path):
    fill(tmp_path, "a/1.txt", "b/2.txt", "z.txt")
    os.symlink("../b", tmp_path / "a" / "to b")
    os.symlink("../a", tmp_path / "b" / "to a")
    os.symlink("z.txt", tmp_path / "a link.txt")
    found = list(walk([str(tmp_path)]))
    assert taken(found, tmp_path) == ["z.txt", "a/1.txt", "b/2.txt"]
    assert reasons(found, tmp_path) == {
        "a link.txt": f"already in the pile: {tmp_path / 'z.txt'}",
        "a/to b": f"folder already walked: {tmp_path / 'b'}",
        "b/to a": f"folder already walked: {tmp_path / 'a'}",
    }


@posix
def test_a_link_to_another_place_is_followed_and_one_to_a_parent_is_not(tmp_path):
    fill(tmp_path, "pile/a.txt", "elsewhere/b.txt", "beside.txt")
    os.symlink(tmp_path / "elsewhere", tmp_path / "pile" / "more")
    os.symlink("..", tmp_path / "pile" / "up")
    os.symlink("/", tmp_path / "pile" / "top")
    os.symlink(".", tmp_path / "pile" / "here")
    found = list(walk([str(tmp_path / "pile")]))
    assert taken(found, tmp_path) == ["pile/a.txt", "pile/more/b.txt"]
    assert set(reasons(found, tmp_path).values()) == {"a link to a folder above it"}
    assert len(found) == 5


# ---------------------------------------------------------------------------------------------------------- deep trees
def dig(root: Path, name: str, levels: int) -> None:
    """Make ``levels`` nested folders, with a file at the bottom, by steps that no path length limits."""
    here = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    with open("bottom.txt", "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, dir_fd=here)) as file:
        file.write("Deep down.\n")
    os.close(here)


def fill_in(root: Path, name: str) -> None:
    """Take a deep tree away from its top: neither paths nor the interpreter's stack reach its bottom."""
    top, spare = root / name, root / "spare"
    while (top / name).is_dir():
        os.rename(top / name, spare)
        os.rmdir(top)
        os.rename(spare, top)
    os.unlink(top / "bottom.txt")
    os.rmdir(top)


@posix
def test_a_tree_deeper_than_the_interpreters_stack_is_walked_to_its_bottom(tmp_path):
    dig(tmp_path, "d", 1500)
    try:
        found = list(walk([str(tmp_path)]))
    finally:
        fill_in(tmp_path, "d")
    assert [os.path.basename(item.path) for item in found if isinstance(item, Source)] == ["bottom.txt"]


@posix
def test_a_path_longer_than_the_system_takes_is_skipped_with_its_length(tmp_path):
    name = "n" * 250
    dig(tmp_path, name, 30)
    try:
        found = list(walk([str(tmp_path)]))
    finally:
        fill_in(tmp_path, name)
    assert len(found) == 1
    assert isinstance(found[0], Skipped)
    assert found[0].reason.startswith(f"path too long for this system: {len(found[0].path):,} bytes")


# -------------------------------------------------------------------------------------------------- what is not taken
@posix
def test_special_files_are_skipped_with_their_kind_and_nothing_is_opened(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.txt")
    os.symlink("/dev/zero", tmp_path / "zero.txt")
    fill(tmp_path, "folder.txt/inside.txt")

    def refuse(*_args, **_kwargs):
        raise AssertionError("the walk opened something")

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr(os, "open", refuse)
    found = list(walk([str(tmp_path), str(tmp_path / "pipe.txt")]))
    monkeypatch.undo()
    assert taken(found, tmp_path) == ["folder.txt/inside.txt"]
    assert reasons(found, tmp_path) == {
        "pipe.txt": "not a regular file: FIFO",
        "zero.txt": "not a regular file: character device",
        "folder.txt": "not a regular file: folder; its files are taken one by one",
    }


def test_hidden_names_in_a_folder_are_skipped_and_a_hidden_path_that_is_named_is_taken(tmp_path):
    fill(tmp_path, ".a.txt", ".b/c.txt", "d.txt")
    found = list(walk([str(tmp_path)]))
    assert taken(found, tmp_path) == ["d.txt"]
    assert reasons(found, tmp_path) == {".a.txt": "hidden", ".b": "hidden"}
    named = list(walk([str(tmp_path / ".a.txt"), str(tmp_path / ".b")]))
    assert taken(named, tmp_path) == [".a.txt", ".b/c.txt"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no such file.txt", "missing: no such file or folder"),
        ("a.txt/below a file", "missing: no such file or folder"),
        ("nul\0.txt", "not a file name that this system can have"),
        ("lone surrogate \ud800.txt", "not a file name that this system can have"),
    ],
)
def test_a_path_that_leads_nowhere_is_skipped_with_its_reason(tmp_path, name, reason):
    fill(tmp_path, "a.txt")
    path = os.path.join(tmp_path, name)
    found = list(walk([path, "", str(tmp_path / "a.txt")]))
    assert found[:2] == [Skipped(path, reason), Skipped("", "missing: no such file or folder")]
    assert taken(found, tmp_path) == ["a.txt"]


def test_an_unreadable_folder_is_one_row_and_the_rest_goes_on(tmp_path, monkeypatch):
    fill(tmp_path, "a/1.txt", "b/2.txt")
    real = os.scandir

    def scandir(path):
        if os.path.basename(path) == "a":
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(walk_module.os, "scandir", scandir)
    found = list(walk([str(tmp_path)]))
    assert taken(found, tmp_path) == ["b/2.txt"]
    assert reasons(found, tmp_path) == {"a": "folder not readable: permission denied"}


def test_a_file_that_the_system_does_not_show_is_one_row_and_the_rest_goes_on(tmp_path, monkeypatch):
    fill(tmp_path, "a.txt", "b.txt")
    real = os.stat

    def unplugged(path, **options):
        if str(path).endswith("a.txt"):
            raise OSError(5, "Input/output error", path)
        return real(path, **options)

    monkeypatch.setattr(walk_module.os, "stat", unplugged)
    found = list(walk([str(tmp_path)]))
    monkeypatch.undo()
    assert taken(found, tmp_path) == ["b.txt"]
    assert reasons(found, tmp_path) == {"a.txt": "not readable: input/output error"}


@posix
def test_names_that_are_not_utf8_keep_their_bytes(tmp_path):
    name = b'caf\xe9 \xff\n;".txt'
    try:
        with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
            file.write(b"text")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (found,) = walk([str(tmp_path)])
    assert os.fsencode(found.path).endswith(b"/" + name)
