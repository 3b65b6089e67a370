"""What the window remembers survives a restart, and a damaged file does no harm."""

from __future__ import annotations

from PySide6.QtCore import QByteArray

from engine.api import Plan
from gui.settings import RECENT, Settings


def test_values_survive_a_restart(tmp_path):
    path = str(tmp_path / "window.ini")
    first = Settings(path)
    first.set_plan(Plan("cuda:0", 3, 2, "bf16"))
    first.set_text("last_folder", "/x/ü")
    first.set_data("window", QByteArray(b"\x00\xff"))
    first.set_json("tasks/classify", {"labels": "a: b\nc", "threshold": 0.2})
    first.sync()
    again = Settings(path)
    assert again.plan() == Plan("cuda:0", 3, 2, "bf16")
    assert again.text("last_folder") == "/x/ü"
    assert again.data("window") == QByteArray(b"\x00\xff")
    assert again.json("tasks/classify", {}) == {"labels": "a: b\nc", "threshold": 0.2}


def test_names_that_are_not_utf8_survive(tmp_path):
    path = str(tmp_path / "window.ini")
    first = Settings(path)
    first.remember_first("recent_models", "/models/\udcff")
    first.sync()
    assert Settings(path).strings("recent_models") == ["/models/\udcff"]


def test_recent_things_are_without_doubles_newest_first(settings):
    for n in [*range(RECENT + 3), 5]:
        settings.remember_first("recent_models", str(n))
    assert settings.strings("recent_models") == ["5", *(str(n) for n in range(RECENT + 2, 2, -1) if n != 5)][:RECENT]


def test_nonsense_gives_the_defaults(settings):
    settings.set_text("plan", '{"workers": -4, "dtype": "int3"}')
    assert settings.plan() == Plan()
    settings.set_text("plan", "[1, 2")
    assert settings.plan() == Plan()
    settings.set_text("plan", '["a"]')
    assert settings.plan() == Plan()
    settings.set_json("recent_models", ["a", 3, None])
    assert settings.strings("recent_models") == ["a"]


def test_forgotten_keys_have_their_defaults_again(settings):
    settings.set_text("theme", "dark")
    settings.forget("theme")
    assert settings.text("theme", "system") == "system"
