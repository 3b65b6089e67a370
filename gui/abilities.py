"""Which tasks a model can do, by what the tasks need."""

from __future__ import annotations

from engine.api import Hello, ModelFacts, TaskSpec


def task_named(hello: Hello | None, task: str) -> TaskSpec | None:
    """Return what the engine told of a task; None for one that it did not name."""
    return None if hello is None else next((spec for spec in hello.tasks if spec.name == task), None)


def can_do(facts: ModelFacts | None, spec: TaskSpec | None) -> bool:
    """Tell whether a model can do a task; true where one of them is not known."""
    return facts is None or spec is None or not facts.capabilities or spec.needs in facts.capabilities
