"""A long text stays in its file: what its windows, edges and encodings say is what the whole text would say."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from bench import long_text

from engine.cli.main import main
from engine.documents.document import Source
from engine.documents.long_text import LARGE
from engine.documents.opening import NotADocument
from engine.documents.read import decode, read
from engine.documents.split import windows
from engine.errors import DocumentError
from engine.inference.prepare import long
from engine.models.folder import require
from engine.models.pretrained import read_tokenizer


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A tiny encoder and a tiny text generator."""
    return long_text.make_models(tmp_path_factory.mktemp("models"))


def source(path: Path, data: bytes) -> Source:
    path.write_bytes(data)
    status = path.stat()
    return Source(str(path), status.st_size, status.st_mtime_ns)


def prose(characters: int, seed: int = 0) -> str:
    """Words and numbers of all lengths, in lines."""
    chance = random.Random(seed)
    words = [
        "water",
        "bread",
        "loom",
        "thread",
        "error",
        "contract",
        "Zürich",
        "naïve",
        "12.5",
        "99",
        "a",
        "of",
        "the",
        "interview",
        "€",
    ]
    lines: list[str] = []
    size = 0
    while size < characters:
        lines.append(" ".join(chance.choices(words, k=chance.randrange(1, 30))))
        size += len(lines[-1]) + 1
    return "\n".join(lines)[:characters]


def no_ask() -> None:
    pass


# -------------------------------------------------------------------------------------------------------------- reading
@pytest.mark.parametrize(
    "codec",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32-be", "cp1252", "gb18030", "shift_jis", "iso2022_jp", "hz"],
)
def test_a_long_file_is_read_as_a_short_one_would_be(tmp_path, codec):
    line = {
        "gb18030": "今天天气很好，我们去公园散步，然后回家吃饭。",
        "hz": "今天天气很好，我们去公园散步，然后回家吃饭。",
        "shift_jis": "先週そちらのお店で洗濯機を買いましたが、まだ届いていません。",
        "iso2022_jp": "先週そちらのお店で洗濯機を買いましたが、まだ届いていません。",
    }.get(codec, "Guten Tag, die Waschmaschine für Jürgen Groß aus Köln ist höchst ärgerlich.")
    data = ("plain ASCII for a while\n" * 5000 + f"{line}\n" * (2 * LARGE // len(line))).encode(codec)
    assert len(data) > LARGE
    found, expected = read(source(tmp_path / "a.txt", data)), decode(data)
    assert found.long is not None
    assert "".join(found.long.chunks()) == expected.text
    assert (found.encoding, found.sha256, found.long.characters) == (
        *(expected.encoding, expected.sha256, len(expected.text)),
    )
    assert found.confidence == pytest.approx(expected.confidence, abs=0.1)
    assert found.long.head(1000) == expected.text[:1000]
    assert found.long.tail(1000) == expected.text[-1000:]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"good text\n" * 200_000 + b"\xff" + b"more\n" * 100, "bad byte 0xff at offset 2000000"),
        (b"\xef\xbb\xbf" + b"good text\n" * 200_000 + b"\xff", "bad byte 0xff at offset 2000003"),
        ("grüße\n".encode() * 200_000 + b"\xc3", "bad byte 0xc3 at offset 1600000"),
    ],
)
def test_a_bad_byte_far_inside_is_named_by_its_place(tmp_path, data, words):
    with pytest.raises(DocumentError, match=words):
        read(source(tmp_path / "a.txt", data))
    found = read(source(tmp_path / "a.txt", data), on_bad_bytes="replace")
    assert found.replaced == 1
    assert "".join(found.long.chunks()) == decode(data, on_bad_bytes="replace").text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("\u200b \n".encode() * 400_000, "empty"),
        (b"text and then\n" * 100_000 + b"\0\0\0\0", "not text"),
        (random.Random(1).randbytes(2 * LARGE), "not text"),
    ],
)
def test_what_is_no_text_is_none_when_it_is_long_either(tmp_path, data, reason):
    with pytest.raises(NotADocument, match=reason):
        read(source(tmp_path / "a.txt", data))


def test_a_long_file_that_changes_while_it_is_read_fails(tmp_path):
    found = read(source(tmp_path / "a.txt", b"some text\n" * 300_000))
    (tmp_path / "a.txt").write_bytes(b"some other\n" * 300_000)
    with pytest.raises(DocumentError, match="changed since it was added"):
        "".join(found.long.chunks())


