"""Batch norm in the layout in which the CPU computes it fast."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from foundation.errors import InputError
from search_space.layout import is_channels_last, to_channels_last, to_planes

NARROW = 7
"""Most channels of a map that is normalised plane by plane: a vector of the CPU holds eight, and the
channels-last kernel is three times slower below that, copies counted (torch 2.15, one thread)."""


LARGE = 16_384
"""Fewest positions (b h w) of a map that is normalised so: on smaller ones the copies cost what they save."""


def batch_norm(
    x: Float[Tensor, "b c h w"],
    mean: Float[Tensor, "c"] | None,
    variance: Float[Tensor, "c"] | None,
    weight: Float[Tensor, "c"] | None,
    bias: Float[Tensor, "c"] | None,
    training: bool,
    momentum: float,
    eps: float,
) -> Float[Tensor, "b c h w"]:
    """`torch.nn.functional.batch_norm`; narrow channels-last maps take the faster way on the CPU."""
    narrow = (
        not torch.compiler.is_compiling()  # first: a traced program would be bound to the batch looked at
        and x.device.type == "cpu"
        and 1 < x.shape[1] <= NARROW
        and x.shape[0] * x.shape[2] * x.shape[3] >= LARGE
        and is_channels_last(x)
    )
    y = F.batch_norm(to_planes(x) if narrow else x, mean, variance, weight, bias, training, momentum, eps)
    return to_channels_last(y) if narrow else y


def one_value(what: str) -> InputError:
    """The error for a batch norm that has nothing to normalise with."""
    return InputError(
        f"{what} cannot train on this at batch 1: one of its batch norms sees one value a channel; "
        "give larger batches"
    )


class OperatorNorm(nn.modules.batchnorm._BatchNorm):
    """The batch norm of operators: what `torch.nn.BatchNorm2d` computes, by way of `batch_norm`.

    It is no BatchNorm2d, so that whoever freezes those of a network, for its weights were trained with them,
    leaves the attention learning.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        assert input.dim() == 4, f"maps are (b, c, h, w), not {tuple(input.shape)}"

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        if self.momentum is None or not self.track_running_stats:
            return super().forward(input)
        if self.training and input.shape[0] * input.shape[2] * input.shape[3] == 1:
            raise one_value("attention")
        if self.training and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training,
            self.momentum,
            self.eps,
        )
