"""Word documents (docx): body, tables, text boxes, headers, footers, notes and comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element

from engine.documents.readers.base import Decode, Part, Reader
from engine.documents.readers.packed import Package, local, starts_package

_PLACES = tuple(
    re.compile(rf"word/{name}\.xml")
    for name in (r"header\d*", "document", "footnotes", "endnotes", "comments", r"footer\d*")
)
"""The members that hold text, in the order in which they are read."""

_MARKS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "softHyphen": ""}
_HIDDEN = frozenset({"Fallback", "instrText", "delText", "del", "moveFrom"})
"""A second form of what was said already, codes of fields, and what tracked changes took out."""


class Word(Reader):
    """Reads what a person reads in a Word document, as plain text."""

    name = "Word document"

    @classmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether it is a package with a folder ``word``."""
        return starts_package(head, b"word/", b"word\\") or (
            starts_package(head, b"[Content_Types].xml") and path.lower().endswith((".docx", ".docm", ".dotx"))
        )

    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Return the whole text as one document."""
        package = Package(file)
        names = sorted(package.names())
        found: dict[str, None] = {}
        for place in _PLACES:
            for name in names:
                if place.fullmatch(name):
                    text = "\n".join(paragraphs(package.xml(name))).strip("\n")
                    found.setdefault(text)  # the same header stands there for each section
        yield Part("", "\n\n".join(text for text in found if text))


def paragraphs(root: Element) -> Iterator[str]:
    """Walk the paragraphs of ``root``; cells of a row of a table are one line, with tabs between them."""
    for element in root:
        kind = local(element.tag)
        if kind in _HIDDEN:
            continue
        if kind == "p":
            boxes: list[Element] = []
            yield "".join(_runs(element, boxes))
            for box in boxes:
                yield from paragraphs(box)
        elif kind == "tr":
            cells = [" ".join(filter(None, paragraphs(cell))) for cell in element if local(cell.tag) in {"tc", "sdt"}]
            yield "\t".join(cells)
        else:
            yield from paragraphs(element)


def _runs(element: Element, boxes: list[Element]) -> Iterator[str]:
    for child in element:
        kind = local(child.tag)
        if kind == "t":
            yield child.text or ""
        elif kind in _MARKS:
            yield _MARKS[kind]
        elif kind == "txbxContent":
            boxes.append(child)
        elif kind not in _HIDDEN:
            yield from _runs(child, boxes)
