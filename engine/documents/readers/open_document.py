"""OpenDocument texts and slides (odt, odp): body, tables, notes, headers and footers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element

from engine.documents.readers.base import Decode, Part, Reader
from engine.documents.readers.packed import Package, local, starts_package

_KINDS = (b"application/vnd.oasis.opendocument.text", b"application/vnd.oasis.opendocument.presentation")
_BLOCKS = frozenset({"p", "h"})
_HIDDEN = frozenset({"tracked-changes", "sequence-decls", "note-citation"})


class OpenDocument(Reader):
    """Reads what a person reads in an OpenDocument text, as plain text."""

    name = "OpenDocument file"

    @classmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether the package says that it is one."""
        return starts_package(head, *_KINDS)

    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Return the whole text as one document."""
        package = Package(file)
        names = set(package.names())
        texts = []
        if "styles.xml" in names:  # headers and footers
            for page in package.xml("styles.xml").iter():
                if local(page.tag) in {
                    "header",
                    "footer",
                    "header-first",
                    "footer-first",
                    "header-left",
                    "footer-left",
                }:
                    texts.append("\n".join(_blocks(page)))
        texts.append("\n".join(_blocks(package.xml("content.xml"))))
        yield Part("", "\n\n".join(text for text in dict.fromkeys(texts) if text.strip()))


def _blocks(root: Element) -> Iterator[str]:
    for element in root:
        kind = local(element.tag)
        if kind in _HIDDEN:
            continue
        if kind in _BLOCKS:
            inside: list[Element] = []
            yield "".join(_text(element, inside))
            for more in inside:
                yield from _blocks(more)
        elif kind == "table-row":
            yield "\t".join(" ".join(_blocks(cell)) for cell in element)
        else:
            yield from _blocks(element)


def _text(element: Element, inside: list[Element]) -> Iterator[str]:
    """The characters of a paragraph; notes and frames in it go into ``inside`` and come behind it."""
    yield element.text or ""
    for child in element:
        kind = local(child.tag)
        if kind == "s":
            count = next((value for name, value in child.attrib.items() if local(name) == "c"), "1")
            yield " " * min(int(count) if count.isdecimal() else 1, 1000)
        elif kind == "tab":
            yield "\t"
        elif kind == "line-break":
            yield "\n"
        elif kind in {"note", "frame", "annotation", "text-box"}:
            inside.append(child)
        elif kind not in _HIDDEN:
            yield from _text(child, inside)
        yield child.tail or ""
