"""Copies of the engine's tree, for tests that add a file to it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STUB = str(ROOT / "tests/faults/stub_engine.py")
"""Runs ``heddle`` with a model that is none."""


def copy_of_the_engine(root: Path) -> Path:
    """Put a copy of engine and assets into ``root`` and return it."""
    for name in ("engine", "assets"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    return root


def in_tree(tree: Path, *arguments: str, code: int = 0) -> str:
    """Run Python in a copy of the tree, which must end with ``code``; returns what it wrote."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout
