"""What a reader answers: which files are its own, and which documents are in one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, ClassVar, Protocol

from engine.documents.document import Columns, Text


class Decode(Protocol):
    """Turns bytes into text as the job chose it (documents.read.decode)."""

    def __call__(self, data: bytes, *, hint: str = "") -> Text:
        """Return the text; ``hint`` is the encoding that the file itself names. Raises DocumentError."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a file: ``locator`` is where it is, as people read it ("row 3"), and finds it again.

    Of a file that holds one document it is empty. ``encoding`` (the reader's name unless it is said), ``confidence``,
    ``replaced`` and ``note`` are as in documents.document.Text.
    """

    locator: str
    text: str
    encoding: str = ""
    confidence: float = 1.0
    replaced: int = 0
    note: str = ""
    columns: Columns = ()
    """Of a row of a table: what else stands in it. One without text that has any is kept, as an empty document."""
    problem: str = ""
    """Why this part cannot be read, where the others can."""


class Reader(ABC):
    """Reads the files of one format."""

    name: ClassVar[str]
    """What such a file is, as in "not a readable NAME"."""

    plain: ClassVar[bool] = False
    """Whether such a file is plain text as well: older journals have it as one document, which it stays there."""

    column: str = ""
    """Of a table: the column whose cells are the documents; empty takes the one with the longest texts."""

    @classmethod
    @abstractmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether this reads the file at ``path``, by ``head``, its first bytes (signatures.HEAD of them), before its name."""

    @abstractmethod
    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Walk the documents of ``file`` in their order; each locator is there once.

        Memory is bounded by the largest part, not by the file, where the format allows. Raises DocumentError.
        """

    def part(self, file: BinaryIO, decode: Decode, locator: str) -> Part | None:
        """Return the document at ``locator``, None when the file has none there; a format with an index does better."""
        return next((part for part in self.parts(file, decode) if part.locator == locator), None)