# ------------------------------------------------------------------------------------------------------------- windows
@pytest.mark.parametrize("task", ["embed", "generate"])
@pytest.mark.parametrize("size", [37, 5000])
def test_windows_and_edges_are_those_of_the_whole_text(models, tmp_path, task, size, monkeypatch):
    monkeypatch.setattr(long, "PIECE", 10_000)
    monkeypatch.setattr(long, "EDGE", 1)
    monkeypatch.setattr("engine.documents.read.LARGE", 10_000)
    text = prose(100_000)
    found = read(source(tmp_path / "a.txt", text.encode())).long
    tokenizer = read_tokenizer(require(models[task]), models[task])
    ids, spans = tokenizer.ids([text])[0], tokenizer.spans(text)
    assert long.count(found, tokenizer, no_ask)[0] == len(ids)
    split = long.Split(found, size)
    made = []
    while not split.done:
        made += split.windows(tokenizer, 3 * size, no_ask)
    kept = windows(len(ids), size)
    assert split.made == len(kept)
    for part, window in zip(made, kept, strict=True):
        assert np.array_equal(part.ids, ids[window.start : window.stop])
        assert part.text.strip() == text[spans[window.start][0] : spans[window.stop - 1][1]].strip()
    tail = long.tail(found, size, tokenizer, no_ask)
    assert np.array_equal(tail.part.ids, ids[-size:])
    head = long.head(found, size, tokenizer, no_ask)
    assert np.array_equal(head.part.ids, ids[:size])
    assert head.part.text == text[: spans[size - 1][1]]
    assert not head.fits


def test_a_long_file_with_few_tokens_is_read_whole(models, tmp_path):
    tokenizer = read_tokenizer(require(models["embed"]), models["embed"])
    found = read(source(tmp_path / "a.txt", b" " * LARGE + b"water and bread" + b" " * LARGE)).long
    for edge in (long.head, long.tail):
        made = edge(found, 100, tokenizer, no_ask)
        assert made.fits
        assert np.array_equal(made.part.ids, tokenizer.ids(["water and bread"])[0])
    split = long.Split(found, 100)
    (part,) = split.windows(tokenizer, 1, no_ask)
    assert split.done
    assert np.array_equal(part.ids, tokenizer.ids(["water and bread"])[0])


# ---------------------------------------------------------------------------------------------------------- whole runs
@pytest.mark.parametrize("task", ["embed", "generate"])
def test_a_split_long_text_is_run_part_by_part_to_its_end(models, tmp_path, task, monkeypatch):
    monkeypatch.setattr("engine.documents.read.LARGE", 10_000)
    monkeypatch.setattr(long, "PIECE", 5_000)
    monkeypatch.setattr("engine.inference.prepare.long_windows.AT_ONCE", 500)
    monkeypatch.setattr("engine.inference.prepare.prompts.AT_ONCE", 500)
    (tmp_path / "a.log").write_text(prose(40_000))
    out = tmp_path / "o.jsonl"
    assert main(long_text.command(task, "split", [str(tmp_path / "a.log")], models[task], str(out))) == 0
    (row,) = map(json.loads, out.read_text().splitlines())
    assert (row["state"], row["coverage"]) == ("done", 1.0)
    if task == "embed":
        tokenizer = read_tokenizer(require(models[task]), models[task])
        tokens = len(tokenizer.ids([(tmp_path / "a.log").read_text()])[0])
        assert (row["tokens"], row["result"]["windows"]) == (tokens, len(windows(tokens, 62)))
    else:
        assert row["result"]["parts"] > 50


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
def test_a_long_text_takes_little_memory_on_every_policy(models, tmp_path):
    text = str(long_text.write_text(tmp_path / "big.log", 30))
    short = tmp_path / "short.txt"
    short.write_text(long_text.LINE)
    kinds = [("embed", "head"), ("embed", "tail"), ("generate", "head"), ("generate", "fail")]
    runs = [
        long_text.command(task, policy, [text], models[task], str(tmp_path / f"{task}-{policy}.jsonl"))
        for task, policy in kinds
    ]
    warm = long_text.command("generate", "head", [str(short)], models["generate"], str(tmp_path / "warm.jsonl"))
    told = long_text.inside(runs, warm, 120.0)
    assert [one["code"] for one in told] == [0, 0, 0, 1]
    assert max(one["growth"] for one in told) < 200
    rows = [json.loads(Path(run[run.index("--out") + 1]).read_text()) for run in runs]
    assert all(0 < row["coverage"] < 0.001 and "of the text was used" in row["warning"] for row in rows[:3])
    assert "longer than the window" in rows[3]["error"]
