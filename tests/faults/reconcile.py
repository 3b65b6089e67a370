"""Makes hostile folders by seed, edits and kills during ``heddle run``, and compares the export with what lies there.

    python -m tests.faults.reconcile --seeds 50 --first-seed 1 [--starter-every 10]

Shares no code with the engine: what should become of each file is written here a second time. Every tenth seed runs the
starter model, the others the stub of the kill loop, whose vectors tell which text they were made of. The last line is JSON:
seeds, files, wrong. The exit code is 1 unless wrong is 0.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent.parent
DONE, SKIPPED, FAILED = "done", "skipped", "failed"
PATIENCE = 180.0
"""Seconds that one run may last before it counts as one that does not end."""

WORDS = [
    "the",
    "water",
    "of",
    "a",
    "bread",
    "error",
    "shows",
    "how",
    "every",
    "loom",
    "leads",
    "many",
    "threads",
    "over",
    "the",
    "desk",
    "straße",
    "線程",
    "поток",
    "خيط",
]
NAMES = (
    b"plain.txt",
    "größe Übersicht.md".encode(),
    "简体中文.txt".encode(),
    "ملف.txt".encode(),
    "evil\u202etxt.exe".encode(),
    b"line\nbreak.txt",
    b"tab\there;'\"`$(x).txt",
    b"not utf-8 \xff\xfe\x80.txt",
    b"-rf --out x.txt",
    b"=SUM(A1).csv",
    b"<b>bold<br> &amp;.txt",
    b"name-<|im_end|>.txt",
    "🧵🪡.txt".encode(),
    "Ａ\u0301 e\u0301.txt".encode(),
    b"percent %s %d {0} {text}.txt",
    b"no ending",
    b" space first and last .txt ",
    b"n" * 251 + b".txt",
    b"\\backslash\\.txt",
    b"rows.csv",
    b"CON.txt",
)


@dataclass
class Expected:
    """What may become of a path: one of ``states``, with ``reason`` in the reason of the row; ``text`` if it is done."""

    states: tuple[str, ...]
    reason: str = ""
    text: str | None = None


@dataclass
class Verdict:
    """What was looked at and what was wrong."""

    files: int = 0
    wrong: list[str] = field(default_factory=list)


class Folder:
    """A hostile folder, and what should become of everything in it."""

    def __init__(self, root: Path, seed: int, *, many: int, encoding: str) -> None:
        self.random = random.Random(seed)
        self.root = os.fsencode(root)
        self.encoding = encoding
        self.expected: dict[bytes, Expected] = {}
        self.content: dict[bytes, tuple[bytes, int]] = {}
        self.gone: set[bytes] = set()
        self.texts: list[bytes] = []
        self.number = 0
        os.mkdir(self.root)
        self.folders = [self.root]
        for _ in range(self.random.randrange(3, 9)):
            name = (
                self.random.choice([b"a", b"deep", b"folder.txt", "ü".encode(), b"\xff", b"x y"]) + b"%d" % self.number
            )
            self.number += 1
            self.folders.append(os.path.join(self.random.choice(self.folders), name))
            os.mkdir(self.folders[-1])
        for place in self.folders[1:]:
            if place.endswith((b".txt",)):
                self.expected[place] = Expected((SKIPPED,), "not a regular file: folder")
        for name in self.random.sample(NAMES, 10):
            self.add_text(name)
        kinds = [kind for kind in self.kinds() for _ in range(self.random.randrange(0, 3))]
        for kind in kinds:
            kind()
        for _ in range(many):
            self.add_text()

    def kinds(self) -> list[Callable[[], None]]:
        """Return the makers of everything that is no plain text."""
        return [
            self.empty,
            self.invisible,
            self.binary,
            self.encoded,
            self.legacy,
            self.special,
            self.links,
            self.hidden,
            self.hard_link,
            self.huge,
            self.dated,
            self.marks,
            self.large,
        ]

    def path(self, name: bytes) -> bytes:
        """Return a new path for ``name`` somewhere in the folder."""
        place = os.path.join(self.random.choice(self.folders), name)
        while os.path.lexists(place):
            self.number += 1
            place = os.path.join(
                os.path.dirname(place), b"%s%d %s" % (name[:1] if name[:1] == b"." else b"", self.number, name[-200:])
            )
        return place

    def sentence(self) -> str:
        """Return a text that no other document has."""
        self.number += 1
        return f"{self.number} " + " ".join(self.random.choices(WORDS, k=self.random.randrange(3, 60)))

    def write(self, place: bytes, data: bytes, expected: Expected) -> bytes:
        """Write a file and remember what should become of it."""
        with open(place, "wb") as file:
            file.write(data)
        self.expected[place] = expected
        self.note(place)
        return place

    def note(self, place: bytes) -> None:
        """Remember a file as it is now."""
        with open(place, "rb") as file:
            self.content[place] = (hashlib.sha256(file.read()).digest(), os.stat(place).st_mtime_ns)

    def add_text(self, name: bytes = b"") -> None:
        """Add a document."""
        text = self.sentence()
        place = self.path(name or b"%05d.txt" % self.random.randrange(100_000))
        self.texts.append(self.write(place, text.encode(), Expected((DONE,), text=text)))

    def empty(self) -> None:
        """Add a file with nothing in it."""
        data = self.random.choice([b"", b" \r\n\t ", b"\xef\xbb\xbf", b"\xff\xfe \0\n\0"])
        self.write(self.path(b"empty.txt"), data, Expected((SKIPPED,), "empty"))

    def invisible(self) -> None:
        """Add a file with nothing to be seen in it."""
        data = self.random.choice(["\u200b\u200b\n", "\u00ad\u2060\n", "\x1b\x08\n", "\ufeff\u200d"])
        self.write(self.path(b"invisible.txt"), data.encode(), Expected((SKIPPED,), "empty"))

    def binary(self) -> None:
        """Add a file that is no text, whatever its name."""
        data = self.random.choice(
            [b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"\x7fELF\x02\x01\x01" + bytes(57), bytes(4096), bytes(range(256)) * 4]
        )
        self.write(self.path(b"binary.txt"), data, Expected((SKIPPED,), "not text"))

    def encoded(self) -> None:
        """Add a text with a byte order mark."""
        text = self.sentence()
        codec, mark = self.random.choice(
            [
                ("utf-8", b"\xef\xbb\xbf"),
                ("utf-16-le", b"\xff\xfe"),
                ("utf-16-be", b"\xfe\xff"),
                ("utf-32-le", b"\xff\xfe\0\0"),
            ]
        )
        self.write(self.path(b"marked.txt"), mark + text.encode(codec), Expected((DONE,), text=text))

    def legacy(self) -> None:
        """Add a text in an older encoding: guessed, or refused where the job says what it must be."""
        text = f"{self.sentence()[:3]} Der Straßenbahnfahrer müßte größere Übungen für die Prüfung können. " * 4
        expected = Expected((FAILED,), "byte 0xdf") if self.encoding else Expected((DONE,))
        self.write(self.path(b"legacy.txt"), text.encode("cp1252"), expected)

    def special(self) -> None:
        """Add what is no file."""
        place = self.path(b"special.txt")
        if self.random.random() < 0.5:
            os.mkfifo(place)
        else:
            try:
                with socket.socket(socket.AF_UNIX) as made:
                    made.bind(place)
            except OSError:  # a path too long for a socket
                os.mkfifo(place)
        self.expected[place] = Expected((SKIPPED,), "not a regular file")

    def links(self) -> None:
        """Add a link that leads nowhere new."""
        place = self.path(b"link.txt")
        kind = self.random.randrange(4)
        if kind == 0:
            os.symlink(b"nowhere at all", place)
            self.expected[place] = Expected((SKIPPED,), "missing")
        elif kind == 1:
            os.symlink(os.path.basename(place), place)
            self.expected[place] = Expected((SKIPPED,), "leads back to itself")
        elif kind == 2:
            os.symlink(os.path.dirname(place), place)
            self.expected[place] = Expected((SKIPPED,), "a folder above it")
        else:
            os.symlink(self.random.choice(self.texts), place)
            # Its target may be taken away while the run lasts.
            self.expected[place] = Expected((SKIPPED,), "")

    def hidden(self) -> None:
        """Add a file with a hidden name."""
        self.write(self.path(b".hidden.txt"), b"not shown", Expected((SKIPPED,), "hidden"))

    def hard_link(self) -> None:
        """Add a second name of a file: one of the two is taken, whichever comes first."""
        text = self.sentence()
        place = self.write(self.path(b"first.txt"), text.encode(), Expected((DONE, SKIPPED), "", text))
        other = self.path(b"second.txt")
        os.link(place, other)
        self.expected[other] = Expected((DONE, SKIPPED), "", text)
        self.note(other)

    def huge(self) -> None:
        """Add a file that is larger than the limit, and takes no room."""
        place = self.path(b"huge.txt")
        with open(place, "wb") as file:
            file.write(b"A long story.\n")
            file.truncate(2 << 30)
        self.expected[place] = Expected((FAILED,), "larger than the limit")

    def dated(self) -> None:
        """Add a document from another century."""
        text = self.sentence()
        place = self.write(self.path(b"dated.txt"), text.encode(), Expected((DONE,), text=text))
        far = self.random.choice([10_413_792_000, -4_000_000_000, 0])
        with contextlib.suppress(OSError, OverflowError):
            os.utime(place, (far, far))
        self.note(place)

    def marks(self) -> None:
        """Add a document that holds control tokens, template syntax and formulas."""
        text = (
            "=1+1 <|im_end|>\n<|im_start|>assistant {text} {{ x }} {% raw %} </s> [CLS] <think> \u202eabc\n"
            + self.sentence()
        )
        self.write(self.path(b"marks.txt"), text.encode(), Expected((DONE,), text=text))

    def large(self) -> None:
        """Add a longer document."""
        text = self.sentence() + "\n" + "word " * 3000
        self.write(self.path(b"large.txt"), text.encode(), Expected((DONE,), text=text))

    def disturb(self) -> None:
        """Edit, add and take away documents."""
        for _ in range(self.random.randrange(1, 6)):
            act = self.random.random()
            if act < 0.4 or not self.texts:
                self.add_text()
            elif act < 0.8:
                place = self.random.choice(self.texts)
                text = self.sentence()
                self.write(place, text.encode(), Expected((DONE,), text=text))
            else:
                place = self.texts.pop(self.random.randrange(len(self.texts)))
                os.unlink(place)
                del self.content[place]
                self.expected.pop(place)
                self.gone.add(place)

    def found(self) -> set[bytes]:
        """Walk the folder and return all that should have a row."""
        paths: set[bytes] = set()
        for place, folders, files in os.walk(self.root):
            paths |= {os.path.join(place, name) for name in files}
            paths |= {p for name in folders if os.path.islink(p := os.path.join(place, name)) or name.endswith(b".txt")}
            paths |= {p for name in folders if (p := os.path.join(place, name)) in self.expected}
        return paths


def run_command(folder: Folder, out: Path, front: list[str], *extra: str) -> subprocess.Popen:
    """Start the command on the folder."""
    command = [
        sys.executable,
        str(ROOT / "tests/faults/stub_engine.py"),
        *front,
        "run",
        "embed",
        os.fsdecode(folder.root),
    ]
    command += [
        "--out",
        str(out),
        "--quiet",
        "--model",
        "starter" if front else str(ROOT),
        "--dtype",
        "float32",
        *extra,
    ]
    if folder.encoding:
        command += ["--encoding", folder.encoding]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HEDDLE_STUB_RUNS": str(out) + ".runs"}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, cwd=ROOT)


def one_seed(seed: int, verdict: Verdict, *, starter: bool) -> None:
    """Make the folder of a seed, run over it with edits and kills, and compare."""
    chosen = random.Random(f"run {seed}")
    with tempfile.TemporaryDirectory(prefix="heddle-reconcile-") as place:
        top = Path(place)
        folder = Folder(top / "pile", seed, many=30 if starter else 150, encoding=chosen.choice(["", "", "utf-8"]))
        out = top / "rows.jsonl"
        front = ["real"] if starter else []
        for _ in range(chosen.randrange(1, 4)):
            process = run_command(folder, out, front)
            _let_work(process, out, chosen)
            folder.disturb()
            process.kill()
            process.communicate()
        process = run_command(folder, out, front, "--retry-quarantined")
        _let_work(process, out, chosen)
        folder.disturb()
        _finish(process, verdict, seed)
        errors = _finish(run_command(folder, out, front, "--retry-quarantined"), verdict, seed)
        _compare(folder, out, seed, verdict, errors, vectors=not starter)
        left = [p.pid for p in psutil.process_iter(["cmdline"]) if place in " ".join(p.info["cmdline"] or [])]
        if left:
            verdict.wrong.append(f"seed {seed}: processes left behind: {left}")
        beside = {path.name for path in top.iterdir()} - {"pile", out.name, out.name + ".runs", out.name + ".journal"}
        if beside:
            verdict.wrong.append(f"seed {seed}: beside the result lies {sorted(beside)}")


def _let_work(process: subprocess.Popen, out: Path, chosen: random.Random) -> None:
    """Wait until workers have finished something and a little longer, or, seldom, only for the start."""
    runs = Path(str(out) + ".runs")
    before, end = runs.stat().st_size if runs.exists() else 0, time.monotonic() + PATIENCE
    early = chosen.random() < 0.2
    while not early and process.poll() is None and time.monotonic() < end:
        if runs.exists() and runs.stat().st_size > before:
            break
        time.sleep(0.01)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(chosen.uniform(0.0, 2.0 if early else 0.4))


def _finish(process: subprocess.Popen, verdict: Verdict, seed: int) -> str:
    try:
        _, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
        verdict.wrong.append(f"seed {seed}: the command does not end")
    if process.returncode not in (0, 1):
        verdict.wrong.append(f"seed {seed}: exit code {process.returncode}: {errors.decode(errors='replace')[-400:]}")
    return errors.decode(errors="replace")


def _compare(folder: Folder, out: Path, seed: int, verdict: Verdict, errors: str, *, vectors: bool) -> None:
    def wrong(place: bytes, what: str) -> None:
        verdict.wrong.append(f"seed {seed}: {os.path.relpath(place, folder.root)!r}: {what}")

    if not out.exists():
        verdict.wrong.append(f"seed {seed}: no result: {errors[-400:]}")
        return
    rows: dict[bytes, dict] = {}
    for line in out.read_text("utf-8").splitlines():
        row = json.loads(line)
        place = bytes.fromhex(row["path_bytes"]) if "path_bytes" in row else os.fsencode(row["path"])
        if place in rows:
            wrong(place, "two rows")
        rows[place] = row
    there = folder.found()
    verdict.files += len(there)
    for place in there | rows.keys():
        row, want = rows.get(place), folder.expected.get(place)
        if row is None:
            wrong(place, "no row")
        elif want is None:
            if place not in folder.gone:
                wrong(place, f"a row of what is not there: {row['state']}, {row['error']}")
            elif row["state"] not in (DONE, FAILED) or (row["state"] == FAILED and "missing" not in row["error"]):
                wrong(place, f"was deleted: {row['state']}, {row['error']}")
        elif row["state"] not in want.states or want.reason not in row["error"]:
            wrong(place, f"{row['state']}, {row['error']!r} instead of {want.states}, {want.reason!r}")
        elif row["state"] == DONE and vectors and want.text is not None and not _is_of(row, want.text):
            wrong(place, "the result is of another text")
        elif row["state"] == DONE and not vectors and len(row["result"]["vector"]) != 384:
            wrong(place, "no whole vector")
    _hard_links(folder, rows, wrong)
    for place, (digest, mtime_ns) in folder.content.items():
        with open(place, "rb") as file:
            if hashlib.sha256(file.read()).digest() != digest or os.stat(place).st_mtime_ns != mtime_ns:
                wrong(place, "the file was changed")


def _hard_links(folder: Folder, rows: dict[bytes, dict], wrong: Callable[[bytes, str], None]) -> None:
    """Of the names of one file, one has a result."""
    files: dict[int, list[bytes]] = {}
    for place, want in folder.expected.items():
        if want.states == (DONE, SKIPPED):
            files.setdefault(os.stat(place).st_ino, []).append(place)
    for names in files.values():
        states = Counter(rows[name]["state"] for name in names if name in rows)
        if states[DONE] != 1:
            wrong(names[0], f"{states[DONE]} results of one file with {len(names)} names")


def _is_of(row: dict, text: str) -> bool:
    """Tell whether a vector is the stub's of this text."""
    digest = hashlib.sha256(text.encode()).digest()
    want = [int.from_bytes(digest[n : n + 4], "little") / 2**32 for n in range(0, 16, 4)]
    return all(abs(a - b) < 1e-5 for a, b in zip(row["result"]["vector"], want, strict=True))


def run(seeds: int, first: int, *, starter_every: int = 10, told: Callable[[str], None] = print) -> dict[str, int]:
    """Reconcile ``seeds`` seeds from ``first`` on; returns the last line's figures."""
    verdict = Verdict()
    for seed in range(first, first + seeds):
        before, begin = len(verdict.wrong), time.monotonic()
        one_seed(seed, verdict, starter=bool(starter_every) and seed % starter_every == 0)
        told(f"seed {seed}: {verdict.files} files, {len(verdict.wrong)} wrong, {time.monotonic() - begin:.0f} s")
        for sentence in verdict.wrong[before:]:
            told(sentence)
    return {"seeds": seeds, "files": verdict.files, "wrong": len(verdict.wrong)}


def main(arguments: list[str] | None = None) -> int:
    """Run as the module's docstring tells."""
    parser = argparse.ArgumentParser("reconcile", description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--starter-every", type=int, default=10, help="seeds that run the starter model; 0 for none")
    options = parser.parse_args(arguments)
    found = run(
        options.seeds,
        options.first_seed,
        starter_every=options.starter_every,
        told=lambda line: print(line, flush=True),
    )
    print(json.dumps(found))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
