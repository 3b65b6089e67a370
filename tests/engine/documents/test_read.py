"""Reading: the text as it is, or an error that says why not; the file itself is never touched."""

from __future__ import annotations

import hashlib
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from piles import SENTENCES

from engine.documents.blank import is_blank
from engine.documents.document import Source, Text
from engine.documents.opening import NotADocument
from engine.documents.read import decode, read
from engine.errors import DocumentError, UsageError

posix = pytest.mark.skipif(os.name != "posix", reason="FIFOs and sparse files of POSIX")

# Any text that a document may hold: no NUL, no other control characters, something to see.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda text: not is_blank(text))
CHOICES = [
    "",
    "utf-8",
    "utf-16",
    "utf-16-le",
    "utf-32",
    "gb18030",
    "big5",
    "shift_jis",
    "euc_kr",
    "cp1252",
    "iso2022_jp",
    "hz",
]


def source(path: Path) -> Source:
    status = os.stat(path)
    return Source(str(path), status.st_size, status.st_mtime_ns)


def write(path: Path, data: bytes) -> Source:
    path.write_bytes(data)
    return source(path)


# --------------------------------------------------------------------------------------------------------- the text
def test_text_comes_as_it_is_with_its_digest(tmp_path):
    data = b"Line ends stay:\r\nold\rnew\n\tand spaces  "
    text = read(write(tmp_path / "a.txt", data))
    assert text == Text(data.decode(), hashlib.sha256(data).hexdigest(), "utf-8", 1.0)


@settings(deadline=None)
@given(texts)
def test_any_text_in_utf8_is_read_as_it_is(text):
    assume(not text.startswith("\ufeff"))
    read_text = decode(text.encode())
    assert (read_text.text, read_text.encoding, read_text.confidence) == (text, "utf-8", 1.0)


@settings(deadline=None)
@given(
    texts,
    st.sampled_from(
        [
            ("utf-8", b"\xef\xbb\xbf", "utf-8-sig"),
            ("utf-16-le", b"\xff\xfe", "utf-16-le"),
            ("utf-16-be", b"\xfe\xff", "utf-16-be"),
            ("utf-32-le", b"\xff\xfe\x00\x00", "utf-32-le"),
            ("utf-32-be", b"\x00\x00\xfe\xff", "utf-32-be"),
        ]
    ),
    st.sampled_from(CHOICES),
)
def test_a_byte_order_mark_decides_whatever_was_chosen(text, kind, chosen):
    codec, mark, name = kind
    read_text = decode(mark + text.encode(codec), encoding=chosen)
    assert (read_text.text, read_text.encoding, read_text.confidence) == (text, name, 1.0)


@settings(deadline=None)
@given(texts, st.sampled_from(["utf-16-le", "utf-32-be", "gb18030"]))
def test_the_chosen_encoding_reads_what_it_wrote(text, codec):
    data = text.encode(codec)
    assume(not data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")))
    assume(b"\0" in data or not _is_utf8(data))
    read_text = decode(data, encoding=codec)
    assert (read_text.text, read_text.encoding, read_text.confidence) == (text, codec, 1.0)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_strict_utf8_comes_before_the_chosen_encoding_and_that_before_detection():
    french = "Où est le garçon ? Il a mangé à l'école."
    assert decode(french.encode(), encoding="gb18030").encoding == "utf-8"
    chosen = decode(french.encode("cp1252"), encoding="iso8859-15")
    assert (chosen.text, chosen.encoding, chosen.confidence) == (french, "iso8859-15", 1.0)
    detected = decode(french.encode("cp1252"))
    assert (detected.text, detected.encoding) == (french, "cp1252")
    assert 0 < detected.confidence < 1


@pytest.mark.parametrize("codec", ["iso2022_jp", "hz"])
def test_a_chosen_encoding_of_ascii_bytes_only_is_not_taken_for_english(codec):
    text = SENTENCES["chinese" if codec == "hz" else "japanese"]
    assert decode(text.encode(codec), encoding=codec).text == text


def test_an_encoding_or_policy_that_does_not_exist_is_refused_by_name():
    with pytest.raises(UsageError, match="Unknown encoding 'klingon'"):
        decode(b"text", encoding="klingon")
    with pytest.raises(UsageError, match="Unknown encoding 'rot13'"):
        decode(b"text", encoding="rot13")
    with pytest.raises(UsageError, match="Bad bytes has to be one of fail, replace, not 'ignore'"):
        decode(b"text", on_bad_bytes="ignore")


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from(CHOICES), st.sampled_from(["fail", "replace"]))
def test_any_bytes_give_a_text_or_a_document_error(data, chosen, policy):
    try:
        text = decode(data, encoding=chosen, on_bad_bytes=policy)
    except DocumentError:
        return  # a sentence for the row; anything else fails the test
    assert "\0" not in text.text
    assert text.text.strip()
    assert 0 < text.confidence <= 1
    assert text.replaced == 0 or policy == "replace"
    text.text.encode()


