"""Families of blocks: which parts of a block attention follows, is read by, or stands for."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from foundation.errors import InputError
from search_space.operator import Place


@dataclass(frozen=True, kw_only=True)
class BlockFamily:
    """Where attention goes in blocks of one class, by the names of their parts.

    Attributes:
        block: What the place "block" follows: the last norm, or what ends a block that has its norms before
            its convolutions.
        inner: What the place "inner" follows: the norm of the 3x3 convolution.
        activation: The convolution that reads the activation of the (first) 3x3 convolution.
        conv: The convolutions that operators at the place "conv" stand for, or the modules that hold them.
        is_pyramid: Whether it is a feature pyramid, where "block" means right before every convolution.
    """

    block: tuple[str, ...] = ()
    inner: tuple[str, ...] = ()
    activation: str = ""
    conv: tuple[str, ...] = ()
    is_pyramid: bool = False

    def followed(self, place: Place) -> tuple[str, ...]:
        """The parts that attention at a place follows."""
        return {"block": self.block, "inner": self.inner}.get(place, ())


_BASIC = BlockFamily(block=("bn2",), inner=("bn2",), activation="conv2", conv=("conv1",))
_BOTTLENECK = BlockFamily(block=("bn3",), inner=("bn2",), activation="conv3", conv=("conv2",))

FAMILIES: dict[str, BlockFamily] = {
    "supernet.backbones.cifar_resnet.BasicBlock": _BASIC,
    "torchvision.models.resnet.BasicBlock": _BASIC,
    "timm.models.resnet.BasicBlock": _BASIC,
    "torchvision.models.resnet.Bottleneck": _BOTTLENECK,
    "timm.models.resnet.Bottleneck": _BOTTLENECK,
    "supernet.backbones.wide_resnet.WideBlock": BlockFamily(
        block=("conv2",), inner=("conv2",), activation="conv2", conv=("conv1",)
    ),
    # SE-MobileNet's size asks for a module after both norms.
    "supernet.backbones.mobilenet.SeparableBlock": BlockFamily(
        block=("bn1", "bn2"), inner=("bn2",), activation="conv2", conv=("conv2",)
    ),
    # Where attention goes in MnasNet is our reading: no source that we have says it.
    "torchvision.models.mnasnet._InvertedResidual": BlockFamily(
        block=("layers.7",), inner=("layers.4",), activation="layers.6", conv=("layers.6",)
    ),
    "torchvision.ops.feature_pyramid_network.FeaturePyramidNetwork": BlockFamily(
        conv=("inner_blocks", "layer_blocks"), is_pyramid=True
    ),
}
"""Families by the full name of their class, which names a class without importing its package."""


def register_blocks(
    block_class: type[nn.Module],
    *,
    block: str | tuple[str, ...],
    inner: str | tuple[str, ...] | None = None,
    activation: str = "",
    conv: str | tuple[str, ...] = (),
) -> None:
    """Says where attention goes in the blocks of a class of your own, and of its subclasses.

    Names are those of the block's parts, dotted where they are deeper.

    Args:
        block_class: The class; a subclass that computes something else (`forward`) needs a call of its own.
        block: What attention follows, the last norm of a residual block: where `se` and most others go.
        inner: The norm of the 3x3 convolution, where `hoga` goes and a search puts its cells; the same as
            `block` if left out.
        activation: The convolution that reads the activation of the first 3x3: `ga` goes before it.
        conv: The convolution that `aw`, `dcn` and `aa` stand for.

    Raises:
        InputError: If the class is registered with other parts already.
    """
    block = _several(block)
    family = BlockFamily(
        block=block,
        inner=block if inner is None else _several(inner),
        activation=activation,
        conv=_several(conv),
    )
    name = _name(block_class)
    if FAMILIES.get(name, family) != family:
        raise InputError(f"the blocks of {name} are registered already, with other parts")
    FAMILIES[name] = family


def family_of(module: nn.Module) -> BlockFamily | None:
    """The family of a block, by its class; None where a subclass computes something of its own."""
    for kind in type(module).__mro__:
        if family := FAMILIES.get(_name(kind)):
            return family
        if "forward" in vars(kind) and not vars(kind).get("wraps_forward", False):
            return None
    return None


def namesakes(model: nn.Module) -> list[str]:
    """Classes that are only called as blocks of a family are."""
    known = {name.rpartition(".")[2] for name in FAMILIES}
    found = {type(module) for module in model.modules() if family_of(module) is None}
    return sorted(_name(kind) for kind in found if kind.__name__ in known)


def class_name(module: nn.Module) -> str:
    """The full name of a module's class."""
    return _name(type(module))


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _several(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names
