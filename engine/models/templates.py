"""The chat template of a model folder: found and parsed without being run. No torch, no transformers.

Found where transformers finds it (5.23, ``PreTrainedTokenizerBase._from_pretrained``): ``chat_template.jinja`` with
``additional_chat_templates/*.jinja``, else ``chat_template`` in tokenizer_config.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from engine.errors import ModelError
from engine.models.json_file import mark_of
from engine.models.regular import open_regular

LIMIT = 200_000
"""Characters of a chat template; the longest that are in use have a tenth of it."""

FILE, MORE = "chat_template.jinja", "additional_chat_templates"
DEFAULT = "default"
"""Name of the template that is taken where a folder has several."""


@dataclass(frozen=True, slots=True)
class Template:
    """The template that conversations are written with, and the name of the file it stands in."""

    text: str
    file: str


def find_template(folder: str, shown: str, config: dict[str, Any]) -> Template | None:
    """Return the template of the tokenizer in ``folder``, None where it has none.

    ``config`` is tokenizer_config.json; ``shown`` goes before file names in messages. Raises ModelError for templates
    that are none, or of which none is the default.
    """
    path = os.path.join(folder, FILE)
    if os.path.lexists(path):
        return Template(_read(path, shown + FILE), shown + FILE)
    extra = os.path.join(folder, MORE)
    found: Any = config.get("chat_template")
    name = f"{shown}tokenizer_config.json"
    if os.path.isdir(extra) and any(entry.endswith(".jinja") for entry in os.listdir(extra)):
        name = f"{shown}{MORE}"
        place = os.path.join(extra, f"{DEFAULT}.jinja")
        found = {DEFAULT: _read(place, f"{name}/{DEFAULT}.jinja")} if os.path.lexists(place) else {}
    if found is None:
        return None
    if isinstance(found, list):
        if not all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in found):
            raise ModelError(
                f"{name}: chat_template is a list with entries that have no name. Download the file again."
            )
        found = {one["name"]: one.get("template") for one in found}
    if isinstance(found, dict):
        if DEFAULT not in found:
            names = ", ".join(map(str, found)) or "none"
            raise ModelError(
                f"{name} has several chat templates ({names}), and none is called {DEFAULT}. Call the one that is to be "
                f"used {DEFAULT}, or put it alone into a file {FILE}."
            )
        found = found[DEFAULT]
    if not isinstance(found, str):
        raise ModelError(f"{name}: chat_template is not a text. Download the file again.")
    return Template(found, name) if found else None


def check_template(template: Template) -> None:
    """Raise ModelError for a template that is too long or that Jinja cannot parse; nothing of it is run."""
    import jinja2

    if len(template.text) > LIMIT:
        raise ModelError(
            f"{template.file}: the chat template has {len(template.text):,} characters, and no more than {LIMIT:,} are "
            "taken. Download the tokenizer's files again."
        )
    try:
        environment().parse(template.text)
    except jinja2.TemplateSyntaxError as error:
        raise ModelError(
            f"{template.file}: the chat template is damaged (line {error.lineno}: {error.message}). Download the file "
            "again."
        ) from error
    except (RecursionError, ValueError, OverflowError) as error:
        raise ModelError(f"{template.file}: the chat template cannot be read ({error}). Download it again.") from error


@cache
def environment() -> Any:
    """Return Jinja's sandbox with what transformers gives to chat templates (utils/chat_template_utils.py).

    Only for looking: what transformers renders goes through its own.
    """
    import jinja2.ext
    import jinja2.sandbox
    from jinja2 import nodes

    class Generation(jinja2.ext.Extension):
        """``{% generation %}`` marks what the model writes; only its body is rendered."""

        tags = {"generation"}

        def parse(self, parser: Any) -> Any:
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

        def _body(self, caller: Callable[[], str]) -> str:
            return caller()

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    def tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **options: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **options)

    made = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = tojson
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
    return made


def _read(path: str, shown: str) -> str:
    data = b""
    try:
        with open_regular(path) as file:
            data = file.read(4 * LIMIT + 1)
        return data.decode(mark_of(data) or "utf-8")
    except UnicodeDecodeError as error:
        if len(data) > 4 * LIMIT:
            return " " * (LIMIT + 1)  # cut in the middle of a character: too long in any case
        raise ModelError(f"{shown} is not UTF-8 ({error}). Download it again.") from error
    except OSError as error:
        raise ModelError(f"{shown} cannot be read ({error.strerror or error}). Check the file.") from error
