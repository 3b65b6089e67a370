"""Other people's libraries: kept off the network, and out of the workers' way."""

from __future__ import annotations

import os


def prepare_process() -> None:
    """Set what they read from the environment; called before torch or transformers is imported."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["TRANSFORMERS_OFFLINE"] = "1"
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # workers are the parallelism; forks there would deadlock
