"""An answer ends where any of configurations, tokenizer and chat template says so, over slots and in batches."""

from __future__ import annotations

import json

import decoder_models
import pytest
import torch
import transformers
from model_folders import change_json
from tokenizers import Tokenizer, models, pre_tokenizers

from engine.cli.main import main
from engine.inference.generation.ends import ends_of

MARK, OTHER = "<|im_end|>", "<|endoftext|>"
QUESTION = "w5 w9 w33 w2 w28"
NEW = 24
TEMPLATE = (
    "{% for message in messages %}{{ message.content + ' ' }}"
    "{% if message.role == 'assistant' %}{{ '" + MARK + "' }}{% endif %}{% endfor %}"
)
NEXT_TURN = (
    "{% for message in messages %}{% if message.role == 'user' and not loop.first %}{{ '" + MARK + " ' }}{% endif %}"
    "{{ message.content + ' ' }}{% endfor %}"
)
PARTS = (
    "{% for message in messages %}{% for part in message.content %}{{ part.text + ' ' }}{% endfor %}"
    "{% if message.role == 'assistant' %}{{ '" + MARK + "' }}{% endif %}{% endfor %}"
)


def numbers(model, prompt):
    """Return the tokens that the model writes when nothing ends its answer."""
    ids = torch.tensor([prompt])
    found = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False)
    return found[0, len(prompt) :].tolist()


@pytest.fixture(scope="module", params=["llama", "mamba"])
def written(request):
    """A model, over slots or in batches, and what it writes."""
    model = decoder_models.make(request.param)
    model.generation_config.eos_token_id = None
    model.config.eos_token_id = None
    return model, numbers(model, [5, 9, 33, 2, 28])


def make_folder(place, model, mark, other, template="", eos=""):
    """Save the model with a word a token, of which ``mark`` and ``other`` are called as control tokens are."""
    model.save_pretrained(place)
    names = {f"w{n}": n for n in range(decoder_models.VOCABULARY)}
    for name, number in ((MARK, mark), (OTHER, other)):
        del names[f"w{number}"]
        names[name] = number
    tokenizer = Tokenizer(models.WordLevel(names, unk_token="w1"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="w1",
        extra_special_tokens=[MARK, OTHER],
        **({"eos_token": eos} if eos else {}),
    )
    made.chat_template = template or None
    made.save_pretrained(place)
    return str(place)


SOURCES = {
    "the template": ({"template": TEMPLATE}, {}, {}),
    "the template's next turn": ({"template": NEXT_TURN}, {}, {}),
    "the tokenizer": ({"eos": MARK}, {}, {}),
    "the config": ({}, {"eos_token_id": True}, {}),
    "the generation config": ({}, {}, {"eos_token_id": True}),
    "a list in the generation config": ({"eos": OTHER}, {}, {"eos_token_id": [True]}),
}


@pytest.mark.parametrize("source", SOURCES)
def test_any_of_them_ends_an_answer(source, written, tmp_path):
    model, tokens = written
    place = next(n for n in range(2, NEW) if tokens[n] not in tokens[:n] and tokens[n] not in (0, 1))
    mark = tokens[place]
    other = next(n for n in range(40, 60) if n not in tokens)
    options, config, generation = SOURCES[source]
    folder = make_folder(tmp_path / "model", model, mark, other, **options)
    # What the others say is the other end, as in a fine-tune that left its base's configurations as they were.
    for name, said in (("config.json", config), ("generation_config.json", generation)):
        ends = said.get("eos_token_id")
        change_json(folder, name, eos_token_id=mark if ends is True else [other, mark] if ends else other)

    theirs = type(model).from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    ids = torch.tensor([[5, 9, 33, 2, 28]])
    found = theirs.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False, eos_token_id=[other, mark]
    )
    expected = tokenizer.decode(found[0, 5:], skip_special_tokens=True)

    (tmp_path / "one.txt").write_text(QUESTION)
    out = tmp_path / "rows.jsonl"
    order = ["run", "generate", "--prompt", "{text}", "--max-new-tokens", str(NEW), str(tmp_path / "one.txt")]
    order += ["--model", folder, "--dtype", "float32", "--workers", "1", "--threads", "1", "--out", str(out)]
    assert main([*order, "--quiet"]) == 0
    result = json.loads(out.read_text())["result"]
    assert (result["text"], result["finish_reason"], result["tokens_out"]) == (expected, "end", place)


TEMPLATES = {
    "in parts": (PARTS, {40}, ()),
    "of a mark that is no token": (TEMPLATE.replace(MARK, "<|turn|>"), set(), ("<|turn|>",)),
    "without a mark": ("{% for message in messages %}{{ message.content }}\n{% endfor %}", set(), ()),
    "that refuses": ("{{ raise_exception('no') }}", set(), ()),
    "that closes with words": (TEMPLATE.replace(MARK, "Human: "), set(), ()),
}


@pytest.mark.parametrize("kind", TEMPLATES)
def test_the_mark_behind_an_answer_is_found_in_a_template(kind, tmp_path):
    template, tokens, texts = TEMPLATES[kind]
    model = decoder_models.make("llama", eos_token_id=7)
    folder = make_folder(tmp_path, model, 40, 41, template)
    found = ends_of(model, transformers.AutoTokenizer.from_pretrained(folder))
    assert (set(found.tokens), found.texts) == ({7, *tokens}, texts)
