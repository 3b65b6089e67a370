"""Answers that hold to a JSON schema: which tokens may come next, and which can only come (llguidance).

A grammar is compiled once for a model's tokenizer and copied for each sequence. Masks are made on the worker's own thread,
without the GIL: 0.03 to 0.2 ms for 49,152 tokens.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import UsageError

if TYPE_CHECKING:
    import torch

KEPT = 32
"""Compiled grammars that are kept; jobs have one or two each."""

_OPTIONS: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""One way to write each value, that of Python's ``json.dumps``: what can only follow need not be sampled."""


def grammar_of(schema: str) -> str:
    """Return the grammar of a JSON schema; raises UsageError, with the reason, for one that cannot be held to.

    No tokenizer is needed, so that a schema is refused before there is a model.
    """
    import llguidance

    try:
        given = json.loads(schema)
    except ValueError as error:
        raise UsageError(f"The schema is no JSON: {error}.") from error
    if not isinstance(given, dict):
        raise UsageError("The schema has to be a JSON object.")
    grammar = llguidance.LLMatcher.grammar_from_json_schema(schema, overrides=_OPTIONS)
    refused, notes = llguidance.LLMatcher.validate_grammar_with_warnings(grammar)
    if refused or notes:  # what is only warned of would be left out silently
        raise UsageError(f"The schema cannot be held to: {_first_line(notes)}.")
    return grammar


class Constraint:
    """What one sequence may still become. Belongs to the thread of its worker."""

    __slots__ = ("_allowed", "_matcher")

    def __init__(self, matcher: Any, vocabulary: int) -> None:
        """Start at the beginning of the answer; ``matcher`` is this sequence's own."""
        self._matcher = matcher
        self._allowed = np.zeros((vocabulary + 31) // 32, np.int32)

    @property
    def over(self) -> bool:
        """Whether the answer is complete, so that nothing can follow."""
        return self._matcher.is_stopped() and not self._matcher.is_error()

    @property
    def broken(self) -> str:
        """Why the grammar gave up, such as a schema that grew too complex; empty as long as it holds."""
        return _first_line([self._matcher.get_error()]) if self._matcher.is_error() else ""

    def mask(self, logits: torch.Tensor) -> None:
        """Set what must not come next to -inf in a row of logits ``[vocabulary]``, in place."""
        import torch

        self._matcher.unsafe_compute_mask_ptr(self._allowed.ctypes.data, self._allowed.nbytes)
        bits = np.unpackbits(self._allowed.view(np.uint8), bitorder="little")
        width = logits.shape[-1]
        if len(bits) < width:  # a head that is wider than the tokenizer's vocabulary
            bits = np.concatenate([bits, np.zeros(width - len(bits), np.uint8)])
        logits.masked_fill_(torch.from_numpy(bits[:width] == 0).to(logits.device), float("-inf"))

    def accept(self, token: int) -> None:
        """Take the next token in; one that must not come leaves the constraint ``broken``."""
        self._matcher.consume_token(token)

    def forced(self) -> list[int]:
        """Return the tokens that can only follow, and take them in."""
        tokens = [int(token) for token in self._matcher.compute_ff_tokens()]
        if tokens:
            self._matcher.consume_tokens(tokens)
        return tokens

    def reset(self) -> None:
        """Go back to the beginning of the answer."""
        self._matcher.reset()


class Grammars:
    """The grammars of one model, shared by all of its workers."""

    def __init__(self, definition: Callable[[], str], vocabulary: int, ends: Iterable[int]) -> None:
        """Compile for the tokenizer whose ``tokenizer.json`` is what ``definition`` returns, "" where there is none.

        ``vocabulary`` counts the rows of the model's embeddings, padding included; ``ends`` are the tokens that end an
        answer.
        """
        self._definition, self._vocabulary, self._ends = definition, vocabulary, sorted(ends)
        self._lock = threading.Lock()
        self._tokenizer: Any = None
        self._compiled: dict[str, Any] = {}

    def check(self, schema: str) -> None:
        """Raise UsageError where this model cannot be held to the schema."""
        self.constraint(schema)

    def constraint(self, schema: str) -> Constraint:
        """Return a constraint for one sequence; raises UsageError as ``check`` does."""
        with self._lock:
            if schema not in self._compiled:
                if len(self._compiled) >= KEPT:
                    del self._compiled[next(iter(self._compiled))]
                self._compiled[schema] = self._compile(schema)
            return Constraint(self._compiled[schema].deep_copy(), self._vocabulary)

    def _compile(self, schema: str) -> Any:
        import llguidance

        grammar = grammar_of(schema)
        if self._tokenizer is None:
            self._tokenizer = self._make_tokenizer()
        matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0)
        if matcher.is_error():
            raise UsageError(f"The schema cannot be held to: {_first_line([matcher.get_error()])}.")
        return matcher

    def _make_tokenizer(self) -> Any:
        import llguidance

        definition = self._definition()
        if not definition:
            raise UsageError("This model's tokenizer is of an older kind, whose answers cannot be held to a schema.")
        try:
            return llguidance.LLTokenizer(definition, n_vocab=self._vocabulary, eos_token=self._ends or None)
        except ValueError as error:
            reason = _first_line([str(error)])
            raise UsageError(f"Answers of this model cannot be held to a schema: its tokenizer ({reason}).") from error


def _first_line(notes: list[str]) -> str:
    lines = [" ".join(note.split()) for note in notes if note.strip()]
    return lines[0].rstrip(".")[:300] if lines else "no reason is given"
