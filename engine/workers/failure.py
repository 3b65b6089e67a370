"""What failed in a model, told for the user: a device that is gone, a memory that is full."""

from __future__ import annotations

import torch

from engine.workers.reading import said


def device_is_lost(error: BaseException) -> bool:
    """Tell whether the error says that a GPU is gone, rather than that it is full."""
    kind = getattr(torch, "AcceleratorError", None)
    return kind is not None and isinstance(error, kind) and not isinstance(error, torch.OutOfMemoryError)


def reason_of(error: BaseException, advice: str) -> str:
    """Return why a document failed; ``advice`` says what to do when memory is full."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "out of memory" in str(error).lower():
        return f"out of memory{advice}"
    return f"the model failed: {said(error)}"
