"""Real English for benchmarks, made from what every Python installation carries: its own documentation.

Nothing has to be shipped or fetched, and the text is the same for everybody with the same Python version: paragraphs of
the language reference (``pydoc_data.topics``) and of the docstrings in the standard library.
"""

from __future__ import annotations

import ast
import os
import re
import sysconfig
import warnings
from collections.abc import Iterator

from engine.errors import HeddleError

_PROSE = re.compile(r"[A-Za-z ,.;:'()-]")


def paragraphs() -> Iterator[str]:
    """Yield paragraphs of English prose, each once, in an order that depends on the Python version only."""
    seen: set[str] = set()
    for text in _sources():
        for part in re.split(r"\n\s*\n", text):
            line = " ".join(part.split())
            words = line.split()
            if len(words) < 12 or line in seen:
                continue
            # Tables, code and option lists are no prose: they have few letters or few ordinary words.
            if len(_PROSE.findall(line)) < 0.94 * len(line) or not line[0].isalpha():
                continue
            seen.add(line)
            yield line


def _sources() -> Iterator[str]:
    try:
        from pydoc_data import topics
    except ImportError:
        topics = None
    if topics is not None:
        for name in sorted(topics.topics):
            yield topics.topics[name]
    folder = sysconfig.get_paths()["stdlib"]
    for name in sorted(os.listdir(folder)):
        if not name.endswith(".py"):
            continue
        try:
            with open(os.path.join(folder, name), encoding="utf-8") as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                tree = ast.parse(file.read())
        except (OSError, SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                text = ast.get_docstring(node)
                if text:
                    yield text


def texts(count: int) -> list[str]:
    """Return ``count`` texts of 12 to about 170 words, 37 on average (some 48 tokens of a WordPiece vocabulary).

    Long paragraphs are cut at that length. Raises HeddleError where this Python has been stripped of its documentation.
    """
    pool = []
    for line in paragraphs():
        words = line.split()
        pool += [" ".join(words[i : i + 170]) for i in range(0, len(words), 170) if len(words) - i >= 12]
    if len(pool) < count:
        raise HeddleError(
            f"This Python carries only {len(pool)} paragraphs of documentation and {count} are needed. "
            "Install its standard library in full, or ask for fewer texts."
        )
    # Spread over the whole pool, so that no one module's style decides.
    return [pool[i * len(pool) // count] for i in range(count)]
