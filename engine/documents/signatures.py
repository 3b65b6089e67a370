"""Signatures: what kind of file a document is when it is no plain text, told by its first bytes.

Sources: the published formats; the offsets agree with the magic file of the file(1) command.
"""

from __future__ import annotations

HEAD = 65536
"""Bytes at the beginning of a file that are enough for every answer."""

_DOCUMENTS: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "PDF"),
    (b"{\\rtf", "RTF document"),
    (b"%!PS-", "PostScript"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old Office or Outlook file"),
)

_BINARIES: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG image"),
    (0, b"\xff\xd8\xff", "JPEG image"),
    (0, b"\x7fELF", "ELF program"),
    (0, b"\x1f\x8b\x08", "gzip archive"),
    (0, b"\xfd7zXZ\x00", "xz archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip archive"),
    (0, b"Rar!\x1a\x07", "RAR archive"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard archive"),
    (0, b"SQLite format 3\x00", "SQLite database"),
    (0, b"\xca\xfe\xba\xbe", "Java class or macOS program"),
    (0, b"\xcf\xfa\xed\xfe", "macOS program"),
    (0, b"\x00asm", "WebAssembly program"),
    (0, b"\x1aE\xdf\xa3", "Matroska video"),
    (0, b"II*\x00", "TIFF image"),
    (0, b"MM\x00*", "TIFF image"),
    (0, b"\x93NUMPY", "NumPy array"),
    (0, b"\x00\x00\x01\x00", "icon"),
)

_ONLY_IF_BINARY: tuple[tuple[int, bytes, str], ...] = (
    (0, b"GIF8", "GIF image"),
    (0, b"BM", "BMP image"),
    (0, b"MZ", "Windows program"),
    (0, b"BZh", "bzip2 archive"),
    (0, b"ID3", "MP3 audio"),
    (0, b"OggS", "Ogg audio or video"),
    (0, b"fLaC", "FLAC audio"),
    (8, b"WEBP", "WebP image"),
    (8, b"WAVE", "WAV audio"),
    (8, b"AVI ", "AVI video"),
    (4, b"ftyp", "MP4, MOV or HEIC file"),
    (0, b"!<arch>", "archive of programs"),
    (0, b"bplist00", "binary property list"),
    (0, b"wOF", "font"),
    (0, b"OTTO", "font"),
    (0, b"PAR1", "Parquet table"),
    (257, b"ustar", "tar archive"),
)
"""These could begin a text as well ("BMW builds cars"), so they only name what has proved to be no text."""

_ZIPPED: tuple[tuple[bytes, str, bool], ...] = (
    (b"word/", "Word document (docx)", True),
    (b"xl/", "Excel workbook (xlsx)", True),
    (b"ppt/", "PowerPoint slides (pptx)", True),
    (b"application/epub+zip", "EPUB book", True),
    (b"application/vnd.oasis.opendocument", "OpenDocument file", True),
    (b"[Content_Types].xml", "Office document", True),
    (b"META-INF/MANIFEST.MF", "Java archive", False),
)


def not_plain(head: bytes) -> str:
    """Return why a file that begins with ``head`` cannot be plain text, or "" when nothing speaks against it."""
    for magic, name in _DOCUMENTS:
        if head.startswith(magic):
            return _export(name)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        for mark, name, is_document in _ZIPPED:
            if mark in head:
                return _export(name) if is_document else f"not text: {name}"
        return "not text: ZIP archive"
    return _named(head, _BINARIES)


def not_text(head: bytes) -> str:
    """Return the reason for a file that has proved to be no text, with its kind where the first bytes tell it."""
    return not_plain(head) or _named(head, _ONLY_IF_BINARY) or "not text"


def _export(name: str) -> str:
    return f"{name}, not plain text: export it as text first"


def _named(head: bytes, table: tuple[tuple[int, bytes, str], ...]) -> str:
    for offset, magic, name in table:
        if head.startswith(magic, offset):
            return f"not text: {name}"
    return ""
