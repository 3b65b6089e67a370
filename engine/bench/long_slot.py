"""What one long sequence costs its neighbours: the decode step of a worker, one slot at 8,000 tokens among 31 at 300.

The generator is driven as a worker does it. The keys and values of the prompts are left at zero instead of being computed:
the step reads as many of them all the same.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

import numpy as np

from engine.bench.work import FIRST_WORD
from engine.errors import HeddleError
from engine.telemetry.libraries import prepare_process

STEPS = 12
"""Decode steps that are timed, of each kind in turn."""


def filled(loaded: Any, lengths: list[int], new_tokens: int) -> Any:
    """Return a generator in which prompts of these lengths have been read, all but their last token."""
    from engine.inference.generation.generator import Generator
    from engine.inference.generation.sequence import Sequence
    from engine.requests.sampling import SamplingSettings

    mode = loaded.generation
    if mode.shape is None:
        raise HeddleError(f"The model does not run over slots: {mode.reason}")
    generator = Generator(loaded.model, mode.shape, slots=len(lengths), kv_budget=1 << 40)
    vocabulary = int(loaded.model.get_input_embeddings().weight.shape[0])
    draw = np.random.default_rng(5)
    for number, length in enumerate(lengths):
        prompt = draw.integers(FIRST_WORD, vocabulary, length)
        generator.add(Sequence(number, prompt, SamplingSettings(max_new_tokens=new_tokens)))
    scheduler = generator.scheduler
    scheduler.plan()  # admits them all
    for entry in scheduler.running:
        entry.done = entry.extent = entry.length - 1
    return generator


def step_times(loaded: Any, groups: dict[str, list[int]], steps: int = STEPS) -> dict[str, float]:
    """Return the median seconds of a decode step for each group of sequence lengths, measured in turn."""
    generators = {name: filled(loaded, lengths, steps + 8) for name, lengths in groups.items()}
    for name, generator in generators.items():
        # The first step still has the last tokens of the prompts in it.
        for _ in range(3):
            generator.step()
        if generator.statistics.decode_tokens < len(groups[name]):
            raise HeddleError(f"Not all of {name} decode.")
    times: dict[str, list[float]] = {name: [] for name in groups}
    for _ in range(steps):
        for name, generator in generators.items():
            begin = time.perf_counter()
            generator.step()
            times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def main() -> int:
    """Serve as a side: ``long_slot FOLDER DTYPE THREADS``; a line names the groups and gets their step times."""
    folder, dtype, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    prepare_process()
    import torch

    from engine.models.load_decoder import load_decoder
    from engine.telemetry import machine

    machine.tune_allocator()
    torch.set_num_threads(threads)
    loaded = load_decoder(folder, dtype=dtype)
    print(json.dumps({"ready": True}), flush=True)
    with torch.inference_mode():
        for line in sys.stdin:
            print(json.dumps(step_times(loaded, json.loads(line)["groups"])), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
