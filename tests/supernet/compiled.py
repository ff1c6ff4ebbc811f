"""What compilers owe a network; run where nothing checks shapes: see `tests.alone`."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def check_compiled_and_exported(model: nn.Module, x: Tensor) -> None:
    """Holds a compiled network to the eager one, gradients included, and an exported one for any batch."""
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    y = compiled(x)
    torch.testing.assert_close(y, model(x))
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    expected = model.eval()(x)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(model, (x,), dynamic_shapes=({0: batch},)).module()
    torch.testing.assert_close(exported(x), expected)
    torch.testing.assert_close(exported(x[:1]), expected[:1])
    assert set(exported.state_dict()) == set(model.state_dict())
