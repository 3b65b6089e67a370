"""Writes packaging/requirements: what is pinned in packaging/constraints.txt, with the hashes of every fitting wheel.

    python3 start.py test --version          (once: what the pins need is read from the environment)
    python3 start.py python packaging/tools/pin.py [--all]

To add or renew a pin, change it in packaging/constraints.txt and run this. pip is asked, without a download, which
wheel it would take on each system and Python that Heddle is installed on; only for what has changed, or for --all (ten
minutes). Raises SystemExit where a package that is needed is
not pinned. torch is left out: its builds lie on an index of their own, and start.py asks for one by exact version.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from typing import Any

from packaging.utils import canonicalize_name

from packaging.requirements import Requirement

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

CUDA_PACKAGES = ("nvidia-", "cuda-", "triton")
FILES = ("program.txt", "tests.txt")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def _linux(glibc: int, machine: str) -> list[str]:
    return [*(f"manylinux_2_{minor}_{machine}" for minor in range(glibc, 4, -1)), f"manylinux2014_{machine}"]


def _macos(major: int) -> list[str]:
    versions = [f"{one}_0" for one in range(major, 10, -1)] + [f"10_{one}" for one in range(16, 8, -1)]
    return [f"macosx_{version}_{machine}" for version in versions for machine in ("arm64", "universal2")]


# Name and tags: the oldest system that the pins run on and newer ones, which may take other wheels.
TARGETS = (
    ("Linux, glibc 2.34", _linux(34, "x86_64")),
    ("Linux, glibc 2.41", _linux(41, "x86_64")),
    ("Linux, glibc 2.41, ARM", _linux(41, "aarch64")),
    ("Windows", ["win_amd64"]),
    ("Windows, ARM", ["win_arm64"]),
    ("macOS 13", _macos(13)),
    ("macOS 14", _macos(14)),
    ("macOS 26", _macos(26)),
)


def chosen_wheels(pins: dict[str, str], python: str, tags: list[str]) -> tuple[dict[str, Any], list[str]]:
    """Return pip's entry for each pinned name on one system, and the pins without a wheel there."""
    asked = dict(pins)
    lacking: list[str] = []
    while True:
        with tempfile.TemporaryDirectory() as folder:
            wanted, report = os.path.join(folder, "pins.txt"), os.path.join(folder, "report.json")
            with open(wanted, "w", encoding="utf-8") as file:
                file.writelines(f"{name}=={version}\n" for name, version in asked.items())
            command = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--dry-run",
                "--ignore-installed",
                "--no-deps",
                "--quiet",
            ]
            command += ["--only-binary", ":all:", "--target", folder, "--report", report, "--python-version", python]
            command += [word for tag in tags for word in ("--platform", tag)] + ["-r", wanted]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0:
                with open(report, encoding="utf-8") as file:
                    entries = json.load(file)["install"]
                return {canonicalize_name(one["metadata"]["name"]): one for one in entries}, lacking
        missing = re.search(r"No matching distribution found for ([\w.-]+)==", done.stderr)
        if missing is None:
            raise SystemExit(done.stderr)
        lacking.append(canonicalize_name(missing[1]))
        asked = {name: version for name, version in asked.items() if canonicalize_name(name) != lacking[-1]}


def needed(roots: list[str], requires: dict[str, list[str]]) -> set[str]:
    """Return the names that ``roots`` and their dependencies take on any of the systems and Pythons."""
    environments = [
        {"sys_platform": system, "python_version": python, "python_full_version": f"{python}.0"}
        | {"platform_system": {"linux": "Linux", "win32": "Windows", "darwin": "Darwin"}[system]}
        | {"os_name": "nt" if system == "win32" else "posix"}
        for system in ("linux", "win32", "darwin")
        for python in PYTHONS
    ]
    seen: set[tuple[str, str]] = set()
    todo = [(Requirement(root), "") for root in roots]
    while todo:
        requirement, extra = todo.pop()
        marker = requirement.marker
        if marker and not any(marker.evaluate({**one, "extra": extra}) for one in environments):
            continue
        name = canonicalize_name(requirement.name)
        for wanted in ("", *requirement.extras):
            if (name, wanted) not in seen and not name.startswith(CUDA_PACKAGES):
                seen.add((name, wanted))
                todo += [(Requirement(line), wanted) for line in requires.get(name, [])]
    return {name for name, _ in seen}


