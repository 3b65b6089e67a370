"""Prompts with fields: names in braces are fields, other braces are text, and all else is refused before anything loads."""

from __future__ import annotations

import os

import pytest

from engine import tasks
from engine.api.prompt_format import PromptFormat
from engine.cli.main import main
from engine.errors import UsageError

FIELDS = ("text", "name", "path")
VALUES = {"text": "T {name} {{", "name": "N", "path": "P"}


@pytest.mark.parametrize(
    ("prompt", "filled"),
    [
        ("Say {text} of {name} in {path}.", "Say T {name} {{ of N in P."),
        ('Return JSON {"label": "x"}: {name}', 'Return JSON {"label": "x"}: N'),
        ('{"a": {"b": {"c": "{name}"}}}', '{"a": {"b": {"c": "N"}}}'),
        ("100% of {name} %s %(text)s", "100% of N %s %(text)s"),
        ("${name} {} {0} { name } {label: 1}", "$N {} {0} { name } {label: 1}"),
        ("{{name}} {{}} {{{name}}} {{{{name}}}}", "{name} {} {N} {{name}}"),
        ('{{"a": {{"b": 1}}}} }} {', '{"a": {"b": 1}} } {'),
        ("a lone } and }} and {", "a lone } and } and {"),
        ("{\n  {name}\n}", "{\n  N\n}"),
        ("", ""),
        ("no field", "no field"),
    ],
)
def test_braces_that_hold_no_name_are_text(prompt, filled):
    assert PromptFormat(prompt, FIELDS, "Prompt").fill(VALUES) == filled


MEANINGLESS = (
    *("{text:d}", "{text!z}", "{text:{foo}}", "{text:>99999999999}", "{text!r:^9}", "{text.real}", "{text[0]}"),
    *("{text", "{text }", "{nothing}", "{TEXT}", "{name:}", "{path.__class__}", '{"a": {text:d}}'),
)


@pytest.mark.parametrize("prompt", MEANINGLESS)
def test_a_field_with_a_format_a_conversion_or_an_attribute_is_refused_by_its_name(prompt):
    with pytest.raises(UsageError, match=r"^Prompt .*\{text\}, \{name\}, \{path\}"):
        PromptFormat(prompt, FIELDS, "Prompt")
    with pytest.raises(UsageError, match="generate: Prompt"):
        tasks.make("generate", {"prompt": prompt})


@pytest.mark.parametrize("prompt", ["{text:d}", "{text!z}", "{text:{foo}}", "{text:>99999999999}"])
def test_the_command_refuses_such_a_prompt_before_it_makes_a_journal_or_looks_at_a_model(tmp_path, capsys, prompt):
    (tmp_path / "a.txt").write_text("water")
    out = tmp_path / "out.jsonl"
    nowhere = str(tmp_path / "no model here")
    assert main(["run", "generate", "--prompt", prompt, str(tmp_path), "--model", nowhere, "--out", str(out)]) == 2
    assert "Prompt" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["a.txt"]
