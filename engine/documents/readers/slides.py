"""Slides (pptx): the text of each slide, its tables, and its notes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element

from engine.documents.readers.base import Decode, Part, Reader
from engine.documents.readers.packed import Package, local, starts_package

_SLIDE = re.compile(r"ppt/slides/slide(\d+)\.xml")
_NOTES = re.compile(r"ppt/notesSlides/notesSlide(\d+)\.xml")


class Slides(Reader):
    """Reads the text of all slides as one document."""

    name = "PowerPoint slides"

    @classmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether it is a package with a folder ``ppt``."""
        return starts_package(head, b"ppt/") or (
            starts_package(head, b"[Content_Types].xml") and path.lower().endswith((".pptx", ".pptm", ".ppsx"))
        )

    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Return the whole text as one document: a paragraph a line, an empty line between slides."""
        package = Package(file)
        pages: list[str] = []
        for kind in (_SLIDE, _NOTES):
            found = [(int(match[1]), name) for name in package.names() if (match := kind.fullmatch(name))]
            for _, name in sorted(found):
                pages.append("\n".join(line for line in _lines(package.xml(name)) if line.strip()))
        yield Part("", "\n\n".join(filter(None, pages)))


def _lines(root: Element) -> Iterator[str]:
    for element in root.iter():
        if local(element.tag) == "p":
            yield "".join(_text(part) for part in element.iter())


def _text(element: Element) -> str:
    kind = local(element.tag)
    return (element.text or "") if kind == "t" else "\n" if kind == "br" else ""
