"""Subtitles (srt, vtt): what is said, without numbers and times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from engine.documents.readers.base import Decode, Part, Reader

_TIMES = re.compile(r"(\d+:)?\d{1,2}:\d{2}[,.]\d{3}[ \t]+-->[ \t]+(\d+:)?\d{1,2}:\d{2}[,.]\d{3}")
_BEGINS = re.compile(rb"(\xef\xbb\xbf)?\s*(WEBVTT([ \t].*)?\r?\n|\d+[ \t]*\r?\n\d{1,2}:\d{2}:\d{2}[,.]\d{3}[ \t]+-->)")
_TAGS = re.compile(r"</?(?:[biuvc]|ruby|rt|lang|font)(?:[.\s][^<>]*)?>|<\d+:[\d:.]+>|\{\\[^{}]*\}", re.IGNORECASE)
_OTHER = ("NOTE", "STYLE", "REGION")


class Subtitles(Reader):
    """Reads the text of a film or of a recorded conversation."""

    name = "subtitles"

    @classmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether it begins as subtitles do."""
        return _BEGINS.match(head) is not None

    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Return all that is said as one document, a line a line."""
        text = decode(file.read())
        lines: list[str] = []
        for block in re.split(r"\n[ \t]*\n", text.text.replace("\r\n", "\n").replace("\r", "\n")):
            rows = [row for row in block.split("\n") if row.strip()]
            at = next((n for n, row in enumerate(rows[:2]) if _TIMES.match(row.strip())), None)
            if at is not None:
                lines += [_TAGS.sub("", row).strip() for row in rows[at + 1 :]]
            elif rows and not rows[0].startswith(("WEBVTT", *_OTHER)):
                lines += rows  # nothing that we do not know is dropped
        yield Part("", "\n".join(filter(None, lines)), text.encoding, text.confidence, text.replaced)
