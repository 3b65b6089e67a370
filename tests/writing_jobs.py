"""Jobs that write: a tiny text generator, a prompt, and what transformers writes."""

from __future__ import annotations

from model_folders import make_folder

PROMPT = {"prompt": "Read this and answer in a word: {text}", "max_new_tokens": 10}


def make_decoder(root, family="qwen3", **options):
    """Make a folder with a tiny text generator of which sentence-transformers knows nothing."""
    return make_folder(root, family, modules=False, head="ForCausalLM", positions=256, **options)


def oracle_answer(folder, prompt, new_tokens):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).input_ids
    with torch.inference_mode():
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=new_tokens, do_sample=False)
    return tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True, clean_up_tokenization_spaces=False)
