"""A tokenizer and its chat template tried for a moment, in a process that can be given up.

Patterns of a tokenizer.json and templates are programs that came with the model: a pattern may look for ever, a template
may loop for ever or fill the memory, and neither lets itself be interrupted where it runs. So the first to run them is a
child process (``probe_child``) with bounded time and memory.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import asdict, dataclass, field
from functools import lru_cache

from engine.errors import ModelError
from engine.installation import module_path, process_command
from engine.models.regular import open_regular
from engine.models.templates import Template
from engine.models.vocabulary import PARSED

WALL = 60.0
"""Seconds after which a child is given up in any case; its own limit counts the processor's time, not the clock's, so that
a busy machine refuses no model."""

SECONDS = 2.0
"""Processor time that a step of the trial may take; tokenizers get more with their size."""

_PATTERN = b'"Regex"'
"""What a tokenizer.json holds where it brings patterns of its own."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What the child is to try: the tokenizer's file (empty for none), the template, and the texts of marks in it."""

    tokenizer: str = ""
    template: str = ""
    marks: dict[str, str] = field(default_factory=dict)
    seconds: float = SECONDS


def needed(tokenizer: str, template: Template | None) -> bool:
    """Tell whether something of a model has to be tried before it may be run here.

    That is a template, a tokenizer with patterns of its own, or one too large to have been looked at.
    """
    if template is not None or not tokenizer:
        return template is not None
    if os.path.getsize(tokenizer) > PARSED:
        return True
    with open_regular(tokenizer) as file:
        before = b""
        while piece := file.read(1 << 20):
            if _PATTERN in before + piece:
                return True
            before = piece[-len(_PATTERN) :]
    return False


def probe(shown: str, tokenizer: str, template: Template | None, marks: dict[str, str]) -> None:
    """Try ``tokenizer`` (a path, or empty) and ``template``; raises ModelError, naming the file, for what does not work.

    ``shown`` goes before the tokenizer's name in messages. Each file is tried once for as long as it stays as it is.
    """
    status = os.stat(tokenizer) if tokenizer else None
    stamp = (status.st_size, status.st_mtime_ns, status.st_ino) if status is not None else ()
    file, text = (template.file, template.text) if template is not None else ("", "")
    problem = _tried(shown, tokenizer, stamp, file, text, tuple(sorted(marks.items())))
    if problem:
        raise ModelError(problem)


@lru_cache(maxsize=256)
def _tried(
    shown: str, tokenizer: str, stamp: tuple[int, ...], file: str, text: str, marks: tuple[tuple[str, str], ...]
) -> str:
    """Return what is wrong, an empty text for nothing."""
    del stamp
    trial = Trial(tokenizer, text, dict(marks))
    paths = module_path(os.environ.get("PYTHONPATH"))
    environment = {**os.environ, "PYTHONPATH": paths, "TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
    environment |= {"MALLOC_ARENA_MAX": "1", "RUST_BACKTRACE": "0"}
    try:
        done = subprocess.run(
            process_command("engine.models.probe_child"),
            input=json.dumps(asdict(trial)).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            timeout=WALL,
            check=False,
        )
        code, said = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        code, said = None, error.stdout or b""
    lines = said.decode("utf-8", "replace").splitlines()
    if lines and lines[-1] == "done":
        return ""
    step = next((line for line in reversed(lines) if line in ("tokenizer", "template")), "tokenizer")
    fault = next((line.removeprefix("fault ") for line in lines if line.startswith("fault ")), "")
    return _sentence(step, shown, file, fault or _end(code))


def _end(code: int | None) -> str:
    """Return why a child ended that said nothing: ``code`` is its exit code, None where it was given up."""
    if code is None or code == -24:  # SIGXCPU
        return "does not come to an end"
    return "ended the process that tried it, out of memory or by a fault"


def _sentence(step: str, shown: str, file: str, fault: str) -> str:
    if step == "template":
        return f"{file}: the chat template {fault}. Download the tokenizer's files again, or choose another model."
    return f"{shown}tokenizer.json: the tokenizer {fault}. Download it again, or choose another model."
