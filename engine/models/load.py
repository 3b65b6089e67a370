"""From a model folder to weights that workers can share: load, settle on a mode by checking it, pack, measure."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import Cancelled, ModelError
from engine.models.check import require_tried
from engine.models.number_format import PROBLEMS, DoesNotRunError, in_one_that_runs
from engine.models.pipeline import EmbeddingPipeline, read_pipeline
from engine.models.pretrained import read_tokenizer, read_weights
from engine.models.tokenizer import WorkerTokenizer
from engine.telemetry import machine

if TYPE_CHECKING:
    import torch

    from engine.api.facts import ModelFacts
    from engine.inference.encoding.attention import Kernel
    from engine.inference.encoding.pooling import DenseWeights

log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
"""Called with the name of the stage and its share of the whole load, 0 to 1."""

_loading = threading.Lock()


@dataclass(slots=True)
class LoadedModel:
    """A model in memory, shared read-only by all workers once ``load`` has returned it.

    ``mode``: ``packed`` (our attention, no padding), ``padded`` (the model's own attention, batches padded to the
    longest) or ``single`` (one text at a time: the family mixes texts in a batch). ``note`` says why it is not packed.
    ``overhead`` is the time of a forward with almost nothing to compute, in seconds: Python and dispatch, which holds
    the GIL; ``token_time`` is the measured time a token on one thread, in seconds.
    """

    facts: ModelFacts
    pipeline: EmbeddingPipeline
    model: Any
    tokenizer: WorkerTokenizer
    dtype: str
    device: torch.device
    mode: str = "padded"
    note: str = ""
    position_offset: int = 0
    token_types: dict[int, int] | None = None
    """Types of tokens, where not 0; None where the model is given none."""
    kernel: Kernel | None = None
    dense: tuple[DenseWeights, ...] = ()
    extra_inputs: dict[str, Any] = field(default_factory=dict)
    packed_linears: int = 0
    overhead: float = 0.0
    token_time: float = 0.0

    @property
    def window(self) -> int:
        """Tokens of a text that fit into one forward, special tokens taken off."""
        return max(1, self.pipeline.max_tokens - len(self.tokenizer.prefix) - len(self.tokenizer.suffix))

    @property
    def max_tokens(self) -> int:
        """Tokens of a forward's longest text, special tokens included."""
        return self.pipeline.max_tokens

    def budget(self, seconds: float, *, smallest: int = 256, largest: int = 4096) -> int:
        """Return how many tokens a worker should take at once so that a batch lasts about ``seconds``."""
        if self.token_time <= 0:
            return largest
        return max(smallest, min(largest, int(seconds / self.token_time)))

    def worker_limit(self) -> int:
        """Return how many workers the GIL feeds: step time / GIL-held time per step (law 13)."""
        if self.overhead <= 0:
            return 1024
        return max(1, int((self.budget(1.0) * self.token_time + self.overhead) / self.overhead))


def load(
    folder: str,
    *,
    dtype: str = "auto",
    device: str = "cpu",
    progress: Progress = lambda _stage, _share: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> LoadedModel:
    """Load the embedding model in ``folder`` for workers on ``device``.

    Raises ModelError, naming the file and what to do, when the folder cannot be used or memory does not suffice, and
    Cancelled soon after ``cancelled`` answers true. Never reaches for the network.
    """
    with _loading:
        loaded, remark = in_one_that_runs(
            dtype, device, lambda resolved: _load(folder, resolved, device, progress, cancelled)
        )
    loaded.note = "; ".join(filter(None, (loaded.note, remark)))
    return loaded


def _load(folder: str, resolved: str, device: str, progress: Progress, cancelled: Callable[[], bool]) -> LoadedModel:
    def stage(name: str, share: float) -> None:
        if cancelled():
            raise Cancelled("The load was cancelled.")
        progress(name, share)

    stage("looking at the folder", 0.0)
    facts = require_tried(folder)
    if not facts.encodes:
        raise ModelError(f"{facts.name} makes no text vectors ({facts.kind}); choose an embedding model.")
    pipeline = read_pipeline(folder)
    stage("starting torch and transformers", 0.05)
    import torch

    place = torch.device(device)
    torch_dtype = {"float32": torch.float32, "bf16": torch.bfloat16}[machine.number_dtype(resolved)]
    check_memory(facts, resolved, device)
    stage("reading the tokenizer", 0.3)
    tokenizer = read_tokenizer(facts, pipeline.transformer_folder, lower=pipeline.do_lower_case)
    stage("reading the weights", 0.35)
    model = read_weights(
        facts,
        pipeline.transformer_folder,
        torch_dtype,
        place,
        _choose_class,
        lambda share: stage("reading the weights", 0.35 + 0.5 * share),
    )
    stage("checking how it runs best", 0.85)
    loaded = LoadedModel(facts, pipeline, model, tokenizer, resolved, place)
    loaded.dense = _load_dense(pipeline, place)
    from engine.models.settle import settle  # brings torch, which nobody needs before a model is loaded

    try:
        settle(loaded, lambda share: stage("checking how it runs best", 0.85 + 0.15 * share))
    except torch.OutOfMemoryError as error:
        raise ModelError(f"{facts.name} does not fit into the memory of {device}: {error}") from error
    except PROBLEMS as error:
        raise DoesNotRunError(facts, resolved, error) from error
    gc.collect(0)
    progress("ready", 1.0)
    return loaded


def _choose_class(transformers: Any, config: Any) -> Any:
    if not config.is_encoder_decoder:
        return transformers.AutoModel
    # Encoder-decoders embed with their encoder alone, as sentence-transformers has it.
    if type(config) not in transformers.MODEL_FOR_TEXT_ENCODING_MAPPING:
        raise ModelError(
            f"A model of the family {config.model_type} writes text; its encoder alone, which would make vectors, cannot "
            "be had. Choose an embedding model."
        )
    return transformers.AutoModelForTextEncoding


def check_memory(facts: ModelFacts, dtype: str, device: str) -> None:
    """Raise ModelError with the numbers when the model does not fit into what is free on ``device``."""
    # An encoder's weights become int8 when all have been read.
    need = facts.memory.get(dtype) or facts.memory.get(machine.number_dtype(dtype), 0)
    free = machine.memory_free(device)
    if need > free:
        raise ModelError(
            f"{facts.name} needs about {need / 1e9:.1f} GB as {dtype}, and {free / 1e9:.1f} GB of memory are free "
            f"on {device}. Close other programs, choose bf16, or choose a smaller model."
        )


def _load_dense(pipeline: EmbeddingPipeline, device: torch.device) -> tuple[DenseWeights, ...]:
    import torch
    from safetensors.torch import load_file

    from engine.inference.encoding.pooling import DenseWeights

    layers: list[DenseWeights] = []
    for layer in pipeline.dense:
        tensors = load_file(layer.weights)
        weight = tensors["linear.weight"].float().to(device)
        bias = tensors["linear.bias"].float().to(device) if layer.bias else None
        activation = getattr(torch.nn, layer.activation)()
        layers.append(DenseWeights(weight, bias, activation))
    return tuple(layers)
