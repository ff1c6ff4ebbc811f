"""Attention modules of timm under the names that timm's `attn_layer` has for them.

Source: timm.layers (https://github.com/huggingface/pytorch-image-models); each class names its paper.

The modules are timm's own, with its defaults unless a class says otherwise. timm takes seconds to import, so
that happens when the first is built.
"""

from __future__ import annotations

from math import inf
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.norm import one_value
from search_space.operator import Operator, operator
from search_space.state import State


class TimmOperator(Operator):
    """Passes the feature map through a module of timm, which is its child `module`.

    Args:
        name: timm's name of the module, for messages.
        kind: Name of the class in `timm.layers`.
        channels: Channels of the input.
        options: What timm's class is built with.

    Raises:
        InputError: If timm refuses the channels or an option.
    """

    def __init__(self, name: str, kind: str, channels: int, **options: Any) -> None:
        super().__init__()
        import timm.layers  # slow

        for option in ("gamma", "rd_ratio"):
            _check_positive(name, option, options.get(option, 1.0))
        given = ", ".join(f"{key}={value}" for key, value in options.items())
        try:
            self.module = getattr(timm.layers, kind)(channels, **options)
        except (AssertionError, ArithmeticError, RuntimeError, TypeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise InputError(
                f"timm builds no {name} for {channels} channels with {given or 'its defaults'}"
                + (f": {reason}" if reason else "")
            ) from None

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        x = state.x
        if x.shape[0] == 0:  # `len` would bind a traced program to the batch looked at
            return x  # some of timm's modules infer a size, which an empty batch does not determine
        try:
            return self.module(x)
        except ValueError as error:
            if self.training and "more than 1 value per channel" in str(error):
                raise one_value(type(self).__name__) from None
            raise

    def macs(self, shape: torch.Size) -> int:
        """Multiply-accumulates of its convolutions, linear layers and matrix products."""
        parameter = next(self.parameters(), torch.empty(0))
        x = torch.empty(shape, device=parameter.device, dtype=parameter.dtype)
        from torch.utils.flop_counter import FlopCounterMode  # slow: Triton

        with FlopCounterMode(display=False) as counter:
            self.read(State(x))
        return counter.get_total_flops() // 2


def _check_positive(name: str, option: str, value: float) -> None:
    if not 0 < value < inf:
        raise InputError(f"{name}[{option}={value}] is not a positive number")


@operator("eca")
class EfficientChannelAttention(TimmOperator):
    """timm's ECA: a channel gate from a one-dimensional convolution along the channel means.

    Source: Wang et al., "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks",
    CVPR 2020 (arXiv:1910.03151).

    Args:
        channels: Channels of the input; the kernel grows with their logarithm.
        gamma: Divides the logarithm.
        beta: Added to the logarithm.
    """

    ignores_order: ClassVar[bool] = True

    def __init__(self, channels: int, *, gamma: float = 2.0, beta: float = 1.0) -> None:
        super().__init__("eca", "EcaModule", channels, gamma=gamma, beta=beta)


@operator("ceca")
class CircularChannelAttention(TimmOperator):
    """timm's circular ECA: the first channel is a neighbour of the last.

    Source: timm, after Wang et al., CVPR 2020 (arXiv:1910.03151).

    Args:
        channels: Channels of the input; the kernel grows with their logarithm.
        gamma: Divides the logarithm.
        beta: Added to the logarithm.
    """

    ignores_order: ClassVar[bool] = True

    def __init__(self, channels: int, *, gamma: float = 2.0, beta: float = 1.0) -> None:
        super().__init__("ceca", "CecaModule", channels, gamma=gamma, beta=beta)


@operator("ese")
class EffectiveSqueezeExcite(TimmOperator):
    """timm's effective squeeze-and-excitation: one layer of full width and a hard sigmoid.

    Source: Lee and Park, "CenterMask: Real-Time Anchor-Free Instance Segmentation", CVPR 2020
    (arXiv:1911.06667).

    Args:
        channels: Channels of the input.
        add_maxpool: Whether the channel maximum is averaged with the mean.
    """

    ignores_order: ClassVar[bool] = True

    twice_differentiable: ClassVar[bool] = False  # torch's hard sigmoid has no second derivative

    def __init__(self, channels: int, *, add_maxpool: bool = False) -> None:
        super().__init__("ese", "EffectiveSEModule", channels, add_maxpool=add_maxpool)


@operator("gca", fuse_add=True, fuse_scale=False)
@operator("gc")
class GlobalContext(TimmOperator):
    """timm's global context: a softmax over the positions pools, a small network gates (`gca`: adds).

    Source: Cao et al., "GCNet: Non-local Networks Meet Squeeze-Excitation Networks and Beyond", ICCV
    workshops 2019 (arXiv:1904.11492).
    Differs from timm: the hidden layer has at least four units, for its layer norm makes a constant of one.

    Args:
        channels: Channels of the input.
        use_attn: Whether the softmax pools; the mean if not.
        fuse_scale: Whether the context gates.
        fuse_add: Whether the context is added.
        rd_ratio: Ratio of hidden units to channels.
    """

    ignores_order: ClassVar[bool] = True

    def __init__(
        self,
        channels: int,
        *,
        use_attn: bool = True,
        fuse_scale: bool = True,
        fuse_add: bool = False,
        rd_ratio: float = 1 / 8,
    ) -> None:
        _check_positive("gc", "rd_ratio", rd_ratio)
        super().__init__(
            "gc",
            "GlobalContext",
            channels,
            use_attn=use_attn,
            fuse_scale=fuse_scale,
            fuse_add=fuse_add,
            rd_channels=max(4, round(channels * rd_ratio)),
        )


@operator("ge")
class GatherExcite(TimmOperator):
    """timm's gather-excite: a gate from means over windows, or over the whole map (extent 0).

    Source: Hu et al., "Gather-Excite: Exploiting Feature Context in Convolutional Neural Networks", NeurIPS
    2018 (arXiv:1810.12348).
    Differs from timm: the small network is timm's ConvMlp, put in place by us, because timm 1.0.31 fails to
    build it; the form with weights in the gathering (`extra_params`) fails there too and is missing.

    Args:
        channels: Channels of the input.
        extent: Side of a window, even; 0 for the whole map.
        use_mlp: Whether a small network stands between means and gate.
        rd_ratio: Ratio of its hidden units to channels.
        add_maxpool: Whether maxima are averaged with the means.
    """

    def __init__(
        self,
        channels: int,
        *,
        extent: int = 0,
        use_mlp: bool = True,
        rd_ratio: float = 1 / 16,
        add_maxpool: bool = False,
    ) -> None:
        if extent < 0:
            raise InputError(f"ge[extent={extent}] is negative; 0 takes the whole map")
        _check_positive("ge", "rd_ratio", rd_ratio)
        options = {"extent": extent, "use_mlp": False, "add_maxpool": add_maxpool}
        super().__init__("ge", "GatherExcite", channels, **options)
        if use_mlp:
            from timm.layers.mlp import ConvMlp  # slow

            self.module.mlp = ConvMlp(channels, max(1, round(channels * rd_ratio)))


@operator("nl")
class NonLocal(TimmOperator):
    """timm's non-local block: self-attention over all positions, a norm of weight 0, the input added.

    Source: Wang et al., "Non-local Neural Networks", CVPR 2018 (arXiv:1711.07971).

    Args:
        channels: Channels of the input.
        use_scale: Whether energies are divided by the square root of the channels.
        rd_ratio: Ratio of inner channels to channels, rounded to a multiple of 8.
    """

    ignores_order: ClassVar[bool] = True

    def __init__(self, channels: int, *, use_scale: bool = True, rd_ratio: float = 1 / 8) -> None:
        super().__init__("nl", "NonLocalAttn", channels, use_scale=use_scale, rd_ratio=rd_ratio)


@operator("bat")
class BilinearTransform(TimmOperator):
    """timm's bilinear attentional transform: rows and columns of blocks are mixed, the input added.

    Source: Chi et al., "Non-Local Neural Networks With Grouped Bilinear Attentional Transforms", CVPR 2020.
    Differs from timm: a map whose sides are not multiples of `block_size` gets zeros below and to the right,
    which are cut off again; no dropout unless asked for.

    Args:
        channels: Channels of the input.
        block_size: Number of rows and of columns of blocks.
        groups: Groups of inner channels, each with its own transform.
        rd_ratio: Ratio of inner channels to channels, rounded to a multiple of 8.
        drop_rate: Chance of a channel to be dropped while training; timm has 0.2.
    """

    def __init__(
        self,
        channels: int,
        *,
        block_size: int = 7,
        groups: int = 2,
        rd_ratio: float = 0.25,
        drop_rate: float = 0.0,
    ) -> None:
        for option, value in (("block_size", block_size), ("groups", groups)):
            if value < 1:
                raise InputError(f"bat[{option}={value}] is not positive")
        if not 0 <= drop_rate <= 1:
            raise InputError(f"bat[drop_rate={drop_rate}] is no share; give a number in 0 ... 1")
        super().__init__(
            "bat",
            "BatNonLocalAttn",
            channels,
            block_size=block_size,
            groups=groups,
            rd_ratio=rd_ratio,
            drop_rate=drop_rate,
        )
        inner = self.module.conv1.conv.out_channels
        if inner % groups:
            raise InputError(f"bat[groups={groups}] does not divide its {inner} inner channels; try 1 or 2")
        self.block_size = block_size

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        h, w = state.x.shape[2:]
        padded = F.pad(state.x, (0, -w % self.block_size, 0, -h % self.block_size))
        return self.module(padded)[..., :h, :w]


@operator("sk")
class SelectiveKernel(TimmOperator):
    """timm's selective kernel: two 3x3 convolutions, one dilated, mixed channel by channel by attention.

    Source: Li et al., "Selective Kernel Networks", CVPR 2019 (arXiv:1903.06586); by default each convolution
    sees half of the channels, as timm has it.

    Args:
        channels: Channels of the input.
        rd_ratio: Ratio of hidden units to channels.
        split_input: Whether each convolution sees half of the channels.
    """

    def __init__(self, channels: int, *, rd_ratio: float = 1 / 16, split_input: bool = True) -> None:
        super().__init__("sk", "SelectiveKernel", channels, rd_ratio=rd_ratio, split_input=split_input)
