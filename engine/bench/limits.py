"""What this machine could do at most: matrix rate and read bandwidth, and how long a work would take at that pace."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable
from typing import Any

from engine.bench.shapes import Shape
from engine.bench.work import Work

WEIGHT_BYTES = {"float32": 2.0, "bf16": 2.0, "int8": 1.0, "int4": 0.5625}
"""Least bytes of one weight: the files of the bench hold 16 bits, which float32 may read as they are; four-bit weights
carry a 16-bit scale for each group of 32."""


def limit_seconds(
    shape: Shape, work: Work, *, dtype: str, workers: int, slots: int, rate: float, bandwidth: float
) -> float:
    """Return the least seconds that ``work`` can take at ``rate`` FLOP/s and ``bandwidth`` bytes/s.

    As in BENCH.md, attention, norms and sampling left out::

        prompt_time = prompt tokens * 2 * layer_weights / rate
        rows        = sequences that one read of the weights serves: min(slots, ceil(documents / workers))
        steps       = documents * new tokens / rows
        step_time   = max(weights * bytes of a weight / bandwidth, rows * 2 * weights / rate)
        seconds     = prompt_time + steps * step_time

    ``layer_weights`` are those of the layers, ``weights`` with the vocabulary's matrix. ``rate`` and ``bandwidth`` are
    those of the whole machine.
    """
    documents = len(work.prompts)
    rows = max(1, min(slots, math.ceil(documents / workers)))
    steps = documents * work.new_tokens / rows
    read = shape.weights * WEIGHT_BYTES[dtype] / bandwidth
    return work.prompt_tokens() * 2 * shape.layer_weights / rate + steps * max(read, rows * 2 * shape.weights / rate)


def measure_limits(dtype: str, threads: int) -> dict[str, float]:
    """Return ``rate`` in FLOP/s of the format ``dtype`` and ``bandwidth`` in bytes/s on ``threads`` threads; the best of some.

    Floats are tried with plain and with prepacked weights, float32 also over 16 bits. int8 and int4 weights are credited
    with the fastest matrix product among float32, bfloat16 and int8, whichever their linears use.
    """
    import torch

    torch.set_num_threads(threads)
    rates = [_float_rate(torch.float32 if dtype == "float32" else torch.bfloat16)]
    if dtype in ("int8", "int4"):
        rates += [_float_rate(torch.float32), _int8_rate()]
    return {"rate": max(rates), "bandwidth": _bandwidth()}


def _best(function: Callable[[], object], seconds: float = 0.5) -> float:
    """Return the shortest run of ``function`` in seconds, over about ``seconds``."""
    function()
    shortest, begin = float("inf"), time.perf_counter()
    while time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        function()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest


ROWS, SIDE = 1024, 2048
"""Rows and width of the products that the rate is measured with: large enough for any blocking, within the caches."""


def _float_rate(dtype: Any) -> float:
    import torch

    from engine.kernels.linears import fbgemm

    rows = torch.randn(ROWS, SIDE).to(dtype)
    weight = torch.randn(SIDE, SIDE).to(dtype)
    fastest = _best(lambda: torch.nn.functional.linear(rows, weight))
    try:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS)  # noqa: SLF001 - as in models.linears.packed
        fastest = min(
            fastest,
            _best(lambda: torch.ops.mkldnn._linear_pointwise(rows, packed, None, "none", [], "")),  # noqa: SLF001
        )
    except (RuntimeError, AttributeError):
        pass
    if dtype is torch.float32 and fbgemm.available():
        with contextlib.suppress(*fbgemm.PROBLEMS):
            half = fbgemm.pack_half(weight)
            fastest = min(fastest, _best(lambda: fbgemm.half_product(rows, half)))
    return 2 * ROWS * SIDE * SIDE / fastest


def _int8_rate() -> float:
    import torch

    from engine.kernels.linears import fbgemm

    rows = torch.randint(-100, 100, (ROWS, SIDE), dtype=torch.int8)
    weight = torch.randint(-100, 100, (SIDE, SIDE), dtype=torch.int8)
    times: list[float] = []
    with contextlib.suppress(RuntimeError, AttributeError):
        times.append(_best(lambda: torch.ops.aten._int_mm(rows, weight)))  # noqa: SLF001
    if fbgemm.available():
        with contextlib.suppress(*fbgemm.PROBLEMS):
            packed, floats = fbgemm.pack_int8(weight, torch.ones(SIDE)), rows.float()
            times.append(_best(lambda: fbgemm.int8_product(floats, 1.0, 127, packed)))
    return 2 * ROWS * SIDE * SIDE / min(times) if times else 0.0


def _bandwidth() -> float:
    import torch

    # Half a gigabyte: far beyond any cache.
    block = torch.ones(8192, 16_384)
    vector = torch.ones(16_384)
    return block.numel() * 4 / min(_best(lambda: torch.mv(block, vector)), _best(block.sum))


def main() -> int:
    """Serve as a side: ``limits DTYPE THREADS``; every line on standard input is answered with fresh figures."""
    dtype, threads = sys.argv[1], int(sys.argv[2])
    print(json.dumps({"ready": True}), flush=True)
    for _ in sys.stdin:
        print(json.dumps(measure_limits(dtype, threads)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
