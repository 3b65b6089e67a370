"""What a pile has already, by path: a file that is found again is met, not added a second time."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING

from engine.api.state import State
from engine.documents.document import Skipped, Source

if TYPE_CHECKING:
    from engine.jobs.coordinator import Coordinator
    from engine.jobs.job import Job
    from engine.store.record import Record

Known = dict[str, deque[list[int]]]
"""The documents of each path, in groups: the parts of one file are a group. A path may be there twice, as a second row."""


def known_documents(coordinator: Coordinator, job: Job, *, real: bool = False, parts_only: bool = False) -> Known:
    """Return the documents of a pile by path; with ``real``, they are found by the real names of their files as well.

    With ``parts_only``, those are left out that are a whole file.
    """

    def held() -> list[tuple[str, str, int]]:
        records = [document.record for document in job.pile.documents.values()]
        return [(r.path, r.locator, r.id) for r in records if r.locator or not parts_only]

    found: Known = {}
    seen: dict[str, set[str]] = {}
    for path, locator, number in coordinator.call(held):
        groups, parts = found.setdefault(path, deque()), seen.setdefault(path, set())
        if locator and parts and locator not in parts:
            groups[-1].append(number)
        else:
            groups.append([number])
            parts.clear()
        if locator:
            parts.add(locator)
    if real:
        for path, groups in list(found.items()):
            found.setdefault(os.path.realpath(path), groups)
    return found


def take(known: Known, path: str) -> list[int]:
    """Take the next group of documents at ``path`` out of ``known``; empty when there is none."""
    groups = known.get(path)
    if not groups:
        return []
    group = groups.popleft()
    if not groups:
        del known[path]
    return group


def set_aside(coordinator: Coordinator, job: Job, known: Known, found: Source | Skipped) -> bool:
    """Tell whether a file that was found again is in quarantine and as it was: it is not even opened."""
    if not isinstance(found, Source) or not (groups := known.get(found.path)):
        return False
    records = coordinator.call(lambda: [job.pile.documents[number].record for number in groups[0]])
    rests = any(record.state == State.QUARANTINED and is_as_kept(found, record) for record in records)
    if rests:
        take(known, found.path)
    return rests


def is_as_kept(found: Source, record: Record) -> bool:
    """Tell whether a file is the one that a record was made of, by time of change, and by size if it is whole."""
    return found.mtime_ns == record.mtime_ns and (bool(record.locator) or found.size == record.size)
