"""The model families that the installed transformers knows, read from its source text: importing it takes a second."""

from __future__ import annotations

import ast
import importlib.util
import os
from dataclasses import dataclass, field
from functools import cache

_SOURCES = ("auto_mappings.py", "configuration_auto.py", "modeling_auto.py")

_TEXT = (
    "MODEL_FOR_MASKED_LM_MAPPING_NAMES",
    "MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",
    "MODEL_FOR_TEXT_ENCODING_MAPPING_NAMES",
    "MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES",
    "MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES",
    "MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES",
    "MODEL_FOR_QUESTION_ANSWERING_MAPPING_NAMES",
)


@dataclass(frozen=True, slots=True)
class Families:
    """Names of model types (``bert``, ``qwen3``) by what transformers can do with them.

    ``known`` has a configuration class; ``base`` has a model that ``AutoModel`` loads; ``text`` reads text. ``masked``,
    ``causal`` and ``seq2seq`` have the head of that name. ``classes`` are the model classes of a type. Sets are empty
    when transformers is missing or lays its sources out in a way that is not understood.
    """

    known: frozenset[str] = frozenset()
    base: frozenset[str] = frozenset()
    text: frozenset[str] = frozenset()
    masked: frozenset[str] = frozenset()
    causal: frozenset[str] = frozenset()
    seq2seq: frozenset[str] = frozenset()
    classes: dict[str, frozenset[str]] = field(default_factory=dict)

    def knows(self, model_type: str) -> bool:
        """Return whether transformers can load this type by its own code; true where that cannot be told."""
        return (not self.known or model_type in self.known) and (not self.base or model_type in self.base)

    def reads_text(self, model_type: str) -> bool:
        """Return whether the type has a head for text; true where that cannot be told."""
        return not self.text or model_type in self.text


@cache
def families() -> Families:
    """Return what the installed transformers knows (about 30 ms once, nothing of it is imported)."""
    tables = _tables(_folder())
    classes: dict[str, set[str]] = {}
    for name, pairs in tables.items():
        if name.startswith("MODEL_"):
            for model_type, values in pairs.items():
                classes.setdefault(model_type, set()).update(values)
    return Families(
        known=frozenset(tables.get("CONFIG_MAPPING_NAMES", {})),
        base=frozenset(tables.get("MODEL_MAPPING_NAMES", {})),
        text=frozenset(model_type for name in _TEXT for model_type in tables.get(name, {})),
        masked=frozenset(tables.get("MODEL_FOR_MASKED_LM_MAPPING_NAMES", {})),
        causal=frozenset(tables.get("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES", {})),
        seq2seq=frozenset(tables.get("MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES", {})),
        classes={model_type: frozenset(names) for model_type, names in classes.items()},
    )


@cache
def ties_by_default(model_type: str) -> bool | None:
    """Return whether this type's output layer is its table of token vectors unless config.json says otherwise.

    Read from the source text of its configuration; None where that does not say.
    """
    home = os.path.dirname(_folder())
    for module in dict.fromkeys((model_type.replace("-", "_"), model_type.replace("-", "_").removesuffix("_text"))):
        try:
            with open(os.path.join(home, module, f"configuration_{module}.py"), encoding="utf-8") as file:
                tree = ast.parse(file.read())
        except (OSError, SyntaxError, ValueError):
            continue
        for statement in tree.body:
            values = _constants(statement) if isinstance(statement, ast.ClassDef) else {}
            if values.get("model_type") == model_type:
                ties = values.get("tie_word_embeddings")
                return ties if isinstance(ties, bool) else None
    return None


def _constants(kind: ast.ClassDef) -> dict[str, object]:
    """Return the constants that a class's body gives to its names."""
    found: dict[str, object] = {}
    for statement in kind.body:
        target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
        value = getattr(statement, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
            found[target.id] = value.value
    return found


def _folder() -> str:
    """Return the folder of transformers' auto classes, or an empty string. A top-level find_spec imports nothing."""
    try:
        spec = importlib.util.find_spec("transformers")
    except ValueError:
        return ""
    return os.path.join(os.path.dirname(spec.origin), "models", "auto") if spec and spec.origin else ""


def _tables(folder: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the literal pairs of every table ``NAME = ...``, ``NAME: ... = ...`` and ``NAME.update(...)``."""
    tables: dict[str, dict[str, tuple[str, ...]]] = {}
    for source in _SOURCES:
        try:
            with open(os.path.join(folder, source), encoding="utf-8") as file:
                tree = ast.parse(file.read())
        except (OSError, SyntaxError, ValueError):
            continue
        for statement in tree.body:
            name = _table_name(statement)
            if name.endswith("MAPPING_NAMES"):
                tables.setdefault(name, {}).update(_pairs(statement))
    return tables


def _table_name(statement: ast.stmt) -> str:
    target: ast.expr | None = None
    if isinstance(statement, ast.Assign):
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign):
        target = statement.target
    elif isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        function = statement.value.func
        target = function.value if isinstance(function, ast.Attribute) and function.attr == "update" else None
    return target.id if isinstance(target, ast.Name) else ""


def _pairs(statement: ast.stmt) -> dict[str, tuple[str, ...]]:
    """Return the pairs that stand in a statement as ``("key", value)`` or ``{"key": value}``."""
    result: dict[str, tuple[str, ...]] = {}
    inner: set[int] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Tuple) and id(node) not in inner and len(node.elts) == 2:
            found = [(node.elts[0], node.elts[1])]
        elif isinstance(node, ast.Dict):
            found = [(key, value) for key, value in zip(node.keys, node.values, strict=True) if key is not None]
        else:
            continue
        for key, value in found:
            # A value may be a pair of class names itself; ast.walk reaches it later and must not take it for an entry.
            inner.add(id(value))
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                result[key.value] = _strings(value)
    return result


def _strings(node: ast.expr) -> tuple[str, ...]:
    return tuple(n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str))
