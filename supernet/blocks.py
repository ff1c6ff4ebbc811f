"""The blocks of a network, compiled one by one or computed again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from foundation.errors import InputError
from supernet.families import FAMILIES, family_of
from supernet.mixed import MixedEdges

GRAPHS = 64
"""Most graphs that are compiled of one block's code: a few widths, with and without gradients of the
weights, in training and evaluation; torch's own limit is 8."""


def blocks(model: nn.Module) -> list[nn.Module]:
    """The blocks of the families that attention knows, in the order of the model.

    Raises:
        InputError: If there are none.
    """
    known = ((module, family_of(module)) for module in model.modules())
    found = [module for module, family in known if family is not None and not family.is_pyramid]
    if not found:
        names = sorted(name for name, family in FAMILIES.items() if not family.is_pyramid)
        raise InputError(
            f"{type(model).__name__} has no block that autola knows, to compile or to compute again; "
            f"known are {', '.join(names)}"
        )
    return found


def compile_blocks(model: nn.Module) -> None:
    """Compiles every block on its own by torch.compile, in place: names and state dicts stay.

    Blocks of equal shapes share what is compiled. Copies of the model are not compiled.

    Raises:
        InputError: If the model has no block that autola knows, or its blocks are computed again.
    """
    for block in blocks(model):
        if isinstance(block, Recomputed):
            raise _both()
        # The only way before torch 2.13, where compile takes the limit as an argument.
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, GRAPHS)
        block.compile()


def recompute_blocks(model: nn.Module) -> None:
    """Lets every block keep its input alone and compute the rest again in the backward pass, in place.

    The function stays the same, statistics of norms included, names and state dicts too.

    Raises:
        InputError: If the model has no block that autola knows, or its blocks are compiled.
    """
    for block in blocks(model):
        if block._compiled_call_impl is not None:
            raise _both()
        block.__class__ = _recomputed(type(block))


def speed_up(model: nn.Module, *, compile: bool = False, recompute: bool = False) -> None:
    """What of the two above is asked for.

    Raises:
        InputError: If both are, or the model has no block that autola knows.
    """
    if compile:
        compile_blocks(model)
    if recompute:
        recompute_blocks(model)


def _both() -> InputError:
    return InputError("blocks are either compiled or computed again; choose compile or recompute")


class Recomputed:
    """A block that is computed again in the backward pass."""


@cache
def _recomputed(module: type[nn.Module]) -> type[nn.Module]:
    class RecomputedBlock(Recomputed, module):
        wraps_forward = True

        def forward(self, *args: Any) -> Tensor:
            if not torch.is_grad_enabled():
                return super().forward(*args)
            again = _again(self)
            return checkpoint(
                super().forward, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), again())
            )

    RecomputedBlock.__name__ = RecomputedBlock.__qualname__ = module.__name__
    return RecomputedBlock


def _again(block: nn.Module) -> Callable[[], AbstractContextManager[None]]:
    """What holds while a block is computed again: the mixing weights of now, and statistics that stay."""
    mixings = {edges.mixing for edges in block.modules() if isinstance(edges, MixedEdges)}
    then = {mixing: mixing.snapshot() for mixing in mixings}

    @contextmanager
    def again() -> Iterator[None]:
        before = {mixing: mixing.snapshot() for mixing in mixings}
        norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
        kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
        for mixing, snapshot in then.items():
            mixing.restore(snapshot)
        for norm in norms:
            norm.momentum, norm.num_batches_tracked = 0.0, None
        try:
            yield
        finally:
            for norm, (momentum, num_batches) in zip(norms, kept):
                norm.momentum, norm.num_batches_tracked = momentum, num_batches
            for mixing, snapshot in before.items():
                mixing.restore(snapshot)

    return again