# ---------------------------------------------------------------------------------------------------------- bad bytes
def test_bad_bytes_fail_with_their_offset_or_are_replaced_and_counted():
    good = "Zoë said “no”, then “yes”, in the café. "
    data = good.encode() + b"\xff" + good.encode() + b"\xc3(" + "One that was there before: \ufffd.".encode()
    with pytest.raises(DocumentError, match=f"not UTF-8: bad byte 0xff at offset {len(good.encode())}; choose an enc"):
        decode(data)
    text = decode(data, on_bad_bytes="replace")
    assert text.text == good + "\ufffd" + good + "\ufffd(One that was there before: \ufffd."
    assert (text.encoding, text.replaced) == ("utf-8", 2)
    assert text.confidence < 1


def test_the_offset_counts_from_the_beginning_of_the_file_also_behind_a_mark():
    with pytest.raises(DocumentError, match="not UTF-8: bad byte 0xff at offset 7;"):
        decode(b"\xef\xbb\xbftext\xff text")
    with pytest.raises(DocumentError, match="not UTF-16: bad byte 0x41 at offset 6;"):
        decode(b"\xff\xfea\0b\0A")


def test_bytes_that_the_chosen_encoding_does_not_have_follow_the_same_policy():
    data = SENTENCES["chinese"].encode("gbk") + b"\xff" + SENTENCES["chinese"].encode("gbk")
    offset = len(SENTENCES["chinese"].encode("gbk"))
    with pytest.raises(DocumentError, match=f"not gbk: bad byte 0xff at offset {offset};"):
        decode(data, encoding="gbk")
    text = decode(data, encoding="gbk", on_bad_bytes="replace")
    assert text.text == SENTENCES["chinese"] + "\ufffd" + SENTENCES["chinese"]
    assert (text.replaced, text.confidence) == (1, 1.0)


# ------------------------------------------------------------------------------------------------------------ no text
@pytest.mark.parametrize(
    "data", [b"", b" \t\r\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff\0 \0\n", "\u3000\xa0\n".encode()]
)
def test_nothing_to_see_is_empty(data, tmp_path):
    with pytest.raises(NotADocument, match=r"^empty$"):
        read(write(tmp_path / "a.txt", data))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not text: PNG image"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF\0", "not text: JPEG image"),
        (b"\x7fELF\x02\x01\x01\0\0", "not text: ELF program"),
        (b"MZ\x90\0\x03\0\0\0\x04\0\0\0", "not text: Windows program"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "not text: gzip archive"),
        (b"PK\x03\x04\x14\0\0\0\x08\0", "not text: ZIP archive"),
        (b"{\\rtf1\\ansi plain words}", "RTF document, not plain text: export it as text first"),
        (b"SQLite format 3\0\x10\0", "not text: SQLite database"),
        (b"\0\0\0\x18ftypmp42\0\0\0\0", "not text: MP4, MOV or HEIC file"),
        (b"Words, then\0 a NUL.", "not text"),
        (b"\x01\x02\x03\x04" * 20, "not text"),
    ],
)
def test_binary_files_are_skipped_by_their_kind_whatever_encoding_was_chosen(data, reason, tmp_path):
    for chosen in ("", "cp1252", "gb18030"):
        with pytest.raises(NotADocument) as caught:
            read(write(tmp_path / "a.txt", data), encoding=chosen)
        assert str(caught.value).startswith(reason)


@pytest.mark.parametrize(
    "text", ["BMW builds cars.", "MZ is a region code.", "GIF89a is a format.", "PK is a short name."]
)
def test_a_text_that_begins_like_a_binary_file_is_a_text(text):
    assert decode(text.encode()).text == text


