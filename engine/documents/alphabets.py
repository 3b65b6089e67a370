"""Alphabets: how likely a text is in each single-byte code page, judged by the letters of the languages that use it.

A code page gives a letter to nearly every byte, so decoding never fails and proves nothing. What tells them apart is
how likely the letters are: byte E8 is "è" in cp1252 and "č" in cp1250, and a text with "ž", "š" and "č" is Slovenian,
one with "è", "à" and "ù" Italian. Each language is a line of its letters outside ASCII, the most frequent first, and
rank stands in for frequency (Zipf: the k-th letter has a weight of 1/k). The score is the log likelihood of the bytes,
the letters taken one by one (naive Bayes), so that it can be compared with that of other encodings.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cache

from engine.documents.likelihood import Likelihood

WESTERN = (
    "üäößéàèç",  # German
    "éàèêçôîûùâïœëü",  # French
    "óíáéñúü¿¡",  # Spanish
    "ãçáéíóêõâúàôü",  # Portuguese
    "èàùòìéóîí",  # Italian
    "äåöéü",  # Swedish, Finnish
    "øåæéöäóèôòê",  # Danish, Norwegian
    "ëéïöüèáó",  # Dutch
    "óàèéíçòúïü·",  # Catalan
    "íáðéóöþæúý",  # Icelandic
    "éïñöüèçáíóà",  # loan words in English
)
CENTRAL = (
    "łęąóśżćńźéöüáä",  # Polish
    "íáéěřýčšžůúďňťóöü",  # Czech
    "íáýčéžšúľťôňďóäŕĺěř",  # Slovak
    "áéöőóüíúű",  # Hungarian
    "ăîâşţșțé",  # Romanian
    "čšžćđéö",  # Slovenian, Croatian, Serbian
)
CYRILLIC = (
    "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",  # Russian
    "оанивіетрсклудмпязьгбйчхцїжюєшщфґ",  # Ukrainian
    "аиотенсрвлкдпмзяъгучбщжшйцхфюь",  # Bulgarian
    "аоиенсртјкувдмлпзгбчшцњжћхљфђџѓќѕ",  # Serbian, Macedonian
    "аіноеярлскдытумзпцвўгьбыэжчйшюхфё",  # Belarusian
)
GREEK = ("αοτιενσρπηκμλςυγδίόάέχθήφβξύώζψϊϋΐΰ",)
BALTIC = (
    "ėšųįūčžąęõäö",  # Lithuanian
    "āīēšņūļķģčž",  # Latvian
    "äõüöšžé",  # Estonian
)
TURKISH = ("ıüşçöğİâîû",)
HEBREW = ("יוהלארתבמשנםכדקפחעטגסזצןךץףְִָּ",)
ARABIC = ("اليمنتروبعدهسكحفقةجشخصطضأغثذزءإئىظؤآ،؟ًٌَُِّپچگک",)
THAI = ("านรกอเงมยลวดทสต่ะปบคไ้ีิัแหจพชข์ใุโูำซผถึืธษศณฟญภๆฐฝฮฉ็ฎฌฏฒฑฯๅ",)

CODE_PAGES: tuple[tuple[str, tuple[str, ...], float], ...] = (
    ("cp1252", WESTERN, 0.0),
    ("cp1250", CENTRAL, -2.0),
    ("cp1251", CYRILLIC, -3.0),
    ("cp1253", GREEK, -3.0),
    ("cp1254", TURKISH, -2.0),
    ("cp1255", HEBREW, -3.0),
    ("cp1256", ARABIC, -3.0),
    ("cp874", THAI, -3.0),
    ("cp1257", BALTIC, -2.5),
    ("iso8859_2", CENTRAL, -3.0),
    ("koi8_r", CYRILLIC[:1], -4.0),
    ("iso8859_5", CYRILLIC, -4.0),
    ("iso8859_7", GREEK, -5.0),
    ("cp866", CYRILLIC[:1], -4.0),
    ("mac_roman", WESTERN, -12.0),
    ("cp850", WESTERN, -12.0),
    ("cp852", CENTRAL, -12.0),
)
"""Codec, its languages, and how much less usual it is than cp1252 (a log prior, in nats). Order breaks ties."""

LATIN = frozenset(("cp1252", "cp1250", "cp1254", "cp1257", "iso8859_2"))
"""The usual code pages of Latin alphabets, where a text of ASCII may have one or two other letters."""

_QUOTES = frozenset("“”‘’„«»–—…·\xa0")
_SYMBOLS = frozenset("€£°§©®™•±²³µ½×№‚‹›¼¾ªº\xad")
_ALONE = frozenset("àáâèéêíìòóôõùúýöåøæœő")
_QUOTE = math.log(3e-2)
_SYMBOL = math.log(1e-2)
_UNEXPECTED_LETTER = math.log(3e-4)
_UNEXPECTED = math.log(3e-5)
_CAPITAL = math.log(0.08)
_OUT_OF_PLACE = -5.0
"""In nats: what a capital after a small letter, a symbol inside a word, or a letter on its own, takes away."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The bytes above 127 of a sample, counted: all of them, and those in a telling place.

    Telling are those after a small ASCII letter and before a capital one, beside an ASCII letter, between two, and with
    no letter beside them; ``pairs`` are those that follow another one.
    """

    total: Counter[int]
    after_small: Counter[int]
    before_capital: Counter[int]
    beside: Counter[int]
    between: Counter[int]
    alone: Counter[int]
    pairs: Counter[tuple[int, int]]


def evidence(sample: bytes) -> Evidence:
    """Count the bytes above 127 of ``sample`` and where they stand."""
    seen = Evidence(Counter(), Counter(), Counter(), Counter(), Counter(), Counter(), Counter())
    before = 32
    for byte, after in zip(sample, sample[1:] + b" ", strict=True):
        if byte > 127:
            seen.total[byte] += 1
            letters = _is_letter(before) + _is_letter(after)
            if letters:
                seen.beside[byte] += 1
                seen.after_small[byte] += 97 <= before <= 122
                seen.before_capital[byte] += 65 <= after <= 90
                seen.between[byte] += letters == 2
            elif before < 128 and after < 128:
                seen.alone[byte] += 1
            if before > 127:
                seen.pairs[before, byte] += 1
        before = byte
    return seen


def _is_letter(byte: int) -> bool:
    return 97 <= byte <= 122 or 65 <= byte <= 90


@cache
def _characters(encoding: str) -> tuple[str, ...]:
    """The characters of bytes 128 to 255; an empty one where the code page has none."""
    return tuple(bytes((byte,)).decode(encoding, "ignore") for byte in range(128, 256))


@cache
def _weights(encoding: str, letters: str) -> tuple[float, ...]:
    """Log likelihood of each byte from 128 to 255 in a text of the language with these ``letters``."""
    scale = sum(1 / rank for rank in range(1, len(letters) + 1))
    ranks = {letter: rank for rank, letter in enumerate(letters, 1)}
    weights: list[float] = []
    for character in _characters(encoding):
        small = character.lower()
        if small in ranks:
            weight = -math.log(ranks[small] * scale)
            weights.append(weight if small == character else weight + _CAPITAL)
        elif character in _QUOTES:
            weights.append(_QUOTE)
        elif character in _SYMBOLS:
            weights.append(_SYMBOL)
        else:
            weights.append(_UNEXPECTED_LETTER if character.isalpha() else _UNEXPECTED)
    return tuple(weights)


def _misplaced(characters: tuple[str, ...], seen: Evidence) -> int:
    """How many bytes stand where their character does not belong."""
    capitals = sum(n for byte, n in seen.after_small.items() if characters[byte - 128].isupper())
    smalls = sum(n for byte, n in seen.before_capital.items() if characters[byte - 128].islower())
    capitals += sum(
        n
        for (small, byte), n in seen.pairs.items()
        if characters[byte - 128].isupper() and characters[small - 128].islower()
    )
    symbols = sum(
        n
        for byte, n in seen.between.items()
        if not characters[byte - 128].isalpha() and characters[byte - 128] not in _QUOTES
    )
    latin = sum(
        n
        for byte, n in seen.alone.items()
        if _is_latin(characters[byte - 128]) and characters[byte - 128].lower() not in _ALONE
    )
    # Words of another script have no Latin letters in them, and are seldom all of one letter.
    mixed = sum(n for byte, n in seen.beside.items() if _is_foreign(characters[byte - 128]))
    single = sum(n for byte, n in seen.alone.items() if _is_foreign(characters[byte - 128]))
    return capitals + smalls + symbols + latin + mixed + (single if 4 * single > seen.total.total() else 0)


def _is_latin(character: str) -> bool:
    return "\xbf" < character < "\u0250" and character.isalpha()


def _is_foreign(character: str) -> bool:
    """A letter or a vowel sign of a script that is not Latin."""
    return "\u0370" <= character < "\u2000"


def likelihoods(sample: bytes) -> list[Likelihood]:
    """Return how likely ``sample`` is in every code page that has a character for each of its bytes."""
    seen = evidence(sample)
    count = seen.total.total()
    found: list[Likelihood] = []
    for encoding, languages, prior in CODE_PAGES:
        characters = _characters(encoding)
        if any(not characters[byte - 128] or "\x80" <= characters[byte - 128] < "\xa0" for byte in seen.total):
            continue
        letters = max(
            sum(n * weights[byte - 128] for byte, n in seen.total.items())
            for weights in (_weights(encoding, letters) for letters in languages)
        )
        score = letters + _OUT_OF_PLACE * _misplaced(characters, seen)
        found.append(Likelihood((encoding,), score, count, prior, len(sample) - count))
    return found
