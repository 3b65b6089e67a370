"""Detection: realistic texts in every encoding that people still have, short and long, whole and damaged."""

from __future__ import annotations

import codecs
import random
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.documents.encodings import detect, known
from engine.documents.opening import NotADocument
from engine.documents.read import decode
from engine.errors import DocumentError, UsageError

TEXTS: dict[str, str] = {
    "chinese": (
        "您好，我上个星期在你们的网站买了一台洗衣机，可是到今天还没有收到。客服电话一直打不通，请问什么时候可以送到？"
        "如果这个周末还不能送货，我想取消订单，请把钱退给我。我家里有老人和孩子，没有洗衣机实在很不方便。"
        "另外，发票上的名字写错了，应该是王小明，不是王晓明。希望你们尽快处理这件事情，谢谢！"
    ),
    "taiwanese": (
        "您好，我上個星期在你們的網站買了一台洗衣機，可是到今天還沒有收到。客服電話一直打不通，請問什麼時候可以送到？"
        "如果這個週末還不能送貨，我想取消訂單，請把錢退給我。我家裡有老人和孩子，沒有洗衣機實在很不方便。"
        "另外，發票上的名字寫錯了，應該是王小明，不是王曉明。希望你們儘快處理這件事情，謝謝！"
    ),
    "japanese": (
        "先週そちらのお店で洗濯機を買いましたが、まだ届いていません。電話をかけても誰も出ないので、メールで連絡します。"
        "いつごろ届くのか教えていただけますか。今週の土曜日までに届かない場合は、注文をキャンセルしたいと思います。"
        "それから、領収書の名前が間違っていました。正しくは山田太郎です。お手数ですが、よろしくお願いいたします。"
    ),
    "korean": (
        "지난주에 그쪽 가게에서 세탁기를 샀는데 아직도 오지 않았습니다. 전화를 걸었지만 아무도 받지 않아서 "
        "편지를 씁니다. 언제쯤 받을 수 있는지 알려 주시겠어요? 이번 주말까지 배달되지 않으면 주문을 취소하고 싶습니다. "
        "그리고 영수증에 적힌 이름이 틀렸습니다. 빨리 처리해 주시기 바랍니다. 감사합니다."
    ),
    "french": (
        "Bonjour, la machine à laver que j’ai commandée la semaine dernière n’est toujours pas arrivée. J’ai téléphoné "
        "plusieurs fois à votre service après-vente, mais personne n’a répondu. Où est-elle passée ? Si elle n’est pas "
        "livrée d’ici à samedi, je préfère être remboursé. « Satisfait ou remboursé », dites-vous : voilà l’occasion ! "
    ),
    "german": (
        "Guten Tag, die Waschmaschine, die ich vorige Woche bei Ihnen gekauft habe, ist noch nicht da. Können Sie mir "
        "sagen, wann sie voraussichtlich geliefert wird? Für eine Familie mit drei Kindern ist das höchst ärgerlich. "
        "Außerdem stimmt die Rechnung nicht: Der Preis „ab Lager“ betrug 499 €, nicht 549 €. Mit freundlichen Grüßen, "
        "Jürgen Groß, Köln. "
    ),
    "spanish": (
        "Hola, la lavadora que compré la semana pasada todavía no ha llegado. Llamé tres veces y nadie contestó. "
        "¿Cuándo piensan entregármela? Si no está aquí el sábado, quiero que me devuelvan el dinero. Además, el apellido de la "
        "factura está mal: es Núñez, con eñe y acento. ¡Qué vergüenza! "
    ),
    "english": (
        "The price was £499, not £549 – that’s what your “spring offer” said. I’d like the difference back… My café in "
        "Zürich can’t wait; it’s 30 °C in here and we’ve no clean towels. © 2019 Smith & Sons, naïve customers. "
    ),
    "russian": (
        "Здравствуйте, на прошлой неделе я купил у вас стиральную машину, но её до сих пор не привезли. Я несколько "
        "раз звонил в магазин, однако никто не ответил. Скажите, пожалуйста, когда её доставят? Если до субботы машины не "
        "будет, верните мне деньги. Кроме того, в счёте неправильно написана моя фамилия. "
    ),
    "polish": (
        "Dzień dobry, pralka, którą kupiłem w zeszłym tygodniu, jeszcze nie przyszła. Dzwoniłem kilka razy, ale nikt "
        "nie odbierał. Proszę powiedzieć, kiedy zostanie dostarczona. Jeżeli nie będzie jej do soboty, chciałbym otrzymać "
        "zwrot pieniędzy. Poza tym na fakturze jest błąd w nazwisku: powinno być Wójcik, a nie Wojcik. Dziękuję. "
    ),
    "greek": (
        "Καλημέρα σας, το πλυντήριο που αγόρασα την περασμένη εβδομάδα δεν έχει έρθει ακόμα. Τηλεφώνησα πολλές φορές, "
        "αλλά κανείς δεν απάντησε. Μπορείτε να μου πείτε πότε θα παραδοθεί; Αν δεν έρθει ως το Σάββατο, θέλω τα λεφτά "
        "μου πίσω. Επίσης το όνομα στο τιμολόγιο είναι λάθος. "
    ),
    "turkish": (
        "Merhaba, geçen hafta sizden aldığım çamaşır makinesi hâlâ gelmedi. Birkaç kez telefon ettim ama kimse açmadı. "
        "Ne zaman teslim edileceğini söyler misiniz? Cumartesiye kadar gelmezse paramı geri istiyorum. Ayrıca "
        "faturadaki soyadım yanlış yazılmış: doğrusu Yıldız olmalı. Şimdiden teşekkür ederim. "
    ),
    "thai": (
        "สวัสดีครับ เครื่องซักผ้าที่ผมซื้อจากร้านของคุณเมื่อสัปดาห์ที่แล้วยังมาไม่ถึงเลย ผมโทรไปหลายครั้งแต่ไม่มีใครรับสาย "
        "ช่วยบอกหน่อยได้ไหมครับว่าจะส่งเมื่อไหร่ ถ้าไม่มาภายในวันเสาร์ผมขอเงินคืน "
    ),
}

