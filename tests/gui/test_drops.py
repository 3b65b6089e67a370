"""A drop gives the paths byte for byte."""

from __future__ import annotations

import os
import sys

import pytest
from PySide6.QtCore import QMimeData, QUrl

from gui.drops import local_paths

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="file names are not bytes there")


def mime(data: bytes) -> QMimeData:
    found = QMimeData()
    found.setData("text/uri-list", data)
    return found


def test_paths_of_files_and_folders():
    assert local_paths(mime(b"file:///a/b%20c.txt\r\nfile:///d/\r\n")) == ["/a/b c.txt", "/d/"]


def test_names_that_are_not_utf8_survive():
    assert local_paths(mime(b"file:///a/%FF%80.txt\r\n")) == [os.fsdecode(b"/a/\xff\x80.txt")]


def test_the_local_host_may_be_named_and_comments_are_left_out():
    assert local_paths(mime(b"# from somewhere\r\nfile://localhost/x\r\n")) == ["/x"]


def test_what_is_not_a_local_file_is_left_out():
    assert local_paths(mime(b"https://example.org/a\r\nfile://server/share/a\r\nmailto:x\r\n\r\n")) == []
    assert local_paths(QMimeData()) == []


def test_urls_that_qt_made():
    found = QMimeData()
    found.setUrls([QUrl.fromLocalFile("/ä/ö #1%.txt")])
    assert local_paths(found) == ["/ä/ö #1%.txt"]
