"""What commands print is plain text: names and texts cannot move a cursor, colour a line or turn it around."""

from __future__ import annotations

import os

import pytest
from model_folders import make_folder

from engine.cli.main import main

ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b1m\u202egpj.\u2066x\r"
NAME = "a\x1b[31m\u202etxt.exe\n.txt"

pytestmark = pytest.mark.skipif(os.name != "posix", reason="names that only POSIX systems take")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny encoder in a folder with a nasty name."""
    place = tmp_path_factory.mktemp("models") / f"m{ESCAPES}"
    place.mkdir()
    return make_folder(place, "bert")


@pytest.fixture
def pile(tmp_path):
    """A folder with a document whose name is nasty, and one that is no text."""
    place = tmp_path / f"pile{ESCAPES}"
    place.mkdir()
    (place / NAME).write_text(f"bread {ESCAPES} and water")
    (place / f"{NAME}.bin").write_bytes(b"\x7fELF\0\0")
    return str(place)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "embed", "{pile}", "--model", "{folder}"],
        ["run", "classify", "--labels", f"bread{ESCAPES},water{ESCAPES}", "{pile}", "--model", "{folder}"],
        ["run", "embed", "{pile}", "--model", "{folder}", "--out", "{pile}/o.csv", "--report", "{pile}/r.json"],
        ["run", "embed", "{pile}/none" + ESCAPES],
        ["run", "embed", "{pile}", "--model", "{pile}/none" + ESCAPES],
        ["run", "embed", "{pile}", "--out", "{pile}/o.doc" + ESCAPES],
        ["run", "embed", "{pile}", "--encoding", "utf" + ESCAPES],
        ["run", "embed", "{pile}", "--dtype", "half" + ESCAPES],
        ["run", "generate", "--prompt", "{text}", "--examples", "{pile}/none" + ESCAPES, "{pile}"],
        ["-v", "models", "check", "{folder}"],
        ["models", "check", "{pile}"],
        ["models", "list", "{folder}", "{pile}"],
        ["models", "check", "{folder}", "--json"],
        ["sample", "--model", "none" + ESCAPES],
        ["doctor", ESCAPES],
    ],
    ids=lambda arguments: " ".join(arguments[:2]),
)
def test_no_escape_or_bidi_character_reaches_the_terminal(arguments, pile, folder, capsys):
    try:
        main([a.replace("{pile}", pile).replace("{folder}", folder) for a in arguments])
    except SystemExit as ended:
        assert ended.code == 2  # noqa: PT017 - usage errors end this way, and what is printed counts
    told = capsys.readouterr()
    assert told.out + told.err
    assert not [c for c in told.out + told.err if not c.isprintable() and c not in "\n\r\t"]
    assert "\r\n" not in told.out
