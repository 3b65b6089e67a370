"""The .tar.gz tried as its users have it: an odd path, an ordinary user, a folder that nobody can write, no network."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile

from freeze import BuildError, tar
from freeze.trial import PATIENCE, Trial, run, try_offline, try_program

ODD = "with spaces 中文 'quoted'"
"""A folder's name that has broken programs."""

NOBODY = 65534
"""The user and group that own nothing."""


def try_tar(path: str, folder: str, picture: str) -> None:
    """Unpack and run, install, run and uninstall the package at ``path`` under ``folder``; raises BuildError.

    As root on Linux it is run by an ordinary user without a network. The window's picture goes to ``picture``.
    """
    top = os.path.join(folder, ODD)
    unpacked = tar.unpack(path, top)
    program = os.path.join(unpacked, "heddle")
    before = digest(program)
    _for_everybody(folder)
    _read_only(program)
    try:
        with tempfile.TemporaryDirectory(prefix="heddle-home-") as home:
            inside = os.path.join(home, "window.png")
            if sys.platform == "linux" and os.geteuid() == 0 and shutil.which("ip"):
                os.chown(home, NOBODY, NOBODY)
                user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
                try_offline(program, inside, user, home)
            else:
                print("tried with the network, by you: another user without one takes root on Linux", flush=True)
                try_program(program, inside)
            shutil.copyfile(inside, picture)
        if digest(program) != before:
            raise BuildError("The program's folder changed while it ran.")
        _try_install(unpacked, os.path.join(top, "home"))
    finally:
        _writable(program)
    shutil.rmtree(top)
    name = os.path.basename(path)
    print(f"{name}: unpacked, installed, run and removed in a path {ODD!r}; picture: {picture}", flush=True)


def digest(folder: str) -> str:
    """Return what stands for names, contents and links of everything under ``folder``."""
    found = hashlib.sha256()
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(place, name)
            found.update(os.path.relpath(path, folder).encode() + b"\0")
            if os.path.islink(path):
                found.update(os.readlink(path).encode())
                continue
            with open(path, "rb") as file:
                found.update(hashlib.file_digest(file, "sha256").digest())
    return found.hexdigest()


def _try_install(unpacked: str, home: str) -> None:
    """Install for a user with the home folder ``home``, twice, run, and uninstall: nothing is left but what was there."""
    data = os.path.join(home, ".local", "share", "Heddle", "journal.sqlite")
    os.makedirs(os.path.dirname(data))
    with open(data, "w", encoding="ascii") as file:
        file.write("the user's own")
    environment = {"HOME": home, "PATH": "/usr/bin:/bin"}
    for _ in range(2):  # the second one is an upgrade
        _sh(["sh", os.path.join(unpacked, "install.sh")], environment)
    command = os.path.join(home, ".local", "bin", "heddle")
    run([command, "--version"], home, Trial())
    _sh(["sh", os.path.join(home, ".local", "lib", "heddle", "uninstall.sh")], environment)
    left = [os.path.join(place, name) for place, _, names in os.walk(home) for name in names]
    if left != [data]:
        raise BuildError(f"Uninstalling left behind, or took away: {left}")


def _sh(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd="/"
    )
    if done.returncode != 0:
        raise BuildError(f"{command} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def _for_everybody(folder: str) -> None:
    """Let every user look into ``folder``."""
    os.chmod(folder, 0o755)  # noqa: S103 - that is what the trial is about


def _read_only(folder: str) -> None:
    for place, _, _ in os.walk(folder, topdown=False):
        os.chmod(place, 0o555)  # noqa: S103


def _writable(folder: str) -> None:
    if sys.platform != "win32":
        for place, _, _ in os.walk(folder):
            os.chmod(place, stat.S_IRWXU | 0o055)  # noqa: S103
