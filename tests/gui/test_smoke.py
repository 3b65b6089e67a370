"""``heddle-desktop --smoke PICTURE``: a picture and 0 where the window works, a reason and 1 where it does not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PySide6.QtGui import QImage
from window_helpers import FAKE

ROOT = Path(__file__).resolve().parents[2]

DRIVER = """
import sys
import gui.app as app
app.engine_command = lambda session: (sys.executable, [{fake!r}, "--session", session, *{arguments!r}])
sys.exit(app.main(["--smoke", {picture!r}]))
"""


def smoke(tmp: Path, picture: Path, *fake: str) -> subprocess.CompletedProcess[str]:
    code = DRIVER.format(fake=FAKE, arguments=list(fake), picture=str(picture))
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT)}
    environment["TMPDIR"] = str(tmp)
    return subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def test_the_sample_pile_is_run_and_a_picture_saved(tmp_path):
    picture = tmp_path / "window.png"
    done = smoke(tmp_path, picture, "--rows", "4", "--per-tick", "4")
    assert done.returncode == 0, done.stderr
    assert "4 documents" in done.stdout
    assert QImage(str(picture)).width() > 800
    assert os.listdir(tmp_path) == ["window.png"]  # the data folder was a passing one


def test_an_engine_that_dies_is_a_reason_and_not_a_picture(tmp_path):
    picture = tmp_path / "window.png"
    done = smoke(tmp_path, picture, "--rows", "12", "--die-loading")
    assert done.returncode == 1
    assert "engine" in done.stderr
    assert not picture.exists()
