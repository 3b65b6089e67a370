"""What changed in a pile, and cursors over it: every reader at its own pace, nobody consumes for the others."""

from __future__ import annotations

from collections.abc import Callable


class Changes:
    """Documents of one pile in the order of their last change; those that are gone likewise."""

    def __init__(self) -> None:
        """Start with nothing changed."""
        self._version = 0
        self._latest: dict[int, int] = {}
        self._gone: dict[int, int] = {}

    def touch(self, number: int) -> None:
        """Note that a document is new or has changed."""
        self._version += 1
        self._latest.pop(number, None)
        self._latest[number] = self._version
        self._gone.pop(number, None)

    def remove(self, number: int) -> None:
        """Note that a document is gone."""
        self._version += 1
        self._latest.pop(number, None)
        self._gone[number] = self._version

    def since(self, version: int) -> tuple[list[int], list[int], int]:
        """Return the documents that changed after ``version``, those that are gone since, and the version now."""
        return _after(self._latest, version), _after(self._gone, version), self._version


def _after(latest: dict[int, int], version: int) -> list[int]:
    found: list[int] = []
    for number in reversed(latest):
        if latest[number] <= version:
            break
        found.append(number)
    return found


class Cursor:
    """How far one reader is in one pile."""

    def __init__(self) -> None:
        """Begin before everything."""
        self._version = 0
        self._waiting: set[int] = set()
        self.reset = True
        """Whether what is taken next replaces all that was taken before."""

    def rewind(self) -> None:
        """Begin anew: everything is told again."""
        self._version, self.reset = 0, True
        self._waiting.clear()

    def take(self, changes: Changes, limit: int, may_tell: Callable[[int], bool]) -> tuple[list[int], list[int], bool]:
        """Return at most ``limit`` changed documents, lowest first, those that are gone, and whether more wait.

        A document that ``may_tell`` refuses waits for the next time.
        """
        changed, gone, self._version = changes.since(self._version)
        self._waiting.update(changed)
        self._waiting.difference_update(gone)
        told = sorted(number for number in self._waiting if may_tell(number))[:limit]
        self._waiting.difference_update(told)
        self.reset = False
        return told, gone, bool(self._waiting)

    @property
    def waits(self) -> bool:
        """Whether something was left for the next time."""
        return bool(self._waiting)