FAULT_ROW_15 = [
    ("chinese", "gb18030"),
    ("chinese", "gbk"),
    ("taiwanese", "big5"),
    ("taiwanese", "cp950"),
    ("japanese", "shift_jis"),
    ("japanese", "cp932"),
    ("japanese", "euc_jp"),
    ("korean", "euc_kr"),
    ("korean", "cp949"),
    ("french", "cp1252"),
    ("german", "cp1252"),
    ("spanish", "cp1252"),
    ("english", "cp1252"),
]
OTHERS = [
    ("russian", "cp1251"),
    ("russian", "koi8_r"),
    ("polish", "cp1250"),
    ("polish", "iso8859_2"),
    ("greek", "cp1253"),
    ("turkish", "cp1254"),
    ("thai", "cp874"),
]


def windows(text: str, length: int, step: int) -> list[str]:
    """Pieces of ``text`` with at least four characters outside ASCII, so that there is something to tell by."""
    pieces = [text[start : start + length] for start in range(0, len(text) - length + 1, step)]
    return [piece for piece in pieces if sum(character > "\x7f" for character in piece) >= 4]


def right(pieces: list[str], codec: str) -> float:
    """The share of ``pieces`` that are read back right from ``codec``."""
    count = 0
    for piece in pieces:
        try:
            count += decode(piece.encode(codec)).text == piece
        except DocumentError:
            continue
    assert pieces
    return count / len(pieces)


@pytest.mark.parametrize(("language", "codec"), FAULT_ROW_15)
@pytest.mark.parametrize("length", [40, 100])
def test_every_piece_of_a_few_sentences_is_read_right(language, codec, length):
    assert right(windows(TEXTS[language], length, 7), codec) == 1


@pytest.mark.parametrize(("language", "codec"), FAULT_ROW_15 + OTHERS)
def test_a_long_text_is_read_right_and_shown_as_detected(language, codec):
    text = (TEXTS["english"].encode("ascii", "ignore").decode() + "\r\n" + TEXTS[language] + "\r\n") * 50
    found = decode(text.encode(codec))
    assert found.text == text
    assert 0.5 < found.confidence < 1


