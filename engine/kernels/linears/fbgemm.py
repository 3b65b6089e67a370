"""FBGEMM, PyTorch's other library of matrix products on x86, by the operators of its older quantisation.

They are on their way out of PyTorch, so every use is tried at load and has something to fall back on (law 10 of the
house). FBGEMM asks the processor itself what it can do; a cap that is set for PyTorch or for oneDNN, as
ATEN_CPU_CAPABILITY or ONEDNN_MAX_CPU_ISA, has to be told to it.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

log = logging.getLogger(__name__)

PROBLEMS = (RuntimeError, AttributeError, TypeError)
"""What an operator that is not there, or does not take its arguments any more, may raise."""

_AVX2, _AVX512 = 1, 2
"""FBGEMM's numbers for instruction sets, of its ``inst_set_t``; 0 has no vectors and is not for it."""

_CAPS = {
    "ATEN_CPU_CAPABILITY": {"default": 0, "avx2": _AVX2},
    "ONEDNN_MAX_CPU_ISA": {
        "sse41": 0,
        "avx": 0,
        "avx2": _AVX2,
        "avx2_vnni": _AVX2,
        "avx2_vnni_2": _AVX2,
        "avx512_core": _AVX512,
    },
}
"""The values of environment variables that leave out instructions which FBGEMM would use."""

_engine = threading.Lock()


@functools.cache
def available() -> bool:
    """Tell whether FBGEMM is in this PyTorch and keeps to the caps that PyTorch and oneDNN keep to."""
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        return False
    caps = [known.get(os.environ.get(name, "").lower()) for name, known in _CAPS.items()]
    lowest = min((cap for cap in caps if cap is not None), default=None)
    return lowest is None or (lowest > 0 and _keep_to(lowest))


def _keep_to(instructions: int) -> bool:
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        force = library._ZN6fbgemm14fbgemmForceIsaENS_10inst_set_tE  # noqa: SLF001 - the name as C++ writes it
        asked = library._ZN6fbgemm20fbgemmInstructionSetEv  # noqa: SLF001
    except (OSError, AttributeError) as error:
        log.info("FBGEMM cannot be told to keep to a cap, so it is not used: %s", error)
        return False
    force.argtypes, force.restype = [ctypes.c_int], None
    asked.argtypes, asked.restype = [], ctypes.c_int
    if asked() > instructions:
        force(instructions)
    return asked() <= instructions


@contextlib.contextmanager
def _packing() -> Iterator[None]:
    """Choose FBGEMM for what is packed inside; the choice is PyTorch's, one for the process, and put back afterwards."""
    with _engine, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that quantised tensors are on their way out
        before = torch.backends.quantized.engine
        torch.backends.quantized.engine = "fbgemm"
        try:
            yield
        finally:
            torch.backends.quantized.engine = before


@functools.cache
def _operator(name: str) -> Any:
    """Return an operator of the old quantisation, without the Python around it.

    Calling it as usual looks in Python, at every call and at every argument, for what only tracing a model brings: in a
    decode step, where nothing stays in the processor's caches, that takes several microseconds.
    """
    packet = getattr(torch.ops.quantized, name)
    return getattr(packet, "_op", packet)


def pack_half(weight: torch.Tensor) -> Any:
    """Return a float32 weight ``[out, in]`` packed as float16; raises one of PROBLEMS where that cannot be."""
    with _packing():
        return torch.ops.quantized.linear_prepack_fp16(weight, None)


def unpack_half(packed: Any) -> torch.Tensor:
    """Return what ``pack_half`` packed, as float32 ``[out, in]``."""
    return torch.ops.quantized.linear_unpack_fp16(packed)[0]


def half_product(rows: torch.Tensor, packed: Any) -> torch.Tensor:
    """Return float32 ``rows`` ``[n, in]`` times the weight, computed and summed in float32: ``[n, out]``."""
    return _operator("linear_dynamic_fp16")(rows, packed)


def pack_int8(numbers: torch.Tensor, scale: torch.Tensor) -> Any:
    """Return an int8 weight ``[out, in]`` packed with its ``scale`` ``[out]``; raises one of PROBLEMS."""
    with _packing():
        zeros = torch.zeros(numbers.shape[0], dtype=torch.int64)
        whole = torch._make_per_channel_quantized_tensor(numbers, scale.double(), zeros, 0)  # noqa: SLF001 # pyright: ignore[reportPrivateImportUsage]
        return torch.ops.quantized.linear_prepack(whole, None)


def unpack_int8(packed: Any) -> torch.Tensor:
    """Return the numbers that ``pack_int8`` packed, int8 ``[out, in]``."""
    with _packing():
        return torch.ops.quantized.linear_unpack(packed)[0].int_repr()


def int8_product(rows: torch.Tensor, step: float, levels: int, packed: Any) -> torch.Tensor:
    """Return ``rows`` ``[n, in]`` in whole ``step``s, at most ``levels`` of them, times the weight: float32 ``[n, out]``."""
    return _operator("linear_with_input_q_dq_qweight_dq_output_fp32")(rows, step, levels + 1, packed)
