"""A decoder layer for the step of one document: one row, in the fewest operations, without Python between them.

A product of one row reads its weight out of the memory, and between two products there are a dozen operations over a few
kilobytes. Their Python, and PyTorch's way from Python to them, take longer than they do: with 0.5 billion parameters in
int8 they were 4 ms of a step's 21. So what a joined layer does for one row is written down again in the part of Python
that TorchScript compiles: a step takes 0.8 to 0.9 of the time (0.5 and 0.135 billion parameters, all number formats;
AVX2 and AVX-512), and the GIL is free while a layer runs.

TorchScript is on its way out of PyTorch. Where it is gone, or a layer does not compile, comes out different or is not
faster, the joined layer does it all.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from engine.kernels.linears.row import row_of

log = logging.getLogger(__name__)

_ACTS = {
    "silu": torch.nn.functional.silu,
    "gelu": torch.nn.functional.gelu,
    "tanh": lambda rows: torch.nn.functional.gelu(rows, approximate="tanh"),
    "": lambda rows: rows,
}
"""The activations that a gate may have, by the names that are used here."""


class SingleNorm(nn.Module):
    """Root mean square normalisation of one row."""

    def __init__(self, weight: Tensor, eps: float) -> None:
        """Scale by ``weight`` ``[width]``."""
        super().__init__()
        self.eps, self.width = eps, weight.shape[0]
        self.weight = weight.detach()
        self.nothing = torch.zeros(1, self.width, dtype=weight.dtype)
        # Sums of squares need float32; other formats take the operation of layer normalisation, as ``FusedNorm`` does.
        self.summed = weight.dtype == torch.float32 and eps > 0
        self.mirrored = torch.cat([self.weight, torch.zeros_like(self.weight)])

    def forward(self, row: Tensor) -> Tensor:
        """Return ``row`` ``[1, width]`` divided by its root mean square, times the weight."""
        if self.summed:
            flat = row.view(-1)
            mean = float(torch.dot(flat, flat)) / self.width
            return torch.addcmul(self.nothing, row, self.weight, value=(mean + self.eps) ** -0.5)
        both = torch.layer_norm(torch.cat([row, -row], -1), [2 * self.width], self.mirrored, None, self.eps)
        return both.narrow(1, 0, self.width)


class SingleLayer(nn.Module):
    """``x + attention(norm(x))``, then ``x + mlp(norm(x))``, for one row over its slot of the KV memory."""

    def __init__(
        self,
        norms: tuple[SingleNorm, SingleNorm],
        attention: tuple[nn.Module, nn.Module],
        heads: tuple[int, int, int],
        head_norms: tuple[Tensor, Tensor, float] | None,
        scale: float,
        mlp: tuple[nn.Module | None, nn.Module | None, nn.Module | None, nn.Module],
        act: str,
        *,
        still: bool,
    ) -> None:
        """Compute with these parts.

        ``attention``: query, key and value in one linear, and the linear behind; ``heads``: query heads, KV heads and
        their dim; ``head_norms``: weights and epsilon of the norms of queries and keys; ``mlp``: gate and up in one
        linear or in two, and the linear behind; ``act``: one of ``_ACTS``; ``still``: nothing turns by its position.
        """
        super().__init__()
        self.before, self.after = norms
        self.whole, self.output = attention
        self.heads, self.kv_heads, self.dim = heads
        self.normed = head_norms is not None
        self.query_norm, self.key_norm, self.eps = head_norms or (torch.zeros(0), torch.zeros(0), 0.0)
        self.scale = scale
        self.both, self.gate, self.up, self.down = mlp
        self.act = act
        self.turning = not still

    def forward(
        self,
        row: Tensor,
        keys: Tensor,
        values: Tensor,
        cos: Tensor,
        sin: Tensor,
        slot: int,
        at: int,
        first: int,
        last: int,
        mask: Tensor | None,
    ) -> Tensor:
        """Return the layer's output for ``row`` ``[1, hidden]``, whose key and value go to column ``at`` of ``slot``.

        ``cos`` and signed ``sin`` are ``[1, dim]``, ``keys`` and ``values`` ``[slots, kv_heads, capacity, dim]``; the
        row attends to the columns ``first`` to ``last``, with ``mask`` added to the scores.
        """
        heads, kv_heads, dim = self.heads, self.kv_heads, self.dim
        every = self.whole.forward(self.before.forward(row)).view(-1, dim)
        moving = every.narrow(0, 0, heads + kv_heads)
        if self.normed:
            queries = torch.rms_norm(every.narrow(0, 0, heads), [dim], self.query_norm, self.eps)
            moving = torch.cat(
                [queries, torch.rms_norm(every.narrow(0, heads, kv_heads), [dim], self.key_norm, self.eps)]
            )
        if self.turning:
            # The halves of a head are its pairs: see ``attention.py``.
            across = moving.view(heads + kv_heads, 2, dim // 2).flip([1]).view(heads + kv_heads, dim)
            moving = (moving * cos).addcmul_(across, sin)
        mine, theirs = keys.narrow(0, slot, 1), values.narrow(0, slot, 1)
        mine.narrow(2, at, 1).copy_(moving.narrow(0, heads, kv_heads).view(1, kv_heads, 1, dim))
        theirs.narrow(2, at, 1).copy_(every.narrow(0, heads + kv_heads, kv_heads).view(1, kv_heads, 1, dim))
        # The query heads of a KV head are its queries.
        # The fused kernel itself: choosing it takes half as long as what it does.
        seen = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(  # noqa: SLF001
            moving.narrow(0, 0, heads).view(1, kv_heads, heads // kv_heads, dim),
            mine.narrow(2, first, last - first),
            theirs.narrow(2, first, last - first),
            0.0,
            False,
            attn_mask=mask,
            scale=self.scale,
        )[0]
        row = self.output.onto(seen.reshape(1, heads * dim), row)  # pyright: ignore[reportCallIssue]
        inner = self.after.forward(row)
        if self.both is not None:
            made = self.both.forward(inner)
            width = made.shape[1] // 2
            gate, up = made.narrow(1, 0, width), made.narrow(1, width, width)
        else:
            assert self.gate is not None
            assert self.up is not None
            gate, up = self.gate.forward(inner), self.up.forward(inner)
        if self.act == "silu":
            gate = torch.ops.aten.silu(gate)
        elif self.act == "gelu":
            gate = torch.ops.aten.gelu(gate)
        elif self.act == "tanh":
            gate = torch.ops.aten.gelu(gate, approximate="tanh")
        return self.down.onto(gate * up, row)  # pyright: ignore[reportCallIssue]


def norm_of(module: Any) -> SingleNorm | None:
    """Return ``module``, a norm over the hidden dimension, for one row; None if it is not known as one."""
    weight = getattr(module, "weight", None)
    eps = getattr(module, "variance_epsilon", getattr(module, "eps", None))
    if not isinstance(weight, Tensor) or weight.dim() != 1 or not isinstance(eps, float):
        return None
    return SingleNorm(weight, eps)


def act_of(module: Any, dtype: torch.dtype) -> str | None:
    """Return the name of an activation by what it makes of some numbers; None if it is not known."""
    probe = torch.linspace(-4, 4, 65).to(dtype)
    made = module(probe)
    return next((name for name, known in _ACTS.items() if torch.allclose(made, known(probe))), None)


def rows_of(*linears: Any) -> list[Any] | None:
    """Return linears for one row, None for None; or None as a whole where one of them has no such thing."""
    rows = [None if linear is None else row_of(linear) for linear in linears]
    if any(linear is not None and row is None for linear, row in zip(linears, rows, strict=True)):
        return None
    return rows


def compiled(layer: SingleLayer) -> Any:
    """Return ``layer`` compiled; raises RuntimeError where that cannot be."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript is on its way out
        try:
            return torch.jit.script(layer.eval())
        except Exception as error:
            raise RuntimeError(f"TorchScript: {str(error).strip().splitlines()[0]}") from error
