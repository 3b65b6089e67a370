"""Reading: from a file that the walk found to its text, all of it or an error that says why not."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from engine.api.reading import FAIL, ReadAs
from engine.documents import encodings, escapes, signatures
from engine.documents.blank import is_blank
from engine.documents.document import Source, Text
from engine.documents.long_text import CHUNK, LARGE, BadBytes, Blank, NoText, examine
from engine.documents.opening import NotADocument, opened
from engine.documents.readers import reader_of
from engine.documents.readers.base import Decode, Part, Reader
from engine.errors import DocumentError, UsageError

SIZE_LIMIT = 256 * 1024 * 1024
"""Largest document in bytes; above LARGE a text stays in its file and is read in chunks."""

_LABELS = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16",
    "utf-32-le": "UTF-32",
    "utf-32-be": "UTF-32",
}


def read(
    source: Source,
    *,
    encoding: str = "",
    on_bad_bytes: str = FAIL,
    size_limit: int = SIZE_LIMIT,
    device: int | None = None,
) -> Text:
    """Return the text of ``source``, or, if it is long, how to read it; the file is opened for reading only, and only if it is a regular file.

    ``encoding`` is the one chosen for the job ("" = none), ``on_bad_bytes`` one of BAD_BYTES, ``size_limit`` in bytes;
    ``device`` is the file system that the file's folder was on when it was added, if that is known.
    Raises NotADocument for a file to skip (empty, not text, not a regular file), DocumentError for one that fails
    (missing, changed since it was added, too large, bytes that cannot be decoded), Offline when the disk or share of
    the file is not there, UsageError for an unknown encoding
    or policy.
    """
    how = {"encoding": encoding, "on_bad_bytes": on_bad_bytes}
    if source.locator:
        return _part(source, partial(decode, **how), device)
    for found, text in read_all(source, **how, size_limit=size_limit, device=device, whole=True):
        if not found.locator:
            return text
        break
    raise DocumentError("changed since it was added")


def read_all(
    source: Source,
    *,
    encoding: str = "",
    on_bad_bytes: str = FAIL,
    size_limit: int = SIZE_LIMIT,
    device: int | None = None,
    column: str = "",
    whole: bool = False,
) -> Iterator[tuple[Source, Text]]:
    """Walk the documents of a file that the walk found: itself, or the parts that its reader makes of it.

    ``column`` is the one whose cells are the documents of a table; a part's locator names it, so that reading the part
    again needs no more. With ``whole``, a table that is plain text is one document, as it was before tables were read.
    Raises as ``read``, for the file as a whole; a part without any text is left out, unless it has
    columns: then its text is empty. A part that cannot be read has a ``problem``.
    """
    text_of = partial(decode, encoding=encoding, on_bad_bytes=on_bad_bytes)
    data: bytes | None = None
    with opened(source, device) as file:
        head = file.read(min(source.size, signatures.HEAD))
        reader = reader_of(source.path, head, column)
        if reader is not None and not (whole and reader.plain):
            if source.size > size_limit:
                raise DocumentError(too_large(source.size, size_limit))
            file.seek(0)
            yield from _parts(reader, file, text_of, source)
            return
        if source.size <= LARGE:
            data = b"".join(_chunks(file, head, source, size_limit))
    if data is None:
        yield source, _long(source, encoding, on_bad_bytes, size_limit, device)
    else:
        yield source, text_of(data)


def _parts(reader: Reader, file: BinaryIO, text_of: Decode, source: Source) -> Iterator[tuple[Source, Text]]:
    """Walk the parts of a file that have text; raises NotADocument when none has."""
    empty, note = True, ""
    with _said_of(reader):
        for part in reader.parts(file, text_of):
            note = note or part.note
            if is_blank(part.text) and not part.columns and not part.problem:
                continue
            empty = False
            size = len(part.text.encode("utf-8", "surrogatepass")) if part.locator else source.size
            yield Source(source.path, size, source.mtime_ns, part.locator), _text(part, reader)
    if empty:
        raise NotADocument(f"empty: {note}" if note else "empty")


def _part(source: Source, text_of: Decode, device: int | None) -> Text:
    """Read one part of a file again."""
    with opened(source, device) as file:
        reader = reader_of(source.path, file.read(signatures.HEAD))
        if reader is None:
            raise DocumentError("changed since it was added")
        file.seek(0)
        with _said_of(reader):
            part = reader.part(file, text_of, source.locator)
    if part is None:
        raise DocumentError(f"{source.locator} is no longer in the file")
    if part.problem:
        raise DocumentError(part.problem)
    if is_blank(part.text):
        raise NotADocument("empty")
    return _text(part, reader)


def _text(part: Part, reader: Reader) -> Text:
    data = part.text.encode("utf-8", "surrogatepass")
    if part.columns:
        data += b"\0" + json.dumps(part.columns).encode("ascii")
    sha256, encoding = hashlib.sha256(data).hexdigest(), part.encoding or reader.name
    about = {"note": part.note, "columns": part.columns, "problem": part.problem}
    return Text(part.text, sha256, encoding, part.confidence, part.replaced, **about)


@contextlib.contextmanager
def _said_of(reader: Reader) -> Iterator[None]:
    """Turn what a reader's library raises into an error of the file."""
    try:
        yield
    except (DocumentError, OSError, GeneratorExit):
        raise
    except Exception as error:
        raise DocumentError(f"not a readable {reader.name}: {error}") from error


