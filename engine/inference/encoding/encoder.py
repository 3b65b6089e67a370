"""One worker's encoder: token ids in, one vector a text out, over weights that all workers share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch

from engine.inference.encoding.attention import Layout, running
from engine.inference.encoding.pooling import finish, pool
from engine.inference.encoding.vocabulary import vocabulary_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from engine.models.load import LoadedModel
    from engine.requests.item import TokenIds, WorkItem


class Encoder:
    """Runs batches of texts through the loaded model on the calling thread.

    Holds nothing mutable but its buffers, so every worker makes its own over one LoadedModel.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        """Use the weights, mode and kernels that ``loaded`` settled on."""
        self._loaded = loaded

    def encode(self, items: Sequence[WorkItem], cancelled: Callable[[], bool] | None = None) -> npt.NDArray[np.float32]:
        """Return the vectors ``[texts, dimension]`` of ``items`` in their order; raises Cancelled within a layer."""
        loaded = self._loaded
        skip = None
        if not loaded.pipeline.include_prompt and any(item.skip for item in items):
            skip = torch.tensor([item.skip for item in items])
        ids = [item.ids for item in items]
        with torch.inference_mode():
            if loaded.mode == "packed":
                hidden, layout = packed_forward(loaded, ids, cancelled)
            elif loaded.mode == "padded":
                hidden, layout = padded_forward(loaded, ids, cancelled)
            else:
                parts = [padded_forward(loaded, [one], cancelled)[0] for one in ids]
                hidden, layout = torch.cat(parts), Layout([len(one) for one in ids], loaded.device)
            vectors = pool(hidden, layout, loaded.pipeline.pooling, skip)
            pipeline = loaded.pipeline
            vectors = finish(vectors, loaded.dense, unit_length=pipeline.normalize, keep=pipeline.truncate_dim)
            return vectors.float().cpu().numpy()


def packed_forward(
    loaded: LoadedModel, ids: Sequence[TokenIds], cancelled: Callable[[], bool] | None = None
) -> tuple[torch.Tensor, Layout]:
    """Return token vectors ``[total_tokens, hidden]`` and their layout, all texts in one row, nothing padded."""
    layout = Layout([len(one) for one in ids], loaded.device)
    row = torch.from_numpy(np.concatenate(ids).astype(np.int64))[None].to(loaded.device)
    inputs: dict[str, torch.Tensor] = {
        "input_ids": row,
        "position_ids": (layout.position + loaded.position_offset)[None],
    }
    if loaded.token_types is not None:
        inputs["token_type_ids"] = _types_of(row, loaded.token_types)
    with running(layout, loaded.kernel, cancelled):
        output = loaded.model(**inputs, **loaded.extra_inputs)
    return output.last_hidden_state[0], layout


def padded_forward(
    loaded: LoadedModel, ids: Sequence[TokenIds], cancelled: Callable[[], bool] | None = None
) -> tuple[torch.Tensor, Layout]:
    """Return token vectors ``[total_tokens, hidden]`` and their layout, from a batch padded on the right."""
    longest = max(len(one) for one in ids)
    # Some tokenizers pad with a mark that has no row in the embedding; what is masked may be any token.
    rows = vocabulary_of(loaded.model)
    pad = loaded.tokenizer.pad_id if 0 <= loaded.tokenizer.pad_id < rows else 0
    batch = np.full((len(ids), longest), pad, np.int64)
    mask = np.zeros((len(ids), longest), np.int64)
    for row, one in enumerate(ids):
        batch[row, : len(one)] = one
        mask[row, : len(one)] = 1
    real = torch.from_numpy(mask).to(loaded.device)
    inputs: dict[str, torch.Tensor] = {
        "input_ids": torch.from_numpy(batch).to(loaded.device),
        "attention_mask": real,
    }
    if loaded.token_types is not None:
        inputs["token_type_ids"] = _types_of(inputs["input_ids"], loaded.token_types)
    with running(None, None, cancelled):
        hidden = loaded.model(**inputs, **loaded.extra_inputs).last_hidden_state
    return hidden[real.bool()], Layout([len(one) for one in ids], loaded.device)


def _types_of(ids: torch.Tensor, types: dict[int, int]) -> torch.Tensor:
    """Return the type of each token: 0 for all but those in ``types``."""
    made = torch.zeros_like(ids)
    for token, kind in types.items():
        made[ids == token] = kind
    return made


def forward_accepts(model: torch.nn.Module, name: str) -> bool:
    """Tell whether the model's forward takes a parameter of this name (or any, through ``**kwargs``)."""
    parameters = inspect.signature(model.forward).parameters
    return name in parameters
