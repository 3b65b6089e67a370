"""Marks: in a prompt only the template's own count, and a prompt without forged ones has the tokens that it always had."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from model_folders import WORDS
from tokenizers import NormalizedString, PreTokenizedString
from tokenizers.pre_tokenizers import PreTokenizer
from tokenizers_made import BRACKETED, KINDS, SPECIAL, make_tokenizer

from engine.errors import DocumentError
from engine.models.prompt_text import PromptText
from engine.models.tokenizer import WorkerTokenizer

ODD = (" ", "\n", "  ", "\n\n", "\t", "é", "東京", "12", "covid", "{}", "<b>", "<", "|", ".", "ﬁ", "Ⅷ", "", "<|", "]")


@pytest.fixture(scope="module", params=KINDS)
def made(request):
    """A tokenizer and a worker's own over it."""
    tokenizer = make_tokenizer(request.param)
    return tokenizer, WorkerTokenizer(tokenizer)


def texts(seed, marks=()):
    """Yield endless random texts: words, odd characters and white space, and with ``marks`` those and halves of them."""
    draw = random.Random(seed)
    words = WORDS.split()
    halves = [piece for mark in marks for n in range(1, len(mark)) for piece in (mark[:n], mark[n:])]
    kinds = [lambda: draw.choice(words) + draw.choice(["", " "]), lambda: draw.choice(ODD)]
    if marks:
        kinds += [lambda: draw.choice(marks), lambda: draw.choice(marks), lambda: draw.choice(halves)]
    while True:
        yield "".join(draw.choice(kinds)() for _ in range(draw.randint(0, 12)))


def conversations(worker, seed, marks=()):
    """Yield prompts of a worker's tokenizer with the messages that they were made of."""
    source = texts(seed, marks)
    for number in range(60):
        system, asked, answer, user = itertools.islice(source, 4)
        system = system if number % 2 else ""
        pairs = [(asked, answer)] if number % 3 else []
        messages = [{"role": "system", "content": system}] if system else []
        for pair in pairs:
            messages += [
                {"role": role, "content": text} for role, text in zip(("user", "assistant"), pair, strict=True)
            ]
        yield worker.conversation(system, user, pairs), [*messages, {"role": "user", "content": user}]


def apply(tokenizer, messages, **options):
    found = tokenizer.apply_chat_template(messages, add_generation_prompt=True, **options)
    return found if isinstance(found, str) else list(found["input_ids"] if hasattr(found, "keys") else found)


def marks_of(tokenizer):
    """Return ids of all added tokens that are marks by their look, found without the engine's help."""
    added = {number: token.content for number, token in tokenizer.added_tokens_decoder.items()}
    return {number: text for number, text in added.items() if text[0] in "<[" and text != "<b>"}


def marks_in(tokenizer, ids):
    known = marks_of(tokenizer)
    return [known[int(number)] for number in ids if int(number) in known and number != tokenizer.unk_token_id]


def test_a_prompt_without_marks_has_the_tokens_that_transformers_gives_it(made):
    tokenizer, worker = made
    for prompt, messages in conversations(worker, 1):
        assert prompt.text == apply(tokenizer, messages, tokenize=False)
        assert worker.prompt_ids(prompt).tolist() == apply(tokenizer, messages)


def test_the_way_that_is_taken_for_forged_marks_gives_the_same_tokens_where_there_are_none(made):
    tokenizer, worker = made
    forged = worker.conversation("", "".join(marks_of(tokenizer).values()))
    worker.prompt_ids(forged)
    for prompt, messages in conversations(worker, 2):
        assert worker._marks.encode(prompt).tolist() == apply(tokenizer, messages)


def test_a_prompt_has_the_marks_of_its_template_and_no_others_whatever_its_texts_spell(made):
    tokenizer, worker = made
    for prompt, messages in conversations(worker, 3, list(marks_of(tokenizer).values())):
        neutral = apply(tokenizer, [{**message, "content": "a"} for message in messages])
        assert prompt.text == apply(tokenizer, messages, tokenize=False)
        assert marks_in(tokenizer, worker.prompt_ids(prompt)) == marks_in(tokenizer, neutral)


def test_texts_for_an_encoder_hold_no_marks_and_are_else_as_ever(made):
    tokenizer, worker = made
    plain = list(itertools.islice(texts(4), 60))
    expected = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in plain]
    assert [ids.tolist() for ids in worker.ids(plain)] == expected
    forged = list(itertools.islice(texts(5, list(marks_of(tokenizer).values())), 60))
    for text, ids in zip(forged, worker.ids(forged), strict=True):
        assert marks_in(tokenizer, ids) == []
        spans = worker.spans(text)
        assert len(spans) in (0, len(ids))


@pytest.mark.parametrize("kind", ["unigram", "prepended"])
def test_the_mark_for_what_is_unknown_is_text_where_it_is_written_and_stays_where_something_is_unknown(kind):
    tokenizer = make_tokenizer(kind)
    worker = WorkerTokenizer(tokenizer)
    assert tokenizer.unk_token_id not in worker.ids(["a <unk> b"])[0]
    if kind == "unigram":
        assert tokenizer.unk_token_id in worker.ids(["a 東 b"])[0]


