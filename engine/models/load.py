"""From a model folder to weights that lanes can share: load, settle on a mode by checking it, pack, measure."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import machine
from engine.errors import Cancelled, ModelError
from engine.models.folder import require
from engine.models.pipeline import EmbeddingPipeline, read_pipeline
from engine.models.tokenizer import LaneTokenizer

if TYPE_CHECKING:
    import torch

    from engine.encoding.attention import Kernel
    from engine.encoding.pooling import DenseWeights
    from engine.protocol import ModelFacts

log = logging.getLogger(__name__)

Progress = Callable[[str, float], None]
"""Called with the name of the stage and its share of the whole load, 0 to 1."""

_loading = threading.Lock()


@dataclass(slots=True)
class LoadedModel:
    """A model in memory, shared read-only by all lanes once ``load`` has returned it.

    ``mode``: ``packed`` (our attention, no padding), ``padded`` (the model's own attention, batches padded to the
    longest) or ``single`` (one text at a time: the family mixes texts in a batch). ``note`` says why it is not packed.
    ``overhead`` is the time of a forward with almost nothing to compute, in seconds: Python and dispatch, which holds
    the GIL; ``token_time`` is the measured time a token on one thread, in seconds.
    """

    facts: ModelFacts
    pipeline: EmbeddingPipeline
    model: Any
    tokenizer: LaneTokenizer
    dtype: str
    device: torch.device
    mode: str = "padded"
    note: str = ""
    position_offset: int = 0
    token_types: bool = False
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

    def budget(self, seconds: float, *, smallest: int = 256, largest: int = 4096) -> int:
        """Return how many tokens a lane should take at once so that a batch lasts about ``seconds``."""
        if self.token_time <= 0:
            return largest
        return max(smallest, min(largest, int(seconds / self.token_time)))

    def lane_limit(self) -> int:
        """Return how many lanes the GIL feeds: step time / GIL-held time per step (law 13)."""
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
    """Load the embedding model in ``folder`` for lanes on ``device``.

    Raises ModelError, naming the file and what to do, when the folder cannot be used or memory does not suffice, and
    Cancelled soon after ``cancelled`` answers true. Never reaches for the network.
    """
    with _loading:
        return _load(folder, dtype, device, progress, cancelled)


def _load(folder: str, dtype: str, device: str, progress: Progress, cancelled: Callable[[], bool]) -> LoadedModel:
    def stage(name: str, share: float) -> None:
        if cancelled():
            raise Cancelled("The load was cancelled.")
        progress(name, share)

    stage("looking at the folder", 0.0)
    facts = require(folder)
    if "embed" not in facts.tasks:
        raise ModelError(f"{facts.name} makes no text vectors ({facts.kind}); choose an embedding model.")
    pipeline = read_pipeline(folder)
    resolved = machine.resolve_dtype(dtype, device)
    stage("starting torch and transformers", 0.05)
    import torch

    place = torch.device(device)
    torch_dtype = {"float32": torch.float32, "bf16": torch.bfloat16}[resolved]
    need = facts.memory.get(resolved, 0)
    free = machine.memory_free(device)
    if need > free:
        raise ModelError(
            f"{facts.name} needs about {need / 1e9:.1f} GB as {resolved}, and {free / 1e9:.1f} GB of memory are free "
            f"on {device}. Close other programs, choose bf16, or choose a smaller model."
        )
    import transformers

    stage("reading the tokenizer", 0.3)
    tokenizer = _load_tokenizer(transformers, facts, pipeline)
    stage("reading the weights", 0.35)
    try:
        model = _load_weights(transformers, pipeline, torch_dtype, lambda share: stage("reading the weights", share))
        model = model.to(place).eval().requires_grad_(False)
    except MemoryError as error:
        raise _out_of_memory(facts, resolved) from error
    except RuntimeError as error:
        if "alloc" in str(error).lower() or "out of memory" in str(error).lower():
            raise _out_of_memory(facts, resolved) from error
        raise ModelError(f"{facts.name} could not be loaded from {folder}: {error}") from error
    stage("checking how it runs best", 0.85)
    loaded = LoadedModel(facts, pipeline, model, tokenizer, resolved, place)
    loaded.dense = _load_dense(pipeline, place)
    from engine.models.settle import settle

    settle(loaded, lambda share: stage("checking how it runs best", 0.85 + 0.15 * share))
    gc.collect(0)
    progress("ready", 1.0)
    return loaded


def _out_of_memory(facts: ModelFacts, dtype: str) -> ModelError:
    need = facts.memory.get(dtype, 0)
    return ModelError(
        f"Out of memory while loading {facts.name} (about {need / 1e9:.1f} GB as {dtype}). "
        "Close other programs, choose bf16, or choose a smaller model."
    )


def _load_tokenizer(transformers: Any, facts: ModelFacts, pipeline: EmbeddingPipeline) -> LaneTokenizer:
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            pipeline.transformer_folder, local_files_only=True, trust_remote_code=False
        )
        return LaneTokenizer(tokenizer, lower=pipeline.do_lower_case)
    except Exception as error:
        raise ModelError(
            f"The tokenizer of {facts.name} in {pipeline.transformer_folder} cannot be read: {error}. "
            "Copy the folder's tokenizer files again."
        ) from error


def _load_weights(
    transformers: Any, pipeline: EmbeddingPipeline, dtype: torch.dtype, progress: Callable[[float], None]
) -> Any:
    hook = getattr(transformers.utils.logging, "set_tqdm_hook", None)

    def counted(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Stand in for the progress bar that transformers draws over its tensors, and let a cancellation out of it."""
        if not args:
            return factory(**kwargs)
        tensors = list(args[0])

        def walk() -> Any:
            for index, tensor in enumerate(tensors):
                progress(0.35 + 0.5 * index / max(1, len(tensors)))
                yield tensor

        return walk()

    previous = hook(counted) if hook is not None else None
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        config = transformers.AutoConfig.from_pretrained(
            pipeline.transformer_folder, local_files_only=True, trust_remote_code=False
        )
        options: dict[str, Any] = {"config": config, "dtype": dtype, "local_files_only": True, "use_safetensors": True}
        # Encoder-decoders embed with their encoder alone, as sentence-transformers has it.
        kind = transformers.AutoModelForTextEncoding if config.is_encoder_decoder else transformers.AutoModel
        model, report = kind.from_pretrained(
            pipeline.transformer_folder, trust_remote_code=False, output_loading_info=True, **options
        )
    except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as error:
        raise ModelError(f"The model in {pipeline.transformer_folder} cannot be loaded: {error}") from error
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
        if hook is not None:
            hook(previous)
    # transformers fills what is missing with random numbers; a pooler is missing often and never used for vectors.
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise ModelError(
            f"The weights in {pipeline.transformer_folder} lack {len(missing)} tensors, such as {missing[0]!r}. "
            "Copy the model folder again."
        )
    wrong = report.get("mismatched_keys")
    if wrong:
        raise ModelError(
            f"The weights in {pipeline.transformer_folder} do not fit config.json: {min(map(str, wrong))}. "
            "Copy the model folder again."
        )
    return model


