"""Streams of text: the same text as decoding at once, whole characters, and stop texts that span tokens."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.inference.generation.text import TextStream


def by_bytes(tokens: Sequence[int]) -> str:
    """Decode as byte-level tokenizers do: every token one byte."""
    return bytes(tokens).decode("utf-8", errors="replace")


PIECES = ["▁He", "llo", "▁wor", "ld", "▁", "!", "ST", "OP", "S", "T", "O", "P"]


def by_pieces(tokens: Sequence[int]) -> str:
    """Decode as sentencepiece does: the space before the first piece is dropped."""
    return "".join(PIECES[t] for t in tokens).replace("▁", " ").removeprefix(" ")


def stream_of(
    tokens: Sequence[int], decode=by_bytes, stop: Sequence[str] = (), each: int = 1
) -> tuple[TextStream, str]:
    stream = TextStream(decode, stop)
    shown = ""
    for i in range(0, len(tokens), each):
        shown += stream.push(tokens[i : i + each])
        assert stream.text == shown
        if stream.stopped:
            return stream, shown
    return stream, shown + stream.close()


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), st.integers(1, 4))
def test_streamed_text_equals_the_text_decoded_at_once(text: str, each: int) -> None:
    stream, shown = stream_of(list(text.encode()), each=each)
    assert shown == stream.text == text


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, len(PIECES) - 1), max_size=30))
def test_spaces_between_pieces_survive_streaming(tokens: list[int]) -> None:
    assert stream_of(tokens, by_pieces)[1] == by_pieces(tokens)


def test_a_character_of_several_tokens_is_shown_whole() -> None:
    stream = TextStream(by_bytes)
    assert [stream.push([byte]) for byte in "a€😀".encode()] == ["a", "", "", "€", "", "", "", "😀"]


def test_a_broken_character_is_shown_in_the_end_and_does_not_hold_the_text_for_ever() -> None:
    stream, shown = stream_of([0x41, 0xE2, 0x82])
    assert shown == "A�"
    stream = TextStream(by_bytes)
    assert any(stream.push([0xF0]) for _ in range(10))
    assert stream.push(list(b"ok")).endswith("ok")


@settings(max_examples=200, deadline=None)
@given(
    st.text("abS", max_size=25),
    st.lists(st.text("abS", min_size=1, max_size=4), min_size=1, max_size=3),
    st.integers(1, 5),
)
def test_the_text_ends_before_the_first_stop_text(text: str, stops: list[str], each: int) -> None:
    stream, shown = stream_of(list(text.encode()), stop=stops, each=each)
    # The oracle reads character by character, as tokens come, and stops at the first stop text that is complete.
    expected = text
    for n in range(1, len(text) + 1):
        places = [place for s in stops if (place := text[:n].find(s)) >= 0]
        if places:
            expected = text[: min(places)]
            break
    assert shown == stream.text == expected
    assert stream.stopped == (expected != text)


def test_a_stop_text_may_span_tokens_and_nothing_of_it_is_ever_shown() -> None:
    stream = TextStream(by_pieces, ("STOP",))
    shown = [stream.push([PIECES.index(piece)]) for piece in ("▁He", "S", "ST", "OP")]
    assert shown == ["He", "", "S", ""]
    assert stream.stopped
    assert stream.text == "HeS"
    assert stream.push([1]) == ""
    assert stream.close() == ""


def test_what_only_looked_like_a_stop_text_is_shown() -> None:
    stream = TextStream(by_pieces, ("STOP",))
    assert stream.push([PIECES.index("ST")]) == ""
    assert stream.push([PIECES.index("!")]) == "ST!"
    assert stream.push([PIECES.index("S")]) == ""
    assert stream.close() == "S"


def test_a_stop_text_inside_one_token_cuts_that_token() -> None:
    stream = TextStream(lambda tokens: "".join(["ab\n\ncd", "x"][t] for t in tokens), ("\n\n",))
    assert stream.push([1, 0]) == "xab"
    assert stream.stopped
