"""Mails (eml) and mailboxes (mbox): what was written, with who wrote it, when and about what."""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from email.message import EmailMessage, Message
from typing import BinaryIO

from engine.documents.readers.base import Decode, Part, Reader
from engine.documents.readers.html import shown
from engine.errors import DocumentError

_SHOWN = ("From", "To", "Cc", "Date", "Subject")
_FIELD = re.compile(rb"[A-Za-z][A-Za-z0-9-]*:[ \t]")
_CERTAIN = re.compile(rb"^(mime-version|message-id|received|return-path|dkim-signature):", re.IGNORECASE | re.MULTILINE)
_WRITTEN = re.compile(rb"^(from|subject|date|to):", re.IGNORECASE | re.MULTILINE)
_ENVELOPE = re.compile(rb"From \S{1,100} {1,9}[^\n]{0,40}?\d\d:\d\d[^\n]{0,20}?\d{4}[^\n]{0,20}\n", re.IGNORECASE)
"""``From ann@example.org Tue Dec  1 10:00:00 2026``; every part is bounded, so that no line takes long to refuse."""


def _is_head(head: bytes, *, named: bool) -> bool:
    """Tell whether ``head`` begins with the fields of a mail; text that only looks like one has no technical fields."""
    fields = re.split(rb"\r?\n\r?\n", head[:32768], maxsplit=1)[0]
    if not _FIELD.match(fields) or not _WRITTEN.search(fields):
        return False
    return named or _CERTAIN.search(fields) is not None


class Mail(Reader):
    """Reads one mail as one document; attachments are named and not read."""

    name = "e-mail"

    @classmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether it begins with the fields of a mail that was sent, or is called one and has some."""
        return _is_head(head, named=path.lower().endswith(".eml"))

    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Return the mail as one document."""
        yield _part("", file.read(), decode)


class Mailbox(Reader):
    """Reads the mails of a mailbox, each as a document of its own."""

    name = "mailbox"

    @classmethod
    def takes(cls, path: str, head: bytes) -> bool:
        """Tell whether it begins with the envelope of a first mail."""
        envelope = _ENVELOPE.match(head)
        return envelope is not None and _is_head(head[envelope.end() :], named=True)

    def parts(self, file: BinaryIO, decode: Decode) -> Iterator[Part]:
        """Walk the mails; memory is bounded by the largest."""
        lines: list[bytes] = []
        number, blank = 0, True
        for line in file:
            if blank and _ENVELOPE.match(line):
                if number:
                    yield _part(f"mail {number}", b"".join(lines), decode)
                number += 1
                lines.clear()
            else:
                lines.append(line[1:] if line.startswith(b">From ") else line)
            blank = not line.strip()
        if number:
            yield _part(f"mail {number}", b"".join(lines), decode)


def _part(locator: str, data: bytes, decode: Decode) -> Part:
    message = email.message_from_bytes(data, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    lines = [f"{name}: {value}" for name in _SHOWN if (value := _field(message, name))]
    texts, named = _bodies(message, decode)
    note = f"{len(named)} attached, not read: {', '.join(named)}" if named else ""
    return Part(locator, "\n".join(lines) + "\n\n" + "\n\n".join(texts), note=note)


def _field(message: Message, name: str) -> str:
    try:
        return " ".join(str(message.get(name, "")).split())
    except Exception:  # noqa: BLE001 - the library fails in many ways at fields that no standard allows
        return ""


def _bodies(message: EmailMessage, decode: Decode) -> tuple[list[str], list[str]]:
    """Return the texts of a mail, of several forms of one the plainest, and what else it carries."""
    texts: list[str] = []
    named: list[str] = []
    pending: list[Message] = [message]
    while pending:
        part = pending.pop(0)
        kind = part.get_content_type()
        inside = part.get_payload() if part.is_multipart() else []
        if part.get_filename() or (part.get_content_disposition() == "attachment"):
            named.append(str(part.get_filename() or kind))
        elif kind == "multipart/alternative" and isinstance(inside, list):
            forms = sorted((one for one in inside if isinstance(one, Message)), key=_plainness)
            pending[:0] = forms[:1]
        elif isinstance(inside, list) and inside:
            pending[:0] = [one for one in inside if isinstance(one, Message)]
        elif kind in {"text/plain", "text/html"}:
            text = _text(part, decode)
            texts.append(shown(text) if kind == "text/html" else text)
        elif part.get_payload():
            named.append(kind)
    return texts, named


def _plainness(part: Message) -> int:
    kind = part.get_content_type()
    return 0 if kind == "text/plain" else 1 if kind == "text/html" else 2


def _text(part: Message, decode: Decode) -> str:
    data = part.get_payload(decode=True)
    if not isinstance(data, bytes) or not data.strip():
        return ""
    charset = part.get_content_charset() or ""
    try:
        return decode(data, hint=charset).text.replace("\r\n", "\n").strip("\n")
    except DocumentError:
        return data.decode("utf-8", "replace")
