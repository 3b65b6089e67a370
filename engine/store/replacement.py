"""Replacing files whole: the new ones are complete and synced before an old one is touched."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from engine.errors import ExportError
from engine.store.cells import shown
from engine.store.disk import free_text, size_text, sync_folder
from engine.store.leftovers import beside, hold, sweep

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # quotas are unknown to some systems
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextlib.contextmanager
def replacing(*paths: str) -> Iterator[list[BinaryIO]]:
    """Open a temporary file beside each of ``paths``; at the end they take the places together, or none does.

    Yields the files, open for writing bytes and seekable. When the block ends well, each is flushed and synced, then
    renamed over its path; a symbolic link keeps pointing to what is replaced. When anything fails, the block included,
    the temporary files are removed and what was at the paths before is there unchanged. An OSError becomes an
    ExportError that names the path, the reason and what to do; other exceptions pass.
    """
    temporary: list[str] = []
    try:
        targets = [_target(path) for path in paths]
        with contextlib.ExitStack() as opened:
            files: list[BinaryIO] = []
            for folder in dict.fromkeys(map(os.path.dirname, targets)):
                sweep(folder)
            for target in targets:
                name = beside(target)
                files.append(opened.enter_context(open(name, "xb")))
                hold(files[-1].fileno())
                temporary.append(name)
                with contextlib.suppress(OSError):
                    shutil.copymode(target, name)
            yield files
            for file in files:
                file.flush()
                os.fsync(file.fileno())
        _replace_all(temporary, targets)
    except BaseException as error:
        written = _remove(temporary)
        if isinstance(error, OSError):
            raise ExportError(sentence(paths[0], error, written)) from error
        raise


def _target(path: str) -> str:
    """Return the file that ``path`` leads to; raises ExportError when something else than a file is there."""
    target = os.path.realpath(path)
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return target
    if not stat.S_ISREG(mode):
        kind = "a folder" if stat.S_ISDIR(mode) else "not a regular file"
        raise ExportError(f"{shown(path)} was not written: it is {kind}. Give the name of a file.")
    return target


def _remove(names: Sequence[str]) -> int:
    """Remove what is left of the temporary files; returns the bytes that were in them."""
    size = 0
    for name in names:
        with contextlib.suppress(OSError):
            size += os.path.getsize(name)
            os.unlink(name)
    return size


def _replace_all(temporary: Sequence[str], targets: Sequence[str]) -> None:
    """Rename every file into place; when one rename fails, those before it are taken back."""
    kept: dict[str, str | None] = {}  # a second name for each old file, None where there was none
    try:
        if len(targets) > 1:
            for target in targets:
                kept[target] = _second_name(target)
        for number, (name, target) in enumerate(zip(temporary, targets, strict=True)):
            try:
                os.replace(name, target)
            except OSError:
                for done in targets[:number]:
                    old = kept[done]
                    if old is None:
                        os.unlink(done)
                    else:
                        os.replace(old, done)
                raise
            sync_folder(target)
    finally:
        _remove([name for name in kept.values() if name])


def _second_name(target: str) -> str | None:
    """Keep an old file under a second name, as a link, or as a copy on disks without links; None when there is none."""
    name = beside(target)
    try:
        os.link(target, name)
    except FileNotFoundError:
        return None
    except OSError:
        try:
            shutil.copy2(target, name)
        except OSError:
            _remove([name])
            raise
    return name


def sentence(path: str, error: OSError, written: int = 0) -> str:
    """Return what to tell when writing ``path`` failed after ``written`` bytes: the reason and what to do."""
    folder = shown(os.path.dirname(os.path.abspath(path)))
    if error.errno in _FULL:
        need = f"more than {size_text(written)} needed, {free_text(path)}"
        why = f"the disk is full: {need}. Make room or choose another disk"
    elif error.errno == errno.EFBIG:
        why = f"its disk takes no file of that size (more than {size_text(written)}). Choose another disk"
    elif error.errno in _FORBIDDEN:
        why = f"{folder} is read-only, or another program has the file open. Close it there or choose another folder"
    elif error.errno == errno.ENOENT:
        why = f"the folder {folder} does not exist. Create it or choose another one"
    elif error.errno == errno.ENOTDIR:
        why = f"{folder} is not a folder. Choose another one"
    elif error.errno == errno.ENAMETOOLONG:
        why = "the name is too long. Choose a shorter one"
    else:
        why = f"{error.strerror or error}. Try again or choose another folder"
    old = " The old file is unchanged." if os.path.lexists(path) else ""
    return f"{shown(path)} was not written: {why}.{old}"
