"""Reading a folder with transformers: tokenizer and weights, offline, with progress, cancellation and clear errors."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.errors import ModelError
from engine.models.clean_view import without_marks
from engine.models.formats.gguf import source as gguf
from engine.models.formats.gguf.parts import is_gguf
from engine.models.tokenizer import WorkerTokenizer

if TYPE_CHECKING:
    import torch

    from engine.api.facts import ModelFacts
    from engine.kernels.linears.format import LinearFormat


def read_tokenizer(facts: ModelFacts, folder: str, *, lower: bool = False) -> WorkerTokenizer:
    """Return the tokenizer in ``folder``; raises ModelError when it cannot be read."""
    import transformers

    if is_gguf(folder):
        return WorkerTokenizer(gguf.tokenizer_of(folder), lower=lower)
    try:
        with without_marks(folder) as place:
            tokenizer = transformers.AutoTokenizer.from_pretrained(
                place, local_files_only=True, trust_remote_code=False
            )
        return WorkerTokenizer(tokenizer, lower=lower)
    except Exception as error:
        raise ModelError(
            f"The tokenizer of {facts.name} in {folder} cannot be read: {error}. "
            "Copy the folder's tokenizer files again."
        ) from error


def read_weights(
    facts: ModelFacts,
    folder: str,
    dtype: torch.dtype,
    device: torch.device,
    choose: Callable[[Any, Any], Any],
    progress: Callable[[float], None],
    linears: LinearFormat | None = None,
) -> Any:
    """Return the model in ``folder`` in evaluation mode on ``device``.

    ``linears``, where given, makes the model's linears as their weights are read.

    ``choose`` gets transformers and the model's config and returns the class to load with; ``progress`` is called with
    the share of tensors read, 0 to 1, and may raise Cancelled. Raises ModelError for weights that are incomplete, do
    not fit config.json, or do not fit into memory.
    """
    import transformers

    try:
        with contextlib.nullcontext(folder) if is_gguf(folder) else without_marks(folder) as place:
            model = _read(transformers, place, dtype, choose, progress, linears)
        return model.to(device).eval().requires_grad_(False)
    except MemoryError as error:
        raise _out_of_memory(facts) from error
    except RuntimeError as error:
        if "alloc" in str(error).lower() or "out of memory" in str(error).lower():
            raise _out_of_memory(facts) from error
        raise ModelError(f"{facts.name} could not be loaded from {folder}: {error}") from error


def _out_of_memory(facts: ModelFacts) -> ModelError:
    return ModelError(
        f"Out of memory while loading {facts.name} ({facts.bytes / 1e9:.1f} GB on disk). "
        "Close other programs, choose bf16, or choose a smaller model."
    )


def _read(
    transformers: Any,
    folder: str,
    dtype: torch.dtype,
    choose: Callable[[Any, Any], Any],
    progress: Callable[[float], None],
    linears: LinearFormat | None,
) -> Any:
    hook = getattr(transformers.utils.logging, "set_tqdm_hook", None)

    def counted(factory: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Stand in for the progress bar that transformers draws over its tensors, and let a cancellation out of it."""
        if not args:
            return factory(**kwargs)
        tensors = list(args[0])

        def walk() -> Any:
            for index, tensor in enumerate(tensors):
                progress(index / max(1, len(tensors)))
                yield tensor

        return walk()

    previous = hook(counted) if hook is not None else None
    verbosity = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        given: dict[str, Any] = {}
        if linears is not None:
            from engine.kernels.linears.loading import LinearsConfig

            given["quantization_config"] = LinearsConfig(linears)  # pyright: ignore[reportArgumentType]
        if is_gguf(folder):
            place, (made, config, given["state_dict"]) = None, gguf.model_of(folder, dtype)
        else:
            place = folder
            config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            made = choose(transformers, config)
        model, report = made.from_pretrained(
            place,
            trust_remote_code=False,
            output_loading_info=True,
            config=config,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            **given,
        )
    except (OSError, ValueError, KeyError, ImportError, TypeError, AttributeError) as error:
        raise ModelError(f"The model in {folder} cannot be loaded: {error}") from error
    finally:
        transformers.utils.logging.set_verbosity(verbosity)
        if hook is not None:
            hook(previous)
    # transformers fills what is missing with random numbers; a pooler is missing often and never used for vectors.
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing:
        raise ModelError(
            f"The weights in {folder} lack {len(missing)} tensors, such as {missing[0]!r}. Copy the model folder again."
        )
    wrong = report.get("mismatched_keys")
    if wrong:
        raise ModelError(
            f"The weights in {folder} do not fit config.json: {min(map(str, wrong))}. Copy the model folder again."
        )
    return model
