"""What packages of Linux put under ``share``: menu entry, icons, manual pages, the description for software centres."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import time

from freeze import BuildError
from freeze.place import Place

METAINFO = "org.heddle.heddle.metainfo.xml"
MANUALS = ("heddle.1", "heddle-desktop.1")


def moment() -> int:
    """Return the time that packages are dated with: SOURCE_DATE_EPOCH where it is set, else now."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())


def fill(text: str, place: Place) -> str:
    """Return a template with version and date in it."""
    date = time.strftime("%Y-%m-%d", time.gmtime(moment()))
    return text.replace("@VERSION@", place.version).replace("@DATE@", date)


def write_share(place: Place, target: str) -> None:
    """Write everything into the folder ``target``; raises BuildError for a description that appstreamcli refuses."""
    shutil.rmtree(target, ignore_errors=True)
    icons = os.path.join(place.work, "icons")
    shutil.copytree(os.path.join(icons, "hicolor"), os.path.join(target, "icons", "hicolor"))
    _write(place, "heddle.desktop", os.path.join(target, "applications"))
    path = _write(place, METAINFO, os.path.join(target, "metainfo"))
    if shutil.which("appstreamcli"):
        done = subprocess.run(
            ["appstreamcli", "validate", "--no-net", path], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise BuildError(f"appstreamcli refuses {METAINFO}:\n{done.stdout}{done.stderr}")
        print(f"appstreamcli validate: {done.stdout.strip().splitlines()[-1]}", flush=True)
    else:
        print("appstreamcli is missing; the description for software centres was not checked", flush=True)
    manuals = os.path.join(target, "man", "man1")
    os.makedirs(manuals)
    for name in MANUALS:
        with open(os.path.join(place.templates, name), encoding="utf-8") as file:
            text = fill(file.read(), place)
        with open(os.path.join(manuals, name + ".gz"), "wb") as file:
            file.write(gzip.compress(text.encode(), mtime=0))


def draw_icons(place: Place, folder: str) -> None:
    """Draw the icons into ``folder`` with the Qt of the environment; raises BuildError."""
    script = os.path.join(place.root, "packaging", "freeze", "icons.py")
    drawing = os.path.join(place.root, "assets", "icons", "heddle.svg")
    environment = os.environ | {"QT_QPA_PLATFORM": "offscreen"}
    if subprocess.run([place.python, script, drawing, folder], env=environment, check=False).returncode != 0:
        raise BuildError("The icons could not be drawn.")


def _write(place: Place, name: str, folder: str) -> str:
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with open(os.path.join(place.templates, name), encoding="utf-8") as file:
        text = fill(file.read(), place)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path