@pytest.mark.parametrize(("language", "codec"), OTHERS)
def test_other_alphabets_are_read_right_in_nearly_all_pieces(language, codec):
    assert right(windows(TEXTS[language], 60, 7), codec) >= 0.9


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("language", sorted(TEXTS))
def test_utf16_and_utf32_without_a_mark_are_read_right(language, codec):
    pieces = [TEXTS[language][start : start + 25] for start in range(0, len(TEXTS[language]) - 25, 5)]
    assert right(pieces, codec) == 1
    found = decode((TEXTS[language] * 20).encode(codec))
    assert (found.text, found.encoding) == (TEXTS[language] * 20, codec)
    assert 0.9 < found.confidence < 1


@pytest.mark.parametrize("language", sorted(TEXTS))
def test_utf8_with_one_bad_byte_is_still_utf8_and_not_taken_for_another_encoding(language):
    data = TEXTS[language].encode()
    for position in range(3, len(data), 11):
        damaged = data[:position] + b"\xff" + data[position:]
        found = detect(damaged)
        assert found is not None
        assert found.encoding == "utf-8"
        assert found.confidence < 1


@pytest.mark.parametrize("bad", [b"\xff", b"\xff\xfe", b"\xc3(", b"\x81", b"\xc0\xaf", b"\xf0(\x8c("])
@pytest.mark.parametrize("times", [1, 3, 100])
def test_bad_bytes_in_plain_english_are_not_taken_for_letters(bad, times):
    with pytest.raises(DocumentError, match="not UTF-8: bad byte"):
        decode(b"An English sentence with something wrong " * times + (bad + b" in its middle, and no more.\n") * times)


@pytest.mark.parametrize(
    "text",
    ["café", "Hello wörld", "© 2020 Acme Inc.", "It’s “fine” – really…", "£ 50, 10 € and 30 °C", "À la carte", "Å"],
)
def test_one_real_letter_of_cp1252_among_english_is_read(text):
    found = decode(text.encode("cp1252"))
    assert (found.text, found.encoding) == (text, "cp1252")


@pytest.mark.parametrize(("language", "codec"), FAULT_ROW_15[:9])
def test_a_damaged_double_byte_text_is_still_recognised(language, codec):
    half = len(TEXTS[language]) // 2
    head, tail = TEXTS[language][:half], TEXTS[language][half:]
    data = head.encode(codec) + b"\xff" + tail.encode(codec)
    with pytest.raises(DocumentError, match=f"bad byte 0x[0-9a-f]+ at offset {len(head.encode(codec))};"):
        decode(data)
    found = decode(data, on_bad_bytes="replace")
    assert found.text.startswith(head + "\ufffd")
    assert found.text.endswith(tail[4:])


def test_the_only_foreign_line_of_a_long_file_decides():
    text = "Nothing but English here.\n" * 100_000 + TEXTS["chinese"] + "\n" + "And so on.\n" * 1000
    assert decode(text.encode("gbk")).text == text
    line = "no line end " * 100_000 + TEXTS["japanese"]
    assert decode(line.encode("shift_jis")).text == line


@pytest.mark.parametrize(
    ("codec", "towns"),
    [
        ("gb18030", ["北京", "上海", "广州市", "中国", "成都"]),
        ("shift_jis", ["東京の店", "大阪の店", "京都", "名古屋", "すべて"]),
        ("euc_jp", ["東京の店", "大阪の店", "京都", "名古屋", "すべて"]),
    ],
)
def test_a_table_full_of_zeros_is_not_taken_for_kana_in_utf16(codec, towns):
    numbers = ["0,0,0", "1000000,2000", "100,00", "0,30000", "000000,0"]
    rows = [f"{town},{number}" for town, number in zip(towns, numbers, strict=True)]
    for text in ("\n".join(rows), "\r\n".join(rows * 30)):
        assert decode(text.encode(codec)).text == text


@pytest.mark.parametrize(("language", "codec"), [("polish", "cp852"), ("greek", "cp737"), ("russian", "cp855")])
def test_an_encoding_that_is_not_in_our_tables_is_left_to_the_library(language, codec):
    text = TEXTS[language] * 4
    found = decode(text.encode(codec))
    assert (found.text, found.encoding) == (text, codec)
    assert found.confidence < 1


