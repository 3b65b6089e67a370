"""A pile for the kill loop, and the judge of what became of it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass
class Verdict:
    """What went wrong, counted by document, with a sentence for each kind."""

    lost: int = 0
    twice: int = 0
    broken: int = 0
    sentences: list[str] = field(default_factory=list)

    def add(self, kind: str, count: int, sentence: str) -> None:
        """Count ``count`` cases of ``kind`` (lost, twice, broken), if there are any."""
        if count:
            setattr(self, kind, getattr(self, kind) + count)
            self.sentences.append(f"{kind} {count}: {sentence}")


class Pile:
    """Documents in a folder, each with a text of its own, and the journal and the result beside it."""

    def __init__(self, root: Path, documents: int, words: int, seed: int) -> None:
        self.root = root
        self.folder = root / "pile"
        self.out = root / "rows.jsonl"
        self.journal = root / "rows.jsonl.journal"
        self.runs = root / "runs"
        self.texts: dict[str, str] = {}
        chosen = random.Random(seed)
        self.folder.mkdir(parents=True)
        vocabulary = [
            "the",
            "water",
            "of",
            "a",
            "bread",
            "error",
            "shows",
            "how",
            "every",
            "manager",
            "leads",
            "many",
            "threads",
            "over",
            "the",
            "desk",
        ]
        for number in range(documents):
            text = f"{number} " + " ".join(chosen.choices(vocabulary, k=chosen.randrange(words // 2, 3 * words // 2)))
            path = self.folder / f"{number:05}.txt"
            path.write_text(text, encoding="utf-8")
            self.texts[str(path)] = text
        self._digest = self.digest()

    def digest(self) -> str:
        """Return the sha256 of all input files."""
        whole = hashlib.sha256()
        for path in sorted(self.texts):
            whole.update(path.encode() + b"\0" + Path(path).read_bytes() + b"\0")
        return whole.hexdigest()

    def runs_since(self, offset: int) -> Counter[str]:
        """Return how often each document was finished by a worker, from a position in the workers' own log on."""
        with contextlib.suppress(FileNotFoundError), self.runs.open("rb") as file:
            file.seek(offset)
            return Counter(file.read().decode().split("\n")[:-1])
        return Counter()

    def look(self) -> tuple[Counter[str], set[str], str]:
        """Return the documents by state, the paths of those that are done, and what is wrong with the journal.

        A copy is read, as a process that was killed has left it: nobody else touches the journal itself.
        """
        if not self.journal.exists():
            return Counter(), set(), ""
        copy = self.root / "look"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        for end in ("", "-wal"):
            with contextlib.suppress(FileNotFoundError):
                shutil.copy(f"{self.journal}{end}", copy / f"journal{end}")
        problems: list[str] = []
        with contextlib.closing(sqlite3.connect(copy / "journal")) as connection:
            problems += [row[0] for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
            states = Counter(dict(connection.execute("SELECT state, COUNT(*) FROM document GROUP BY state")))
            done = {os.fsdecode(p) for (p,) in connection.execute("SELECT path FROM document WHERE state = 'done'")}
            misfits = connection.execute(
                "SELECT COUNT(*) FROM document LEFT JOIN result ON result.document = id "
                "WHERE (result.document IS NOT NULL) <> (state = 'done')"
            ).fetchone()[0]
            if misfits:
                problems.append(f"{misfits} documents whose result does not fit their state")
            if len(done) != states["done"]:
                problems.append("a document is there twice")
        return states, done, "; ".join(problems)

    def committed(self) -> int:
        """Return how many documents are done in the journal of a process that lives; 0 while that cannot be seen."""
        try:
            return len(self.look()[1])
        except (OSError, sqlite3.Error):  # copied while it was written
            return 0

    def judge(self, verdict: Verdict, vector: object) -> None:
        """Compare the result file with what it should be: every document once, done, with its own result."""
        with self.out.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        seen = Counter(row["path"] for row in rows)
        verdict.add("lost", len(self.texts.keys() - seen.keys()), "documents without a row")
        verdict.add("twice", sum(count - 1 for count in seen.values()), "rows too many")
        verdict.add("broken", sum(row["state"] != "done" for row in rows), "rows that are not done")
        wrong = 0
        for row in rows:
            if row["state"] == "done":
                have = np.array(row["result"]["vector"], np.float32)
                want = vector(row["path"], self.texts[row["path"]])  # type: ignore[operator]
                wrong += have.shape != want.shape or not np.allclose(have, want, atol=2e-4)
        verdict.add("broken", wrong, "results that are not their document's")
        verdict.add("broken", int(self.digest() != self._digest), "input files that were changed")
        left = [name for name in os.listdir(self.root) if name.startswith(self.journal.name + ".")]
        verdict.add("broken", len(left), f"files left behind: {left}")
