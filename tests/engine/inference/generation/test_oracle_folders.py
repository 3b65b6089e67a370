"""What a user opens: a folder of every family, read, packed and joined as the product does it, writes what generate() writes."""

from __future__ import annotations

from pathlib import Path

import decoder_models
import generation_oracle as oracle
import numpy as np
import pytest
import test_oracle_batches as batches
import torch
import transformers

from engine.models.load_decoder import LoadedDecoder, load_decoder

BATCHES = {*batches.FAMILIES, "hrm_text", "falcon_mamba", "rwkv"}
"""Families that run through generate()."""

FAMILIES = [family for family in decoder_models.RECIPES if family != "llama_dynamic"]
"""All but the one with fewer positions than the prompts need: the product does not take those."""


def write(loaded: LoadedDecoder, prompts: list[np.ndarray], truths: list[oracle.Truth]) -> dict[int, list[int]]:
    if loaded.mode == "slots":
        subject = oracle.Subject(loaded.model, loaded.generation, prompts, truths)
        return oracle.run(subject, oracle.Case(2, 3, 16, True))
    return batches.run(loaded.model, loaded.generation, prompts, list(range(len(oracle.NEW))), 4)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folder_of_the_family_writes_what_generate_writes(family: str, tmp_path: Path) -> None:
    folder = str(decoder_models.folder(family, tmp_path / family))
    config = transformers.AutoConfig.from_pretrained(folder)
    maker = transformers.AutoModelForSeq2SeqLM if config.is_encoder_decoder else transformers.AutoModelForCausalLM
    theirs = maker.from_pretrained(folder, dtype=torch.float32).eval()
    prompts = oracle.prompts()
    truths = [oracle.truth(theirs, prompt, new) for prompt, new in zip(prompts, oracle.NEW, strict=True)]

    loaded = load_decoder(folder, dtype="float32")
    assert loaded.mode == ("batches" if family in BATCHES else "slots"), loaded.note
    assert oracle.ties(truths, write(loaded, prompts, truths), family) <= 1

    # Whole numbers and bfloat16 beside them change what these random weights write, soon but not at once.
    rounded = write(load_decoder(folder, dtype="int8"), prompts, truths)
    assert [len(rounded[n]) for n in range(len(prompts))] == list(oracle.NEW)
    assert sum(rounded[n][0] == one.tokens[0] for n, one in enumerate(truths)) > len(truths) // 3