@pytest.mark.parametrize("mark", [*SPECIAL, *BRACKETED])
def test_a_mark_put_together_from_two_texts_is_ordinary_text(mark):
    worker = WorkerTokenizer(make_tokenizer("bytes"))
    worker._tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}<|im_end|>"
    for cut in range(1, len(mark)):
        made = worker.conversation("a " + mark[:cut], mark[cut:] + " b")
        assert mark in made.text
        assert marks_in(worker._tokenizer, worker.prompt_ids(made)) == ["<|im_end|>"]


def test_a_mark_put_together_from_three_texts_and_from_text_and_template_is_ordinary_text():
    worker = WorkerTokenizer(make_tokenizer("bytes"))
    worker._tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }}{% endfor %}|><|im_end|>"
    made = worker.conversation("", "im_end", [("<|", "im_end|><|")])
    assert made.text == "<|im_end|><|im_end|><|im_end|>"
    assert marks_in(worker._tokenizer, worker.prompt_ids(made)) == ["<|im_end|>"]


def test_the_tokens_are_those_of_transformers_own_protection_where_it_has_one():
    tokenizer = make_tokenizer("bytes")
    worker = WorkerTokenizer(tokenizer)
    for prompt, messages in conversations(worker, 6, list(SPECIAL)):
        assert worker.prompt_ids(prompt).tolist() == apply(tokenizer, messages, sanitize_control_tokens=True)


def test_words_white_space_and_html_that_have_tokens_of_their_own_keep_them():
    tokenizer = make_tokenizer("bytes")
    tokenizer.add_tokens(["<strong>"])
    worker = WorkerTokenizer(tokenizer)
    text = "covid  is <strong>\n\nhere <|im_end|>"
    ids = worker.ids([text])[0]
    kept = [tokenizer.convert_tokens_to_ids(word) for word in ("covid", "  ", "<strong>", "\n\n")]
    assert [number for number in ids if number in kept] == kept
    assert marks_in(tokenizer, ids) in ([], ["<strong>"])


def test_a_prompt_of_the_models_own_keeps_its_marks_and_the_text_behind_it_has_none():
    tokenizer = make_tokenizer("bytes")
    worker = WorkerTokenizer(tokenizer)
    own = "<|im_start|>query: "
    (ids,) = worker.ids([own + "a <|im_start|> b"], own=len(own))
    assert marks_in(tokenizer, ids) == ["<|im_start|>"]


def test_a_long_text_has_no_marks_in_any_of_its_pieces(monkeypatch):
    from engine.models import tokenizer as module

    monkeypatch.setattr(module, "PIECE", 300)
    tokenizer = make_tokenizer("bytes")
    worker = WorkerTokenizer(tokenizer)
    long = "one <|im_end|> two " * 100
    assert marks_in(tokenizer, worker.ids([long])[0]) == []
    made = worker.conversation("", long)
    assert marks_in(tokenizer, worker.prompt_ids(made)) == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]


def test_copies_of_a_tokenizer_agree_about_forged_marks():
    worker = WorkerTokenizer(make_tokenizer("unigram"))
    prompt = worker.conversation("be </s> brief", "a <|user|> b <s> <pad>")
    assert np.array_equal(worker.copy().prompt_ids(prompt), worker.prompt_ids(prompt))


class _Words:
    """A pre-tokenizer in Python, of which no file can be written."""

    def pre_tokenize(self, pretok: PreTokenizedString) -> None:
        pretok.split(lambda _, text: self._split(text))

    def _split(self, text: NormalizedString) -> list[NormalizedString]:
        return text.split(" ", "merged_with_next")


def test_a_tokenizer_that_cannot_be_copied_reads_marks_as_text_too_or_says_that_it_cannot():
    tokenizer = make_tokenizer("wordpiece")
    tokenizer._tokenizer.pre_tokenizer = PreTokenizer.custom(_Words())
    worker = WorkerTokenizer(tokenizer)
    prompt = worker.conversation("", "a <|im_end|> b")
    assert marks_in(tokenizer, worker.prompt_ids(prompt)) == ["<|im_start|>", "<|im_end|>", "<|im_start|>"]
    tokenizer.add_tokens(["<tool_call>"])
    worker = WorkerTokenizer(tokenizer)
    with pytest.raises(DocumentError, match="spells marks"):
        worker.prompt_ids(worker.conversation("", "a <tool_call> b"))


def test_what_overlaps_an_inserted_text_or_spans_a_break_is_not_the_templates_own():
    prompt = PromptText("0123456789", ((2, 4), (6, 6)))
    assert [prompt.touches(a, b) for a, b in ((0, 2), (1, 3), (3, 5), (4, 6), (5, 7), (6, 8), (4, 7))] == [
        *(False, True, True, False, True, False, True)
    ]
    assert list(prompt.stretches()) == [(0, 2, True), (2, 4, False), (4, 6, True), (6, 10, True)]
    assert prompt.cut(3, 7) == PromptText("3456", ((0, 1), (3, 3)))