@pytest.mark.parametrize("seed", range(20))
def test_random_and_compressed_bytes_are_no_text(seed):
    chance = random.Random(seed)
    for data in (
        chance.randbytes(200),
        chance.randbytes(5000).replace(b"\0", b"a"),
        zlib.compress("".join(chance.choices("abcdefg \n", k=5000)).encode()),
        b"".join(chance.randrange(3000).to_bytes(4, "little") for _ in range(200)),
    ):
        with pytest.raises(NotADocument, match="not text"):
            decode(data)


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=300))
def test_detection_answers_for_any_bytes_with_a_codec_that_exists(data):
    found = detect(data)
    if found is not None:
        assert known(found.encoding) == found.encoding
        assert 0 < found.confidence < 1


def test_known_gives_pythons_name_or_refuses():
    assert known("Latin-1") == "iso8859-1"
    assert known("GBK") == "gbk"
    for name in ("", "klingon", "rot13", "base64", "nul\0name", "ünï", "punycode", "unicode-escape", "UTF7"):
        with pytest.raises(UsageError, match="Unknown encoding"):
            known(name)


@pytest.mark.parametrize(
    ("language", "codec"),
    [
        *((language, "iso2022_jp_2") for language in ("japanese", "chinese", "korean")),
        ("japanese", "iso2022_jp"),
        ("japanese", "iso2022_jp_ext"),
        ("korean", "iso2022_kr"),
        ("chinese", "hz"),
    ],
)
def test_escapes_between_alphabets_are_not_taken_for_english(language, codec):
    text = TEXTS[language]
    for piece in (text, "Fwd: 3 items\n" + text + "\nbye", text[:4]):
        found = decode(piece.encode(codec, "ignore"))
        assert found.text == piece.encode(codec, "ignore").decode(codec)
        assert 0.5 < found.confidence < 1


def test_iso_2022_cn_is_read_and_what_python_cannot_read_of_it_is_said():
    gb = bytes(byte & 0x7F for byte in "今天天气很好".encode("gb2312"))
    data = b"Note: \x1b$)A\x0e" + gb + b"\x0f, bye\nplain \x0e" + gb[:4] + b"\x0f\n"
    found = decode(data)
    assert (found.text, found.encoding) == ("Note: 今天天气很好, bye\nplain 今天\n", "iso2022_cn")
    with pytest.raises(DocumentError, match="not iso2022_cn: bad byte 0x44 at offset 5"):
        decode(b"\x1b$)G\x0eD!\x0f\n")
    pieces = codecs.getincrementaldecoder("iso2022_cn")()
    assert "".join(pieces.decode(data[i : i + 1], i + 1 == len(data)) for i in range(len(data))) == found.text


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred\x1b[0m and \x1b(B reset",
        "cost ~{5} and ~{abcdef~} is no Chinese",
        "\\frac~{a}~{b}~} x",
        "awk '{print $2}' | sed s~{x}~y~}",
    ],
)
def test_escapes_of_terminals_and_braces_of_programs_stay_what_they_are(text):
    found = decode(text.encode())
    assert (found.text, found.encoding, found.confidence) == (text, "utf-8", 1.0)


def test_what_is_chosen_is_kept_before_what_escapes_say():
    data = "会議".encode("iso2022_jp")
    assert decode(data, encoding="utf-8").confidence == 1.0
    assert decode(data, encoding="iso2022_jp_2").encoding == "iso2022_jp_2"


def test_short_words_of_other_alphabets_are_read():
    assert decode("線程并行".encode("utf-16-le")).text == "線程并行"
    assert decode("線程并行".encode("utf-16-be")).text == "線程并行"
    assert decode("Αθήνα".encode("iso8859_7")).text == "Αθήνα"
    text = "A szerződést nem hosszabbítjuk meg, a főkönyvelő küldje el a végső számlát."
    assert decode(text.encode("cp852")).text == text


@pytest.mark.parametrize(("language", "least"), [("chinese", 0.8), ("taiwanese", 0.8), ("korean", 0.9)])
def test_a_few_ideographs_in_utf16_without_a_mark_are_mostly_read(language, least):
    text = TEXTS[language].replace(" ", "")
    assert right([text[start : start + 4] for start in range(len(text) - 4)], "utf-16-le") >= least
