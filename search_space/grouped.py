"""Operators of one kind on several edges, run as one: stacked parameters, gates summed before multiplying.

An operator file brings its grouped form beside the plain one:

    @grouped(SeparableGate)
    class GroupedSeparableGate(Grouped[SeparableGate]):
        def mix(self, state, weight, mixture, channel_gates): ...

The plain class stays the only definition of names and initial values: a stack is one plain module whose
parameters and buffers have a leading edge axis. Operators without a grouped form run one by one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space import kernels
from search_space.norm import OperatorNorm, batch_norm
from search_space.state import State, add_all

M = TypeVar("M", bound=nn.Module)


class Mixture:
    """What the operators of a group add up to, edge by edge: x * (sum of weighted gates) + features.

    Gates are summed before they multiply, and everything that does not depend on both channel and position
    meets in one product of matrices: positions x maps by maps x channels.

    Args:
        state: One channel group for every edge.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.num_edges = state.num_groups
        self._channels: list[tuple[Tensor, Tensor]] = []
        self._maps: list[Tensor] = []
        self._factors: list[Tensor] = []
        self._full: list[tuple[Tensor, Tensor]] = []
        self._features: list[Tensor] = []

    def add_channel_gate(
        self, gate: Float[Tensor, "b_or_1 edges_or_1 c_or_1"], weight: Float[Tensor, "edges"]
    ) -> None:
        """Adds weight * gate: a factor for every channel, or one for an edge."""
        self._channels.append((gate, weight))

    def add_spatial_gate(
        self, logits: Float[Tensor, "b edges h w"], factor: Float[Tensor, "b_or_1 edges c_or_1"]
    ) -> None:
        """Adds factor * sigmoid(logits): a map for every edge times weighted factors for its channels."""
        self._maps.append(logits)
        self._factors.append(factor)

    def add_full_gate(self, logits: Float[Tensor, "b edges_c h w"], weight: Float[Tensor, "edges"]) -> None:
        """Adds weight * sigmoid(logits): a factor for every channel and position."""
        self._full.append((logits, weight))

    def add_features(self, features: Float[Tensor, "b edges_c h w"]) -> None:
        """Adds weighted features of operators that are not gates."""
        self._features.append(features)

    def total(self) -> Float[Tensor, "b edges_c h w"]:
        """The sum for every edge, in channels-last layout."""
        x = self.state.x
        gate = self._gate(x)
        terms = list(self._features)
        if gate is not None:
            terms.append(x * gate)
        if not terms:
            return torch.zeros_like(x)
        return add_all(terms)

    def _gate(self, x: Tensor) -> Tensor | None:
        b, channels, h, w = x.shape
        e, c = self.num_edges, channels // self.num_edges
        total: Tensor | None = None
        if self._channels:
            gates = torch.stack([gate.expand(b, e, c) for gate, _ in self._channels])
            weights = torch.stack([weight for _, weight in self._channels])
            total = (gates * weights[:, None, :, None]).sum(0).view(b, channels, 1, 1)
        if self._maps:
            maps = torch.cat(self._maps, 1) if len(self._maps) > 1 else self._maps[0]
            maps = torch.sigmoid(maps).permute(0, 2, 3, 1).reshape(b, h * w, len(self._maps) * e)
            factors = torch.stack([factor.expand(b, e, c) for factor in self._factors], 1)
            own = torch.eye(e, dtype=x.dtype, device=x.device)[:, :, None]
            factors = (factors[:, :, None] * own).view(b, -1, channels)
            if total is None:
                total = maps @ factors
            else:
                total = torch.baddbmm(total.view(b, 1, channels), maps, factors)
            total = total.view(b, h, w, channels).permute(0, 3, 1, 2)
        for logits, weight in self._full:
            gate, factor = torch.sigmoid(logits), weight.repeat_interleave(c).view(-1, 1, 1)
            total = gate * factor if total is None else torch.addcmul(total, gate, factor)
        return total


class Grouped(Generic[M]):
    """Several operators of one kind that read one state each, run as one.

    Args:
        stack: The operators' parameters (see `stack_modules`).
    """

    def __init__(self, stack: M) -> None:
        self.stack = stack

    def channel_mlps(self) -> Sequence[nn.Module]:
        """Stacks of two-layer channel gates that this operator needs; all of a group run as one."""
        return ()

    def mix(
        self,
        state: State,
        weight: Float[Tensor, "edges"],
        mixture: Mixture,
        channel_gates: Sequence[Float[Tensor, "b edges c"]],
    ) -> None:
        """Adds weight * operator(state), edge by edge, to the mixture.

        Args:
            state: One channel group for every edge.
            weight: One mixing weight for every edge.
            mixture: What to add to.
            channel_gates: The values of `channel_mlps`.
        """
        raise NotImplementedError(f"{type(self).__name__} has to define mix")


GROUPED: dict[type[nn.Module], type[Grouped[Any]]] = {}
"""The grouped form of each operator class that has one."""

G = TypeVar("G", bound=type[Grouped[Any]])


def grouped(operator: type[nn.Module]) -> Callable[[G], G]:
    """Registers the grouped form of an operator class."""

    def decorate(form: G) -> G:
        if operator in GROUPED:
            raise ValueError(f"{operator.__name__} has two grouped forms")
        GROUPED[operator] = form
        return form

    return decorate


def stack_modules(modules: Sequence[M]) -> M:
    """One module with the parameters and buffers of all, along a new first axis, under the same names.

    It holds values and settings; its own forward does not fit them.
    """
    stack = copy.deepcopy(modules[0])
    for name, submodule in stack.named_modules():
        others = [module.get_submodule(name) for module in modules]
        for key, parameter in submodule.named_parameters(recurse=False):
            values = torch.stack([other.get_parameter(key).detach() for other in others])
            setattr(submodule, key, nn.Parameter(values, requires_grad=parameter.requires_grad))
        for key, _ in submodule.named_buffers(recurse=False):
            setattr(submodule, key, torch.stack([other.get_buffer(key) for other in others]))
    return stack


def norm(stack: OperatorNorm, x: Float[Tensor, "b edges_c h w"]) -> Float[Tensor, "b edges_c h w"]:
    """The batch norms of a stack, as one over all channels; does not count batches (`count_batches`)."""
    mean, variance = stack.running_mean, stack.running_var
    assert mean is not None, "norms of operators keep running statistics"
    assert variance is not None
    assert stack.momentum is not None
    return batch_norm(
        x,
        mean.view(-1),
        variance.view(-1),
        stack.weight.flatten() if stack.affine else None,
        stack.bias.flatten() if stack.affine else None,
        stack.training,
        stack.momentum,
        stack.eps,
    )


def count_batches(stacks: Iterable[nn.Module]) -> None:
    """Counts a batch in all norms of some stacks that train, in one call."""
    counters = [
        norm.num_batches_tracked
        for stack in stacks
        for norm in stack.modules()
        if isinstance(norm, OperatorNorm) and norm.training and norm.num_batches_tracked is not None
    ]
    if counters:
        # One call for all norms of a cell; torch names it with an underscore as its own optimizers use it.
        torch._foreach_add_(counters, 1)  # pyright: ignore[reportPrivateImportUsage]


def separable(
    depthwise: nn.Conv2d, pointwise: nn.Conv2d, x: Float[Tensor, "b edges_c h w"]
) -> Float[Tensor, "b edges_o h w"]:
    """The depthwise convolutions of a stack, then its 1x1 convolutions, each on its own group."""
    return kernels.separable(
        x, depthwise.weight.flatten(0, 1), pointwise.weight.flatten(0, 1), depthwise.dilation[0]
    )
