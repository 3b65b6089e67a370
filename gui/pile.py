"""The rows of one job in the window's memory, kept in step with the engine's changes. No Qt."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.api import DocumentRow, JobRows
from gui.escape import shown

COMPARED = 200
"""Characters of a result that sorting looks at."""

_NUMBER = re.compile(r"((?:(?<!\S)[-+])?\d{1,300}(?:\.\d{1,300})?(?:e[-+]?\d{1,2})?)", re.ASCII)
"""A number in a result; a sign belongs to it only where nothing stands before."""

_DIGITS = re.compile(r"(\d{1,15})", re.ASCII)


@dataclass(slots=True)
class Change:
    """What one tick changed in a pile: ids of known rows with new values, ids of new rows in order, lost order."""

    updated: set[int] = field(default_factory=set)
    added: list[int] = field(default_factory=list)
    rebuilt: bool = False

    def __bool__(self) -> bool:
        return bool(self.updated or self.added or self.rebuilt)


def natural(name: str) -> tuple[Any, ...]:
    """Return a key that sorts ``mail 2`` before ``mail 10``, whatever the case."""
    parts: list[Any] = _DIGITS.split(name.casefold())
    parts[1::2] = [int(digits) for digits in parts[1::2]]
    return tuple(parts)


def in_order(result: str) -> tuple[Any, ...]:
    """Return a key that sorts results: numbers by value, before texts, and texts by the numbers in them (``0.9 < 0.12e2``)."""
    parts: list[Any] = _NUMBER.split(result.casefold().strip())
    parts[1::2] = [float(number) for number in parts[1::2]]
    return (not (len(parts) == 3 and not parts[0] and not parts[2].strip(" %")), *parts)


class Pile:
    """Records by id and in pile order."""

    def __init__(self) -> None:
        """Start empty."""
        self.records: dict[int, DocumentRow] = {}
        self.order: list[int] = []
        self._haystacks: dict[int, str] = {}
        self._names: dict[int, tuple[Any, ...]] = {}
        self._results: dict[int, tuple[Any, ...]] = {}
        self._unprepared: list[int] = []
        self._labels: dict[int, str] = {}
        self.labels: dict[str, int] = {}
        """How many documents have each label, "" for those of which the task is unsure, in the order they came."""
        self.fields: dict[str, int] = {}
        """How many documents have each field in their results, in the order they came."""

    def __len__(self) -> int:
        return len(self.order)

    def apply(self, rows: JobRows, change: Change) -> None:
        """Take the engine's changes and note them in ``change``."""
        records = self.records
        if rows.reset:
            self.records = records = {}
            self.order = []
            self._haystacks.clear()
            self._names.clear()
            self._results.clear()
            self._unprepared.clear()
            self._labels.clear()
            self.labels = {}
            self.fields = {}
            change.updated.clear()
            change.added.clear()
            change.rebuilt = True
        if rows.removed:
            for number in rows.removed:
                self._count_fields(records.get(number), None)
            gone = {number for number in rows.removed if records.pop(number, None) is not None}
            self.order = [number for number in self.order if number not in gone]
            for number in gone:
                self._haystacks.pop(number, None)
                self._names.pop(number, None)
                self._results.pop(number, None)
                self._count(number, None)
            change.updated -= gone
            change.added = [number for number in change.added if number not in gone]
            change.rebuilt |= bool(gone)
        in_order = True
        last = records[self.order[-1]].position if self.order else -1
        for row in rows.rows:
            number = row.id
            if number in records:
                change.updated.add(number)
                self._haystacks.pop(number, None)
                self._results.pop(number, None)
            else:
                in_order &= row.position > last
                last = row.position
                self.order.append(number)
                change.added.append(number)
                self._names[number] = natural(row.name)  # now, a few at a time: all at once when somebody sorts is slow
            self._count_fields(records.get(number), row)
            records[number] = row
            self._count(number, None if row.score is None else row.label)
            self._unprepared.append(number)
        if not in_order:
            self.order.sort(key=lambda number: records[number].position)
            change.rebuilt = True

    def _count(self, number: int, label: str | None) -> None:
        """Take note of the label of a document, None where it has none."""
        before = self._labels.get(number)
        if before == label:
            return
        if before is not None:
            del self._labels[number]
            self.labels[before] -= 1
            if not self.labels[before]:
                del self.labels[before]
        if label is not None:
            self._labels[number] = label
            self.labels[label] = self.labels.get(label, 0) + 1

    def _count_fields(self, before: DocumentRow | None, after: DocumentRow | None) -> None:
        """Take note of the fields of a row that changed, came or went."""
        if before is not None and after is not None and before.cells == after.cells:
            return
        for name, _ in after.cells if after is not None else ():
            self.fields[name] = self.fields.get(name, 0) + 1
        for name, _ in before.cells if before is not None else ():
            self.fields[name] -= 1
            if not self.fields[name]:
                del self.fields[name]

    def select(self, state: str, needle: str, label: str | None = None) -> list[int]:
        """Return the ids in pile order whose state is ``state`` ("" = any) and whose name or result holds ``needle``.

        With a ``label`` only those that have it; "" stands for those of which the task is unsure.
        """
        records = self.records
        found = self.order if not state else [n for n in self.order if records[n].state == state]
        if label is not None:
            found = [n for n in found if self._labels.get(n) == label]
        needle = needle.casefold().strip()
        if needle:
            found = [n for n in found if needle in self._haystack(n)]
        return list(found) if found is self.order else found

    def prepare_search(self, most: int) -> None:
        """Make at most ``most`` documents ready for a search and for sorting, so that the first one need not do all at once."""
        for _ in range(min(most, len(self._unprepared))):
            number = self._unprepared.pop()
            if number in self.records:
                self._haystack(number)
                self._result(number)

    def sorted(self, numbers: list[int], key: Callable[[DocumentRow], Any], *, descending: bool) -> list[int]:
        """Return ``numbers`` sorted by ``key`` of their records; equal ones stay in pile order."""
        records = self.records
        return sorted(numbers, key=lambda n: key(records[n]), reverse=descending)

    def sorted_by_name(self, numbers: list[int], *, descending: bool) -> list[int]:
        """Return ``numbers`` sorted by name, "mail 2" before "mail 10"; equal ones stay in pile order."""
        return sorted(numbers, key=self._names.__getitem__, reverse=descending)

    def sorted_by_result(self, numbers: list[int], *, descending: bool) -> list[int]:
        """Return ``numbers`` sorted by result, those without one last whichever way, in pile order."""
        records = self.records
        has = {n for n in numbers if records[n].state == "done" and records[n].summary}
        found, rest = [n for n in numbers if n in has], [n for n in numbers if n not in has]
        return sorted(found, key=self._result, reverse=descending) + rest

    def _result(self, number: int) -> tuple[Any, ...]:
        key = self._results.get(number)
        if key is None:
            key = self._results[number] = in_order(self.records[number].summary[:COMPARED])
        return key

    def _haystack(self, number: int) -> str:
        text = self._haystacks.get(number)
        if text is None:
            row = self.records[number]
            text = self._haystacks[number] = f"{shown(row.name)}\n{row.summary}\n{row.reason}".casefold()
        return text
