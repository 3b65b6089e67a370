"""One file a format whose files hold several documents, or none that is plain text; base.py holds what a reader answers.

To add one, add its file with a class derived from ``base.Reader``: it is found here. A file that no reader takes is one
document of plain text.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from engine.documents.readers.base import Reader


def _found() -> tuple[type[Reader], ...]:
    kinds: list[type[Reader]] = []
    for file in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{file.name}")
        for kind in vars(module).values():
            if (
                isinstance(kind, type)
                and issubclass(kind, Reader)
                and kind.__module__ == module.__name__
                and not inspect.isabstract(kind)
            ):
                kinds.append(kind)
    return tuple(kinds)


READERS: tuple[type[Reader], ...] = _found()
"""The readers of the files in this folder."""


def reader_of(path: str, head: bytes, column: str = "") -> Reader | None:
    """Return what reads the file at ``path`` that begins with ``head``; None for plain text.

    ``column`` is the one whose cells are the documents, if the file is a table.
    """
    found = next((kind() for kind in READERS if kind.takes(path, head)), None)
    if found is not None:
        found.column = column
    return found
