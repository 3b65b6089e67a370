"""The .deb tried in a clean Debian: installed, run by an ordinary user without a network, and purged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

from freeze import BuildError
from freeze.tar_trial import digest
from freeze.trial import FATAL, PATIENCE

USER = 1000
"""Number of the ordinary user."""

_INSIDE = """
set -e
mount --bind /proc "$1/proc"
mount --bind /dev "$1/dev"
mount -t tmpfs tmpfs "$1/dev/shm"
if [ "$2" = alone ]; then ip link set lo up; fi
root=$1; shift 2
exec chroot "$root" "$@"
"""

_TESTS = """
set -e
export HOME=/home/someone LANG=C.UTF-8 DISPLAY=:77
cd "$HOME"
heddle --self-test > self-test.json
Xvfb :77 -screen 0 1400x900x24 -nolisten tcp > xvfb.log 2>&1 &
display=$!
trap 'kill $display' EXIT
while ! [ -S /tmp/.X11-unix/X77 ]; do sleep 0.1; done
QT_QPA_PLATFORM=xcb heddle-desktop --smoke "$HOME/window.png"
heddle run classify --labels "$(cat labels)" --dtype float32 --workers 1 --threads 1 --quiet \\
    /usr/lib/heddle/_internal/assets/samples/mails --out sample.jsonl
"""


def try_deb(path: str, root: str, picture: str) -> str:
    """Try the package at ``path`` in the Debian root ``root``, which is changed; the window's picture goes to ``picture``.

    The root is one that ``debootstrap --variant=minbase`` made, with apt's sources in it; the packages that the package
    depends on are fetched, everything after that runs without a network. Returns the path of the sample pile's rows.
    Raises BuildError. Takes root's rights.
    """
    if sys.platform != "linux" or os.geteuid() != 0:
        raise BuildError("The .deb can only be tried by root, in a Debian root made by debootstrap.")
    home = os.path.join(root, "home", "someone")
    shutil.rmtree(home, ignore_errors=True)
    os.makedirs(home)
    os.chown(home, USER, USER)
    shutil.copyfile(path, os.path.join(root, "root", "heddle.deb"))
    before = _files(root)
    _in_root(root, ["apt-get", "update", "-qq"])
    _in_root(root, ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "xvfb", "/root/heddle.deb"])
    program = os.path.join(root, "usr", "lib", "heddle")
    shipped = digest(program)
    with open(os.path.join(home, "labels"), "w", encoding="utf-8") as file:
        file.write(_labels(root))
    user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "sh", "-c", _TESTS]
    log = _in_root(root, user, alone=True)
    with open(os.path.join(home, "self-test.json"), encoding="utf-8") as file:
        told = json.load(file)
    if not told["ok"] or any(word in log for word in FATAL):
        raise BuildError(f"In the Debian root: {told}\n{log[-3000:]}")
    if digest(program) != shipped:
        raise BuildError("The program's files changed while it ran.")
    shutil.copyfile(os.path.join(home, "window.png"), picture)
    rows = picture + ".jsonl"
    shutil.copyfile(os.path.join(home, "sample.jsonl"), rows)
    _in_root(root, ["apt-get", "purge", "-y", "-qq", "heddle"])
    left = [
        one for one in _files(root) - before if "heddle" in one and not one.startswith(("/home/", "/root/", "/var/"))
    ]
    if left:
        raise BuildError(f"Purging left behind: {left[:5]}")
    print(
        f"{os.path.basename(path)}: installed in a clean Debian, run without a network, purged; picture: {picture}",
        flush=True,
    )
    return rows


def _labels(root: str) -> str:
    """Return the sample pile's labels as heddle takes them."""
    path = os.path.join(root, "usr", "lib", "heddle", "_internal", "assets", "samples", "task.json")
    with open(path, encoding="utf-8") as file:
        return "\n".join(f"{label['name']}: {label['description']}" for label in json.load(file)["labels"])


def _in_root(root: str, command: list[str], *, alone: bool = False) -> str:
    """Run ``command`` in the root, without any network but loopback if ``alone``, and return all that it said."""
    spaces = ["unshare", "--mount", *(["--net"] if alone else [])]
    words = [*spaces, "sh", "-c", _INSIDE, "sh", root, "alone" if alone else "", *command]
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive"}
    environment |= {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy") and not alone}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode != 0:
        raise BuildError(
            f"{command} ended with {done.returncode} in {root}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}"
        )
    return done.stdout + done.stderr


def _files(root: str) -> set[str]:
    found = set()
    for place, folders, names in os.walk(root):
        folders[:] = [
            name for name in folders if os.path.join(place, name) not in {f"{root}/proc", f"{root}/sys", f"{root}/dev"}
        ]
        found.update("/" + os.path.relpath(os.path.join(place, name), root) for name in (*names, *folders))
    return found
