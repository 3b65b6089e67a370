"""Books (epub): their chapters in the order of reading."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import BinaryIO
from urllib.parse import unquote

from engine.documents.readers.base import Decode, Part, Reader
from engine.documents.readers.html import shown
from engine.documents.readers.packed import Package, local, starts_package

_CONTAINER = "META-INF/container.xml"


class Epub(Reader):
    """Reads a book as one document."""

    name = "EPUB book"

    @classmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether the package says that it is a book."""
        return starts_package(head, b"application/epub+zip")

    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Return the chapters, an empty line between them."""
        package = Package(file)
        names = set(package.names())
        books = [e.get("full-path", "") for e in package.xml(_CONTAINER).iter() if local(e.tag) == "rootfile"]
        chapters: list[str] = []
        missing = 0
        for book in books[:1]:
            root = package.xml(book)
            items = {e.get("id", ""): e.get("href", "") for e in root.iter() if local(e.tag) == "item"}
            spine = [items.get(e.get("idref", ""), "") for e in root.iter() if local(e.tag) == "itemref"]
            for href in spine:
                name = posixpath.normpath(posixpath.join(posixpath.dirname(book), unquote(href)))
                if name in names:
                    chapters.append(shown(decode(package.read(name)).text))
                else:
                    missing += 1
        note = f"{missing} of its chapters are missing" if missing else ""
        yield Part("", "\n\n".join(filter(None, chapters)), note=note)
