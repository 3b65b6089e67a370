"""Members of ZIP packages, unpacked within bounds: a small file can claim to hold terabytes."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element, TreeBuilder, XMLParser

from engine.errors import DocumentError

LIMIT = 256 * 1024 * 1024
"""Bytes that are unpacked of one package, all its members together."""

_CHUNK = 1 << 18


def no_doctype(name: str) -> DocumentError:
    """Return the error of a text that declares a document type, and so perhaps entities that grow."""
    return DocumentError(f"it declares a document type ({name[:40]}), as no file of its kind does")


class _Builder(TreeBuilder):
    """Builds a tree of a text without a document type."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Refuse it."""
        raise no_doctype(name)


class Package:
    """A ZIP package: its members by name, never more of them than ``LIMIT`` bytes."""

    def __init__(self, file: BinaryIO) -> None:
        """Look at the list of members; raises DocumentError for a package that is protected by a password."""
        self._zip = zipfile.ZipFile(file)
        self._left = LIMIT
        if any(member.flag_bits & 1 for member in self._zip.infolist()):
            raise DocumentError("protected by a password: save it without one")

    def names(self) -> list[str]:
        """Return the names of the members, in the order of the package."""
        return self._zip.namelist()

    def read(self, name: str) -> bytes:
        """Return a member; raises KeyError when there is none, DocumentError when all is too much."""
        return b"".join(self._chunks(name))

    def xml(self, name: str) -> Element:
        """Return the root of a member, which may not declare a document type, and so no entities that grow."""
        parser = XMLParser(target=_Builder())  # noqa: S314 - without declarations there is nothing to attack with
        for chunk in self._chunks(name):
            parser.feed(chunk)
        root = parser.close()
        assert isinstance(root, Element)
        return root

    def walk(self, name: str, target: object) -> Iterator[None]:
        """Feed a member to ``target`` (as XMLParser's), piece by piece, which refuses document types itself."""
        parser = XMLParser(target=target)  # noqa: S314 - see ``xml``
        for chunk in self._chunks(name):
            parser.feed(chunk)
            yield
        parser.close()

    def _chunks(self, name: str) -> Iterator[bytes]:
        with self._zip.open(name) as member:
            while chunk := member.read(_CHUNK):
                self._left -= len(chunk)
                if self._left < 0:
                    raise DocumentError(f"unpacked it is larger than the limit of {LIMIT // 2**20} MB")
                yield chunk


def starts_package(head: bytes, *marks: bytes) -> bool:
    """Tell whether ``head`` begins a ZIP package and names one of ``marks`` near its beginning."""
    return head.startswith(b"PK\x03\x04") and any(mark in head for mark in marks)


def local(tag: object) -> str:
    """Return the name of an element without its namespace; comments and instructions have none."""
    return tag.rsplit("}", 1)[-1] if isinstance(tag, str) else ""
