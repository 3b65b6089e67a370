"""Labels against the truth, where a column has it: how many are right, per label, and what is taken for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

TRUTH, RIGHT = "truth", "right"
"""Keys of a result's value: the label that is right, and whether the one that was given is it."""


def same_label(one: str, other: str) -> bool:
    """Tell whether two labels are the same, whatever their case and the space around them."""
    return one.strip().casefold() == other.strip().casefold()


class Agreement:
    """Counts the labels of results that know the truth; others are left out."""

    def __init__(self, values: Iterable[dict[str, Any]] = ()) -> None:
        """Count ``values`` of results."""
        self.pairs: Counter[tuple[str, str]] = Counter()
        """How often each (truth, label) is there; a label in the words of the truth where they are the same."""
        self.unsure = 0
        self.right = 0
        for value in values:
            self.add(value)

    def add(self, value: dict[str, Any]) -> None:
        """Count one value."""
        truth, label = value.get(TRUTH), value.get("label")
        if not isinstance(truth, str) or not isinstance(label, str):
            return
        right = same_label(truth, label)
        self.pairs[label if right else truth.strip(), label] += 1
        self.right += right
        self.unsure += bool(value.get("unsure"))

    @property
    def total(self) -> int:
        """How many were counted."""
        return self.pairs.total()

    @property
    def accuracy(self) -> float:
        """The share that is right, 0 of nothing."""
        return self.right / self.total if self.total else 0.0

    @property
    def labels(self) -> list[str]:
        """All labels, those of the truth first, by how many documents they have."""
        truths = Counter[str]()
        for (truth, label), count in self.pairs.items():
            truths[truth] += count
            truths[label] += 0
        return [label for label, _ in truths.most_common()]

    def of(self, label: str) -> dict[str, float]:
        """Return ``documents``, ``precision``, ``recall`` and ``f1`` of a label; a share of nothing is 0."""
        hits = self.pairs[label, label]
        there = sum(count for (truth, _), count in self.pairs.items() if truth == label)
        given = sum(count for (_, found), count in self.pairs.items() if found == label)
        precision, recall = hits / given if given else 0.0, hits / there if there else 0.0
        f1 = 2 * hits / (there + given) if there + given else 0.0
        return {"documents": there, "precision": round(precision, 4), "recall": round(recall, 4), "f1": round(f1, 4)}

    def facts(self) -> dict[str, Any]:
        """Return everything as JSON has it; ``confusion`` is truth -> label -> count."""
        confusion = {truth: {label: self.pairs[truth, label] for label in self.labels} for truth in self.labels}
        return {
            "right": self.right,
            "of": self.total,
            "accuracy": round(self.accuracy, 4),
            "unsure": self.unsure,
            "labels": {label: self.of(label) for label in self.labels},
            "confusion": {truth: row for truth, row in confusion.items() if any(row.values())},
        }
