"""Replacing linears while a model is read, one tensor at a time, so that the float copy of the whole never exists.

transformers has a place for that: a quantizer, asked for every tensor whether it takes it, and given it as soon as it
is read. What is read lies in pages of the file mapped into memory; they are let go as soon as they are used. What is
left in the heap is given back on the way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers.core_model_loading import ConversionOps
from transformers.quantizers.auto import register_quantization_config, register_quantizer
from transformers.quantizers.base import HfQuantizer
from transformers.utils.quantization_config import QuantizationConfigMixin

from engine.kernels.linears.format import tied_names
from engine.kernels.mapped import let_files_go, let_go
from engine.telemetry import machine

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.kernels.linears.format import LinearFormat

_METHOD = "heddle"


@register_quantization_config(_METHOD)
class LinearsConfig(QuantizationConfigMixin):
    """What ``from_pretrained`` takes as ``quantization_config``: the format that makes the linears."""

    def __init__(self, linears: LinearFormat) -> None:
        """Let ``linears`` make them."""
        self.quant_method = _METHOD  # pyright: ignore[reportAttributeAccessIssue] - a name of our own is allowed
        self.linears = linears


class _Replace(ConversionOps):
    """Takes the weight of a linear as it is read, and puts the module that holds it in its own way in the model."""

    def __init__(self, linears: LinearFormat, heap: machine.HeapKeeper, wanted: Callable[[Any, str], bool]) -> None:
        self._linears, self._heap, self._wanted = linears, heap, wanted

    @staticmethod
    def _output(model: Any) -> Any:
        return model.get_output_embeddings()

    def convert(
        self,
        input_dict: dict[str, Any],
        source_patterns: list[str] | None = None,  # noqa: ARG002 - transformers' signature
        target_patterns: list[str] | None = None,  # noqa: ARG002
        full_layer_name: str | None = None,
        model: torch.nn.Module | None = None,
        missing_keys: set[str] | None = None,
        **_: Any,
    ) -> dict[str, Any]:
        """Return the weights that stay with plain linears; those that were taken are left out.

        There are several where a file holds weights joined that the model has apart, under their full names.
        """
        assert model is not None
        assert full_layer_name is not None
        several = len(input_dict) > 1
        left: dict[str, Any] = {}
        while input_dict:
            key, value = input_dict.popitem()
            name = key if several else full_layer_name
            weight: torch.Tensor = value[0] if isinstance(value, list) else value
            del value
            if (several and not self._wanted(model, name)) or not self._take(model, name, weight):
                left[name] = weight
                continue
            if missing_keys is not None:
                missing_keys.discard(name)
            let_go(weight)
            numbers = weight.numel()
            del weight
            if self._heap.laid_out(numbers):
                let_files_go()
        return left

    def _take(self, model: torch.nn.Module, name: str, weight: torch.Tensor) -> bool:
        """Put a linear of the format in the place of a plain one; False where the plain one stays."""
        path = name.removesuffix(".weight")
        parent_path, _dot, last = path.rpartition(".")
        parent: torch.nn.Module = model.get_submodule(parent_path)
        plain: Any = model.get_submodule(path)
        if tuple(weight.shape) != (plain.out_features, plain.in_features):
            return False  # the loader says what does not fit
        with torch.inference_mode(False), torch.no_grad():
            output = plain is self._output(model)
            made = self._linears.make(weight, plain.bias, parent=parent, output=output, name=path)
        if made is None:
            return False
        made._is_hf_initialized = True  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType] # noqa: SLF001
        setattr(parent, last, made.eval())
        return True


@register_quantizer(_METHOD)
class _Quantizer(HfQuantizer):
    """Takes the weights of all plain linears that stand for themselves."""

    def __init__(self, quantization_config: Any, **kwargs: Any) -> None:
        super().__init__(quantization_config, **kwargs)
        self._linears: LinearFormat = quantization_config.linears
        self._heap = machine.HeapKeeper()
        self._tied: set[str] = set()

    def _process_model_before_weight_loading(self, model: Any, **_: Any) -> Any:
        self._tied = tied_names(model)
        return model

    def param_needs_quantization(self, model: Any, param_name: str, **_: Any) -> bool:
        path, _dot, last = param_name.rpartition(".")
        if last != "weight" or param_name in self._tied or path in self._linears.plain:
            return False
        try:
            return type(model.get_submodule(path)) is torch.nn.Linear
        except AttributeError:
            return False

    def get_quantize_ops(self) -> _Replace:
        return _Replace(self._linears, self._heap, self.param_needs_quantization)

    def postprocess_model(self, model: Any, **_: Any) -> Any:
        """Leave no trace: to everybody else it is a model like any other."""
        self.remove_quantization_config(model)
        return model

    def is_serializable(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride] - theirs names no type
        return False

    @property
    def is_trainable(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]
        return False
