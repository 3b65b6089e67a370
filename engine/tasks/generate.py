"""Generate: the model's answer to the user's prompt about each document."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.api.prompt_format import COLUMN, PromptFormat
from engine.errors import DocumentError, UsageError
from engine.inference.generation import thought
from engine.requests.capability import GENERATE
from engine.requests.request import Generate as GenerateRequest
from engine.requests.request import Request
from engine.requests.sampling import SamplingSettings
from engine.requests.setting import named, same_as
from engine.tasks.base import DocumentText, Outcome, Outputs, Step, overflow, text_output

FIELDS = ("text", "name", "path", COLUMN)
"""What a prompt may name in braces."""


THINKING = "thinking"
"""Finish reason: the text ended, however it did, before the thought did; there is no answer."""


@dataclass(frozen=True, slots=True)
class GenerateSettings:
    """The prompt, how texts are drawn, and what happens to documents that are too long."""

    prompt: str = field(
        default="",
        metadata={
            "label": "Prompt",
            "kind": "multiline",
            "required": True,
            "fields": FIELDS,
            "example": "Summarise this text in one sentence:\n\n{text}",
            "help": "what to ask about each document; {text} stands for its text, {name} and {path} for its file, "
            "{column:NAME} for another column of its row",
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
    max_new_tokens: int = same_as(SamplingSettings, "max_new_tokens")
    temperature: float = same_as(SamplingSettings, "temperature")
    top_k: int = same_as(SamplingSettings, "top_k")
    top_p: float = same_as(SamplingSettings, "top_p")
    min_p: float = same_as(SamplingSettings, "min_p")
    repetition_penalty: float = same_as(SamplingSettings, "repetition_penalty")
    frequency_penalty: float = same_as(SamplingSettings, "frequency_penalty")
    stop: str = field(
        default="", metadata={"label": "Stop texts", "kind": "multiline", "help": "one a line; they end an answer"}
    )
    seed: int = same_as(SamplingSettings, "seed")
    thinking: str = field(
        default="show",
        metadata={
            "label": "Thinking",
            "kind": "choice",
            "choices": ("show", "hide", "off"),
            "same_answer": ("show", "hide"),
            "help": "what models that think write before their answer; show or hide: it is kept beside the answer, and "
            "the window shows it or not; off: asks the model not to think, where it can be asked",
        },
    )
    on_overflow: str = overflow(
        "ask about each part (split), keep the beginning (head) or the end (tail), or refuse it (fail)"
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
    place: ClassVar[int] = 2
    needs: ClassVar[str] = GENERATE
    version: ClassVar[int] = 2
    """2: marks in texts are ordinary, every text is in the prompt, and thoughts are kept apart."""

    def __init__(self, settings: GenerateSettings) -> None:
        """Check the prompt and the sampling; raises UsageError if they make no sense."""
        self.settings = settings
        self._format = PromptFormat(settings.prompt, FIELDS, "Generate: Prompt")
        self.names_files = bool(self._format.names & {"name", "path"})
        self._examples = read_examples(settings.examples)
        stop = tuple(line for line in settings.stop.splitlines() if line)
        self.sampling = SamplingSettings(**named(settings, SamplingSettings), stop=stop)

    def prepare_job(self) -> list[Request]:
        """Return nothing: a prompt compares with nothing."""
        return []

    def start(self, document: DocumentText, job: Outputs) -> Step:  # noqa: ARG002 - as every task
        """Ask the prompt about the document; one that does not name {text} gets it at its end."""
        question = self._question(document)
        examples = tuple((text.join(question), answer) for text, answer in self._examples)
        request = GenerateRequest(
            text=document.text,
            long=document.long,
            question=question,
            system=self.settings.system,
            examples=examples,
            sampling=self.sampling,
            overflow=self.settings.on_overflow,
            seed=document.sha256,
            think=self.settings.thinking != "off",
        )
        return Step((request,))

    def _question(self, document: DocumentText) -> tuple[str, ...]:
        """Return the pieces of the prompt between which a document's text goes; raises DocumentError without a column."""
        values = {"name": document.name, "path": document.path}
        for name in self._format.columns:
            if document.columns is not None and name not in document.columns:
                known = f"its row has {', '.join(document.columns)}" if document.columns else "it is no row of a table"
                raise DocumentError(f"the prompt names the column {name!r}, and {known}")
            values[COLUMN + name] = (document.columns or {}).get(name, "")
        pieces = self._format.around("text", values)
        return pieces if len(pieces) > 1 else ("".join(pieces) + "\n\n", "")

    def shown(self, text: str, *, opened: bool = False) -> str:
        """Return what the window shows of an answer in the making."""
        return text if self.settings.thinking == "show" else thought.split(text, opened=opened).answer

    def advance(self, state: dict[str, Any], outputs: Outputs, job: Outputs) -> Outcome:  # noqa: ARG002 - as every task
        """Make the result of a document from the answers about its parts, in their order.

        ``text`` is the answer, ``thought`` (only where there is one) what the model thought before.
        """
        answers = text_output(outputs, "text").answers
        seconds = sum(answer.seconds for answer in answers)
        new = sum(answer.new_tokens for answer in answers)
        found = [thought.split(answer.text, opened=answer.opened) for answer in answers]
        reasons = [a.reason if one.ends else THINKING for a, one in zip(answers, found, strict=True)]
        thoughts = "\n\n".join(filter(None, (one.thought for one in found)))
        value = {
            "text": "\n\n".join(one.answer.strip() if len(answers) > 1 else one.answer for one in found),
            **({"thought": thoughts} if thoughts else {}),
            "finish_reason": next((reason for reason in reasons if reason != "end"), "end"),
            "tokens_in": sum(answer.prompt_tokens for answer in answers),
            "tokens_out": new,
            "tokens_per_s": round(new / seconds, 3) if seconds > 0 else 0.0,
            "ttft": round(min(answer.ttft for answer in answers), 6),
            "parts": len(answers),
        }
        return Outcome(value, self.summary(value))

    def summary(self, value: dict[str, Any]) -> str:
        """Return the beginning of the answer on one line."""
        text = " ".join(value["text"].split())[:200]
        return text or ("no answer: the thought did not end" if value.get("finish_reason") == THINKING else "")
