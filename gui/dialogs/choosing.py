"""Dialogs that ask for files, a folder, or a file to write to: one way to open them, one way to hear the answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFileDialog, QWidget

Chosen = Callable[[list[str]], object]
"""Gets what was chosen, as absolute paths; called once, and not at all after Cancel."""


def choose_files(window: QWidget, title: str, folder: str, filters: Sequence[str], then: Chosen) -> QFileDialog:
    """Ask for files that exist, beginning in ``folder``; returns the open dialog."""
    dialog = _dialog(window, title, folder, then)
    dialog.setFileMode(QFileDialog.FileMode.ExistingFiles)
    dialog.setNameFilters(list(filters))
    dialog.open()
    return dialog


def choose_folder(window: QWidget, title: str, folder: str, then: Callable[[str], object]) -> QFileDialog:
    """Ask for a folder, beginning in ``folder``; returns the open dialog."""
    dialog = _dialog(window, title, folder, lambda paths: then(paths[0]))
    dialog.setFileMode(QFileDialog.FileMode.Directory)
    dialog.setOption(QFileDialog.Option.ShowDirsOnly)
    dialog.open()
    return dialog


def choose_target(window: QWidget, title: str, path: str, suffix: str, then: Callable[[str], object]) -> QFileDialog:
    """Ask for a file to write to, beginning with ``path``; one that is there is asked about. Returns the open dialog."""
    dialog = _dialog(window, title, os.path.dirname(path), lambda paths: then(paths[0]))
    dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
    dialog.setDefaultSuffix(suffix)
    dialog.selectFile(os.path.basename(path))
    dialog.open()
    return dialog


def _dialog(window: QWidget, title: str, folder: str, then: Chosen) -> QFileDialog:
    dialog = QFileDialog(window, title, folder or os.path.expanduser("~"))
    dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    dialog.setStyleSheet("QToolButton { padding: 1px; }")  # Qt gives its buttons 22 pixels: no room for ours
    # The one signal that Qt's own dialog and those of the systems have in common; urlsSelected is of the latter only.
    dialog.filesSelected.connect(lambda paths: then([os.path.normpath(path) for path in paths if path]))
    return dialog
