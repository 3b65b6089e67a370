"""``start.py test``: format, lint, types, import contracts, tests."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping

_LINT_IMPORTS = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"

STEPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("ruff format", ("-m", "ruff", "format", "--check", ".")),
    ("ruff check", ("-m", "ruff", "check", ".")),
    ("basedpyright", ("-m", "basedpyright")),
    ("lint-imports", ("-c", _LINT_IMPORTS)),
)
"""Name and arguments for the environment's Python. Modules, not console scripts: those hold the path of .venv."""


def check_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``environ`` for checks and tests: no window on the user's screen unless asked for, no network."""
    return {"QT_QPA_PLATFORM": "offscreen", **environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def side_by_side(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return pytest's options for two processes where there are two cores: tests wait much for engines that they start.

    More would start more engines at once, each with workers on all cores. A file stays whole, in the order of names.
    CI runs one test after the other: it also looks at how the process that ran them all ends.
    """
    if environ.get("CI") or (os.cpu_count() or 1) < 2:
        return ()
    return ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")


def run_all(python: str, root: str, environ: Mapping[str, str]) -> int:
    """Run every step, then pytest; return 1 if any of them failed, else 0.

    pytest comes last, so that its summary is the last line of all.
    """
    failed: list[str] = []
    for name, arguments in STEPS:
        print(f"== {name}", flush=True)
        started = time.monotonic()
        code = subprocess.run([python, *arguments], cwd=root, env=environ, check=False).returncode
        word = "ok" if code == 0 else f"FAILED (exit {code})"
        print(f"   {name}: {word}, {time.monotonic() - started:.1f} s", flush=True)
        if code != 0:
            failed.append(name)
    if failed:
        print(f"FAILED so far: {', '.join(failed)}", flush=True)
    print("== pytest", flush=True)
    code = subprocess.run(
        [python, "-m", "pytest", *side_by_side(environ)], cwd=root, env=environ, check=False
    ).returncode
    sys.stdout.flush()
    return 1 if failed or code != 0 else 0
