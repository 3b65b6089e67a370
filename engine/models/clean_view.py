"""A model folder as libraries can read it: without the byte order marks that editors put before JSON and other texts.

The mark is harmless (our own reader passes over it), but transformers refuses a file that begins with one, takes a
generation_config.json with one for none, and puts the mark of a chat template into every prompt. The user's folder stays as
it is: what is read instead is a temporary folder of links, in which only the files with a mark are files, without it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator

from engine.errors import ModelError
from engine.models.json_file import mark_of
from engine.models.regular import open_regular

_TEXTS = (".json", ".jinja", ".txt")
_LARGEST = 512 << 20
_COPIED = 64 << 20
"""Files that are copied where links cannot be made are no larger than this."""
_DEPTH = 1


@contextlib.contextmanager
def without_marks(folder: str) -> Iterator[str]:
    """Give a folder with the files of ``folder``, none of whose texts begins with a byte order mark.

    That is ``folder`` itself where there is none. Weights that are mapped from it stay mapped afterwards. Raises ModelError
    where the system makes no links.
    """
    marked = frozenset(_marked(folder, 0))
    if not marked:
        yield folder
        return
    made = tempfile.mkdtemp(prefix="heddle-model-")
    try:
        _copy(folder, made, "", marked)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _marked(folder: str, depth: int) -> Iterator[str]:
    """Yield the paths in ``folder`` of texts that begin with a mark."""
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            if entry.name.endswith(_TEXTS) and entry.is_file():
                with open_regular(entry.path) as file:
                    if mark_of(file.read(4)):
                        yield entry.name
            elif depth < _DEPTH and not entry.name.startswith(".") and entry.is_dir():
                yield from (os.path.join(entry.name, name) for name in _marked(entry.path, depth + 1))


def _copy(source: str, target: str, inside: str, marked: frozenset[str]) -> None:
    with os.scandir(os.path.join(source, inside)) as entries:
        for entry in entries:
            name = os.path.join(inside, entry.name)
            place = os.path.join(target, name)
            if name in marked:
                _without(entry.path, place, name)
            elif entry.is_dir() and any(one.startswith(name + os.sep) for one in marked):
                os.mkdir(place)
                _copy(source, target, name, marked)
            else:
                _link(os.path.abspath(entry.path), place, next(iter(sorted(marked))))


def _without(source: str, target: str, name: str) -> None:
    with open_regular(source) as file:
        data = file.read(_LARGEST)
    try:
        text = data.decode(mark_of(data))
    except UnicodeDecodeError as error:
        raise ModelError(
            f"{name} is not the text that its byte order mark says ({error}). Download it again."
        ) from error
    with open(target, "w", encoding="utf-8", newline="") as made:
        made.write(text)


def _link(source: str, target: str, marked: str) -> None:
    try:
        os.symlink(source, target)
    except OSError as error:  # Windows without the right to make links
        if os.path.isdir(source):
            return
        try:
            os.link(source, target)
        except OSError:
            if os.path.getsize(source) > _COPIED:
                raise ModelError(
                    f"{marked} begins with a byte order mark. Save it as UTF-8 without one, or download it again."
                ) from error
            shutil.copyfile(source, target)