def _load_dense(pipeline: EmbeddingPipeline, device: torch.device) -> tuple[DenseWeights, ...]:
    import torch
    from safetensors.torch import load_file

    from engine.encoding.pooling import DenseWeights

    layers: list[DenseWeights] = []
    for layer in pipeline.dense:
        tensors = load_file(layer.weights)
        weight = tensors["linear.weight"].float().to(device)
        bias = tensors["linear.bias"].float().to(device) if layer.bias else None
        activation = getattr(torch.nn, layer.activation)()
        layers.append(DenseWeights(weight, bias, activation))
    return tuple(layers)


def probe_lengths(window: int, longest: int) -> list[int]:
    """Return the text lengths of the check at load: equal ones, unequal ones, and one beyond any sliding window."""
    lengths = [7, 40, 40, 18]
    if window > 0:
        lengths.append(window + 20)
    return [max(3, min(n, longest)) for n in lengths]


def probe_texts(loaded: LoadedModel, lengths: list[int]) -> list[np.ndarray]:
    """Return random token ids of these lengths, with the model's special tokens around them (seeded)."""
    random = np.random.default_rng(20)
    vocabulary = int(loaded.model.get_input_embeddings().weight.shape[0])
    prefix, suffix = loaded.tokenizer.prefix, loaded.tokenizer.suffix
    result = []
    for length in lengths:
        inner = max(1, length - len(prefix) - len(suffix))
        ids = random.integers(min(200, vocabulary // 4), vocabulary, inner, dtype=np.int32)
        result.append(np.concatenate([prefix, ids, suffix]))
    return result
