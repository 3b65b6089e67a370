"""Office files, books, web pages, mails, subtitles and PDF files: all that a person reads in them, and no markup."""

from __future__ import annotations

import contextlib
import random

import pytest
from office_files import OPEN_BODY, WORD_BODY, epub, mail, open_document, package, pdf, slides, word

from engine.documents.document import Source
from engine.documents.opening import NotADocument
from engine.documents.read import read, read_all
from engine.documents.readers import READERS, packed
from engine.errors import DocumentError

PAGE = """<!doctype html><html><head><title>Named</title><style>p{}</style><script>let a = "<p>no</p>"</script></head>
<body><h1>Head &amp; shoulders</h1><p>one  two<br>three</p><!-- unseen --><ul><li>first<li>second</ul>
<table><tr><td>left</td><td>right</td></tr></table><pre>  kept
   as it is</pre><img alt="a picture"><noscript>no</noscript></body></html>"""

SUBTITLES = """1
00:00:01,000 --> 00:00:02,500
<i>Good morning.</i>

2
00:00:03,000 --> 00:00:04,000
{\\an8}- Two
- lines
"""


@pytest.fixture
def text_of(tmp_path):
    def written(data: bytes, name: str = "file.bin", **how):
        path = tmp_path / name
        path.write_bytes(data)
        status = path.stat()
        return read(Source(str(path), status.st_size, status.st_mtime_ns), **how)

    return written


def test_a_word_document_gives_body_tables_boxes_headers_and_notes_but_not_what_was_taken_out(text_of):
    found = text_of(
        word(WORD_BODY, header1="on top", header2="on top", footnotes="noted", comments="said", footer1="below")
    )
    assert found.text.split("\n") == [
        "on top", "", "opening", "split over\truns", "left\tright", "before the box", "boxed", "put in",
        "", "noted", "", "said", "", "below",
    ]  # fmt: skip
    assert (found.encoding, found.note) == ("Word document", "")


def test_an_open_document_gives_headings_spaces_tables_notes_and_headers(text_of):
    found = text_of(open_document(OPEN_BODY, header="on top"))
    assert found.text.split("\n") == ["on top", "", "opening", "two  words\tstyled end", "noted", "left\tright"]


def test_slides_are_read_in_their_order_with_their_notes(text_of):
    texts = [f"slide {n}" for n in range(1, 12)]
    assert text_of(slides(*texts, notes="said aloud")).text.split("\n\n") == [*texts, "said aloud"]


def test_a_book_is_read_in_the_order_of_its_spine(text_of):
    assert text_of(epub("last", "first")).text == "first\n\nlast"


def test_a_web_page_gives_what_a_browser_shows(text_of):
    assert text_of(PAGE.encode()).text.split("\n") == [
        "Named", "Head & shoulders", "one two", "three", "first", "second", "left\tright", "  kept", "   as it is",
        "a picture",
    ]  # fmt: skip


def test_a_web_page_is_believed_about_its_encoding_unless_the_job_says_another(text_of):
    page = '<html><head><meta charset="gb2312"></head><body>\u4f60\u597d</body></html>'.encode("gb2312")
    assert text_of(page).text == "\u4f60\u597d"
    assert text_of(page, encoding="latin-1").text == page.decode("latin-1").split("<body>")[1].split("<")[0]


def test_a_page_of_nothing_but_text_in_the_open_is_no_web_page(text_of):
    assert text_of(b"a <p> in a text about HTML").text == "a <p> in a text about HTML"
    assert text_of(b"a <p>b</p>", "a.html").text == "a\nb"


def test_a_mail_gives_its_head_its_plainest_text_and_names_what_is_attached(text_of):
    found = text_of(mail("Gr\u00fc\u00dfe", "sch\u00f6n\n\nja", html="<p>no</p>", attached="contract.pdf"))
    assert found.text.split("\n") == [
        "From: Ann <ann@example.org>", "To: Bo <bo@example.org>", "Date: Tue, 01 Dec 2026 10:00:00 +0000",
        "Subject: Gr\u00fc\u00dfe", "", "sch\u00f6n", "", "ja",
    ]  # fmt: skip
    assert found.note == "1 attached, not read: contract.pdf"


