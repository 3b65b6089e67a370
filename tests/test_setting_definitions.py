"""A setting is defined once: command line, form and checks are made from it. Asked of the source tree and from outside."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import tasks
from engine.api.plan import Plan
from engine.api.reading import ReadAs
from engine.cli.main import main, parser
from engine.cli.run_options import RunOptions
from engine.errors import UsageError
from engine.requests.sampling import SamplingSettings
from engine.requests.setting import check, settings_in

ROOT = Path(__file__).resolve().parent.parent

KINDS = {"text", "multiline", "labels", "examples", "number", "integer", "switch", "choice"}

OWNERS = (Plan, RunOptions, ReadAs, SamplingSettings, *(task.settings_type for task in tasks.TASKS.values()))


def trees(*folders: str) -> Iterator[tuple[str, ast.Module]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def strings(node: ast.AST) -> list[str]:
    return [one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)]


def label_of(call: ast.Call) -> str:
    """Return the label that a field's definition spells out; empty where it is taken from another one."""
    if getattr(call.func, "id", "") == "setting":
        return call.args[1].value
    dicts = [node for node in ast.walk(call) if isinstance(node, ast.Dict)]
    pairs = [pair for one in dicts for pair in zip(one.keys, one.values, strict=True)]
    return next((value.value for key, value in pairs if getattr(key, "value", "") == "label"), "")


def definitions() -> Iterator[tuple[str, str, str]]:
    """Return name, kind and label of every setting that some dataclass of the tree spells out."""
    for _, tree in trees("engine", "gui"):
        for body in (node.body for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            for field in body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.value, ast.Call):
                    kinds = KINDS & set(strings(field.value))
                    if kinds and isinstance(field.target, ast.Name) and (label := label_of(field.value)):
                        yield field.target.id, min(kinds), label


def test_no_setting_is_spelled_out_twice():
    found = Counter(definitions())
    assert ("workers", "integer", "Workers") in found
    assert ("temperature", "number", "Temperature") in found
    assert ("threshold", "number", "Unsure below score") in found
    assert not {one: times for one, times in found.items() if times > 1}


def test_the_choices_of_a_setting_are_listed_once():
    """Neither the command line, nor a form, nor a check has a list of its own."""
    choices = {frozenset(one.choices) for owner in OWNERS for one in settings_in(owner) if one.choices}
    assert len(choices) >= 4
    found = Counter(
        frozenset(strings(node))
        for _, tree in trees("engine", "gui")
        for node in ast.walk(tree)
        if isinstance(node, ast.Tuple | ast.List | ast.Set) and frozenset(strings(node)) in choices
    )
    assert not {tuple(sorted(one)): times for one, times in found.items() if times > 1}


def test_the_command_line_spells_out_no_option_that_is_a_setting():
    settings = {"--" + one.name.replace("_", "-") for owner in OWNERS for one in settings_in(owner)}
    found = [
        f"{path}:{node.lineno} {flag}"
        for path, tree in trees("engine/cli")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument"
        for flag in strings(ast.Tuple(elts=node.args))
        if flag in settings
    ]
    assert not found


@pytest.mark.parametrize("task", tasks.TASKS)
def test_every_setting_is_an_option_of_its_task_with_its_default(task, tmp_path):
    kind = tasks.TASKS[task].settings_type
    needed = [f"--{one.name}={one.example or 'a, b'}" for one in settings_in(kind) if one.required]
    options = parser().parse_args(["run", task, *needed, str(tmp_path)])
    for owner in (Plan, RunOptions, kind):
        for one in settings_in(owner):
            assert one.required or getattr(options, one.name) == one.default, one.name


def limits() -> Iterator[tuple[type, str, float]]:
    for owner in (Plan, ReadAs, SamplingSettings):
        for one in settings_in(owner):
            if one.kind in ("number", "integer"):
                assert one.minimum is not None
                assert one.maximum is not None
                yield owner, one.name, one.minimum - 1
                yield owner, one.name, one.maximum * 2 + 1


@pytest.mark.parametrize(("owner", "name", "value"), list(limits()))
def test_what_lies_outside_a_settings_limits_is_refused_by_its_name(owner, name, value):
    label = next(one.label for one in settings_in(owner) if one.name == name)
    with pytest.raises(UsageError, match=f"{label} has to be between"):
        owner(**{name: value})


def test_a_choice_that_is_none_is_refused_with_those_that_are():
    with pytest.raises(UsageError, match=r"Number format has to be one of auto, float32, .*, not 'float8'"):
        Plan(dtype="float8")
    with pytest.raises(UsageError, match="Bad bytes has to be one of fail, replace, not 'skip'"):
        ReadAs(on_bad_bytes="skip")


def test_a_value_is_given_back_in_the_settings_own_type():
    (workers,) = (one for one in settings_in(Plan) if one.name == "workers")
    assert check(workers, "3", "Plan") == 3
    with pytest.raises(UsageError, match="Plan: Workers has to be a number"):
        check(workers, "many", "Plan")


def test_the_command_refuses_a_plan_outside_its_limits_as_wrong_usage(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("a text")
    assert main(["run", "embed", str(tmp_path), "--workers", "5000"]) == 2
    assert "Workers has to be between 0 and 1024, not 5000" in capsys.readouterr().err
    assert main(["run", "embed", str(tmp_path), "--patience", "-1"]) == 2
    assert "Patience has to be between 0" in capsys.readouterr().err
