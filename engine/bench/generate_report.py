"""What ``bench generate`` tells: the figures as JSON values, and as lines of text."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from engine.api.codec import plain
from engine.bench.limits import limit_seconds
from engine.bench.shapes import SHAPES
from engine.bench.side_process import Side
from engine.bench.work import Work, text_of


def figures(
    name: str,
    work: Work,
    sides: Sequence[Side],
    found: dict[str, float],
    tried: list[dict[str, Any]],
    left_out: dict[str, str],
    spent: float,
) -> dict[str, Any]:
    """Return the report as JSON values, of the shape ``name``; ``found`` are the limits, the first of ``sides`` is ours."""
    shape = SHAPES[name]
    ours = sides[0]
    told = ours.answers[-1]
    plan = told["about"]["plan"]
    pairs = ratios_of_pairs(sides)
    least = limit_seconds(
        shape,
        work,
        dtype=plan["dtype"],
        workers=plan["workers"],
        slots=plan["slots"],
        rate=found["rate"],
        bandwidth=found["bandwidth"],
    )
    return {
        "work": {
            "name": work.name,
            "documents": len(work.prompts),
            "prompt_tokens": work.prompt_tokens(),
            "new_tokens": work.new_tokens,
            "tokens": work.tokens(),
        },
        "shape": {"name": name, **plain(shape), "weights": shape.weights},
        "plan": plan,
        "plans_tried": tried,
        "mode": told["about"]["mode"],
        "gil_share": told["about"]["gil_share"],
        "ratios": {peer: round(statistics.median(each), 3) for peer, each in pairs.items()},
        "ratios_of_pairs": {peer: [round(ratio, 3) for ratio in each] for peer, each in pairs.items()},
        "limit_share": round(least / statistics.median(ours.seconds), 3),
        "limit": {
            "tokens_per_s": round(work.tokens() / least, 1),
            "tflops": round(found["rate"] / 1e12, 3),
            "gb_per_s": round(found["bandwidth"] / 1e9, 2),
        },
        "ttft": _percentiles([value for answer in ours.answers for value in answer["ttft"]]),
        "tpot": _percentiles([value for answer in ours.answers for value in answer["tpot"]]),
        "tokens_per_s": {s.name: round(statistics.median(s.speeds), 1) for s in sides if s.speeds},
        "pairs": {side.name: len(side.speeds) for side in sides},
        "peak_rss": {side.name: side.process.peak_rss for side in sides if side.speeds},
        "same_answers": {
            s.name: _agreement(told["texts"], s.answers[-1]["ids"], shape.vocabulary) for s in sides[1:] if s.answers
        },
        "sides": {side.name: side.answers[-1]["about"] for side in sides[1:] if side.answers},
        "left_out": left_out,
        "seconds": round(spent, 1),
    }


def ratios_of_pairs(sides: Sequence[Side]) -> dict[str, list[float]]:
    """Return how much faster the first of ``sides`` was than each of the others, pair by pair, by the name of the peer.

    A peer counts by the better of its formats: the one that was kept after the first round.
    """
    pairs: dict[str, list[float]] = {}
    for side in sides[1:]:
        peer = side.name.split()[0]
        each = [ours / theirs for ours, theirs in zip(sides[0].speeds, side.speeds, strict=False)]
        before = pairs.get(peer, [])
        kept = len(each) > len(before)
        if kept or (each and len(each) == len(before) and statistics.median(each) < statistics.median(before)):
            pairs[peer] = each
    return pairs


def _percentiles(values: list[float]) -> dict[str, float]:
    """Return the median and the 99th percentile, in seconds."""
    ordered = sorted(values)
    if not ordered:
        return {"p50": 0.0, "p99": 0.0}
    at = [ordered[min(len(ordered) - 1, int(share * len(ordered)))] for share in (0.5, 0.99)]
    return {"p50": round(at[0], 4), "p99": round(at[1], 4)}


def _agreement(ours: list[str], theirs: list[list[int]], vocabulary: int) -> float:
    """Return the share of documents whose answers are the same; 16-bit rounding breaks ties differently."""
    same = sum(text == text_of(ids, vocabulary) for text, ids in zip(ours, theirs, strict=False))
    return round(same / max(1, min(len(ours), len(theirs))), 3)


def lines_of(found: dict[str, Any]) -> list[str]:
    """Return the report as lines of text."""
    lines = [f"{found['cores']} cores ({found['instruction_set']}), torch {found['versions'].get('torch')}"]
    if "ratios" in found:
        lines += _batch_lines(found)
    if "single" in found:
        single = found["single"]
        for name, speed in single["tokens_per_s"].items():
            ratio = f"{single['ratios'][name]:.2f} x generate" if name in single["ratios"] else ""
            if name != "float32" and name in single["over_float32"]:
                ratio += f", {single['over_float32'][name]:.2f} x float32"
            lines.append(f"one document alone, {name:<18}{speed:>8.1f} tokens/s   {ratio}".rstrip())
        lines += [f"one document alone, {name}: left out, {why}" for name, why in single["left_out"].items()]
    if "prefix" in found:
        prefix = found["prefix"]
        speeds = prefix["tokens_per_s"]
        lines.append(
            f"shared instruction of 512 tokens: {prefix['ratio']:.2f} x with reuse ({speeds['on']:.0f} tokens/s, {speeds['off']:.0f} without)"
        )
    if "slot" in found:
        slot = found["slot"]
        times = slot["step_ms"]
        lines.append(
            f"one slot at {slot['tokens']['one long']:,} tokens: step {slot['ratio']:.2f} x ({times['one long']:.1f} ms, {times['short']:.1f} ms without it)"
        )
    return lines


def _tried_line(one: dict[str, Any]) -> str:
    plan = one["plan"]
    return f"tried {plan['workers']} x {plan['threads']}, {plan['slots']} slots, {plan['dtype']}: {one['tokens_per_s']:.1f} tokens/s"


def _batch_lines(found: dict[str, Any]) -> list[str]:
    work, plan = found["work"], found["plan"]
    lines = [
        f"work {work['name']}: {work['documents']} prompts of {work['prompt_tokens']:,} tokens, {work['new_tokens']} new each",
        f"shape {found['shape']['name']}, plan {plan['workers']} x {plan['threads']}, {plan['slots']} slots, {plan['dtype']}, {found['mode']}",
        *(_tried_line(one) for one in found["plans_tried"]),
        "",
        f"{'':<16}{'tokens/s':>10}{'ratio':>8}{'pairs':>7}{'peak MB':>9}",
    ]
    for name, speed in found["tokens_per_s"].items():
        ratio = found["ratios"].get(name.split()[0])
        memory = found["peak_rss"][name] / 1e6
        told = "" if ratio is None else f"{found['tokens_per_s']['ours'] / speed:.2f}"
        lines.append(f"{name:<16}{speed:>10.1f}{told:>8}{found['pairs'][name]:>7}{memory:>9.0f}")
    limit, ttft, tpot = found["limit"], found["ttft"], found["tpot"]
    reached = f"{found['limit_share']:.0%} of it ({limit['tflops']:.2f} TFLOP/s, {limit['gb_per_s']:.1f} GB/s)"
    lines.append(f"{'limit here':<16}{limit['tokens_per_s']:>10.1f}   {reached}")
    lines.append(f"time to first token   p50 {ttft['p50']:.3f} s, p99 {ttft['p99']:.3f} s")
    lines.append(f"time per output token p50 {tpot['p50'] * 1e3:.1f} ms, p99 {tpot['p99'] * 1e3:.1f} ms")
    lines += [f"{name}: left out, {reason}" for name, reason in found["left_out"].items()]
    return lines
