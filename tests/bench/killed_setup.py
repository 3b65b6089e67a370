"""Kill start.py at random points of a set-up, many times: whether what was there works after each of them.

    python tests/bench/killed_setup.py [--kills 50] [--seed 1]

Real venv and pip, packages of a few lines (tests/small_project.py); about four seconds a kill. The last line is JSON: how many
were killed while the old environment was in place, how many when the new one was, how many had ended before. The exit
code is 1 when one did not leave an environment that works.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from small_project import SmallProject  # noqa: E402 - after the path


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(description="Kill start.py at random points of a set-up.")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wheels = os.path.join(folder, "wheels")
        os.mkdir(wheels)
        project = SmallProject(ROOT, Path(folder, "checkout"), Path(wheels))
        project.pin("1")
        code, said = project.start()
        if code:
            print(said)
            return 1
        try:
            counts = project.kill_often(chosen.kills, chosen.seed)
        except AssertionError as error:
            print(f"What was there does not work: {error}")
            return 1
    print(json.dumps(counts))
    return 0


if __name__ == "__main__":
    sys.exit(main())
