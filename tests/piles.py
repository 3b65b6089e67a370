"""Piles for tests: a folder with every case of the fault list's rows 10-19, 35 and 36, and what must come of each."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from engine.api.state import State

SENTENCES: dict[str, str] = {
    "english": "The lift has been out of order since Monday. Could somebody have a look at it before the weekend?\n",
    "chinese": "您好，我上个星期在你们的网站买了一台洗衣机，可是到今天还没有收到。请问什么时候可以送到？谢谢！\n",
    "taiwanese": "您好，我上個星期在你們的網站買了一台洗衣機，可是到今天還沒有收到。請問什麼時候可以送到？謝謝！\n",
    "japanese": "先週そちらのお店で洗濯機を買いましたが、まだ届いていません。いつごろ届くのか教えていただけますか。\n",
    "korean": "지난주에 그쪽 가게에서 세탁기를 샀는데 아직도 오지 않았습니다. 언제쯤 받을 수 있는지 알려 주시겠어요?\n",
    "french": "Bonjour, ma machine à laver, commandée la semaine dernière, n’est pas arrivée. Où est-elle passée ?\n",
    "german": "Guten Tag, die Waschmaschine ist noch nicht da. Können Sie sagen, wann sie für uns geliefert wird?\n",
    "russian": "Здравствуйте, на прошлой неделе я купил у вас стиральную машину, но её до сих пор не привезли.\n",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """What must come of one path. ``row`` is the number in the fault list, ``state`` a value of documents.State.

    ``reason`` is part of the reason of a file that was not done; ``text`` is the whole text of one that was, and
    ``encodings`` the names that its row may show (several where one writes what the other does). ``detected`` says
    that the confidence must be below 1, ``replaced`` how many bad bytes the row must own up to.
    """

    row: int
    state: State
    reason: str = ""
    text: str = ""
    encodings: tuple[str, ...] = ()
    detected: bool = False
    replaced: int = 0


def make_fault_pile(root: Path, *, on_bad_bytes: str = "fail", depth: int = 200) -> dict[str, Expected]:
    """Fill ``root`` (made if need be) with the cases and return what must come of each path, by its full path.

    Every path that the walk must mention is in the answer, and no other. ``on_bad_bytes`` is the policy that the
    expectations are for; ``depth`` the levels of the deep tree (pytest cannot remove a thousand). A case that the
    file system cannot hold is left out.
    """
    root.mkdir(parents=True, exist_ok=True)
    pile = _Pile(root)
    _empty(pile)
    _binary(pile)
    _bad_bytes(pile, replace=on_bad_bytes == "replace")
    _unicode(pile)
    _legacy(pile)
    _names(pile)
    _links(pile, depth)
    _special(pile)
    _soon_changed(pile)
    _cells(pile)
    return pile.expected


def spoil_fault_pile(root: Path) -> dict[str, Expected]:
    """Row 19: delete, replace and shorten files of the pile at ``root`` after they were added; what must come now."""
    deleted, replaced, shortened, fifo = (os.path.join(root, name) for name in _SOON_CHANGED)
    os.unlink(deleted)
    other = os.path.join(root, "other")
    Path(other).write_text("Something else entirely.\n", encoding="utf-8")
    os.replace(other, replaced)
    os.truncate(shortened, 10)
    changed = {
        deleted: Expected(19, State.FAILED, "missing"),
        replaced: Expected(19, State.FAILED, "changed since it was added"),
        shortened: Expected(19, State.FAILED, "changed since it was added"),
    }
    if hasattr(os, "mkfifo"):
        os.unlink(fifo)
        os.mkfifo(fifo)
        changed[fifo] = Expected(18, State.SKIPPED, "not a regular file: FIFO")
    return changed


class _Pile:
    """Writes cases below a folder and collects what is expected of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.expected: dict[str, Expected] = {}

    def add(self, name: str | bytes, data: bytes, expected: Expected) -> str:
        """Write one file; a name that the file system refuses is left out ("" comes back)."""
        path = os.path.join(self.root, os.fsdecode(name))
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "xb") as file:
                file.write(data)
        except (OSError, ValueError):
            return ""
        self.expected[path] = expected
        return path

    def text(
        self,
        row: int,
        name: str | bytes,
        text: str,
        codec: str = "utf-8",
        mark: bytes = b"",
        *,
        encodings: tuple[str, ...] = (),
        detected: bool = False,
    ) -> str:
        """Write one file that must be read as ``text``."""
        expected = Expected(row, State.DONE, text=text, encodings=encodings or (codec,), detected=detected)
        return self.add(name, mark + text.encode(codec), expected)

    def skip(self, row: int, name: str | bytes, data: bytes, reason: str) -> str:
        """Write one file that must be skipped."""
        return self.add(name, data, Expected(row, State.SKIPPED, reason))


