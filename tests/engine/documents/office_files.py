"""Small files of the formats that are read, made as the formats' own descriptions say."""

from __future__ import annotations

import io
import zipfile
from email.message import EmailMessage

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
_ODT = (
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:draw="urn:oasis:names:tc:opendocument:xmlns:drawing:1.0"'
)


def package(members: dict[str, str | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, data in members.items():
            stored = name == "mimetype"
            made.writestr(name, data, zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED)
    return file.getvalue()


def _p(text: str) -> str:
    return f"<w:p><w:r><w:t>{text}</w:t></w:r></w:p>"


def word(body: str = "", **places: str) -> bytes:
    """``places``: header1, footnotes, comments, footer1 and so on, each the text of one paragraph."""
    members: dict[str, str | bytes] = {"[Content_Types].xml": "<Types/>", "word/document.xml": _word("document", body)}
    members |= {f"word/{name}.xml": _word(name, _p(text)) for name, text in places.items()}
    return package(members)


def _word(name: str, inside: str) -> str:
    return f"<w:{name} {_W}><w:body>{inside}</w:body></w:{name}>"


WORD_BODY = (
    _p("opening")
    + "<w:p><w:r><w:t>split </w:t></w:r><w:hyperlink><w:r><w:t>over</w:t></w:r></w:hyperlink>"
    + "<w:r><w:tab/><w:t>runs</w:t></w:r></w:p>"
    + f"<w:tbl><w:tr><w:tc>{_p('left')}</w:tc><w:tc>{_p('right')}</w:tc></w:tr></w:tbl>"
    + "<w:p><w:r><w:t>before the box</w:t></w:r><w:r><w:pict>"
    + f"<w:txbxContent>{_p('boxed')}</w:txbxContent></w:pict></w:r></w:p>"
    + "<w:p><w:del><w:r><w:delText>taken out</w:delText></w:r></w:del><w:ins><w:r><w:t>put in</w:t></w:r></w:ins></w:p>"
)


def slides(*texts: str, notes: str = "") -> bytes:
    def page(text: str) -> str:
        return f"<p:sld xmlns:p='p' {_A}><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:sld>"

    members: dict[str, str | bytes] = {"[Content_Types].xml": "<Types/>"}
    members |= {f"ppt/slides/slide{n}.xml": page(text) for n, text in enumerate(texts, 1)}
    if notes:
        members["ppt/notesSlides/notesSlide1.xml"] = page(notes)
    return package(members)


def open_document(body: str, header: str = "") -> bytes:
    members: dict[str, str | bytes] = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": f"<office:document-content {_ODT}><office:body><office:text>{body}</office:text></office:body>"
        "</office:document-content>",
    }
    if header:
        members["styles.xml"] = (
            f"<office:document-styles {_ODT}><style:header><text:p>{header}</text:p></style:header></office:document-styles>"
        )
    return package(members)


OPEN_BODY = (
    "<text:h>opening</text:h><text:p>two<text:s text:c='2'/>words<text:tab/><text:span>styled</text:span> end"
    "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>noted</text:p></text:note-body></text:note>"
    "</text:p><table:table><table:table-row><table:table-cell><text:p>left</text:p></table:table-cell>"
    "<table:table-cell><text:p>right</text:p></table:table-cell></table:table-row></table:table>"
)


def epub(*chapters: str) -> bytes:
    members: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": "<container><rootfiles><rootfile full-path='OEBPS/book.opf'/></rootfiles></container>",
        "OEBPS/book.opf": "<package><manifest>"
        + "".join(f"<item id='c{n}' href='c%20{n}.xhtml'/>" for n in range(len(chapters)))
        + "</manifest><spine>"
        + "".join(f"<itemref idref='c{n}'/>" for n in reversed(range(len(chapters))))
        + "</spine></package>",
    }
    members |= {f"OEBPS/c {n}.xhtml": f"<html><body><p>{text}</p></body></html>" for n, text in enumerate(chapters)}
    return package(members)


def pdf(*pages: str) -> bytes:
    """A file with a page a text; an empty one has no text on it."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"", b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"]
    kids = []
    for text in pages:
        content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode() if text else b""
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(content), content))
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Resources<</Font<</F1 3 0 R>>>>/Contents %d 0 R>>"
            % len(objects)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), b" ".join(kids))
    out, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj%s endobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(places) + 1, table)
    return out + b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, start)


def mail(subject: str = "Hello", body: str = "written", html: str = "", attached: str = "") -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "Ann <ann@example.org>", "Bo <bo@example.org>", subject
    message["Date"], message["Message-ID"] = "Tue, 01 Dec 2026 10:00:00 +0000", "<1@example.org>"
    message.set_content(body, cte="base64" if not body.isascii() else None)
    if html:
        message.add_alternative(html, subtype="html")
    if attached:
        message.add_attachment(b"%PDF-", maintype="application", subtype="pdf", filename=attached)
    return message.as_bytes()
