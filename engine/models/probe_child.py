"""The child of ``probe``: tries a tokenizer and a chat template in bounded time and memory, and says how far it came.

A JSON object with the fields of ``probe.Trial`` comes in on standard input; on standard output go a line for each step
that begins, ``fault ...`` for what does not work, and ``done``. No torch, no transformers.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from typing import Any

from engine.models.json_file import mark_of
from engine.models.templates import environment

MEMORY = 256 << 20
"""Bytes that a step may take."""

FOR_BYTES = 16
"""Bytes that a tokenizer may take for each of its file."""

SECONDS_PER_MB = 0.2
"""Processor time that a tokenizer may take for each megabyte of its file; it was 0.03 where it was measured."""

ANSWER = "An answer."

TEXT = (
    "The quick brown fox, 12345 times; it's over - isn't it? \u00dcber 3.14 \u4e2d\u6587\u5b57 \u0440\u0443\u0441 \U0001f600\n\n"
    + "".join(f"{run * 60}! " for run in ("a", "A", "1", " ", "\n", "-", "\u00e9", "\u4e2d", "ab", "a ", "a1", ".,"))
    + "\tend"
)
"""What tokenizers are tried on: words, and the runs on which patterns that look for ever do so."""


def main() -> int:
    """Do what is asked; returns 0 when all was tried, faults included."""
    asked = json.loads(sys.stdin.buffer.read())
    import jinja2.sandbox  # noqa: F401 - before the limits begin
    import tokenizers

    if asked["tokenizer"] and not _step("tokenizer", lambda: _tokenizer(tokenizers, asked)):
        return 0
    if asked["template"] and not _step("template", lambda: _template(asked)):
        return 0
    _say("done")
    return 0


def _step(name: str, run: Any) -> bool:
    _say(name)
    try:
        run()
    except MemoryError:
        _free()
        _say("fault takes more memory than any that works")
    except RecursionError:
        _say("fault calls itself without end")
    except BaseException as error:  # noqa: BLE001 - Rust panics are BaseExceptions
        _free()
        _say(f"fault does not work ({' '.join(str(error).split())[:300] or type(error).__name__})")
    else:
        return True
    return False


def _tokenizer(tokenizers: Any, asked: dict[str, Any]) -> None:
    size = os.path.getsize(asked["tokenizer"])
    _limit(asked["seconds"] + SECONDS_PER_MB * size / 1e6, MEMORY + FOR_BYTES * size)
    with open(asked["tokenizer"], "rb") as file:
        data = file.read()
    mark = mark_of(data)
    made = tokenizers.Tokenizer.from_str(data.decode(mark or "utf-8"))
    del data
    made.no_truncation()
    made.no_padding()
    made.decode(made.encode(TEXT).ids)


def _template(asked: dict[str, Any]) -> None:
    _limit(asked["seconds"], MEMORY)
    template = environment().from_string(asked["template"])
    question, answer = {"role": "user", "content": "A question."}, {"role": "assistant", "content": ANSWER}
    system = {"role": "system", "content": "A system text."}
    refusals = []
    for form in (lambda text: text, lambda text: [{"type": "text", "text": text}]):
        for turns, more in (
            ([question], {}),
            ([question], {"enable_thinking": False, "thinking": False}),
            ([system, question], {}),
            ([question, answer], {"add_generation_prompt": False}),
            ([question, answer, question], {}),
        ):
            messages = [message | {"content": form(message["content"])} for message in turns]
            given = {"tools": None, "documents": None, "add_generation_prompt": True, **asked["marks"], **more}
            try:
                template.render(messages=messages, **given)
            except Exception as error:
                if isinstance(error, (MemoryError, RecursionError)):
                    raise
                if len(turns) == 1 and not more:
                    refusals.append(error)
    if len(refusals) == 2:
        raise refusals[0]


def _limit(seconds: float, memory: int) -> None:
    """Allow so much more processor time and memory than is used now, where the system can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime + seconds) + 1
        _set(resource.RLIMIT_CORE, 0)
        _set(resource.RLIMIT_CPU, limit)
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[0])
        _set(resource.RLIMIT_AS, pages * resource.getpagesize() + memory)


def _set(what: int, limit: int | None) -> None:
    """Set a limit, within what the process is allowed; None takes it back."""
    import resource

    hardest = resource.getrlimit(what)[1]
    wanted = hardest if limit is None else limit
    resource.setrlimit(what, (wanted if hardest == resource.RLIM_INFINITY else min(wanted, hardest), hardest))


def _free() -> None:
    """Take the limit on memory away, so that a fault can be told."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        _set(resource.RLIMIT_AS, None)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