def _long(source: Source, encoding: str, on_bad_bytes: str, limit: int, device: int | None) -> Text:
    """What ``decode`` says of a text that is not held: it is in its file, and read from there."""
    chosen = _checked(encoding, on_bad_bytes)
    errors = "strict" if on_bad_bytes == FAIL else "replace"
    head = b""

    def chunks() -> Iterator[bytes]:
        nonlocal head
        for chunk in _bytes(source, limit, device):
            head = head or chunk[: signatures.HEAD]
            yield chunk

    try:
        found = examine(source, chosen, errors, chunks)
    except BadBytes as error:
        raise _bad_byte(error.guess, error.byte, error.offset) from error
    except NoText as error:
        raise NotADocument(signatures.not_text(head)) from error
    except Blank as error:
        raise NotADocument("empty") from error
    return Text("", found.sha256, found.guess.encoding, found.guess.confidence, found.replaced, found)


def decode(data: bytes, *, encoding: str = "", on_bad_bytes: str = FAIL, hint: str = "") -> Text:
    """Return the text that ``data`` holds, without its byte order mark and otherwise as it is, line ends included.

    The encoding is found in this order: byte order mark, strict UTF-8, ``encoding``, ``hint`` (what the file says of
    itself, unless nobody knows such an encoding), detection. Raises as ``read``.
    """
    chosen = _checked(encoding, on_bad_bytes)
    if hint and not chosen:
        with contextlib.suppress(UsageError):
            chosen = encodings.known(hint)
    if not data:
        raise NotADocument("empty")
    text, guess, replaced = _decoded(data, chosen, on_bad_bytes)
    if "\0" in text or encodings.has_controls(text[: encodings.HEAD].encode("utf-8", "replace"), 0.3):
        raise NotADocument(signatures.not_text(data[: signatures.HEAD]))
    if is_blank(text):
        raise NotADocument("empty")
    return Text(text, hashlib.sha256(data).hexdigest(), guess.encoding, guess.confidence, replaced)


# ------------------------------------------------------------------------------------------------------------ the bytes
def _bytes(source: Source, limit: int, device: int | None) -> Iterator[bytes]:
    """All bytes of the file in chunks, if it is still the one that was added."""
    with opened(source, device) as file:
        yield from _chunks(file, file.read(min(source.size, signatures.HEAD)), source, limit)


