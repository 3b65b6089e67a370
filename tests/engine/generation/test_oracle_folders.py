"""What a user opens: a folder of every family, read, packed and joined as the product does it, writes what generate() writes."""

from __future__ import annotations

from pathlib import Path

import decoder_models
import generation_oracle as oracle
import pytest
import test_oracle_batches as batches
import torch
import transformers

from engine.models.load_decoder import load_decoder

BATCHES = {*batches.FAMILIES, "hrm_text"}
"""Families that run through generate()."""

FAMILIES = [family for family in decoder_models.RECIPES if family != "llama_dynamic"]
"""All but the one with fewer positions than the prompts need: the product does not take those."""


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
    if loaded.mode == "slots":
        subject = oracle.Subject(loaded.model, loaded.generation, prompts, truths)
        found = oracle.run(subject, oracle.Case(2, 3, 16, True))
    else:
        found = batches.run(loaded.model, loaded.generation, prompts, list(range(len(oracle.NEW))), 4)
    assert oracle.ties(truths, found, family) <= 1
