"""The cell as one node of an ONNX model, and the library that runs it in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from search_space.native.module import NativeCell
from search_space.native.operator import built

DOMAIN = "autola"


def holds_native(module: nn.Module) -> bool:
    """Whether a module has cells that the native operator runs."""
    return any(isinstance(inner, NativeCell) for inner in module.modules())


def onnxruntime_library() -> Path:
    """What ONNX Runtime registers to run such a model: `SessionOptions.register_custom_ops_library`.

    Raises:
        InputError: If there is no compiler, it fails, or the folder cannot be written to.
    """
    return built("onnxruntime_operator.cpp")


def translations() -> Mapping[Callable[..., Any], Callable[..., Any]]:
    """What `torch.onnx.export` makes of the operator: its `custom_translation_table`."""
    from onnx import defs
    from onnxscript import opset18, values

    parameter = defs.OpSchema.FormalParameter
    schema = defs.OpSchema(
        "Cell",
        DOMAIN,
        1,
        inputs=[parameter("x", "T"), parameter("weights", "T"), parameter("program", "tensor(int64)")],
        outputs=[parameter("y", "T")],
        type_constraints=[("T", ["tensor(float)"], "Single precision.")],
    )
    node = values.Op(values.Opset(DOMAIN, 1), "Cell", schema)

    def cell(x: Any, weights: Any, program: Sequence[int]) -> Any:
        return node(x, weights, opset18.Constant(value_ints=list(program)))

    return {torch.ops.autola.cell.default: cell}
