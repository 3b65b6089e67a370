"""The .tar.gz: the program with install.sh and uninstall.sh, for a user's own folder."""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile

from freeze import share, sizes
from freeze.place import Place

SCRIPTS = ("install.sh", "uninstall.sh")


def make(place: Place) -> str:
    """Pack the program and return the file's path; raises BuildError where it is too large."""
    made = os.path.join(place.work, "share")
    share.write_share(place, made)
    os.makedirs(place.results, exist_ok=True)
    path = os.path.join(place.results, f"{place.name}.tar.gz")
    part = path + ".part"
    with (
        open(part, "wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=share.moment()) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT) as archive,
    ):
        for script in SCRIPTS:
            archive.add(os.path.join(place.templates, script), f"{place.name}/{script}", filter=_plain)
        for source, name in ((made, "share"), (place.program, "heddle")):
            for folder, folders, names in os.walk(source):
                folders.sort()
                inside = os.path.normpath(os.path.join(place.name, name, os.path.relpath(folder, source)))
                archive.add(folder, inside, recursive=False, filter=_plain)
                for each in sorted([*names, *(f for f in folders if os.path.islink(os.path.join(folder, f)))]):
                    archive.add(os.path.join(folder, each), f"{inside}/{each}", recursive=False, filter=_plain)
    os.replace(part, path)
    sizes.check(os.path.basename(path), sizes.size_of(path), sizes.PACKED)
    return path


def unpack(path: str, folder: str) -> str:
    """Unpack a package into ``folder`` anew and return the folder that was in it."""
    shutil.rmtree(folder, ignore_errors=True)
    with tarfile.open(path) as archive:
        archive.extractall(folder, filter="tar")
    (name,) = os.listdir(folder)
    return os.path.join(folder, name)


def _plain(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Take out who made it and when, and what only its owner may do."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = share.moment()
    executable = entry.isdir() or entry.mode & 0o100
    entry.mode = 0o755 if executable else 0o644
    return entry