def test_a_text_that_begins_like_a_mail_is_left_as_it_is(text_of):
    text = "From: Ann\nSubject: hello\n\nA mail that somebody copied into a text."
    assert text_of(text.encode()).text == text


def test_each_mail_of_a_mailbox_is_a_document(tmp_path):
    path = tmp_path / "all.mbox"
    envelope = b"From ann@example.org Tue Dec  1 10:00:00 2026\n"
    path.write_bytes(b"\n".join(envelope + mail(f"number {n}", ">From here on") for n in (1, 2, 3)))
    source = Source(str(path), path.stat().st_size, path.stat().st_mtime_ns)
    found = list(read_all(source))
    assert [one.locator for one, _ in found] == ["mail 1", "mail 2", "mail 3"]
    assert all(f"number {n}" in text.text and "\nFrom here on" in text.text for n, (_, text) in enumerate(found, 1))
    assert read(found[1][0]) == found[1][1]


def test_subtitles_give_what_is_said(text_of):
    assert text_of(SUBTITLES.encode()).text.split("\n") == ["Good morning.", "- Two", "- lines"]
    assert text_of(b"WEBVTT\n\nNOTE hidden\n\n00:01.000 --> 00:02.000\n<v Ann>Hello").text == "Hello"


def test_all_pages_of_a_pdf_are_read_and_those_without_text_are_named(text_of):
    found = text_of(pdf("first page", "", "third page"))
    assert found.text == "first page\n\nthird page"
    assert found.note == "no text on 1 of 3 pages: scanned? (2)"
    with pytest.raises(NotADocument, match="no text on any of its pages: scanned"):
        text_of(pdf("", ""))


def test_what_is_packed_too_tightly_is_refused(text_of, monkeypatch):
    monkeypatch.setattr(packed, "LIMIT", 1 << 20)
    with pytest.raises(DocumentError, match="larger than the limit of 1 MB"):
        text_of(word("<w:p><w:r><w:t>" + "a" * (1 << 21) + "</w:t></w:r></w:p>"))


def test_a_package_that_declares_entities_is_refused(text_of):
    bomb = "<!DOCTYPE x [<!ENTITY a 'aaaa'>]><x>&a;</x>"
    with pytest.raises(DocumentError, match="document type"):
        text_of(package({"word/document.xml": bomb}))


@pytest.mark.parametrize(
    "hostile",
    [
        b"<!---->" * 5000,
        b"From x " + b"00:0000" * 20000,
        b"a: b\n" * 50000,
        b"{\\" * 50000,
        b"0\n" * 50000,
        b"<" * 100_000,
    ],
    ids=["comments", "an envelope", "fields", "subtitles", "numbers", "tags"],
)
def test_no_text_takes_long_to_be_told_from_a_format(text_of, hostile):
    """An expression that goes back over what it has read would not come to its end here."""
    assert text_of(hostile).text == hostile.decode()
    assert text_of(hostile, "file.eml")


MADE = {
    "word": word(WORD_BODY, header1="on top"),
    "open document": open_document(OPEN_BODY, header="h"),
    "slides": slides("one", "two"),
    "epub": epub("one", "two"),
    "html": PAGE.encode(),
    "mail": mail(html="<p>no</p>", attached="a.pdf"),
    "subtitles": SUBTITLES.encode(),
    "pdf": pdf("one", "two"),
}


@pytest.mark.parametrize("kind", MADE)
def test_a_damaged_file_is_read_or_named_within_bounds(text_of, kind):
    """Thirty mutations: bytes changed, pieces cut out, doubled or swapped."""
    dice = random.Random(kind)
    for _ in range(30):
        data = bytearray(MADE[kind])
        for _ in range(dice.randint(1, 8)):
            at, much = dice.randrange(len(data)), dice.randint(1, 40)
            way = dice.randrange(3)
            if way == 0:
                data[at] = dice.randrange(256)
            elif way == 1 and len(data) > 200:
                del data[at : at + much]
            else:
                data[at:at] = data[max(0, at - much) : at]
        with contextlib.suppress(DocumentError):  # pytest's limit of time is the bound
            assert text_of(bytes(data)).text


def test_every_reader_says_what_it_reads():
    assert len({kind.name for kind in READERS}) == len(READERS) >= 9