def test_a_log_with_colours_and_backspaces_is_a_text():
    text = "\x1b[31merror\x1b[0m: disk\b\b\b\bfull\f\n"
    assert decode(text.encode()).text == text


# -------------------------------------------------------------------------------------------------- the file beneath
def test_a_file_that_is_gone_changed_or_shortened_fails_by_what_happened(tmp_path):
    path = tmp_path / "a.txt"
    before = write(path, b"The first version.\n")
    path.write_bytes(b"A second, longer version.\n")
    with pytest.raises(DocumentError, match=r"^changed since it was added$"):
        read(before)
    before = write(path, b"The first version.\n")
    os.utime(path, ns=(1, before.mtime_ns + 1))
    with pytest.raises(DocumentError, match=r"^changed since it was added$"):
        read(before)
    os.truncate(path, 0)
    with pytest.raises(DocumentError, match=r"^changed since it was added$"):
        read(before)
    os.unlink(path)
    with pytest.raises(DocumentError, match=r"^missing: the file is gone$"):
        read(before)
    path.mkdir()
    with pytest.raises(NotADocument, match=r"^not a regular file: folder$"):
        read(before)


def test_a_file_that_grows_while_it_is_read_fails(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    before = write(path, b"The first version.\n")
    real = os.fstat

    def fstat(descriptor):
        status = real(descriptor)
        with open(path, "ab") as file:
            file.write(b"And more.\n")
        return status

    monkeypatch.setattr(os, "fstat", fstat)
    with pytest.raises(DocumentError, match=r"^changed since it was added$"):
        read(before)


@posix
@pytest.mark.timeout(20)
def test_a_fifo_put_in_the_files_place_at_the_last_moment_does_not_block(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    before = write(path, b"A regular file.\n")
    real = os.stat

    def swap(name, **options):
        status = real(name, **options)
        if name == str(path):
            os.unlink(path)
            os.mkfifo(path)
        return status

    monkeypatch.setattr(os, "stat", swap)
    with pytest.raises(NotADocument, match=r"^not a regular file: FIFO$"):
        read(before)


@posix
def test_a_file_above_the_limit_is_refused_with_both_numbers_before_it_is_read(tmp_path):
    path = tmp_path / "huge.txt"
    path.write_bytes(b"It was a dark and stormy night.\n")
    os.truncate(path, 2 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(DocumentError, match=r"^larger than the limit: 2\.0 GB of 256 MB$") as caught:
            read(source(path))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert not isinstance(caught.value, NotADocument)


def test_the_limit_itself_is_allowed(tmp_path):
    data = b"x" * 100_000
    assert read(write(tmp_path / "a.txt", data), size_limit=100_000).text == "x" * 100_000
    with pytest.raises(DocumentError, match=r"^larger than the limit: 97\.7 KB of 97\.7 KB$"):
        read(source(tmp_path / "a.txt"), size_limit=99_999)


def test_a_file_that_may_not_be_read_fails_with_the_systems_words(tmp_path, monkeypatch):
    before = write(tmp_path / "a.txt", b"Secret.\n")

    def refuse(path, *_args, **_kwargs):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(DocumentError, match=r"^not readable: permission denied$"):
        read(before)


def test_reading_leaves_no_file_open_and_changes_nothing(tmp_path):
    data = SENTENCES["french"].encode("cp1252")
    before = write(tmp_path / "a.txt", data)
    os.chmod(tmp_path / "a.txt", 0o444)
    status = os.stat(tmp_path / "a.txt")
    read(before)
    after = os.stat(tmp_path / "a.txt")
    assert (after.st_mode, after.st_size, after.st_mtime_ns) == (status.st_mode, status.st_size, status.st_mtime_ns)
    assert (tmp_path / "a.txt").read_bytes() == data


@pytest.mark.parametrize(
    "text",
    [
        "\u200b\u200b\n",
        "\u00ad\u2060\n",
        "\x1b\x08\n",
        "\u0301\n",
        "\ufeff \u200e\u202e",
        "\u3164\u2800",
        "\ufe0f\u20e3",
    ],
)
def test_what_shows_nothing_is_empty(text):
    with pytest.raises(NotADocument, match=r"^empty$"):
        decode(text.encode())


@pytest.mark.parametrize("text", ["\u200ba", ".", "👍", "e\u0301", "\u0301" * 5000 + "x", "\u093e"])
def test_one_character_that_shows_is_a_text(text):
    assert decode(text.encode()).text == text
