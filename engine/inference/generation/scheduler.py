"""Which tokens of which sequence run next: decode first, then prompts in small pieces, memory never promised twice.

Pure Python without torch. A worker's slots are numbered per length class and kept dense: with n sequences in a class,
they own the slots 0 to n - 1, so that a decode step attends over one view of the class without gathering.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from engine.errors import DocumentError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

SMALLEST_CHUNK = 16
"""Prompt tokens that a step takes even when the decode rows alone fill the token budget, so that no prompt starves."""


class Memory(Protocol):
    """What the scheduler moves sequences around in; ``slots.SlotMemory`` keeps real tensors behind it."""

    def slot_bytes(self, length_class: int) -> int:
        """Return the bytes of one slot of a class."""
        ...

    def take(self, length_class: int) -> None:
        """Make one more slot of a class usable, numbered after the last one in use."""
        ...

    def reach(self, length_class: int, tokens: int) -> None:
        """Make the slots of a class hold ``tokens`` tokens, which is no more than its capacity."""
        ...

    def copy(self, source: tuple[int, int], target: tuple[int, int], tokens: int, stale: int) -> None:
        """Copy the first ``tokens`` tokens between slots (class, number); ``stale`` tokens lay in the target before."""
        ...

    def drop(self, length_class: int, tokens: int) -> None:
        """Give the last slot in use of a class back; ``tokens`` tokens lie in it."""
        ...


@dataclass(slots=True, eq=False)
class Entry:
    """A sequence as the scheduler sees it. All lengths in tokens.

    ``length`` is the prompt, and whatever is added to it on the way; ``total`` the most it can ever hold (prompt and
    new tokens), ``shared`` how much of the prompt is copied from a shared prefix at admission, ``after`` a prefix that
    has to be computed before.
    """

    id: int
    length: int
    total: int
    shared: int = 0
    after: Entry | None = None
    done: int = field(default=0, init=False)
    """Tokens whose keys and values are in memory."""
    extent: int = field(default=0, init=False)
    """Tokens that may have been written to the slot, by a step that was cancelled too."""
    length_class: int = field(default=-1, init=False)
    slot: int = field(default=-1, init=False)
    reserved: int = field(default=0, init=False)
    """Bytes set aside: a slot of the class that ``total`` needs."""
    over: bool = field(default=False, init=False)

    @property
    def decoding(self) -> bool:
        """Tell whether the whole prompt is in memory."""
        return self.done >= self.length

    @property
    def reach(self) -> int:
        """Return the tokens that its slot has to hold with the next forwards: the prompt, and a new one behind it."""
        return self.length if self.done < self.length else self.done + 1


@dataclass(slots=True, frozen=True)
class Chunk:
    """Prompt tokens ``start`` to ``stop`` of an entry; ``last`` when its first new token can be sampled from them."""

    entry: Entry
    start: int
    stop: int

    @property
    def last(self) -> bool:
        """Tell whether the prompt ends with this chunk."""
        return self.stop >= self.entry.length


@dataclass(slots=True, frozen=True)
class Step:
    """One forward: a row for each of ``decode`` (by class, then slot), then ``chunks``; ``admitted`` are new in it."""

    decode: list[Entry]
    chunks: list[Chunk]
    admitted: list[Entry]

    @property
    def tokens(self) -> int:
        """Return the rows of the forward."""
        return len(self.decode) + sum(chunk.stop - chunk.start for chunk in self.chunks)


class Scheduler:
    """Sequences waiting for a slot, filling it with their prompt, and decoding; first come, first served."""

    def __init__(
        self, memory: Memory, classes: Sequence[int], *, slots: int, budget: int, token_budget: int = 256
    ) -> None:
        """Serve at most ``slots`` sequences in ``budget`` bytes, about ``token_budget`` tokens a step.

        ``classes`` are the capacities in tokens of the length classes, growing.
        """
        if slots < 1 or token_budget < 1 or not classes or sorted(set(classes)) != list(classes) or classes[0] < 1:
            raise UsageError("Slots, token budget and length classes must be positive, and the classes must grow.")
        self.classes = tuple(classes)
        self.slots = slots
        self.budget = budget
        self.token_budget = token_budget
        self.reserved = 0
        """Bytes that the admitted sequences may come to need; never above the budget."""
        self.held = 0
        """Bytes beside the slots that are in use as well, those of shared prefixes: they are not promised to others."""
        self.waiting: deque[Entry] = deque()
        self.running: list[Entry] = []
        self._memory = memory
        self._places: list[list[Entry]] = [[] for _ in classes]

    def __len__(self) -> int:
        return len(self.waiting) + len(self.running)

    def class_of(self, tokens: int) -> int:
        """Return the smallest length class that holds ``tokens`` tokens; the number of classes when none does."""
        return next((i for i, capacity in enumerate(self.classes) if tokens <= capacity), len(self.classes))

    def used(self, length_class: int) -> int:
        """Return the slots of a class that are in use: those numbered below this."""
        return len(self._places[length_class])

    def never_fits(self, entry: Entry) -> str:
        """Return why this entry could not run even alone, with the numbers, or an empty text."""
        wanted = self.class_of(entry.total)
        prompt, new = entry.length, entry.total - entry.length
        if wanted == len(self.classes):
            return (
                f"{prompt:,} tokens and up to {new:,} new ones are more than the {self.classes[-1]:,} that one slot "
                "holds; choose to split it, or fewer new tokens"
            )
        if (need := self._memory.slot_bytes(wanted)) > self.budget:
            return (
                f"{prompt:,} tokens and up to {new:,} new ones need {need / 1e6:,.1f} MB of KV memory, and "
                f"{self.budget / 1e6:,.1f} MB are set aside; choose a larger KV budget, fewer workers, or to split it"
            )
        return ""

    def add(self, entry: Entry, *, first: bool = False) -> None:
        """Let ``entry`` wait for a slot, ``first`` before all others; DocumentError if it can never have one."""
        if reason := self.never_fits(entry):
            raise DocumentError(reason)
        (self.waiting.appendleft if first else self.waiting.append)(entry)

    def plan(self) -> Step:
        """Move outgrown sequences up, admit waiting ones, and return what the next forward computes."""
        for entry in [e for e in self.running if e.reach > self.classes[e.length_class]]:
            self._move_up(entry)
        admitted = self._admit()
        decode = sorted((e for e in self.running if e.decoding), key=lambda e: (e.length_class, e.slot))
        room = max(SMALLEST_CHUNK, self.token_budget - len(decode))
        chunks: list[Chunk] = []
        for entry in self.running:
            if room <= 0:
                break
            if not entry.decoding:
                stop = min(entry.length, entry.done + room)
                chunks.append(Chunk(entry, entry.done, stop))
                room -= stop - entry.done
                entry.extent = stop
        for entry in decode:
            entry.extent = entry.done + 1
        for length_class, entries in enumerate(self._places):
            if entries:  # whole prompts at once: a class is copied to become wider
                self._memory.reach(length_class, max(max(e.extent, e.length) for e in entries))
        return Step(decode, chunks, admitted)

    def commit(self, step: Step) -> None:
        """Book that the forward of ``step`` has been computed. A step that was cancelled is simply planned again."""
        for entry in step.decode:
            entry.done += 1
        for chunk in step.chunks:
            chunk.entry.done = chunk.stop

    def remove(self, entries: Iterable[Entry]) -> None:
        """Let sequences go, finished or cancelled, waiting or running; their slots are free for the next plan."""
        # From the last slot down, so that none is moved into a gap only to leave it.
        for entry in sorted(entries, key=lambda e: -e.slot):
            entry.over = True
            if entry.length_class >= 0:
                self.running.remove(entry)
                self.reserved -= entry.reserved
                self._leave(entry)
            elif entry in self.waiting:
                self.waiting.remove(entry)

    def _admit(self) -> list[Entry]:
        admitted: list[Entry] = []
        # Strictly in order: letting short ones overtake would let a long one wait for ever.
        while self.waiting and len(self.running) < self.slots:
            entry = self.waiting[0]
            if entry.after is not None and not entry.after.over:
                break
            need = self._memory.slot_bytes(self.class_of(entry.total))
            if self.reserved + need > self.budget - (self.held if self.running else 0):
                break
            self.waiting.popleft()
            entry.reserved = need
            self.reserved += need
            self._enter(entry, self.class_of(min(entry.total, entry.length + 1)))
            entry.done = entry.extent = entry.shared
            self.running.append(entry)
            admitted.append(entry)
        return admitted

    def _enter(self, entry: Entry, length_class: int) -> None:
        self._memory.take(length_class)
        places = self._places[length_class]
        entry.length_class, entry.slot = length_class, len(places)
        places.append(entry)

    def _leave(self, entry: Entry) -> None:
        """Free the entry's slot; the last one of its class moves into the gap."""
        length_class, slot = entry.length_class, entry.slot
        places = self._places[length_class]
        last = places.pop()
        if last is not entry:
            self._memory.copy((length_class, last.slot), (length_class, slot), last.done, entry.extent)
            self._memory.drop(length_class, last.extent)
            last.slot, last.extent = slot, last.done
            places[slot] = last
        else:
            self._memory.drop(length_class, entry.extent)
        entry.length_class = entry.slot = -1

    def _move_up(self, entry: Entry) -> None:
        source = (entry.length_class, entry.slot)
        target = self.class_of(entry.reach)
        self._memory.take(target)
        self._memory.copy(source, (target, self.used(target)), entry.done, 0)
        self._leave(entry)
        places = self._places[target]
        entry.length_class, entry.slot, entry.extent = target, len(places), entry.done
        places.append(entry)
