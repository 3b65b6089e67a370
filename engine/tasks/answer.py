"""Answer: questions about each document, each answer with the words of the text that say so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engine.api.fields import FIELDS, LONGEST, fact_text
from engine.api.questions import Question, parse_questions
from engine.documents.evidence import find_value
from engine.inference.generation import thought
from engine.requests.capability import GENERATE
from engine.requests.output import Answer as Written
from engine.requests.request import Generate, Request
from engine.requests.sampling import SamplingSettings
from engine.requests.setting import setting
from engine.tasks.base import NOTICE, DocumentText, Outcome, Outputs, Step, overflow, text_output
from engine.tasks.form import around, asked_besides, instructions_setting, read_form
from engine.tasks.language import CHINESE, ENGLISH, language_of, language_setting

_WORDS = {
    ENGLISH: {
        True: "{text}\n\nAnswer the question from the text above alone, in a few words. Give the words of the text that "
        "say so as the quote. If the text does not say, answer null. Question: {question}{more}",
        False: "{text}\n\nAnswer the question from the text above alone, in a few words. If the text does not say, answer "
        "null. Question: {question}{more}",
    },
    CHINESE: {
        True: "{text}\n\n请只根据以上文本简短回答问题，并逐字引用原文作为依据。文中没有提到则回答 null。问题：{question}{more}",
        False: "{text}\n\n请只根据以上文本简短回答问题。文中没有提到则回答 null。问题：{question}{more}",
    },
}

_TEXT = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": LONGEST}, {"type": "null"}]}

_MOST = 192
"""Tokens of an answer with its quote."""


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """The questions."""

    questions: str = field(
        default="",
        metadata={
            "label": "Questions",
            "kind": "questions",
            "required": True,
            "example": "problem: What does the writer complain about?\nWhat should be done?",
            "help": "one question a line; a short name and a colon before it names its column",
        },
    )
    quotes: bool = setting(
        True, "Quotes", "switch", "ask for the words of the text that say so, and show where they stand"
    )
    instructions: str = instructions_setting()
    language: str = language_setting()
    on_overflow: str = overflow(
        "ask about each part until one answers (split), about its beginning (head) or its end (tail), or refuse it (fail)"
    )


class Answer:
    """Asks each question about each document; about a long one for every part."""

    name: ClassVar[str] = "answer"
    label: ClassVar[str] = "Answer"
    help: ClassVar[str] = "Your questions about each document, a column each, with the words that say so"
    needs: ClassVar[str] = GENERATE
    settings_type: ClassVar[type] = AnswerSettings
    place: ClassVar[int] = 2

    def __init__(self, settings: AnswerSettings) -> None:
        """Read the questions; raises UsageError where there are none or two have the same name."""
        self.settings = settings
        self.questions = parse_questions(settings.questions)
        names = ("answer", "quote") if settings.quotes else ("answer",)
        self._schema = json.dumps(
            {
                "type": "object",
                "properties": dict.fromkeys(names, _TEXT),
                "required": list(names),
                "additionalProperties": False,
            }
        )

    def prepare_job(self) -> list[Request]:
        """Return nothing: every document is asked about on its own."""
        return []

    def start(self, document: DocumentText, job: Outputs) -> Step:  # noqa: ARG002 - as every task
        """Ask every question; the text comes first, so that what was read of it serves them all."""
        words = _WORDS[language_of(document, self.settings.language)][self.settings.quotes]
        more = asked_besides(self.settings.instructions)
        requests = tuple(
            Generate(
                key=_key(at),
                text=document.text,
                long=document.long,
                question=around(words, question=one.text, more=more),
                sampling=SamplingSettings(max_new_tokens=_MOST),
                overflow=self.settings.on_overflow,
                seed=f"{document.sha256} {one.text}",
                think=False,
                schema=self._schema,
            )
            for at, one in enumerate(self.questions)
        )
        return Step(requests, {"text": document.text})

    def advance(self, state: dict[str, Any], outputs: Outputs, job: Outputs) -> Outcome:  # noqa: ARG002 - as every task
        """Put the answers together; of a long document's parts, that of the first whose quote stands there."""
        found: dict[str, str | None] = {}
        quotes: dict[str, str] = {}
        value: dict[str, Any] = {
            FIELDS: found, "quotes": quotes, "spans": [], "not_in_text": [], "unfinished": [], "tokens_in": 0, "tokens_out": 0,
        }  # fmt: skip
        for at, one in enumerate(self.questions):
            answers = text_output(outputs, _key(at)).answers
            self._take(one, answers, state["text"], value)
            value["tokens_in"] += sum(answer.prompt_tokens for answer in answers)
            value["tokens_out"] += sum(answer.new_tokens for answer in answers)
            value["parts"] = len(answers)
        if value["unfinished"]:
            value[NOTICE] = f"unfinished: {', '.join(value['unfinished'])}"
        if not self.settings.quotes:
            del value["quotes"]
        return Outcome(value, self.summary(value))

    def _take(self, one: Question, answers: Sequence[Written], text: str, value: dict[str, Any]) -> None:
        read = [read_form(thought.split(answer.text, opened=answer.opened).answer) for answer in answers]
        if not all(whole for _, whole in read):
            value["unfinished"].append(one.name)
        said = [form for form, _ in read if isinstance(form.get("answer"), str)]
        placed = [(form, find_value(text, form["quote"])) for form in said if isinstance(form.get("quote"), str)]
        form, at = next(((form, at) for form, at in placed if at is not None), (said[0] if said else {}, None))
        value[FIELDS][one.name] = form.get("answer")
        if at is not None:
            value["quotes"][one.name] = text[at[0] : at[1]]
            value["spans"].append([one.name, at[0], at[1]])
        elif self.settings.quotes and form:
            value["not_in_text"].append(one.name)

    def summary(self, value: dict[str, Any]) -> str:
        """Return the answers that there are, on one line."""
        told = [f"{name}: {fact_text(one)}" for name, one in (value.get(FIELDS) or {}).items() if one is not None]
        return " · ".join(told)[:300] or "nothing found"

    def shown(self, text: str, *, opened: bool = False) -> str:
        """Return what the window shows of an answer in the making."""
        return thought.split(text, opened=opened).answer


def _key(at: int) -> str:
    return f"question {at + 1}"
