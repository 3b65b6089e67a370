"""The house: what is written where, asked of the source tree itself."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from trees import copy_of_the_engine, in_tree

from engine.api import Frames, Hello

ROOT = Path(__file__).resolve().parent.parent

LONGEST = 400
"""Lines of a file, after which something in it wants a room of its own."""

PRIVATE_WORDS = frozenset(
    [
        "booking",
        "dealing",
        "loom",
        "painter",
        "shelf",
        "desk",
        "rehearsal",
        "flight",
        "scratch",
        "anchors",
        "lone",
        "listening",
        "looked",
        "into",
    ]
) - {"into"}
"""Words of a house language that nobody outside it understands; names say what they hold in the field's own terms."""

MEANT = frozenset({"painter", "in_flight", "looked"})
"""What is right all the same: Qt's own word for a QPainter at hand, and what workers have not brought back."""

KINDS_OF_TOKENIZERS = "engine/models/formats/gguf/"
"""GGUF files name their kinds of tokenizer after the family that had each first; no family is meant."""


def sources(*folders: str) -> Iterator[Path]:
    for folder in folders or ("engine", "gui"):
        yield from sorted((ROOT / folder).rglob("*.py"))


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_imports_go_down_the_layers_and_the_window_uses_the_door():
    """The contracts of pyproject.toml, without exceptions for imports at run time."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 broken" in done.stdout


def test_few_modules_of_the_engine_lie_outside_its_rooms():
    loose = sorted(path.name for path in (ROOT / "engine").glob("*.py"))
    assert len(loose) <= 6, loose


def test_no_file_is_longer_than_one_reads_at_once():
    longer = {shown(path) for path in sources() if len(path.read_text(encoding="utf-8").splitlines()) > LONGEST}
    assert not longer


def names_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Return every name that a file defines: modules apart, functions, classes, arguments, variables, attributes."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield line, node.name
        elif isinstance(node, ast.arg):
            yield line, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield line, node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield line, node.attr


def words_of(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_names_are_the_fields_own():
    found = []
    for path in sources("engine", "gui", "packaging"):
        names = [(0, path.stem), *names_in(ast.parse(path.read_text(encoding="utf-8")))]
        found += [
            f"{shown(path)}:{line} {name}"
            for line, name in names
            if name.strip("_") not in MEANT and words_of(name) & (PRIVATE_WORDS - {"looked"})
        ]
        found += [f"{shown(path)}:{line} {name}" for line, name in names if "looked_into" in name]
    assert not found, "\n".join(found)


def names_compared(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Return every text that something is compared with, or matched against."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.match_case):
            parts = [node.pattern]
        else:
            continue
        for part in parts:
            for one in ast.walk(part):
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    yield getattr(one, "lineno", 0), one.value


def test_nothing_branches_on_the_name_of_a_task_or_of_a_model_family():
    """Tasks say what they need and models what they can do; who else asks for names has to be changed for each new one."""
    from engine.models.families import families
    from engine.tasks import TASKS

    names = (families().known | TASKS.keys()) - {"encoder-decoder"}  # which is a kind of model as well
    assert {"bert", "qwen3", "embed", "generate"} <= names
    found = []
    for path in sources():
        inside = shown(path)
        if inside.startswith(("engine/tasks/", KINDS_OF_TOKENIZERS)):
            continue
        compared = names_compared(ast.parse(path.read_text(encoding="utf-8")))
        found += [f"{inside}:{line} {name!r}" for line, name in compared if name in names]
    # A benchmark is named after what it measures.
    assert [one for one in found if not one.startswith("engine/cli/main.py")] == []
    assert all(one.endswith("'embed'") for one in found)


TASK = '''"""Count: how long a text's vector is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.requests.capability import ENCODE
from engine.requests.request import Encode
from engine.tasks.base import DocumentText, Outcome, Outputs, Step, vector_output


@dataclass(frozen=True, slots=True)
class CountSettings:
    """What can be set."""

    digits: int = field(
        default=3,
        metadata={"label": "Digits kept", "kind": "integer", "minimum": 0, "maximum": 9, "help": "behind the point"},
    )


class Count:
    """Counts the numbers of the document's vector."""

    name: ClassVar[str] = "count"
    label: ClassVar[str] = "Count numbers"
    help: ClassVar[str] = "How many numbers the vector has"
    needs: ClassVar[str] = ENCODE
    settings_type: ClassVar[type] = CountSettings

    def __init__(self, settings: CountSettings) -> None:
        self.settings = settings

    def prepare_job(self) -> list[Encode]:
        return []

    def start(self, document: DocumentText, job: Outputs) -> Step:
        return Step((Encode(text=document.text),))

    def advance(self, state: dict[str, Any], outputs: Outputs, job: Outputs) -> Outcome:
        value = {"numbers": len(vector_output(outputs, "text").vector)}
        return Outcome(value, self.summary(value))

    def summary(self, value: dict[str, Any]) -> str:
        return f"{value['numbers']} numbers"
'''


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """A copy of the engine with one file more."""
    root = copy_of_the_engine(tmp_path_factory.mktemp("tree"))
    (root / "engine/tasks/count.py").write_text(TASK, encoding="utf-8")
    return root


def test_a_task_is_added_by_adding_one_file_and_the_command_knows_it(tree, tmp_path):
    assert "How many numbers the vector has" in in_tree(tree, "-m", "engine", "run", "--help")
    told = in_tree(tree, "-m", "engine", "run", "count", "--help")
    assert "--digits" in told
    assert "behind the point" in told


def test_a_task_that_was_added_runs_and_its_rows_are_exported(tree, tmp_path):
    (tmp_path / "pile").mkdir()
    (tmp_path / "pile/one.txt").write_text("one text")
    out = tmp_path / "rows.jsonl"
    arguments = ["run", "count", str(tmp_path / "pile"), "--out", str(out), "--model", str(tree)]
    in_tree(tree, str(ROOT / "tests/faults/stub_engine.py"), *arguments)
    assert json.loads(out.read_text())["result"] == {"numbers": 4}


def test_the_window_is_told_of_a_task_that_was_added(tree):
    """The engine's first words to the window name every task with its form, from which the window makes its own."""
    told = [spec for event in Frames().feed(engine_says(tree)) if isinstance(event, Hello) for spec in event.tasks]
    spec = next(spec for spec in told if spec.name == "count")
    assert (spec.label, spec.needs, [setting.label for setting in spec.settings]) == (
        "Count numbers",
        "encode",
        ["Digits kept"],
    )


def engine_says(tree: Path) -> bytes:
    """Return what the window's engine writes before it sees that nobody asks for anything."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "engine.server.stdio"]
    done = subprocess.run(
        command, cwd=tree, env=environment, stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False
    )
    return done.stdout


def test_the_readme_of_the_engine_names_files_that_are_there():
    text = (ROOT / "engine/README.md").read_text(encoding="utf-8")
    named = re.findall(r"`([a-z_]+(?:/[a-z_]+)*(?:/|/[a-z_]+\.\w+)|engine\.py)`", text)
    assert len(named) > 40
    assert not [name for name in named if not (ROOT / "engine" / name).exists()]
