"""The other sides of ``bench generate``. Started as a script, also by the Python of another environment: no Heddle here.

    generate_peer.py KIND MODEL PROMPTS.json '{"threads": 2, "dtype": "bf16", "batch": 32, "cache": "DIR"}'

KIND is ``transformers`` (``generate``, padded batches or one after the other), ``generate_batch`` (its continuous
batching), ``openvino`` (GenAI's continuous batching) or ``llamacpp``. Answers a line of JSON for each on standard input.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Protocol

Prompts = list[list[int]]


class Peer(Protocol):
    """One way to continue prompts greedily by exactly ``new`` tokens."""

    def generate(self, prompts: Prompts, new: int, batch: int) -> list[list[int]]:
        """Return the new tokens of each prompt, at most ``batch`` at once."""
        ...

    def about(self) -> dict[str, Any]:
        """Return what to tell of this side."""
        ...


class Transformers:
    """``generate()`` in padded batches, sorted by length; a batch of 1 is one after the other."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        """Load the model on ``threads`` threads in ``dtype``."""
        import torch
        import transformers

        torch.set_num_threads(options["threads"])
        self.torch, self.version, self.dtype = torch, transformers.__version__, options["dtype"]
        kind = {"bf16": torch.bfloat16, "float32": torch.float32}[self.dtype]
        self.model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=kind).eval()

    def generate(self, prompts: Prompts, new: int, batch: int) -> list[list[int]]:
        """Return the new tokens of each prompt; shorter prompts of a batch are padded on the left."""
        torch = self.torch
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        found: list[list[int]] = [[] for _ in prompts]
        with torch.inference_mode():
            for at in range(0, len(order), batch):
                chosen = order[at : at + batch]
                width = max(len(prompts[i]) for i in chosen)
                ids = torch.zeros(len(chosen), width, dtype=torch.long)
                mask = torch.zeros_like(ids)
                for row, i in enumerate(chosen):
                    ids[row, width - len(prompts[i]) :] = torch.tensor(prompts[i])
                    mask[row, width - len(prompts[i]) :] = 1
                out = self.model.generate(
                    ids, attention_mask=mask, max_new_tokens=new, do_sample=False, pad_token_id=0, eos_token_id=None
                )
                for row, i in enumerate(chosen):
                    found[i] = out[row, width:].tolist()
        return found

    def about(self) -> dict[str, Any]:
        """Return version, threads and number format."""
        return {"version": self.version, "threads": self.torch.get_num_threads(), "dtype": self.dtype}


class GenerateBatch(Transformers):
    """transformers' continuous batching, with memory for ``batch`` sequences."""

    def generate(self, prompts: Prompts, new: int, batch: int) -> list[list[int]]:
        """Return the new tokens of each prompt."""
        import transformers

        longest = max(map(len, prompts)) + new
        page = 32
        settings = transformers.ContinuousBatchingConfig(
            page_size=page,
            num_blocks=-(-longest // page) * batch + 1,
            max_batch_tokens=512,
            max_requests_per_batch=batch,
            allow_block_sharing=False,
        )
        config = transformers.GenerationConfig(max_new_tokens=new, do_sample=False, eos_token_id=-1, pad_token_id=0)
        told = self.model.generate_batch(
            prompts, generation_config=config, continuous_batching_config=settings, progress_bar=False
        )
        # The requests are numbered in the order of the prompts.
        numbers = sorted(told, key=lambda name: int(name.rsplit("_", 1)[-1]))
        return [list(told[name].generated_tokens) for name in numbers]


class OpenVino:
    """OpenVINO GenAI's ContinuousBatchingPipeline over the same weights, converted once into ``cache``."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        """Convert where that has not been done, and compile on ``threads`` threads."""
        import openvino_genai  # pyright: ignore[reportMissingImports] - of another environment

        self.api, self.format = openvino_genai, options.get("format", "fp16")
        self.threads = options["threads"]
        place = os.path.join(options["cache"], f"openvino-{self.format}")
        if not os.path.isfile(os.path.join(place, "openvino_model.xml")):
            _convert(folder, place, self.format)
        schedule = openvino_genai.SchedulerConfig()
        schedule.max_num_seqs = options["batch"]
        schedule.max_num_batched_tokens = 512
        schedule.dynamic_split_fuse = True
        schedule.enable_prefix_caching = False
        schedule.cache_size = 4
        self.pipeline = openvino_genai.ContinuousBatchingPipeline(
            place, schedule, "CPU", {"INFERENCE_NUM_THREADS": self.threads}
        )

    def generate(self, prompts: Prompts, new: int, batch: int) -> list[list[int]]:
        """Return the new tokens of each prompt; how many at once is settled when the pipeline is made."""
        import numpy as np
        import openvino  # pyright: ignore[reportMissingImports] - of another environment

        del batch
        config = self.api.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = new
        config.set_eos_token_id(0)  # it wants one, and then ignores it
        config.ignore_eos = True
        config.do_sample = False
        tensors = [openvino.Tensor(np.array([prompt], np.int64)) for prompt in prompts]
        told = self.pipeline.generate(tensors, [config] * len(prompts))
        return [list(one.m_generation_ids[0]) for one in told]

    def about(self) -> dict[str, Any]:
        """Return version, threads and the format of the weights."""
        return {"version": self.api.__version__, "threads": self.threads, "dtype": self.format}


def _convert(folder: str, target: str, weights: str) -> None:
    from optimum.exporters.openvino import main_export  # pyright: ignore[reportMissingImports]
    from optimum.intel import OVConfig, OVWeightQuantizationConfig  # pyright: ignore[reportMissingImports]

    if weights == "int8":
        settings = OVConfig(quantization_config=OVWeightQuantizationConfig(bits=8))
    else:
        settings = OVConfig(dtype=weights)
    main_export(
        folder,
        target + ".part",
        task="text-generation-with-past",
        ov_config=settings,
        convert_tokenizer=False,
        library_name="transformers",
    )
    os.rename(target + ".part", target)


class LlamaCpp:
    """llama.cpp's batched decoding through llama-cpp-python, ``batch`` sequences at once."""

    def __init__(self, folder: str, options: dict[str, Any]) -> None:
        """Load the GGUF file in ``cache``, which has to be made with llama.cpp's converter beforehand."""
        import llama_cpp  # pyright: ignore[reportMissingImports] - of another environment

        self.api, self.threads, self.options = llama_cpp, options["threads"], options
        path = next(
            (os.path.join(options["cache"], n) for n in os.listdir(options["cache"]) if n.endswith(".gguf")), ""
        )
        if not path:
            raise SystemExit(f"there is no .gguf file of {folder} in {options['cache']}; convert it there")
        self.name = os.path.basename(path)
        self.model = llama_cpp.Llama(
            path, n_ctx=options["batch"] * 512, n_batch=512, n_threads=self.threads, n_seq_max=options["batch"]
        )

    def generate(self, prompts: Prompts, new: int, batch: int) -> list[list[int]]:
        """Return the new tokens of each prompt: prompts in one after the other, then all sequences step by step."""
        api, context = self.api, self.model.ctx
        found: list[list[int]] = [[] for _ in prompts]
        size = self.model.n_batch
        block = api.llama_batch_init(size, 0, 1)
        vocabulary = self.model.n_vocab()

        def decode(rows: list[tuple[int, int, int, bool]]) -> None:
            block.n_tokens = len(rows)
            for i, (token, place, sequence, wanted) in enumerate(rows):
                block.token[i], block.pos[i], block.n_seq_id[i] = token, place, 1
                block.seq_id[i][0], block.logits[i] = sequence, wanted
            if api.llama_decode(context, block):
                raise RuntimeError("llama_decode failed")

        def choose(row: int) -> int:
            import numpy as np

            return int(np.argmax(np.ctypeslib.as_array(api.llama_get_logits_ith(context, row), (vocabulary,))))

        for at in range(0, len(prompts), batch):
            group = range(at, min(at + batch, len(prompts)))
            api.llama_memory_clear(api.llama_get_memory(context), True)
            for i in group:
                rows = [(token, n, i - at, n + 1 == len(prompts[i])) for n, token in enumerate(prompts[i])]
                for low in range(0, len(rows), size):
                    decode(rows[low : low + size])
                found[i].append(choose((len(rows) - 1) % size))
            for n in range(new - 1):
                decode([(found[i][-1], len(prompts[i]) + n, i - at, True) for i in group])
                for row, i in enumerate(group):
                    found[i].append(choose(row))
        api.llama_batch_free(block)
        return found

    def about(self) -> dict[str, Any]:
        """Return version, threads and file."""
        return {"version": self.api.__version__, "threads": self.threads, "dtype": self.name}


KINDS: dict[str, Any] = {
    "transformers": Transformers,
    "generate_batch": GenerateBatch,
    "openvino": OpenVino,
    "llamacpp": LlamaCpp,
}


def main() -> int:
    """Load, warm up, and answer until standard input ends."""
    kind, folder, source, given = sys.argv[1:5]
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    options = json.loads(given)
    with open(source, encoding="utf-8") as file:
        prompts: Prompts = json.load(file)
    # Whatever a library prints goes to standard error; the answers keep standard output for themselves.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    peer: Peer = KINDS[kind](folder, options)
    begin = time.perf_counter()
    peer.generate(prompts[:2], 4, 2)
    _tell(answers, {"ready": True, "warm_up": time.perf_counter() - begin})
    for line in sys.stdin:
        asked = json.loads(line)
        chosen = prompts[: asked["documents"]]
        begin = time.perf_counter()
        ids = peer.generate(chosen, asked["new_tokens"], asked.get("batch", options["batch"]))
        seconds = time.perf_counter() - begin
        new = sum(map(len, ids))
        if new != len(chosen) * asked["new_tokens"]:
            raise RuntimeError(f"{new} new tokens instead of {len(chosen) * asked['new_tokens']}")
        _tell(
            answers,
            {"seconds": seconds, "tokens": new + sum(map(len, chosen)), "ids": ids, "about": peer.about()},
        )
    return 0


def _tell(answers: Any, message: dict[str, Any]) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    sys.exit(main())
