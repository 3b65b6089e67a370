"""Summarise: what a document says in fewer words; a long one by summaries of its parts, then of those."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from engine.api.commands import Preset
from engine.inference.generation import thought
from engine.requests.capability import GENERATE
from engine.requests.output import Answer
from engine.requests.request import Generate, Request
from engine.requests.sampling import SamplingSettings
from engine.requests.setting import setting
from engine.tasks.base import DocumentText, Outcome, Outputs, Step, overflow, text_output
from engine.tasks.language import CHINESE, ENGLISH, language_of, language_setting

PROSE, BULLETS = FORMS = ("prose", "bullets")

_TOKENS = {"sentence": 96, "paragraph": 192, "page": 512}
"""Lengths that can be asked for, and the most tokens that are written for one."""

_LEVELS = 8
"""Summaries of summaries of summaries: a writer that makes nothing shorter is not asked for ever."""

_WORDS = {
    ENGLISH: {
        ("sentence", PROSE): "in one sentence",
        ("sentence", BULLETS): "in two or three short bullet points",
        ("paragraph", PROSE): "in one paragraph",
        ("paragraph", BULLETS): "in five to eight bullet points",
        ("page", PROSE): "on one page",
        ("page", BULLETS): "in ten to fifteen bullet points",
        "text": "Summarise this text {how}{focus}: {text}",
        "join": "These are summaries of the parts of one text, in their order. Make one summary of them {how}{focus}: {text}",
        "focus": ", above all as to {focus}",
    },
    CHINESE: {
        ("sentence", PROSE): "用一句话",
        ("sentence", BULLETS): "用两三个简短的要点",
        ("paragraph", PROSE): "用一段话",
        ("paragraph", BULLETS): "用五到八个要点",
        ("page", PROSE): "用一页的篇幅",
        ("page", BULLETS): "用十到十五个要点",
        "text": "请{how}概括以下文本{focus}：{text}",
        "join": "以下是同一篇文本各部分的摘要，按原文顺序排列。请{how}把它们合成一个摘要{focus}：{text}",
        "focus": "，重点关注{focus}",
    },
}


@dataclass(frozen=True, slots=True)
class SummariseSettings:
    """How long, about what, and in which form."""

    length: str = setting("sentence", "Length", "choice", "how long the summary is", choices=tuple(_TOKENS))
    form: str = setting(PROSE, "Form", "choice", "running text, or bullet points", choices=FORMS)
    focus: str = setting(
        "", "Focus", "text", "what to look for above all, such as: the price and the date", placeholder="TEXT"
    )
    language: str = language_setting()
    on_overflow: str = overflow(
        "summarise all of it part by part, then the summaries (split), keep its beginning (head) or its end (tail), or "
        "refuse it (fail)"
    )


class Summarise:
    """Asks for a summary; about a long document for one of each part, then for one of those, until one is left."""

    name: ClassVar[str] = "summarise"
    label: ClassVar[str] = "Summarise"
    help: ClassVar[str] = "Each document in a sentence, a paragraph or a page; long ones part by part"
    needs: ClassVar[str] = GENERATE
    settings_type: ClassVar[type] = SummariseSettings
    place: ClassVar[int] = 1
    presets: ClassVar[tuple[Preset, ...]] = (
        Preset("Summarise", "One sentence about each document", {"length": "sentence"}),
    )

    def __init__(self, settings: SummariseSettings) -> None:
        """Use ``settings``."""
        self.settings = settings

    def prepare_job(self) -> list[Request]:
        """Return nothing: every document is asked about on its own."""
        return []

    def start(self, document: DocumentText, job: Outputs) -> Step:  # noqa: ARG002 - as every task
        """Ask about the text, or about each of its parts, since nothing is known yet of how many there are."""
        language = language_of(document, self.settings.language)
        request = Generate(
            text=document.text,
            long=document.long,
            question=self._question("text", language),
            sampling=SamplingSettings(max_new_tokens=self._tokens),
            overflow=self.settings.on_overflow,
            seed=document.sha256,
            think=False,
        )
        return Step((request,), {"level": 0, "language": language, "seed": document.sha256, "before": 0, "parts": 0})

    def advance(self, state: dict[str, Any], outputs: Outputs, job: Outputs) -> Step | Outcome:  # noqa: ARG002 - as every task
        """Join the summaries of parts into one text and ask about that, until there is one summary."""
        answers = text_output(outputs, "text").answers
        texts = [_answer(one) for one in answers]
        counted = {
            "tokens_in": int(state.get("tokens_in", 0)) + sum(one.prompt_tokens for one in answers),
            "tokens_out": int(state.get("tokens_out", 0)) + sum(one.new_tokens for one in answers),
        }
        parts, level = int(state["parts"]) or len(answers), int(state["level"])
        joined = "\n\n".join(filter(None, texts))
        before = int(state["before"])
        grows = before > 0 and len(joined) >= before
        if len(answers) == 1 or not joined or grows or level >= _LEVELS:
            reason = next((one.reason for one in answers if one.reason != "end"), "end")
            value = {"text": joined, "finish_reason": reason, **counted, "parts": parts, "levels": level + 1}
            if len(answers) > 1:
                value["summaries"] = len(answers)
            return Outcome(value, self.summary(value))
        request = Generate(
            text=joined,
            question=self._question("join", state["language"]),
            sampling=SamplingSettings(max_new_tokens=self._tokens),
            overflow="split",
            seed=f"{state['seed']} {level + 1}",
            think=False,
        )
        return Step((request,), {**state, **counted, "level": level + 1, "before": len(joined), "parts": parts})

    def shown(self, text: str, *, opened: bool = False) -> str:
        """Return what the window shows of a summary in the making."""
        return thought.split(text, opened=opened).answer

    def summary(self, value: dict[str, Any]) -> str:
        """Return the beginning of the summary on one line."""
        return " ".join(str(value.get("text", "")).split())[:200]

    @property
    def _tokens(self) -> int:
        return _TOKENS[self.settings.length]

    def _question(self, kind: str, language: str) -> tuple[str, ...]:
        words = _WORDS[language]
        how = words[self.settings.length, self.settings.form]
        focus = words["focus"].replace("{focus}", self.settings.focus.strip()) if self.settings.focus.strip() else ""
        before, _, after = words[kind].partition("{text}")
        return before.replace("{how}", how).replace("{focus}", focus), after


def _answer(one: Answer) -> str:
    return thought.split(one.text, opened=one.opened).answer.strip()