def kept_hashes(pins: dict[str, str]) -> dict[str, set[str]]:
    """Return the hashes that were written before, of the pins that are the same and installed here."""
    kept: dict[str, set[str]] = {}
    for file_name in FILES:
        path = os.path.join(ROOT, "packaging", "requirements", file_name)
        text = ""
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                text = file.read()
        for name, version, rest in re.findall(r"^([\w.-]+)==(\S+)((?:.*\\\n)*.*)$", text, re.MULTILINE):
            try:
                same = pins.get(name) == version == importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                same = False
            if same:
                kept[canonicalize_name(name)] = set(re.findall(r"sha256:([0-9a-f]{64})", rest))
    return kept


def main() -> None:
    """Write both files and say what was found."""
    with open(os.path.join(ROOT, "packaging", "constraints.txt"), encoding="utf-8") as file:
        pins = dict(line.strip().split("==") for line in file if "==" in line and not line.startswith("#"))
    with open(os.path.join(ROOT, "pyproject.toml"), "rb") as file:
        project = tomllib.load(file)
    pins.pop("torch")
    names: dict[str, str] = {canonicalize_name(name): name for name in pins}
    hashes = {} if "--all" in sys.argv else kept_hashes(pins)
    requires = {name: importlib.metadata.requires(name) or [] for name in ("torch", *hashes)}
    pins_asked = {name: pins[name] for name in pins if canonicalize_name(name) not in hashes}
    everywhere = {canonicalize_name(name) for name in pins_asked}
    """The names whose one wheel fits everywhere: asked for once on each system, not again for each Python."""
    for python in PYTHONS:
        first = python == PYTHONS[0]
        asked = {name: pins[name] for name in pins_asked if first or canonicalize_name(name) not in everywhere}
        for system, tags in TARGETS if asked else ():
            found, lacking = chosen_wheels(asked, python, tags)
            print(
                f"{system}, Python {python}: {len(found)} wheels; none for {', '.join(lacking) or 'nothing'}",
                flush=True,
            )
            for name, entry in found.items():
                hashes.setdefault(name, set()).add(entry["download_info"]["archive_info"]["hashes"]["sha256"])
                requires[name] = entry["metadata"].get("requires_dist", [])
                if not entry["download_info"]["url"].endswith("-none-any.whl"):
                    everywhere.discard(name)
    models = [one for extra in project["project"]["optional-dependencies"].values() for one in extra]
    for line in models:  # without their dependencies, which would bring other engines
        requires[canonicalize_name(Requirement(line).name)] = []
    program = needed([*project["project"]["dependencies"], *project["build-system"]["requires"], *models], requires)
    tests = needed(project["dependency-groups"]["test"], requires) - program
    program.discard("torch")
    if unpinned := sorted((program | tests) - names.keys()):
        raise SystemExit(f"Not pinned in packaging/constraints.txt: {', '.join(unpinned)}")
    print(f"pinned, but needed by nothing: {', '.join(sorted(names.keys() - program - tests)) or 'none'}")
    for file_name, wanted in zip(FILES, (program, tests), strict=True):
        with open(os.path.join(ROOT, "packaging", "requirements", file_name), "w", encoding="utf-8") as file:
            file.write("# Made by packaging/tools/pin.py from packaging/constraints.txt; not changed by hand.\n")
            for name in sorted(wanted):
                lines = [
                    f"{names[name]}=={pins[names[name]]}",
                    *(f"--hash=sha256:{one}" for one in sorted(hashes[name])),
                ]
                file.write(" \\\n    ".join(lines) + "\n")


if __name__ == "__main__":
    main()
