"""Extract: named facts of each document as columns, each shown in the text where it stands there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from engine.api.commands import Preset
from engine.api.fields import CHOICE, FIELDS, LIST, YES_NO, Field, fact_text, parse_fields
from engine.documents.evidence import find_value
from engine.inference.generation import thought
from engine.inference.generation.constraints import grammar_of
from engine.requests.capability import GENERATE
from engine.requests.output import Answer
from engine.requests.request import Generate, Request
from engine.requests.sampling import SamplingSettings
from engine.requests.setting import same_as, setting
from engine.tasks.base import NOTICE, DocumentText, Outcome, Outputs, Step, overflow, text_output
from engine.tasks.form import around, asked_besides, instructions_setting, read_form
from engine.tasks.language import CHINESE, ENGLISH, language_of, language_setting

_WORDS = {
    ENGLISH: {
        "ask": "{text}\n\nRead the text above and fill in this form as JSON. Copy values from the text word for word. "
        "Write null where the text does not say. The fields:\n{fields}{more}",
        "freely": "{text}\n\nList every one of these that the text above names, one a line and nothing else: {field}",
        "choices": "one of {choices}",
        YES_NO: "true or false",
        "date": "as YYYY-MM-DD",
        LIST: "a list of all",
    },
    CHINESE: {
        "ask": "{text}\n\n请阅读以上文本，并以 JSON 填写下列字段。数值请逐字照抄原文。文中没有提到的写 null。字段：\n{fields}{more}",
        "freely": "{text}\n\n请列出以上文本中提到的每一项，每行一个，不要写别的：{field}",
        "choices": "只能是 {choices} 之一",
        YES_NO: "true 或 false",
        "date": "格式为 YYYY-MM-DD",
        LIST: "列出全部",
    },
}

_EXTRACT, _ASK_FREELY = "text", "list "
"""Keys of requests: the form, and a list that is asked for freely, by field."""

_EXAMPLE = "name: who wrote it\norder: the number of the order\namount (number): the sum that is named"


@dataclass(frozen=True, slots=True)
class ExtractSettings:
    """What is looked for."""

    fields: str = field(
        default="",
        metadata={
            "label": "Fields",
            "kind": "fields",
            "required": True,
            "example": _EXAMPLE,
            "help": "one field a line as 'name (kind): description'; kinds: text, number, whole number, yes/no, date, "
            "list, or choices (open | paid); or a JSON schema of an object",
        },
    )
    instructions: str = instructions_setting()
    max_new_tokens: int = same_as(SamplingSettings, "max_new_tokens", default=512)
    check_every: int = setting(
        20,
        "Check lists of every",
        "integer",
        "one document in so many is asked for its lists once more, freely; what comes out shorter is flagged; 0: none",
        minimum=0,
        maximum=1_000_000,
    )
    language: str = language_setting()
    on_overflow: str = overflow(
        "look through all of it part by part (split), its beginning (head) or its end (tail), or refuse it (fail)"
    )


class Extract:
    """Asks for a form that can only be filled in validly; about a long document once for each part."""

    name: ClassVar[str] = "extract"
    label: ClassVar[str] = "Extract"
    help: ClassVar[str] = "Facts of each document as columns: names, numbers, dates, lists, choices"
    needs: ClassVar[str] = GENERATE
    settings_type: ClassVar[type] = ExtractSettings
    place: ClassVar[int] = 2
    presets: ClassVar[tuple[Preset, ...]] = ()

    def __init__(self, settings: ExtractSettings) -> None:
        """Read the fields; raises UsageError for fields that make no sense and schemas that cannot be held to."""
        self.settings = settings
        wanted = parse_fields(settings.fields)
        self.fields = wanted.fields
        self._schema = json.dumps(wanted.schema, ensure_ascii=False)
        grammar_of(self._schema)
        self._lists = [one for one in self.fields if one.kind == LIST]

    def prepare_job(self) -> list[Request]:
        """Return nothing: every document is asked about on its own."""
        return []

    def start(self, document: DocumentText, job: Outputs) -> Step:  # noqa: ARG002 - as every task
        """Ask for the form."""
        language = language_of(document, self.settings.language)
        checked = bool(self._lists) and document.long is None and self._is_checked(document.sha256)
        state = {"text": document.text, "language": language, "seed": document.sha256, "checked": checked}
        words = _WORDS[language]
        more = asked_besides(self.settings.instructions)
        fields = "\n".join(_described(one, words) for one in self.fields)
        request = self._request(
            _EXTRACT, document.text, around(words["ask"], fields=fields, more=more), document.sha256
        )
        return Step((_with(request, document, self._schema),), state)

    def advance(self, state: dict[str, Any], outputs: Outputs, job: Outputs) -> Step | Outcome:  # noqa: ARG002 - as every task
        """Put the forms of the parts together; ask for the lists freely where this document is in the sample."""
        if "value" in state:
            return self._checked_lists(state, outputs)
        answers = text_output(outputs, _EXTRACT).answers
        value = self._value(answers, state["text"])
        if not state["checked"] or value["unfinished"]:
            return self._outcome(value)
        words = _WORDS[state["language"]]
        asked = tuple(
            self._request(
                _ASK_FREELY + one.name,
                state["text"],
                around(words["freely"], field=f"{one.name}: {one.description}" if one.description else one.name),
                f"{state['seed']} {one.name}",
            )
            for one in self._lists
        )
        return Step(asked, {"text": state["text"], "value": value})

    def summary(self, value: dict[str, Any]) -> str:
        """Return the fields that have a value, on one line."""
        found = value.get(FIELDS) or {}
        told = [f"{name}: {fact_text(one)}" for name, one in found.items() if one not in (None, [])]
        return " · ".join(told)[:300] or "nothing found"

    def shown(self, text: str, *, opened: bool = False) -> str:
        """Return what the window shows of a form in the making."""
        return thought.split(text, opened=opened).answer

    # ------------------------------------------------------------------------------------------------------------ requests
    def _request(self, key: str, text: str, question: tuple[str, ...], seed: str) -> Generate:
        return Generate(
            key=key,
            text=text,
            question=question,
            sampling=SamplingSettings(max_new_tokens=self.settings.max_new_tokens),
            overflow=self.settings.on_overflow,
            seed=seed,
            think=False,
        )

    def _is_checked(self, sha256: str) -> bool:
        every = self.settings.check_every
        return every > 0 and int(sha256[:12] or "0", 16) % every == 0

    # -------------------------------------------------------------------------------------------------------------- results
    def _value(self, answers: Sequence[Answer], text: str) -> dict[str, Any]:
        forms, ended = zip(
            *(read_form(thought.split(one.text, opened=one.opened).answer) for one in answers), strict=True
        )
        found: dict[str, Any] = {one.name: _merged([form.get(one.name) for form in forms]) for one in self.fields}
        spans: list[list[Any]] = []
        missing: list[str] = []
        for one in self.fields:
            if text and found[one.name] is not None and one.kind not in (CHOICE, YES_NO):
                found[one.name] = _placed(one.name, found[one.name], text, spans, missing)
        unfinished = sorted({one.name for form, whole in zip(forms, ended, strict=True) if not whole
                             for one in self.fields if one.name not in form})  # fmt: skip
        return {
            FIELDS: found,
            "valid": all(ended),
            "unfinished": unfinished,
            "not_in_text": missing,
            "spans": spans,
            "finish_reason": next((one.reason for one in answers if one.reason != "end"), "end"),
            "tokens_in": sum(one.prompt_tokens for one in answers),
            "tokens_out": sum(one.new_tokens for one in answers),
            "parts": len(answers),
        }

    def _checked_lists(self, state: dict[str, Any], outputs: Outputs) -> Outcome:
        value: dict[str, Any] = dict(state["value"])
        freely: dict[str, int] = {}
        for one in self._lists:
            answers = text_output(outputs, _ASK_FREELY + one.name).answers
            named = {line for answer in answers for line in _items(answer, state["text"])}
            freely[one.name] = len(named)
            value["tokens_in"] += sum(answer.prompt_tokens for answer in answers)
            value["tokens_out"] += sum(answer.new_tokens for answer in answers)
        value["asked_freely"] = freely
        return self._outcome(value)

    def _outcome(self, value: dict[str, Any]) -> Outcome:
        told: list[str] = []
        if not value["valid"]:
            names = ", ".join(value["unfinished"])
            why = "the answer became too long" if value["finish_reason"] == "length" else "the model could not go on"
            told.append(f"unfinished: {why}" + (f"; not got to: {names}" if names else ""))
        for name, count in value.get("asked_freely", {}).items():
            if count > (here := len(value[FIELDS][name] or [])):
                told.append(f"asked freely, the model names {count} of {name}, and {here} here")
        if told:
            value[NOTICE] = "; ".join(told)
        return Outcome(value, self.summary(value))


def _with(request: Generate, document: DocumentText, schema: str) -> Generate:
    return replace(request, long=document.long, schema=schema)


def _described(one: Field, words: dict[str, str]) -> str:
    about = [one.description] if one.description else []
    if one.kind == CHOICE:
        about.append(words["choices"].replace("{choices}", ", ".join(one.choices)))
    elif one.kind in words:
        about.append(words[one.kind])
    return f"- {one.name}: {'; '.join(about)}" if about else f"- {one.name}"


def _merged(values: list[Any]) -> Any:
    """Return one value of those of the parts: of lists all, in their order and once, else the first there is."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, list) for value in known):
        items: dict[str, Any] = {}
        for value in known:
            items.update((json.dumps(item, sort_keys=True), item) for item in value)
        return list(items.values())
    return known[0] if known else None


def _placed(name: str, value: Any, text: str, spans: list[list[Any]], missing: list[str]) -> Any:
    """Return a value as it stands in the text, and note where, or that it does not stand there."""
    items: list[Any] = value if isinstance(value, list) else [value]
    placed: list[Any] = []
    for item in items:
        if isinstance(item, bool) or not isinstance(item, str | int | float):
            placed.append(item)
            continue
        at = find_value(text, item)
        if at is None:
            if name not in missing:
                missing.append(name)
            placed.append(item)
        else:
            spans.append([name, at[0], at[1]])
            placed.append(text[at[0] : at[1]] if isinstance(item, str) else item)
    return placed if isinstance(value, list) else placed[0]


def _items(answer: Answer, text: str) -> list[str]:
    """Return the lines of a free list that the text has word for word; others the model may have made up."""
    lines = thought.split(answer.text, opened=answer.opened).answer.splitlines()
    items = [line.strip().lstrip("-*•·0123456789.) ").strip() for line in lines]
    return [text[at[0] : at[1]] for item in items if item and (at := find_value(text, item)) is not None]
