"""The .deb: the program under /usr/lib/heddle, its commands on the PATH, and the packages that it depends on by name."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess

from freeze import BuildError, elf, share, sizes
from freeze.place import Place

FONT = "fonts-dejavu-core | fonts-liberation | fonts-noto-core"
"""Qt brings no fonts; without any, the window is empty."""

SETTINGS = "fontconfig-config"
"""The settings of fontconfig, whose library is inside the program: without them it finds no font."""

_DESCRIPTION = """\
run a local language model over a pile of documents
 Drop a folder of texts on the window, choose what to do with them, press
 Start, and take away one row per document. Two models come along.
 .
 Everything runs on this computer and no network is used.
"""


def make(place: Place) -> str:
    """Build the package and return its path; raises BuildError where a library has no package, or it is too large."""
    tree = os.path.join(place.work, "deb")
    shutil.rmtree(tree, ignore_errors=True)
    target = os.path.join(tree, "usr", "lib", "heddle")
    shutil.copytree(place.program, target, symlinks=True, copy_function=_link)
    share.write_share(place, os.path.join(tree, "usr", "share"))
    os.makedirs(os.path.join(tree, "usr", "bin"))
    for name in ("heddle", "heddle-desktop"):
        os.symlink(f"../lib/heddle/{name}", os.path.join(tree, "usr", "bin", name))
    told = os.path.join(tree, "usr", "share", "doc", "heddle")
    os.makedirs(told)
    with open(os.path.join(told, "copyright"), "w", encoding="utf-8") as file:
        file.write(_COPYRIGHT)
    os.makedirs(os.path.join(tree, "DEBIAN"))
    with open(os.path.join(tree, "DEBIAN", "control"), "w", encoding="utf-8") as file:
        file.write(control(place.version, depends(target), sizes.size_of(tree)))
    for folder, _, names in os.walk(tree):
        os.chmod(folder, 0o755)  # noqa: S103 - as every package has it
        for path in (os.path.join(folder, name) for name in names):
            if not os.path.islink(path):
                os.chmod(path, 0o755 if os.stat(path).st_mode & 0o100 else 0o644)
    os.makedirs(place.results, exist_ok=True)
    path = os.path.join(place.results, f"heddle_{place.version}_{architecture()}.deb")
    command = ["dpkg-deb", "--root-owner-group", "-Zzstd", "-z10", "--build", tree, path]
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        raise BuildError("dpkg-deb could not build the package.")
    shutil.rmtree(tree)
    sizes.check(os.path.basename(path), sizes.size_of(path), sizes.PACKED)
    return path


_COPYRIGHT = """\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: Heddle
Comment: What is inside the program, and under which licences, is listed in
 /usr/lib/heddle/_internal/assets/bill-of-materials.cdx.json; the texts of the
 licences lie in /usr/lib/heddle/licences.

Files: *
Copyright: The Heddle authors
License: Apache-2.0
 On Debian systems the text of this licence is in
 /usr/share/common-licenses/Apache-2.0.
"""


def control(version: str, depends: list[str], size: int) -> str:
    """Return the package's control file; ``size`` in bytes."""
    fields = {
        "Package": "heddle",
        "Version": version,
        "Architecture": architecture(),
        "Maintainer": "The Heddle authors <heddle@localhost>",
        "Section": "text",
        "Priority": "optional",
        "Installed-Size": str(-(-size // 1024)),
        "Depends": ", ".join(depends),
        "Description": _DESCRIPTION.rstrip(),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def architecture() -> str:
    """Return Debian's name of this processor."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def depends(folder: str) -> list[str]:
    """Return the packages that carry what the program in ``folder`` links with and does not hold.

    Raises BuildError for a library that no package of this system carries.
    """
    libraries, glibc = elf.outside(folder)
    packages: dict[str, str] = {}
    for library, users in sorted(libraries.items()):
        name = _package_of(library)
        if not name:
            raise BuildError(f"No package of this system carries {library}, which {min(users)} needs.")
        packages[name] = f"{name} (>= {'.'.join(map(str, glibc))})" if name == "libc6" else name
    return [*(packages[name] for name in sorted(packages)), SETTINGS, FONT]


def _package_of(library: str) -> str:
    told = subprocess.run(["dpkg-query", "-S", f"*/{library}"], capture_output=True, text=True, check=False).stdout
    found = re.findall(r"^([^:\s]+)(?::\S+)?: (\S+)$", told, re.MULTILINE)
    known = [name for name, path in found if re.match(r"(/usr)?/lib(64)?/([a-z0-9_]+-linux-gnu/)?[^/]+$", path)]
    return next((name for name in known if not name.endswith("-dev")), "")


def _link(source: str, target: str) -> str:
    """Link a file of the program into the package's tree; copies where the two lie on different disks."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target)
    return target
