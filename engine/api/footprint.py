"""What a model and a plan will take of the memory, before anything is loaded. Arithmetic only."""

from __future__ import annotations

from dataclasses import dataclass

from engine.api.facts import ModelFacts
from engine.api.plan import Plan

SLOTS = 32
"""Sequences that a worker writes at once unless the plan says otherwise: a read of the weights serves them all (law 2)."""

KV_SHARE = 0.4
"""Share of the free memory that all workers' keys and values may take together (law 11)."""

TOKENS = 1024
"""Tokens of prompt and answer that a sequence is taken to have while nothing is known of the pile."""

CLASSES = (128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768)
"""Capacities in tokens of the generator's length classes (a test compares): a slot takes that of its class."""

WORKING = 300_000_000
"""Bytes that torch, transformers and the steps of the workers take beside weights, keys and values; about."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes that a model needs in a number format: its weights, the keys and values of all slots, and the rest.

    ``kv`` is for ``sequences`` sequences of ``tokens`` tokens; ``free`` is what the machine has left for all of it.
    """

    dtype: str
    weights: int
    kv: int
    working: int
    free: int
    sequences: int
    tokens: int

    @property
    def loads(self) -> bool:
        """Whether the model can be loaded."""
        return self.weights + self.working <= self.free

    @property
    def all_slots(self) -> bool:
        """Whether all slots get their keys and values at once; where not, some of them wait."""
        return self.kv <= KV_SHARE * max(0, self.free - self.weights - self.working)


def footprint(facts: ModelFacts, plan: Plan, free: int, tokens: int = TOKENS, *, auto: str = "float32") -> Footprint:
    """Return what ``facts``' model needs under ``plan``, in which nothing is left open but the slots.

    ``free`` bytes are available; ``tokens`` are those of prompt and answer of one sequence; ``auto`` is the
    number format that the CPU computes in where the weights have none of its own.
    """
    weights = facts.memory.get(plan.dtype) or facts.parameters * 4
    longest = facts.max_tokens or tokens
    sequences = max(1, plan.workers) * (plan.slots or SLOTS) if facts.kv_numbers else 0
    number = 4 if (plan.dtype if plan.dtype in ("float32", "bf16") else auto) == "float32" else 2
    tokens = min(tokens, longest)
    capacity = next((size for size in CLASSES if size >= tokens), tokens)
    kept = sequences * capacity * facts.kv_numbers * number
    return Footprint(plan.dtype, weights, kept, WORKING, free, sequences, tokens)
