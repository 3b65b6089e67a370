"""Ideographs: how likely a text is in each double-byte encoding of Chinese, Japanese and Korean.

The national standards put their characters in order of use: level 1 of GB 2312 (3,755 hanzi), of Big5 (5,401) and of
JIS X 0208 (2,965 kanji), and the 2,350 Hangul syllables of KS X 1001 cover nearly all running text. Bytes read by the
wrong standard fall anywhere, and rarely hit the few characters that make up a third of every text in the language. So
a reading is judged by how many of its characters are of those few, how many are usual, and how many are neither.
Unlike a strict decoder this survives a damaged byte. (The character distribution method of Li and Momoi, "A composite
approach to language/encoding detection", 2001, with the levels of the standards in place of its frequency tables.)
"""

from __future__ import annotations

import codecs
import math
from dataclasses import dataclass
from functools import cache

from engine.documents.likelihood import Likelihood

_PUNCTUATION = "　、。，．・：；？！“”‘’（）《》〈〉【】「」『』〔〕—…～·％＋－＝／＊＆＃＠＄￥①②③④⑤⑥⑦⑧⑨×→°"
_FULL_WIDTH = "".join(chr(code) for code in range(0xFF10, 0xFF5B))
_HIRAGANA = "".join(chr(code) for code in range(0x3041, 0x3094)) + "ー"
_COMMON_KANA = "のにをはがとてでしたいるもなかられこりすまきくあそよっだーンスルトイリクラ、。"


@dataclass(frozen=True, slots=True)
class Family:
    """One standard, and the codecs that write it, narrowest first.

    ``leads`` and ``trails`` are the ranges of the lead and trail bytes of its usual characters, ``also`` further usual
    ones, ``common`` the few that every text has.
    """

    encodings: tuple[str, ...]
    leads: tuple[tuple[int, int], ...]
    trails: tuple[tuple[int, int], ...]
    common: str
    also: str = _PUNCTUATION + _FULL_WIDTH


FAMILIES = (
    Family(
        ("gb18030",),
        ((0xB0, 0xD7),),
        ((0xA1, 0xFE),),
        "的一是不了在有人我他这中大来上个国到说们为子和你地出道也时年得就那要下以生会自着去之过家学对可里后小么心多天而能"
        "好都然没于起还发成事用件文本如其使或与及所从当请无法，。",
    ),
    Family(
        ("big5", "cp950", "big5hkscs"),
        ((0xA4, 0xC6),),
        ((0x40, 0x7E), (0xA1, 0xFE)),
        "的一是不了在有人我他這中大來上個國到說們為子和你地出道也時年得就那要下以生會自著去之過家學對可里後小麼心多天而能"
        "好都然沒於起還發成事用件文本如其使或與及所從當請無法，。",
    ),
    Family(
        ("shift_jis", "cp932"),
        ((0x83, 0x83), (0x88, 0x98)),
        ((0x40, 0x7E), (0x80, 0xFC)),
        _COMMON_KANA,
        _PUNCTUATION + _FULL_WIDTH + _HIRAGANA,
    ),
    Family(
        ("euc_jp",),
        ((0xA5, 0xA5), (0xB0, 0xCF)),
        ((0xA1, 0xFE),),
        _COMMON_KANA,
        _PUNCTUATION + _FULL_WIDTH + _HIRAGANA,
    ),
    Family(
        ("euc_kr", "cp949"),
        ((0xB0, 0xC8),),
        ((0xA1, 0xFE),),
        "이다는을의에가고하를로도지은한사으시기어서인해그리자나있대정일않수아라것니습",
    ),
)

PRIOR = -4.0
"""How much less usual than cp1252 each of them is (a log prior, in nats)."""

_COMMON_SHARE = 0.35
_USUAL = math.log(0.6 / 3500)
_UNUSUAL = math.log(0.01 / 10000)
_LEAST = 3
"""Characters of UTF-16 without a mark: two of them may be any four bytes."""
_BROKEN = -20.0
"""In nats: what a byte sequence that is none of the encoding takes away; a damaged byte should not decide."""


@cache
def _usual(family: Family) -> frozenset[str]:
    table = bytearray()
    for first, last in family.leads:
        for lead in range(first, last + 1):
            for low, high in family.trails:
                for trail in range(low, high + 1):
                    table += bytes((lead, trail))
    return frozenset(bytes(table).decode(family.encodings[0], "ignore") + family.also)


def likelihoods(sample: bytes, is_all: bool = True) -> list[Likelihood]:
    """Return how likely ``sample`` is in every family.

    A character cut off at its end counts as broken only when the sample ``is_all`` there is.
    """
    found: list[Likelihood] = []
    for family in FAMILIES:
        text = codecs.getincrementaldecoder(family.encodings[-1])("replace").decode(sample, is_all)
        usual = _usual(family)
        weights = dict.fromkeys(family.common, math.log(_COMMON_SHARE / len(family.common)))
        weights["\ufffd"] = _BROKEN
        score = 0.0
        count = 0
        for character in text:
            if character > "\x7f":
                count += 1
                score += weights.get(character) or (_USUAL if character in usual else _UNUSUAL)
        found.append(Likelihood(family.encodings, score, 2 * count, PRIOR, len(text) - count))
    return found


def wide_likelihood(sample: bytes, encoding: str) -> Likelihood | None:
    """Return how likely a short ``sample`` is in UTF-16 without a mark; None unless all of it is usual East Asian text.

    Chinese in UTF-16 may have no byte that tells it from others, so the characters themselves have to.
    """
    try:
        text = sample.decode(encoding)
    except UnicodeDecodeError:
        return None
    alphabet = frozenset[str]().union(*map(_usual, FAMILIES), *(family.common for family in FAMILIES))
    if len(text) < _LEAST or any(character not in alphabet for character in text):
        return None
    score = max(
        sum(
            math.log(_COMMON_SHARE / len(family.common))
            if character in family.common
            else math.log(0.6 / len(usual))
            if character in usual
            else _UNUSUAL
            for character in text
        )
        for family, usual in ((family, _usual(family)) for family in FAMILIES)
    )
    return Likelihood((encoding,), score, len(sample), PRIOR, 0)
