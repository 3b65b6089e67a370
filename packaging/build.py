#!/usr/bin/env python3
"""Make Heddle's packages from this source tree, and try them.

    python3 packaging/build.py [folder|tar|deb|all] [--no-trial] [--debian-root FOLDER]

folder freezes the program into build/freeze/dist/heddle and tries it; tar and deb pack it too, into build/packages, and
all makes everything, with SHA256SUMS. --no-trial leaves the trials of the packages out; the folder is always tried. The
.deb is installed and tried in the root of a clean Debian where one is named (as root; FOLDER made by debootstrap
--variant=minbase).
Takes PyInstaller and everything else from the package index into a throw-away environment under build/, once.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time

from freeze import BuildError, deb, environment, program, tar
from freeze.bill import NAME
from freeze.deb_trial import try_deb
from freeze.place import Place
from freeze.tar_trial import try_tar
from freeze.trial import try_program

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main() -> int:
    """Make what the command line asks for; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make Heddle's packages, and try them.")
    parser.add_argument("what", nargs="?", choices=("folder", "tar", "deb", "all"), default="all")
    parser.add_argument("--no-trial", action="store_true", help="do not try the packages, only the program's folder")
    parser.add_argument("--debian-root", default="", metavar="FOLDER", help="a clean Debian to try the .deb in")
    chosen = parser.parse_args()
    began = time.monotonic()
    try:
        _make(Place(ROOT), chosen.what, trial=not chosen.no_trial, debian=chosen.debian_root)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"done in {time.monotonic() - began:,.0f} s")
    return 0


def _make(place: Place, what: str, *, trial: bool, debian: str) -> None:
    environment.ensure(place)
    program.make(place)
    program.tell_sizes(place)
    told = try_program(place.program, os.path.join(place.work, "window.png"))
    print(f"the program's folder: self-test ({told['seconds']} s) and smoke test passed", flush=True)
    if what in ("tar", "all"):
        made = tar.make(place)
        if trial:
            with tempfile.TemporaryDirectory(prefix="heddle-tar-", ignore_cleanup_errors=True) as folder:
                try_tar(made, folder, os.path.join(place.work, "tar.png"))
    if what in ("deb", "all"):
        made = deb.make(place)
        if trial and debian:
            try_deb(made, os.path.abspath(debian), os.path.join(place.work, "deb.png"))
        else:
            print("the .deb was not installed anywhere: --debian-root names a clean Debian to try it in", flush=True)
    if what != "folder":
        _sum_up(place)


def _sum_up(place: Place) -> None:
    """Write the checksums of all packages, and the bill of materials beside them."""
    with (
        open(os.path.join(place.inside, "assets", NAME), "rb") as source,
        open(os.path.join(place.results, f"{place.name}.cdx.json"), "wb") as target,
    ):
        target.write(source.read())
    lines = []
    for name in sorted(os.listdir(place.results)):
        if name.startswith("heddle") and place.version in name and not name.endswith(".part"):
            with open(os.path.join(place.results, name), "rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  {name}\n")
    with open(os.path.join(place.results, "SHA256SUMS"), "w", encoding="ascii") as file:
        file.writelines(lines)
    print("".join(lines), end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
