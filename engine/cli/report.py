"""The report of a run: counts, speed, plan, model, versions and threads, as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.api.codec import plain
from engine.store.replacement import replacing
from engine.telemetry import machine

if TYPE_CHECKING:
    from engine.api.snapshot import JobState, Snapshot
    from engine.engine import Engine


def report(last: Snapshot, state: JobState, settings: dict[str, Any], engine: Engine, seconds: float) -> dict[str, Any]:
    """Return the report of a run: counts by state, speed, plan, model, versions, CPU seconds of each thread."""
    meters = last.meters
    work = max(state.elapsed, 1e-9)
    return {
        "task": state.task,
        "settings": settings,
        "status": state.status,
        "counts": state.counts,
        "seconds": round(state.elapsed, 3),
        "seconds_with_start": round(seconds, 3),
        "documents_per_s": round(state.counts["done"] / work, 3),
        "tokens_per_s": round(state.tokens_done / work, 3),
        "tokens": state.tokens_done,
        "plan": plain(last.plan),
        "gil_share": round(meters.gil_share, 4),
        "model": plain(last.model),
        "workers": [plain(worker) for worker in last.workers],
        "threads": [plain(thread) for thread in last.threads],
        "process_cpu": round(meters.process_cpu, 3),
        "rss": meters.rss,
        "cores": machine.core_count(),
        "instruction_set": machine.instruction_set(),
        "versions": machine.versions(),
        "journal": engine.journal.integrity(),
        **written(last, engine),
    }


def written(last: Snapshot, engine: Engine) -> dict[str, Any]:
    """Return what the report tells of generation: prefill and decode tokens/s, TTFT, KV memory, prefix tokens reused."""
    meters = last.meters
    if not meters.prefill_tokens:
        return {}
    counted, ttft = engine.piles.generated()
    # Workers work side by side, so their rates add up.
    prefill = sum(one.prefill_tokens / one.prefill_seconds for one in counted if one.prefill_seconds > 0)
    decode = sum(one.decode_tokens / one.decode_seconds for one in counted if one.decode_seconds > 0)
    return {
        "generation": {
            "prefill_tokens": meters.prefill_tokens,
            "decode_tokens": meters.decode_tokens,
            "prefix_tokens_reused": meters.prefix_tokens,
            "prefill_tokens_per_s": round(prefill, 2),
            "decode_tokens_per_s": round(decode, 2),
            "ttft_p50": round(ttft[len(ttft) // 2], 6) if ttft else None,
            "ttft_p99": round(ttft[min(len(ttft) - 1, len(ttft) * 99 // 100)], 6) if ttft else None,
            "kv_bytes": meters.kv_bytes,
        }
    }


def save(path: str, value: dict[str, Any]) -> None:
    """Write a report as JSON, whole or not at all; raises ExportError when the disk refuses."""
    with replacing(path) as (file,):
        file.write(json.dumps(value, indent=2, ensure_ascii=True).encode("ascii") + b"\n")
