"""PDF files: the text of their pages, by PDFium, the library that Chromium shows them with."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import BinaryIO

from engine.documents.readers.base import Decode, Part, Reader
from engine.errors import DocumentError

_ONE_AT_A_TIME = threading.Lock()
"""PDFium is not made for threads: https://pypdfium2.readthedocs.io/en/stable/python_api.html#thread-incompatibility."""

_PATIENCE = 60.0
"""Seconds to wait for a page of another file; then that one hangs, and this one is not to wait for ever."""


class Pdf(Reader):
    """Reads all pages as one document; pages without any text are told, since they may be pictures of text."""

    name = "PDF"

    @classmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether it begins as PDF files do; up to a kilobyte of something else may come before."""
        return head.startswith(b"%PDF-") or (path.lower().endswith(".pdf") and b"%PDF-" in head[:1024])

    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Return the text of all pages, an empty line between them."""
        import pypdfium2

        data = file.read()
        with _held():
            try:
                pdf = pypdfium2.PdfDocument(data)
            except pypdfium2.PdfiumError as error:
                if "password" in str(error).lower():
                    raise DocumentError("protected by a password: save it without one") from error
                raise
        texts: list[str] = []
        without: list[int] = []
        try:
            for number in range(len(pdf)):
                with _held():
                    text = _text(pdf, number)
                texts.append(text)
                if not text.strip():
                    without.append(number + 1)
        finally:
            with _held():
                pdf.close()
        yield Part("", "\n\n".join(filter(None, texts)), note=_note(without, len(texts)))


class _held:  # noqa: N801 - reads as a verb
    """Holds PDFium; raises DocumentError when another file has held it for too long."""

    def __enter__(self) -> None:
        if not _ONE_AT_A_TIME.acquire(timeout=_PATIENCE):
            raise DocumentError("another PDF file does not come to its end; try this one again without it")

    def __exit__(self, *_: object) -> None:
        _ONE_AT_A_TIME.release()


def _text(pdf: object, number: int) -> str:
    page = pdf[number]  # type: ignore[index]
    try:
        found = page.get_textpage()
        try:
            text: str = found.get_text_range()
        finally:
            found.close()
    finally:
        page.close()
    # A word that is broken at the end of its line has U+FFFE, or U+0002, for its hyphen.
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for hyphen in ("\ufffe", "\x02"):
        text = text.replace(f"{hyphen}\n", "").replace(hyphen, "")
    return text.replace("\0", "").strip("\n")


def _note(without: list[int], pages: int) -> str:
    if not without:
        return ""
    if len(without) == pages:
        return "no text on any of its pages: scanned?"
    some = ", ".join(map(str, without[:10])) + (", …" if len(without) > 10 else "")
    return f"no text on {len(without)} of {pages} pages: scanned? ({some})"
