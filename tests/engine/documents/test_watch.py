"""A watched folder tells a file once, when it has stopped growing."""

from __future__ import annotations

import os
import threading

from engine.documents.watch import FolderWatch, Watcher


def names(paths: list[str]) -> list[str]:
    return [os.path.basename(path) for path in paths]


def test_a_file_is_told_once_when_two_looks_found_it_the_same(tmp_path):
    watch = FolderWatch(str(tmp_path))
    file = tmp_path / "a.txt"
    file.write_text("one")
    assert watch.look() == []
    file.write_text("one two")
    assert watch.look() == []
    assert names(watch.look()) == ["a.txt"]
    assert watch.look() == []


def test_an_empty_file_is_waited_for(tmp_path):
    watch = FolderWatch(str(tmp_path))
    (tmp_path / "a.txt").touch()
    assert [watch.look() for _ in range(4)] == [[]] * 4


def test_known_files_hidden_names_and_links_are_left_out_and_subfolders_are_not(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("known.txt", "new.txt", ".secret.txt", "sub/deep.txt", ".hidden/x.txt"):
        (tmp_path / name).write_text("text")
    (tmp_path / "link.txt").symlink_to(tmp_path / "known.txt")
    watch = FolderWatch(str(tmp_path), {str(tmp_path / "known.txt"): None})
    watch.look()
    assert sorted(names(watch.look())) == ["deep.txt", "new.txt"]


def test_a_folder_that_is_away_has_nothing_new_and_goes_on_when_it_is_back(tmp_path):
    folder, away = tmp_path / "share", tmp_path / "away"
    folder.mkdir()
    (folder / "a.txt").write_text("text")
    watch = FolderWatch(str(folder))
    watch.look()
    folder.rename(away)
    assert watch.look() == []
    away.rename(folder)
    assert watch.look() == []
    assert names(watch.look()) == ["a.txt"]


def test_the_watcher_tells_its_pile_and_ends_its_thread_when_there_is_nothing_to_watch(tmp_path, no_threads_left):
    told: list[tuple[str, list[str]]] = []
    heard = threading.Event()

    def found(key: str, paths: list[str]) -> None:
        told.append((key, names(paths)))
        heard.set()

    watcher = Watcher(found, period=0.01)
    (tmp_path / "a.txt").write_text("text")
    watcher.watch("pile", str(tmp_path))
    assert heard.wait(30)
    thread = watcher._thread
    watcher.forget("pile")
    thread.join(30)
    assert not thread.is_alive()
    assert told == [("pile", ["a.txt"])]
    watcher.close()


def test_a_file_that_grows_on_after_it_was_told_is_told_again(tmp_path):
    watch = FolderWatch(str(tmp_path))
    file = tmp_path / "a.txt"
    file.write_text("44 bytes")
    told = [names(watch.look()) for _ in range(3)]
    assert told == [[], ["a.txt"], []]
    file.write_text("44 bytes, and 15 more")
    assert [names(watch.look()) for _ in range(3)] == [[], ["a.txt"], []]


def test_a_known_file_is_told_once_it_is_not_what_was_known(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("text")
    status = file.stat()
    for known in ((status.st_size, status.st_mtime_ns), None):
        watch = FolderWatch(str(tmp_path), {str(file): known})
        assert [watch.look() for _ in range(3)] == [[]] * 3
        file.write_text(file.read_text() + " more")
        assert [names(watch.look()) for _ in range(2)] == [[], ["a.txt"]]
        status = file.stat()
    watch = FolderWatch(str(tmp_path), {str(file): (1, 1)})
    assert [names(watch.look()) for _ in range(2)] == [[], ["a.txt"]]
