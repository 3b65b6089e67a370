"""Generate: the model's answer to the user's prompt about each document."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.documents.split import Overflow
from engine.errors import UsageError
from engine.tasks.base import Answer, Outcome

FIELDS = ("text", "name", "path")
"""What a prompt may name in braces."""


def _number(label: str, kind: str, low: float, high: float, text: str) -> dict[str, Any]:
    return {"label": label, "kind": kind, "minimum": low, "maximum": high, "help": text}


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """The prompt, how texts are drawn, and what happens to documents that are too long."""

    prompt: str = field(
        default="",
        metadata={
            "label": "Prompt",
            "kind": "multiline",
            "required": True,
            "help": "what to ask about each document; {text} stands for its text, {name} and {path} for its file",
        },
    )
    system: str = field(
        default="", metadata={"label": "System text", "kind": "multiline", "help": "what the model should be"}
    )
    examples: str = field(
        default="",
        metadata={
            "label": "Examples",
            "kind": "examples",
            "help": "answers to learn from, one a line: document => answer, or as JSON with input and output",
        },
    )
    max_new_tokens: int = field(
        default=256, metadata=_number("Longest answer", "integer", 1, 100_000, "new tokens at most")
    )
    temperature: float = field(
        default=0.0, metadata=_number("Temperature", "number", 0, 100, "0 always takes the likeliest token")
    )
    top_k: int = field(default=0, metadata=_number("Top-k", "integer", 0, 1_000_000, "0 is off"))
    top_p: float = field(default=1.0, metadata=_number("Top-p", "number", 0.001, 1, "1 is off"))
    min_p: float = field(default=0.0, metadata=_number("Min-p", "number", 0, 1, "0 is off"))
    repetition_penalty: float = field(
        default=1.0, metadata=_number("Repetition penalty", "number", 0.01, 100, "1 is off")
    )
    frequency_penalty: float = field(
        default=0.0, metadata=_number("Frequency penalty", "number", -100, 100, "0 is off")
    )
    stop: str = field(
        default="", metadata={"label": "Stop texts", "kind": "multiline", "help": "one a line; they end an answer"}
    )
    seed: int = field(
        default=0,
        metadata=_number("Seed", "integer", 0, 2**53, "the same seed and document give the same answer"),
    )
    on_overflow: str = field(
        default=Overflow.SPLIT.value,
        metadata={
            "label": "Long documents",
            "kind": "choice",
            "choices": tuple(policy.value for policy in Overflow),
            "help": "split: ask about each part; head or tail: keep the beginning or the end; fail: refuse it",
        },
    )


def read_examples(text: str) -> list[tuple[str, str]]:
    """Return the (document, answer) pairs of ``text``, one a line: ``document => answer`` or a JSON object.

    The object's keys are ``input`` and ``output``. Raises UsageError that names the line.
    """
    pairs: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if line.lstrip().startswith("{"):
            try:
                value = json.loads(line)
            except ValueError as error:
                raise UsageError(f"Generate: line {number} of the examples is no JSON ({error}).") from error
            asked, answer = value.get("input"), value.get("output")
        else:
            asked, _, answer = (part.strip() for part in line.partition("=>"))
        if not (isinstance(asked, str) and isinstance(answer, str) and asked and answer):
            raise UsageError(
                f"Generate: line {number} of the examples needs an input and an output: "
                'document => answer, or {"input": "...", "output": "..."}.'
            )
        pairs.append((asked, answer))
    return pairs


class Generate:
    """Asks the model once about each document, or once about each part of a long one."""

    name: ClassVar[str] = "generate"
    label: ClassVar[str] = "Generate"
    help: ClassVar[str] = "The model's answer to your prompt about each document"
    settings_type: ClassVar[type] = GenerateSettings
    writes: ClassVar[bool] = True

    def __init__(self, settings: GenerateSettings) -> None:
        """Check the prompt and the sampling; raises UsageError if they make no sense."""
        # torch comes with it, and the forms and the command line must not wait for that.
        from engine.generation.sampling import SamplingSettings

        self.settings = settings
        try:
            named = {name for _, name, _, _ in string.Formatter().parse(settings.prompt) if name is not None}
        except ValueError as error:
            raise UsageError(
                f"Generate: the prompt's braces do not match ({error}); write {{{{ for a brace."
            ) from error
        unknown = sorted(named - set(FIELDS))
        if unknown:
            known = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise UsageError(
                f"Generate: the prompt names {{{unknown[0]}}}; it can name {known}. Write {{{{ for a brace."
            )
        self._names_text = "text" in named
        self.names_files = bool(named & {"name", "path"})
        self._examples = read_examples(settings.examples)
        self.sampling = SamplingSettings(
            max_new_tokens=settings.max_new_tokens,
            temperature=settings.temperature,
            top_k=settings.top_k,
            top_p=settings.top_p,
            min_p=settings.min_p,
            repetition_penalty=settings.repetition_penalty,
            frequency_penalty=settings.frequency_penalty,
            stop=tuple(line for line in settings.stop.splitlines() if line),
            seed=settings.seed,
        )

    def anchors(self) -> list[str]:
        """Return nothing: a prompt compares with nothing."""
        return []

    def question(self, text: str, name: str, path: str) -> str:
        """Return the user's prompt about one document; a prompt that does not name {text} gets it at its end."""
        asked = self.settings.prompt.format(text=text, name=name, path=path)
        return asked if self._names_text else f"{asked}\n\n{text}"

    def examples(self, name: str, path: str) -> list[tuple[str, str]]:
        """Return the examples as questions like the one about the document, each with its answer."""
        return [(self.question(text, name, path), answer) for text, answer in self._examples]

    def combine_answers(self, answers: Sequence[Answer]) -> Outcome:
        """Make the result of a document from the answers about its parts, in their order."""
        seconds = sum(answer.seconds for answer in answers)
        new = sum(answer.new_tokens for answer in answers)
        value = {
            "text": "\n\n".join(answer.text.strip() if len(answers) > 1 else answer.text for answer in answers),
            "finish_reason": next((a.reason for a in answers if a.reason != "end"), "end"),
            "tokens_in": sum(answer.prompt_tokens for answer in answers),
            "tokens_out": new,
            "tokens_per_s": round(new / seconds, 3) if seconds > 0 else 0.0,
            "ttft": round(min(answer.ttft for answer in answers), 6),
            "parts": len(answers),
        }
        return Outcome(value, self.summary(value))

    def summary(self, value: dict[str, Any]) -> str:
        """Return the beginning of the answer on one line."""
        return " ".join(value["text"].split())[:200]
