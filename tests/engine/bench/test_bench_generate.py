"""The short form of ``heddle bench generate``: a tiny shape through every side that needs no other package."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import numpy as np
import pytest

from engine.api.plan import Plan
from engine.bench import generate_parts
from engine.bench.generate import Order, _better_formats, _turns
from engine.bench.generate_ours import Ours
from engine.bench.generate_report import lines_of, ratios_of_pairs
from engine.bench.limits import limit_seconds
from engine.bench.shapes import SHAPES, write_folder
from engine.bench.side_process import Deadline, Side
from engine.bench.work import FIRST_WORD, Work, text_of, vocabulary_of, work_a, work_a_long
from engine.cli.main import main
from engine.errors import HeddleError, UsageError

TINY = ["bench", "generate", "--shape", "tiny", "--json", "--pairs", "1"]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """A place for weights that are written once for all tests, away from the machine's temporary folder."""
    return str(tmp_path_factory.mktemp("shapes"))


@pytest.fixture(autouse=True)
def _own_folder(shapes, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", shapes)


def told_by(capsys, *arguments):
    assert main([*TINY, *arguments]) == 0
    return json.loads(capsys.readouterr().out)


def test_every_run_of_ours_computes_its_answers(tmp_path):
    write_folder(SHAPES["tiny"], str(tmp_path))
    side = Ours(str(tmp_path), [[FIRST_WORD + 5, FIRST_WORD + 9] * 4] * 2, SHAPES["tiny"].vocabulary, Plan("cpu", 1, 1))
    try:
        computed = []
        for _ in range(2):
            side.run(2, 6)
            computed.append(side.engine.snapshot().meters.decode_tokens)
        assert computed[1] == 2 * computed[0] > 0
    finally:
        side.engine.close()


def test_all_sides_of_transformers_run_and_give_the_same_answers(capsys):
    found = told_by(
        capsys, "--documents", "6", "--new-tokens", "5", "--workers", "2", "--slots", "4", "--dtype", "float32"
    )
    assert set(found["ratios"]) == {"sequential", "padded", "generate_batch"} | (
        {"openvino", "llamacpp"} - set(found["left_out"])
    )
    assert all(ratio > 0 for ratio in found["ratios"].values())
    assert found["same_answers"] == {"sequential": 1.0, "padded": 1.0, "generate_batch": 1.0}
    assert 0 < found["limit_share"] < 1
    assert 0 < found["ttft"]["p50"] <= found["ttft"]["p99"]
    assert 0 < found["tpot"]["p50"] <= found["tpot"]["p99"]
    assert found["peak_rss"]["ours"] > 50e6
    assert found["pairs"] == {"ours": 1, "padded": 1, "generate_batch": 1, "sequential": 1}
    assert found["plan"] == {"device": "cpu", "workers": 2, "threads": 1, "dtype": "float32", "slots": 4}
    assert found["mode"] == "slots"
    assert found["work"]["documents"] == 6
    assert found["work"]["tokens"] == found["work"]["prompt_tokens"] + 30
    assert found["instruction_set"]
    assert found["versions"]["torch"]
    lines = lines_of(found)
    for name in ("ours", "padded", "generate_batch", "sequential", "limit here", "time to first token"):
        assert any(line.startswith(name) for line in lines), name


class Format:
    """Answers with the times of its turns, and fails when there are no more."""

    def __init__(self, order, name, times):
        self.order, self.name, self.times = order, name, list(times)

    def ready(self):
        if self.times == ["never"]:
            raise HeddleError("this format does not start here")

    def ask(self, asked):
        if not self.times:
            raise HeddleError("this format died")
        self.order.append(self.name)
        if self.name == "transformers":
            return {"seconds": 1.0 if asked["new_tokens"] == 1 else 1.0 + 4.7}
        return {"tpot": [self.times.pop(0)]}


def alone_with(monkeypatch, room, **times):
    """Return what is measured of one document alone by sides that take these times, and the order of their turns."""
    order = []

    class Measurement:
        cores = 2

        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def peer(self, kind, **_):
            return Format(order, kind, [1])

        def ours(self, plan):
            return Format(order, plan.dtype, times[plan.dtype])

        def end_last(self):
            order.append("end")

    monkeypatch.setattr(generate_parts, "Measurement", Measurement)
    monkeypatch.setattr(generate_parts.machine, "memory_available", lambda: room)
    return generate_parts.measure_single("0.5b", Plan("cpu", 1, 2, "auto", 1), 2), order


TIMES = {"float32": [0.1, 0.2], "bf16": [0.05, 0.1], "int8": [0.025], "int4": ["never"]}


def test_formats_take_turns_and_one_that_fails_is_left_out(monkeypatch):
    found, order = alone_with(monkeypatch, 1 << 40, **TIMES)
    assert order[:6] == [*["transformers"] * 3, "float32", "bf16", "int8"]
    assert found["over_float32"] == {"float32": 1.0, "bf16": 2.0}
    assert found["ratios"] == {"float32": 0.75, "bf16": 1.5}
    assert set(found["left_out"]) == {"int8", "int4"}


def test_without_memory_for_all_formats_they_come_one_after_the_other(monkeypatch):
    found, order = alone_with(monkeypatch, 1 << 30, **TIMES)
    assert order[3:10] == ["float32", *["transformers"] * 3, "float32", "end", "transformers"]
    assert found["over_float32"] == {"float32": 1.0}
    assert set(found["left_out"]) == {"int8", "int4"}


class Disturbed:
    """Takes these seconds, run by run."""

    def __init__(self, *seconds):
        self.seconds = list(seconds)

    def ask(self, _):
        return {"seconds": self.seconds.pop(0)}


def test_a_disturbed_first_token_does_not_count_as_a_faster_decode():
    assert generate_parts._their_decode(Disturbed(6.0, 5.7, 1.0)) == pytest.approx(10)
    assert generate_parts._their_decode(Disturbed(6.0, 5.7, 6.0, 1.0, 5.7, 2.0)) == pytest.approx(10)
    with pytest.raises(HeddleError, match="busy"):
        generate_parts._their_decode(Disturbed(*[6.0, 5.7, 6.0] * 3))


def test_the_small_parts_measure_alone_prefix_and_long_slot(capsys):
    found = told_by(capsys, "--parts", "single,prefix,slot", "--dtype", "float32")
    assert "ratios" not in found
    assert found["single"]["ratios"]["float32"] > 0
    assert set(found["single"]["tokens_per_s"]) >= {"float32"}
    assert found["single"]["over_float32"] == {"float32": 1.0}
    assert found["prefix"]["ratio"] > 0
    assert found["slot"]["ratio"] > 0
    assert found["slot"]["tokens"] == {"short": 300, "one long": 8000}


def test_long_prompts_run_against_padded_batches_alone_under_the_best_of_some_plans(capsys):
    found = told_by(capsys, "--long", "--documents", "2", "--new-tokens", "2")
    assert set(found["ratios"]) == {"padded"}
    assert found["work"]["name"] == "A-long"
    assert found["work"]["prompt_tokens"] >= 2000
    best = max(found["plans_tried"], key=lambda one: one["tokens_per_s"])["plan"]
    assert found["plan"] == best
    assert "int8" in {one["plan"]["dtype"] for one in found["plans_tried"]} | set(found["left_out"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shape", "7b"], "no shape"),
        (["--parts", "speed"], "no part"),
        (["--peers", "vllm"], "no side"),
        (["--peer-python", "/nowhere/python"], "no Python"),
        (["--pairs", "0"], "one pair"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_runs(arguments, words, capsys):
    assert main(["bench", "generate", "--shape", "tiny", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_prompts_are_those_of_the_bench_and_come_back_from_their_text(tmp_path):
    from transformers import AutoTokenizer

    tiny = SHAPES["tiny"]
    for name, shape in (("llama", tiny), ("qwen2", replace(tiny, kind="qwen2", shards=3))):
        write_folder(shape, str(tmp_path / name))
        tokenizer = AutoTokenizer.from_pretrained(str(tmp_path / name))
        work = work_a(shape.vocabulary)
        assert len(work.prompts) == 64
        assert all(64 <= len(prompt) <= 320 for prompt in work.prompts)
        assert all(tokenizer(text_of(p, shape.vocabulary)).input_ids == list(p) for p in work.prompts)
        assert work == work_a(shape.vocabulary)
        assert sum(file.endswith(".safetensors") for file in os.listdir(tmp_path / name)) == shape.shards
    assert all(1000 <= len(prompt) <= 4000 for prompt in work_a_long(4096).prompts)


@pytest.mark.parametrize("size", [4096, 49_152, 151_936])
def test_every_token_is_a_different_word(size):
    words, merges = vocabulary_of(size)
    assert len(words) == len(set(words)) == size
    assert len(merges) == size - 53
    assert all(word[0].isupper() and word[1:].islower() for word in words[FIRST_WORD:])


def test_the_shapes_are_those_of_the_models_they_are_named_after():
    assert SHAPES["135m"].weights == pytest.approx(134.5e6, rel=0.01)
    assert SHAPES["0.5b"].weights == pytest.approx(494e6, rel=0.01)
    assert SHAPES["1.5b"].weights == pytest.approx(1543e6, rel=0.01)
    assert all(
        sum(int(np.prod(size)) for name, size in shape.tensors() if len(size) > 1) == shape.weights
        for shape in SHAPES.values()
    )


def test_the_limit_is_that_of_the_bench_document():
    # BENCH.md: 64 prompts of 64 to 320 tokens, 32 at once, at 2.3 TFLOP/s and 27 GB/s: about 2,100 tokens/s.
    work = Work("A", tuple((1,) * 192 for _ in range(64)), 48)
    seconds = limit_seconds(SHAPES["0.5b"], work, dtype="bf16", workers=2, slots=32, rate=2.3e12, bandwidth=27e9)
    assert work.tokens() / seconds == pytest.approx(2100, rel=0.02)


class _Clock(Deadline):
    """A deadline that has a given time left."""

    def __init__(self, left):
        super().__init__(left)
        self.left = left

    def allows(self, seconds):
        return seconds <= self.left


def side(name, seconds):
    made = Side(name, None, 1, 1)
    made.seconds.append(seconds)
    return made


def test_a_round_that_has_no_time_for_all_keeps_the_sides_that_matter_most():
    sides = [side("ours", 10.0), side("padded", 20.0), side("generate_batch", 50.0), side("sequential", 5.0)]
    turns = list(_turns(sides, 2, _Clock(36.0)))
    assert {s.name for s in turns[4:]} == {"ours", "padded", "sequential"}
    assert [s.name for s in turns[:4]] == ["ours", "padded", "generate_batch", "sequential"]


def test_the_slower_format_of_a_peer_runs_only_once():
    sides = [side("ours", 1.0), side("openvino fp16", 3.0), side("openvino int8", 2.0)]
    assert [s.name for s in _better_formats(sides)] == ["ours", "openvino int8"]


def test_a_peer_counts_by_the_format_that_was_kept():
    made = {name: Side(name, None, 1, 1) for name in ("ours", "openvino fp16", "openvino int8", "padded")}
    made["ours"].speeds.extend([3.0, 8.0, 9.0])  # a slow first round
    made["openvino fp16"].speeds.extend([4.0, 4.0, 6.0])
    made["openvino int8"].speeds.append(3.5)
    made["padded"].speeds.extend([1.0, 2.0, 3.0])
    assert ratios_of_pairs(list(made.values())) == {"openvino": [0.75, 2.0, 1.5], "padded": [3.0, 4.0, 3.0]}
    made["openvino int8"].speeds.extend([5.0, 5.0])  # with as many rounds, the worse ratio counts
    assert ratios_of_pairs(list(made.values()))["openvino"] == [0.75, 2.0, 1.5]
    made["openvino int8"].speeds[1:] = [8.0, 9.0]
    assert ratios_of_pairs(list(made.values()))["openvino"] == [3.0 / 3.5, 1.0, 1.0]


def test_an_order_names_what_it_refuses():
    with pytest.raises(UsageError, match="tiny"):
        Order(shape="none")