def _chunks(file: BinaryIO, head: bytes, source: Source, limit: int) -> Iterator[bytes]:
    """All bytes of an open file, of which ``head`` was read; raises NotADocument and DocumentError."""
    reason = signatures.not_plain(head)
    if reason:
        raise NotADocument(reason)
    if source.size > limit:
        raise DocumentError(too_large(source.size, limit))
    read, data = 0, head
    while data:
        read += len(data)
        yield data
        data = file.read(min(CHUNK, source.size - read))
    if read != source.size:
        raise DocumentError("changed since it was added")


def too_large(size: int, limit: int) -> str:
    """Return why a file, or what is packed in it, is not read."""
    return f"larger than the limit: {_size(size)} of {_size(limit)}"


def _size(count: int) -> str:
    """A number of bytes for people, such as ``2.0 GB`` or ``256 MB``; the units are powers of 1024."""
    size = float(count)
    for unit in ("bytes", "KB", "MB"):
        if size < 1024:
            return f"{size:.3g} {unit}"
        size /= 1024
    return f"{size:.1f} GB"


# --------------------------------------------------------------------------------------------------------- the encoding
def _decoded(data: bytes, chosen: str, on_bad_bytes: str) -> tuple[str, encodings.Guess, int]:
    """The text of ``data``, the encoding it is in, and how many characters stand for bad bytes."""
    guess = encodings.bom(data)
    if guess is None:
        guess = _escaped(data, chosen)
    if guess is None:
        text = _utf8(data)
        if text is not None:
            return text, encodings.Guess("utf-8"), 0
        guess = encodings.Guess(chosen) if chosen and encodings.may_be(chosen, data) else encodings.detect(data)
    if guess is None:
        raise NotADocument(signatures.not_text(data[: signatures.HEAD]))
    body = data[guess.mark :]
    try:
        return body.decode(guess.encoding), guess, 0
    except UnicodeError as error:
        if on_bad_bytes == FAIL:
            raise _bad_bytes(body, guess, error) from error
    text = body.decode(guess.encoding, "replace")
    # A U+FFFD of the file itself is no replacement; only those are left when bad bytes are ignored.
    replaced = text.count("\ufffd") - body.decode(guess.encoding, "ignore").count("\ufffd")
    if 2 * replaced > len(text):
        raise NotADocument(signatures.not_text(data[: signatures.HEAD]))
    return text, guess, replaced


def _escaped(data: bytes, chosen: str) -> encodings.Guess | None:
    """The encoding of ASCII bytes that switch alphabets by escapes: the chosen one, or what the escapes say."""
    if not data.isascii():
        return None
    if chosen.startswith(escapes.FAMILY):
        return encodings.Guess(chosen)
    found = None if chosen in {"utf-8", "ascii"} else escapes.escaped(data)
    return encodings.Guess(*found) if found else None


def _utf8(data: bytes) -> str | None:
    # Thai or Cyrillic in UTF-16 may be nothing but ASCII bytes, every second one a control character.
    if b"\0" in data or encodings.has_controls(data, 0.3):
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _bad_bytes(body: bytes, guess: encodings.Guess, error: UnicodeError) -> DocumentError:
    if isinstance(error, UnicodeDecodeError):
        return _bad_byte(guess, body[error.start], guess.mark + error.start)
    return _bad_byte(guess, None, 0)


def _bad_byte(guess: encodings.Guess, byte: int | None, offset: int) -> DocumentError:
    label = _LABELS.get(guess.encoding, guess.encoding)
    where = "some bytes cannot be decoded" if byte is None else f"bad byte 0x{byte:02x} at offset {offset}"
    return DocumentError(f"not {label}: {where}; choose an encoding or 'replace'")


def _checked(encoding: str, on_bad_bytes: str) -> str:
    """The codec of the chosen ``encoding``; raises UsageError for one that is unknown, and for an unknown policy."""
    ReadAs(encoding, on_bad_bytes)
    return encodings.known(encoding) if encoding else ""
