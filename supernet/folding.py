"""Notices that a norm was folded into a convolution and attention between or behind them was lost by it.

What folds norms copies the convolution alone, gives the copy new weights, and drops the norm with the
attention that follows it: `torch.fx.experimental.optimization.fuse` does so in a graph that nothing else of
the model is in. All that is left there is the copied convolution, so that is where the guard stands.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from foundation.errors import InputError
from search_space.convolution import FromConvolution
from supernet.structure import NORMS


class FoldGuard:
    """A hook of a convolution that ends the forward pass once a norm was folded into the convolution.

    Attributes:
        lost: What is wrong then, for the error.
        kept_by: Kind of the hook that, on the convolution itself, has kept the attention; None for none.
        copied: The weights that the convolution had when it was copied alone; empty unless it was.
    """

    def __init__(self, lost: str, kept_by: type | None = None) -> None:
        self.lost, self.kept_by = lost, kept_by
        self.copied: tuple[nn.Parameter, ...] = ()

    def __deepcopy__(self, memo: dict[int, Any]) -> FoldGuard:
        twin = FoldGuard(self.lost, self.kept_by)
        made = list(memo.values())
        if sum(isinstance(value, nn.Module) for value in made) == 1:  # the convolution, and nothing around it
            twin.copied = tuple(value for value in made if isinstance(value, nn.Parameter))
        return twin

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
        if not self.copied or any(module.weight is weight for weight in self.copied):
            return
        kept_by = self.kept_by
        if kept_by is not None and any(isinstance(hook, kept_by) for hook in module._forward_hooks.values()):
            return
        raise InputError(f"{self.lost}; fold norms before attaching, or autola.detach first")


def guard(model: nn.Module, name: str, kept_by: type) -> None:
    """Has the convolution before, or at, a module with attention notice that a norm was folded into it.

    Args:
        model: Changed in place.
        name: The module that attention follows.
        kept_by: Kind of the hook that runs the attention.
    """
    module = model.get_submodule(name)
    if isinstance(module, NORMS):
        lost = (
            f"the norm {name!r} was folded into the convolution before it, and the attention behind it lost"
        )
        if (conv := _convolution_before(model, name)) is not None:
            conv.register_forward_hook(FoldGuard(lost, kept_by))
    elif isinstance(module, nn.Conv2d):
        lost = f"a norm was folded into {name!r}, though attention stands between the two"
        module.register_forward_hook(FoldGuard(lost))


def guard_stand_in(operator: nn.Module, name: str) -> None:
    """Has what blends a convolution with an operator notice that a norm was folded into the first alone."""
    if isinstance(operator, FromConvolution):
        lost = f"a norm was folded into {name!r}, but not into the attention that stands for it"
        operator.register_forward_hook(FoldGuard(lost))


def _convolution_before(model: nn.Module, name: str) -> nn.Conv2d | None:
    """The convolution right before a norm among its siblings, of as many channels."""
    home, _, last = name.rpartition(".")
    channels = getattr(model.get_submodule(name), "num_features", None)
    before = None
    for sibling, module in model.get_submodule(home)._modules.items():
        if sibling == last:
            break
        if isinstance(module, nn.Conv2d):
            before = module
        elif isinstance(module, NORMS):
            before = None
    return before if before is not None and before.out_channels == channels else None
