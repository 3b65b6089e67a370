"""Web pages: what a browser would show of them, as plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import BinaryIO

from engine.documents.readers.base import Decode, Part, Reader

_BLOCKS = frozenset(
    re.findall(
        r"\w+",
        "address article aside blockquote body br caption dd details dialog div dl dt fieldset figcaption figure footer form "
        "h1 h2 h3 h4 h5 h6 header hr html legend li main nav ol option p pre section summary table tbody tfoot thead tr ul",
    )
)
_SILENT = frozenset(("script", "style", "template", "noscript", "svg", "math", "object", "head"))
"""Elements whose content is not shown."""
_VOID = frozenset(re.findall(r"\w+", "area base br col embed hr img input link meta param source track wbr"))
_CELLS = frozenset(("td", "th"))
_SPACES = re.compile(r"[ \t\r\n\f]+")
_BEGINS = re.compile(
    rb"\s*(<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*<(!doctype\s+html|html[\s>])", re.IGNORECASE | re.DOTALL
)
_TAGGED = re.compile(rb"<(head|body|div|p|table|meta|title)[\s>]", re.IGNORECASE)
_CHARSET = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,300}?(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_:.\-]{2,40})", re.IGNORECASE
)
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class Html(Reader):
    """Reads a web page."""

    name = "HTML page"

    @classmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether it begins as a page does, or is called one and has tags."""
        start = head.removeprefix(_MARKS[0])
        if start[:2] in _MARKS[1:]:
            start = start.replace(b"\0", b"")[2:]
        named = path.lower().endswith((".html", ".htm", ".xhtml"))
        return _BEGINS.match(start[:4096]) is not None or (named and _TAGGED.search(start) is not None)

    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Return the page as one document; its own word on its encoding is heard where the bytes do not tell."""
        data = file.read()
        said = _CHARSET.search(data[:4096])
        text = decode(data, hint=said[1].decode("ascii") if said else "")
        yield Part("", shown(text.text), text.encoding, text.confidence, text.replaced)


def shown(page: str) -> str:
    """Return what a page shows as plain text: a block a line, the cells of a row with tabs between them."""
    reader = _Page()
    reader.feed(page)
    reader.close()
    return reader.text()


class _Page(HTMLParser):
    """Collects the text of a page. An element that is left open inside a silent one does not silence the rest."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line: list[str] = []
        self._silent = ""
        self._depth = 0
        self._pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._silent:
            if tag == self._silent:
                self._depth += 1
            elif self._silent == "head" and tag == "body":
                self._silent, self._depth = "", 0
            elif self._silent == "head" and tag == "title":
                self._silent, self._depth = "", 0  # the title is shown; what follows it in the head is silent by itself
            return
        if tag in _SILENT:
            self._silent, self._depth = tag, 1
            return
        if tag in _BLOCKS or tag == "title":
            self._end_line()
        if tag in _CELLS and any(part.strip() for part in self._line):
            self._line.append("\t")
        if tag == "img":
            alt = next((value for name, value in attrs if name == "alt" and value), "")
            self._line.append(alt)
        self._pre += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _VOID or not self._silent:
            self.handle_starttag(tag, attrs)
            if tag not in _VOID:
                self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._silent:
            if tag == self._silent:
                self._depth -= 1
                if not self._depth:
                    self._silent = ""
            return
        if tag in _BLOCKS or tag == "title":
            self._end_line()
        self._pre -= tag == "pre" and self._pre > 0

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._pre:
            first, *rest = data.split("\n")
            self._line.append(first)
            for line in rest:
                self._end_line()
                self._line.append(line)
        else:
            self._line.append(_SPACES.sub(" ", data))

    def _end_line(self) -> None:
        line = "".join(self._line)
        self._line.clear()
        if not self._pre:
            line = "\t".join(_SPACES.sub(" ", cell).strip() for cell in line.split("\t"))
        if line.strip():
            self._lines.append(line)

    def text(self) -> str:
        """Return the lines that were found."""
        self._end_line()
        return "\n".join(self._lines)