def _empty(pile: _Pile) -> None:
    pile.skip(10, "10 empty.txt", b"", "empty")
    pile.skip(10, "10 spaces.txt", b"  \r\n\t\n  ", "empty")
    pile.skip(10, "10 mark.txt", b"\xef\xbb\xbf", "empty")
    pile.skip(10, "10 mark and spaces.txt", b"\xff\xfe \x00\n\x00", "empty")
    if os.name == "posix":
        path = pile.add(
            "11 huge.txt", b"A long story.\n", Expected(11, State.FAILED, "larger than the limit: 2.0 GB of 256 MB")
        )
        os.truncate(path, 2 << 30)  # sparse: it takes no room


def _binary(pile: _Pile) -> None:
    pile.skip(12, "12 picture.txt", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00", "not text: PNG image")
    pile.skip(12, "12 program.txt", b"\x7fELF\x02\x01\x01" + bytes(57), "not text: ELF program")
    pile.skip(12, "12 zeros.txt", bytes(4096), "not text")
    pile.skip(12, "12 all bytes.txt", bytes(range(256)) * 4, "not text")
    pile.skip(12, "12 one NUL.txt", SENTENCES["english"].encode() * 5 + b"\x00 and on\n", "not text")
    damaged = Expected(12, State.FAILED, "not a readable PDF")
    pile.add("12 paper.txt", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n", damaged)
    damaged = Expected(12, State.FAILED, "not a readable Word document")
    pile.add("12 letter.txt", b"PK\x03\x04\x14\x00\x06\x00" + bytes(18) + b"word/document.xml", damaged)
    pile.skip(
        12, "12 archive.txt", b"PK\x03\x04\x14\x00\x00\x00\x08\x00" + bytes(16) + b"a.txt", "not text: ZIP archive"
    )


def _bad_bytes(pile: _Pile, *, replace: bool) -> None:
    for name, good, bad in (
        ("13 bad byte.txt", "Zoë paid 20 € for the café’s naïve art. ", b"\xff"),
        ("13 bad byte in English.txt", "Every other byte of this letter is plain English text. ", b"\xff"),
        ("13 cut off.txt", SENTENCES["japanese"].strip(), "語".encode()[:2]),
    ):
        data = good.encode() + bad
        offset = len(good.encode())
        if replace:
            expected = Expected(13, State.DONE, text=good + "\ufffd", encodings=("utf-8",), detected=True, replaced=1)
        else:
            expected = Expected(13, State.FAILED, f"not UTF-8: bad byte 0x{bad[0]:02x} at offset {offset}")
        pile.add(name, data, expected)


def _unicode(pile: _Pile) -> None:
    text = SENTENCES["german"] + SENTENCES["chinese"] + "🧵\r\n"
    pile.text(14, "14 plain utf-8.txt", text)
    pile.text(14, "14 utf-8 mark.txt", text, mark=b"\xef\xbb\xbf", encodings=("utf-8-sig",))
    for codec, mark in (
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-32-le", b"\xff\xfe\x00\x00"),
        ("utf-32-be", b"\x00\x00\xfe\xff"),
    ):
        pile.text(14, f"14 {codec} mark.txt", text, codec, mark)
        for language in ("english", "chinese", "japanese", "korean", "russian"):
            pile.text(14, f"14 {codec} {language}.txt", SENTENCES[language], codec, detected=True)


def _legacy(pile: _Pile) -> None:
    chinese = ("gb18030", "gbk", "gb2312")
    for language, codec, encodings in (
        ("chinese", "gb18030", chinese),
        ("chinese", "gbk", chinese),
        ("taiwanese", "big5", ("big5", "cp950")),
        ("japanese", "shift_jis", ("shift_jis", "cp932")),
        ("japanese", "euc_jp", ("euc_jp",)),
        ("korean", "euc_kr", ("euc_kr", "cp949")),
        ("french", "cp1252", ("cp1252",)),
        ("german", "cp1252", ("cp1252",)),
        ("russian", "cp1251", ("cp1251",)),
    ):
        pile.text(15, f"15 {language} {codec}.txt", SENTENCES[language], codec, encodings=encodings, detected=True)
        long = (SENTENCES["english"] + SENTENCES[language]) * 40
        pile.text(15, f"15 {language} {codec} long.txt", long, codec, encodings=encodings, detected=True)


def _names(pile: _Pile) -> None:
    for name in (
        b"16 not utf-8 caf\xe9.txt",
        "16 two\nlines.txt",
        "16 \"double\" and 'single' quotes.txt",
        "16 semicolon;comma,tab\t.txt",
        "16 right to left \u202egpj.txt",
        "16 Привет 你好 🧵.txt",
        "16 " + "n" * (255 - 7) + ".txt",
        "36 <b>bold&amp;.txt",
        "36 <img src=x onerror=alert(1)>.txt",
        "36 control \x01\x1b[31m\x7f.txt",
        "36 bidi \u2066\u2069\u200f.txt",
        "35 =1+1.txt",
    ):
        pile.text(16, name, SENTENCES["english"])


def _cells(pile: _Pile) -> None:
    for number, start in enumerate(("=", "+", "-", "@", "\t", "\r")):
        text = f"{start}cmd|' /C calc'!A0 is how this text begins.\n"
        pile.text(35, f"{start}35 name {number}.txt", text)
        pile.text(35, f"35 text {number}.txt", text)
    pile.text(36, "36 markup.txt", "<script>alert('hello')</script> <b>bold</b> \u202egpj.exe\u202c & so on.\n")


def _links(pile: _Pile, depth: int) -> None:
    """Row 17. Links are followed after all else, so real names win."""
    pile.skip(0, ".hidden.txt", SENTENCES["english"].encode(), "hidden")
    first = pile.text(17, "17 one file.txt", SENTENCES["english"] + "One file with several names.\n")
    if os.name != "posix":
        return
    pile.text(17, "17 folder/inside.txt", SENTENCES["english"])
    pile.text(17, "17 deep/" + "d/" * depth + "bottom.txt", SENTENCES["english"])
    hard = os.path.join(pile.root, "17 second name.txt")
    os.link(first, hard)
    pile.expected[hard] = Expected(17, State.SKIPPED, f"already in the pile: {first}")
    for name, target, reason in (
        ("17 link.txt", "17 one file.txt", f"already in the pile: {first}"),
        ("17 to itself.txt", "17 to itself.txt", "a link that leads back to itself"),
        ("17 to nowhere.txt", "17 no such file.txt", "missing: the link leads nowhere"),
        ("17 folder/to parent", "..", "a link to a folder above it"),
        ("17 folder/to above the pile", "../..", "a link to a folder above it"),
        ("17 to the folder", "17 folder", "folder already walked"),
    ):
        path = os.path.join(pile.root, name)
        os.symlink(target, path)
        pile.expected[path] = Expected(17, State.SKIPPED, reason)


def _special(pile: _Pile) -> None:
    pile.text(18, "18 folder.txt/inside.txt", SENTENCES["english"])
    pile.expected[os.path.join(pile.root, "18 folder.txt")] = Expected(18, State.SKIPPED, "not a regular file: folder")
    if os.name != "posix":
        return
    for name, make, reason in (
        ("18 pipe.txt", os.mkfifo, "FIFO"),
        ("18 socket.txt", lambda path: os.mknod(path, stat.S_IFSOCK | 0o600), "socket"),
        ("18 zero.txt", lambda path: os.symlink("/dev/zero", path), "character device"),
    ):
        path = os.path.join(pile.root, name)
        try:
            make(path)
        except OSError:
            continue
        pile.expected[path] = Expected(18, State.SKIPPED, f"not a regular file: {reason}")


_SOON_CHANGED = ("19 deleted.txt", "19 replaced.txt", "19 shortened.txt", "19 becomes a pipe.txt")


def _soon_changed(pile: _Pile) -> None:
    for name in _SOON_CHANGED:
        pile.text(19, name, SENTENCES["english"])
