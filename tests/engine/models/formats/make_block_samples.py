"""Makes block_samples.npz: random blocks of every type that GGUF files are read of, and their numbers by llama.cpp's own
package ``gguf``. Run it where that is installed: ``pip install gguf==0.19.0; python make_block_samples.py``.
"""

from __future__ import annotations

from pathlib import Path

import gguf  # pyright: ignore[reportMissingImports] - installed for this only
import numpy as np

from engine.models.formats.gguf.block_types import BLOCK_TYPES

SAMPLES = 3


def main() -> None:
    """Write the samples beside this file."""
    random = np.random.default_rng(7)
    found: dict[str, np.ndarray] = {}
    for number, kind in BLOCK_TYPES.items():
        if kind.numbers == 1:
            continue
        blocks = random.integers(0, 256, (400, kind.bytes), np.uint8)
        with np.errstate(all="ignore"):
            values = gguf.dequantize(blocks, gguf.GGMLQuantizationType(number)).reshape(400, kind.numbers)
        # Scales are 16-bit floats, and random ones may be no number, or a huge one.
        sane = np.flatnonzero((np.nan_to_num(np.abs(values), nan=1e9).max(1) < 1e3) & (np.abs(values).max(1) > 1e-3))
        found[f"{kind.name} blocks"], found[f"{kind.name} values"] = blocks[sane[:SAMPLES]], values[sane[:SAMPLES]]
    np.savez_compressed(Path(__file__).with_name("block_samples.npz"), **found)


if __name__ == "__main__":
    main()
