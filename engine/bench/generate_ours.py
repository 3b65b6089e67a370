"""Heddle's side of ``bench generate``: the same Engine, workers, tokenizer and journal as any job."""

from __future__ import annotations

import json
import sys
import time
import uuid
from typing import Any

from engine.api.plan import Plan
from engine.bench.work import text_of
from engine.telemetry.libraries import prepare_process


class Ours:
    """An engine with the model open; every run is a job of its own."""

    def __init__(self, folder: str, prompts: list[list[int]], size: int, plan: Plan) -> None:
        """Open the model in ``folder``, with a vocabulary of ``size`` tokens, under ``plan``."""
        from engine.engine import Engine

        self.texts = [text_of(prompt, size) for prompt in prompts]
        self.engine = Engine()
        self.engine.set_plan(plan).result()
        self.engine.open_model(folder).result()

    def set_plan(self, plan: dict[str, Any]) -> None:
        """Use another plan for what follows."""
        self.engine.set_plan(Plan(**plan)).result()

    def run(self, documents: int, new_tokens: int) -> dict[str, Any]:
        """Run the first ``documents`` texts; returns seconds, tokens, and the times of each answer in seconds."""
        engine = self.engine
        job = uuid.uuid4().hex
        engine.create_job(job)
        engine.add_texts(job, [(str(i), text) for i, text in enumerate(self.texts[:documents])]).result()
        begin = time.perf_counter()
        asked = {"prompt": "{text}", "max_new_tokens": new_tokens}
        engine.submit(job, "generate", asked, again=True)  # the same question every time
        engine.wait(job)
        seconds = time.perf_counter() - begin
        values: list[dict[str, Any]] = []
        for record, result in engine.journal.results(job):
            if result is None:
                raise RuntimeError(f"document {record.path} has no answer: {record.reason}")
            values.append(dict(result.value))
        engine.remove_documents(job)
        times = [(value["ttft"], value["tokens_out"] / max(value["tokens_per_s"], 1e-9)) for value in values]
        return {
            "seconds": seconds,
            "tokens": sum(value["tokens_in"] + value["tokens_out"] for value in values),
            "new_tokens": sum(value["tokens_out"] for value in values),
            "ttft": [first for first, _ in times],
            "tpot": [
                (whole - first) / (value["tokens_out"] - 1)
                for value, (first, whole) in zip(values, times, strict=True)
                if value["tokens_out"] > 1
            ],
            "texts": [value["text"] for value in values],
        }

    def about(self) -> dict[str, Any]:
        """Return what to tell of this side: the plan with nothing left open, and how it runs."""
        from engine.api.codec import plain

        loaded = self.engine.loaded
        assert loaded is not None
        plan = plain(self.engine.plan)
        if not plan["slots"]:
            from engine.api.footprint import SLOTS

            plan["slots"] = SLOTS
        return {
            "plan": plan,
            "mode": loaded.mode,
            "note": loaded.note,
            "gil_share": round(self.engine.gil_share(), 4),
            "prefix_tokens": self.engine.snapshot().meters.prefix_tokens,
        }


def serve(side: Ours, ready: dict[str, Any]) -> None:
    """Answer the messages on standard input until there are no more."""
    _tell(ready)
    for line in sys.stdin:
        asked = json.loads(line)
        if "plan" in asked:
            side.set_plan(asked["plan"])
        _tell({**side.run(asked["documents"], asked["new_tokens"]), "about": side.about()})


def _tell(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Serve: ``generate_ours FOLDER PROMPTS.json PLAN '{"vocabulary": 49152, "reuse": true}'``."""
    folder, source, plan, given = sys.argv[1:5]
    options = json.loads(given)
    prepare_process()
    with open(source, encoding="utf-8") as file:
        prompts = json.load(file)
    side = Ours(folder, prompts, options["vocabulary"], Plan(**json.loads(plan)))
    if not options["reuse"]:
        from engine.workers import generator

        generator.SHORTEST_PREFIX = 1 << 30  # no beginning is long enough to keep apart
    begin = time.perf_counter()
    side.run(min(2, len(prompts)), 4)
    serve(side, {"ready": True, "warm_up": time.perf_counter() - begin})
    side.engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
