"""Texts that were read while adding and wait in memory for a worker, within a bound."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.jobs.document import Document

LIMIT = 64 << 20
"""Characters of text kept from adding until a worker takes them; beyond that a document is read again."""


class TextCache:
    """Counts the characters of texts of files; texts that exist in memory only are no copies, and stay."""

    def __init__(self) -> None:
        """Start empty."""
        self.characters = 0

    def admit(self, documents: Iterable[Document]) -> None:
        """Let documents keep their texts as far as there is room."""
        for document in documents:
            if document.text is None or document.in_memory:
                continue
            size = _size(document)
            if self.characters + size > LIMIT:
                document.text, document.columns = None, ()
            else:
                self.characters += size

    def forget(self, documents: Iterable[Document]) -> None:
        """Take out the texts of documents."""
        for document in documents:
            if document.text is not None and not document.in_memory:
                self.characters -= _size(document)
                document.text, document.columns = None, ()


def _size(document: Document) -> int:
    return len(document.text or "") + sum(len(name) + len(cell) for name, cell in document.columns)
