"""What the writer in the box reaches on the sample orders: right where it can be, and never made up silently."""

from __future__ import annotations

import csv

import assets
from engine.api.plan import Plan
from engine.engine import Engine

FIELDS = (
    "name: who wrote it\norder: the number of the order\namount (number): the price that was paid\n"
    "product: the thing that was bought\nwanted (refund | replacement | information)"
)


def test_the_writer_fills_in_the_form_about_the_sample_orders(tmp_path):
    folder = assets.path("samples", "orders")
    with open(assets.path("samples", "orders.csv"), encoding="utf-8", newline="") as file:
        truth = {row["file"].rpartition("/")[2]: row for row in csv.DictReader(file)}
    with Engine(str(tmp_path / "j.sqlite")) as engine:
        engine.set_plan(Plan("cpu", 2, 1, "float32")).result()
        engine.open_model("writer").result()
        engine.create_job("j")
        engine.add_paths("j", [str(folder)]).result()
        engine.submit("j", "extract", {"fields": FIELDS})
        assert engine.wait("j", 250)
        rows = {record.path.rpartition("/")[2]: (record, result) for record, result in engine.journal.results("j")}
    right = dict.fromkeys(("name", "order", "amount"), 0)
    for name, told in truth.items():
        record, result = rows.pop(name)
        text = (folder / name).read_text(encoding="utf-8")
        found = result.value["fields"]
        assert result.value["valid"], record.reason
        assert found["wanted"] in ("refund", "replacement", "information", None)
        for field, start, stop in result.value["spans"]:
            assert text[start:stop] == found[field] or float(text[start:stop]) == found[field]
        shown = {span[0] for span in result.value["spans"]}
        said = {field for field in ("name", "order", "amount", "product") if found[field] is not None}
        assert said == shown | set(result.value["not_in_text"]), (
            "each value is shown in the text, or told not to be there"
        )
        right["name"] += found["name"] == told["name"]
        right["order"] += found["order"] == told["order"]
        right["amount"] += found["amount"] == float(told["amount"])
    ((record, result),) = rows.values()
    assert (record.state, result) == ("skipped", None), "the broken file costs nothing else"
    assert right["name"] >= 21
    assert right["amount"] >= 20
    assert right["order"] >= 13
