"""What of a pile's folders is Heddle's own: journals, exports, reports. It is left out, and a document is never written."""

from __future__ import annotations

import os
from collections.abc import Sequence

from engine.documents.document import Skipped, Source
from engine.errors import UsageError
from engine.store.recognise import Recogniser
from engine.store.targets import Targets, refusal

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


class Own:
    """Heddle's own files: the journal in use, with all that lies beside it, what is about to be written, what was."""

    def __init__(self, journal: str | None, targets: Sequence[str], named: Sequence[str]) -> None:
        """Know the ``journal``, the ``targets`` (a folder ends in a separator), and the paths that somebody ``named``."""
        self._journal = _place(journal) if journal else ("", "")
        self._kept = Targets(*[journal + end for end in ("", "-wal", "-shm")]) if journal else None
        self._targets = Targets(*[path for path in targets if not path.endswith(_SEPARATORS)])
        self._folders = {os.path.realpath(path) for path in targets if path.endswith(_SEPARATORS)}
        self._named = frozenset(named)
        self._recogniser = Recogniser()
        self.recognised = 0
        """Files that an earlier run, or another one, wrote."""

    def has(self, found: Source | Skipped) -> bool:
        """Tell whether a path that was found is to be left out.

        A file that was named itself is a document even if Heddle wrote it. Raises UsageError for one that is about to
        be written over.
        """
        path = found.path
        name = os.path.basename(path)
        if self._journal[1] and name.startswith(self._journal[1]) and _folder(path) == self._journal[0]:
            return True
        if self._kept is not None and self._kept.met_by(path):
            return True  # and never opened: that would end SQLite's locks on it
        if self._folders and _folder(path) in self._folders:
            return True
        target = self._targets.met_by(path)
        if not isinstance(found, Source):
            return bool(target)
        ours = path not in self._named and self._recogniser.wrote(path)
        if target and not ours and found.size:
            raise UsageError(refusal(target, path))
        self.recognised += ours and not target
        return ours or bool(target)


def _place(path: str) -> tuple[str, str]:
    path = os.path.realpath(path)
    return os.path.dirname(path), os.path.basename(path)


def _folder(path: str) -> str:
    return os.path.realpath(os.path.dirname(os.path.abspath(path)))
