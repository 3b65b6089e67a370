"""What is read from transformers' source text is what transformers itself says."""

import subprocess
import sys

import pytest

import engine.models.families as module
from engine.models.families import Families, families


def test_the_families_are_those_of_transformers():
    from transformers.models.auto import configuration_auto, modeling_auto

    found = families()
    assert found.known == set(configuration_auto.CONFIG_MAPPING_NAMES)
    assert found.base == set(modeling_auto.MODEL_MAPPING_NAMES)
    assert found.masked == set(modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES)
    assert found.causal == set(modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
    assert found.seq2seq == set(modeling_auto.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES)
    for name, kind in modeling_auto.MODEL_MAPPING_NAMES.items():
        assert {kind} <= found.classes[name] if isinstance(kind, str) else set(kind) <= found.classes[name]


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "modernbert", "qwen3", "t5", "nomic_bert"])
def test_text_families_read_text(family):
    assert families().knows(family)
    assert families().reads_text(family)


def test_image_families_do_not_read_text_and_invented_ones_are_unknown():
    assert families().knows("vit")
    assert not families().reads_text("vit")
    assert not families().knows("no-such-family")


def test_an_unknown_layout_of_transformers_forbids_nothing(tmp_path, monkeypatch):
    (tmp_path / "auto_mappings.py").write_text("CONFIG_MAPPING_NAMES = load()\nother: int = 3\n")
    (tmp_path / "modeling_auto.py").write_text("this is not Python(")
    monkeypatch.setattr(module, "_folder", lambda: str(tmp_path))
    found = families.__wrapped__()
    assert found == Families()
    assert found.knows("anything")
    assert found.reads_text("anything")


def test_older_and_newer_layouts_are_read(tmp_path, monkeypatch):
    (tmp_path / "configuration_auto.py").write_text(
        'CONFIG_MAPPING_NAMES: D = OrderedDict([("one", "OneConfig")])\n'
        'CONFIG_MAPPING_NAMES.update({"two": "TwoConfig"})\n'
        'CONFIG_MAPPING_NAMES = OrderedDict(**{"three": "ThreeConfig"}, **CONFIG_MAPPING_NAMES)\n'
    )
    (tmp_path / "modeling_auto.py").write_text(
        'MODEL_MAPPING_NAMES = OrderedDict([("one", ("OneModel", "BaseOne"))])\n'
    )
    monkeypatch.setattr(module, "_folder", lambda: str(tmp_path))
    found = families.__wrapped__()
    assert found.known == {"one", "two", "three"}
    assert found.classes == {"one": frozenset({"OneModel", "BaseOne"})}


def test_nothing_of_transformers_is_imported():
    code = (
        "import sys; from engine.models.families import families; assert families().knows('bert'); "
        "assert not {'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
