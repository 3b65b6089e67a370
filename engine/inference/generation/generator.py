"""The generator of one worker: a forward a step over whatever runs, and the tokens and texts that come of it."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable
from collections.abc import Sequence as Rows
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from engine.errors import DocumentError, UsageError
from engine.inference.generation.check import forward
from engine.inference.generation.ends import Ends, ends_of
from engine.inference.generation.layout import Layout
from engine.inference.generation.prefix import Prefix
from engine.inference.generation.sampling import TokenIds, choose
from engine.inference.generation.scheduler import Chunk, Entry, Scheduler, Step
from engine.inference.generation.sequence import CANCELLED, Event, Running, Sequence, make_running
from engine.inference.generation.slots import MemoryShape, SlotMemory
from engine.inference.generation.statistics import Statistics
from engine.inference.generation.text import Decode

CLASSES = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
"""Capacities in tokens of the length classes (law 5): a call attends over columns up to the longest of its class.

Doubling from 128 is 8 % (135M) and 3 % (0.5B) faster on Work A than one class up to 512; closer steps lose it again to
more calls.
"""


@dataclass(slots=True, eq=False)
class _PrefixEntry(Entry):
    """A shared prefix on its way through a slot of this worker; nothing is sampled from it."""

    prefix: Prefix = field(kw_only=True)

    @property
    def prompt(self) -> TokenIds:
        return self.prefix.ids


def _written(chunk: Chunk) -> int:
    """Return how many tokens of a chunk belong to the text and not to its prompt: those that could only follow."""
    asked = chunk.entry.asked if isinstance(chunk.entry, Running) else chunk.stop
    return max(0, chunk.stop - max(chunk.start, asked))


class Generator:
    """Continuous batching for one worker over a model that all workers share. Not thread-safe: one worker, one generator."""

    def __init__(
        self,
        model: Any,
        shape: MemoryShape,
        *,
        slots: int,
        kv_budget: int,
        classes: Rows[int] = CLASSES,
        token_budget: int = 512,
        max_tokens: int | None = None,
        ends: Ends | None = None,
        decode: Decode | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        """Run ``model``, which has passed its gates, in ``slots`` slots and ``kv_budget`` bytes of KV memory.

        ``shape`` and ``max_tokens`` come with the mode that the gates settled on; ``decode`` turns the worker's tokens into
        text (without it, texts stay empty); ``ends`` end an answer, those of the model's configurations unless given.
        ``cancelled`` is asked at every layer; once it answers true, ``step`` raises
        Cancelled, and a later ``step`` goes on where it stopped.
        """
        self.device = model.get_input_embeddings().weight.device
        self.memory = SlotMemory(shape, classes, budget=kv_budget, device=self.device)
        self.scheduler = Scheduler(self.memory, classes, slots=slots, budget=kv_budget, token_budget=token_budget)
        self.statistics = Statistics()
        self._model = model
        self._max_tokens = max_tokens
        self._decode = decode
        self._cancelled = cancelled
        self._ends = ends_of(model) if ends is None else ends
        self._vocabulary = int(model.get_input_embeddings().weight.shape[0])
        self._sequences: dict[int, Running] = {}
        self._prefixes: list[_PrefixEntry] = []
        self._kept: list[tuple[weakref.ref[Prefix], int]] = []
        """Prefixes that this worker computed and that somebody still needs, with their bytes."""

    def __len__(self) -> int:
        """Return the number of sequences that wait or run."""
        return len(self._sequences)

    @torch.inference_mode()
    def add(self, sequence: Sequence, prefix: Prefix | None = None) -> None:
        """Let ``sequence`` wait for a slot. ``prefix`` is reused where the prompt begins with it.

        Raises DocumentError, with the numbers, for one that can never fit, and UsageError for an impossible prompt.
        """
        if sequence.id in self._sequences:
            raise UsageError(f"Sequence {sequence.id} is in this generator already.")
        running = make_running(sequence, self._decode, self._ends, self._vocabulary)
        if self._max_tokens is not None and running.total > self._max_tokens:
            raise DocumentError(
                f"{running.length:,} tokens and up to {running.total - running.length:,} new ones are more than the "
                f"{self._max_tokens:,} that the model takes; choose to split it, or fewer new tokens"
            )
        if reason := self.scheduler.never_fits(running):
            raise DocumentError(reason)
        running.force()
        if prefix is not None and prefix.begins(running.prompt):
            running.shared, running.prefix = len(prefix.ids), prefix
            running.after = self._prefix_entry(prefix)
        self.scheduler.add(running)
        self._sequences[running.id] = running

    def cancel(self, number: int) -> Event | None:
        """Take one sequence back, waiting or running, and return its last event; None if it is not here."""
        running = self._sequences.get(number)
        if running is None:
            return None
        running.reason = CANCELLED
        return self._end([running])[0]

    def clear(self) -> list[Event]:
        """Take all sequences back, and give the memory back too."""
        for running in self._sequences.values():
            running.reason = CANCELLED
        events = self._end(list(self._sequences.values()))
        with torch.inference_mode():
            self.scheduler.remove(self._prefixes)
            self._prefixes.clear()
            self.memory.trim()
        return events

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """Compute one forward and return what came of it, in no particular order; nothing when nothing is here.

        Raises Cancelled when the worker's work is cancelled in the middle; the step then counts as not computed.
        """
        self._kept = [(prefix, size) for prefix, size in self._kept if prefix() is not None]
        self.scheduler.held = sum(size for _, size in self._kept)
        step = self.scheduler.plan()
        self._admit(step.admitted)
        if not step.tokens:
            return []
        begin = time.perf_counter()
        ids, positions, sampled, rows = self._inputs(step)
        logits = forward(self._model, Layout(step, self.memory), ids, positions, rows, self._cancelled)
        tokens = choose(logits, [running.draw for running in sampled]) if sampled else []
        # Only now: a step that failed anywhere counts as not computed, and the next one writes the same places again.
        self.scheduler.commit(step)
        now = time.perf_counter()
        self._count(step, now - begin)
        events = self._accept(sampled, tokens, now)
        self._keep_prefixes(step)
        return events

    # ----------------------------------------------------------------------------------------------------------- the step
    def _inputs(self, step: Step) -> tuple[TokenIds, TokenIds, list[Running], TokenIds]:
        ids = np.empty(step.tokens, np.int64)
        positions = np.empty(step.tokens, np.int64)
        count = len(step.decode)
        sampled: list[Running] = step.decode.copy()  # pyright: ignore[reportAssignmentType] - only prefixes are plain
        ids[:count] = [running.produced[-1] for running in sampled]
        positions[:count] = [running.done for running in sampled]
        rows = list(range(count))
        at = count
        for chunk in step.chunks:
            stop = at + chunk.stop - chunk.start
            assert isinstance(chunk.entry, (Running, _PrefixEntry))
            ids[at:stop] = chunk.entry.prompt[chunk.start : chunk.stop]
            positions[at:stop] = np.arange(chunk.start, chunk.stop)
            if chunk.last and isinstance(chunk.entry, Running):
                sampled.append(chunk.entry)
                rows.append(stop - 1)
            at = stop
        return ids, positions, sampled, np.array(rows, np.int64)

    def _accept(self, sampled: list[Running], tokens: list[int], now: float) -> list[Event]:
        events: list[Event] = []
        over: list[Running] = []
        for running, token in zip(sampled, tokens, strict=True):
            running.accept(token, now=now)
            running.force()
            running.push()
            if running.reason:
                over.append(running)
            else:
                events.append(running.event(now=now))
        return events + self._end(over)

    def _end(self, over: list[Running]) -> list[Event]:
        now = time.perf_counter()
        events = [running.event(now=now) for running in over]
        for running in over:
            del self._sequences[running.id]
        with torch.inference_mode():
            self.scheduler.remove(over)
        return events

    def _count(self, step: Step, seconds: float) -> None:
        statistics = self.statistics
        decode = len(step.decode) + sum(_written(chunk) for chunk in step.chunks)
        prefill = step.tokens - decode
        statistics.steps += 1
        statistics.prefill_tokens += prefill
        statistics.decode_tokens += decode
        statistics.prefill_seconds += seconds * prefill / step.tokens
        statistics.decode_seconds += seconds * decode / step.tokens
        statistics.kv_bytes = self.memory.allocated

    # ------------------------------------------------------------------------------------------------------ shared prefixes
    def _prefix_entry(self, prefix: Prefix) -> _PrefixEntry | None:
        """Return the entry that computes ``prefix`` in this worker; None when it is there already."""
        if prefix.saved is not None:
            return None
        entry = next((e for e in self._prefixes if e.prefix is prefix), None)
        if entry is None:
            entry = _PrefixEntry(-1, len(prefix.ids), len(prefix.ids), prefix=prefix)
            self.scheduler.add(entry)
            self._prefixes.append(entry)
        return entry

    def _admit(self, admitted: Rows[Entry]) -> None:
        now = time.perf_counter()
        for entry in admitted:
            if not isinstance(entry, Running):
                continue
            entry.admitted = now
            if entry.prefix is not None and entry.prefix.saved is not None:
                self.memory.load((entry.length_class, entry.slot), entry.prefix.saved)
                self.statistics.prefix_tokens += entry.shared

    def _keep_prefixes(self, step: Step) -> None:
        for chunk in step.chunks:
            entry = chunk.entry
            if chunk.last and isinstance(entry, _PrefixEntry):
                entry.prefix.publish(self.memory.save((entry.length_class, entry.slot), entry.length))
                self._kept.append((weakref.ref(entry.prefix), entry.length * self.memory.shape.token_bytes))
                self._prefixes.remove(entry)
                self.scheduler.remove([entry])
