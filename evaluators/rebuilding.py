"""Known networks built anew, wider or deeper."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

import torch
from torch import nn

from foundation.errors import InputError
from supernet.backbones.cifar_resnet import CifarResNet
from supernet.backbones.mobilenet import MobileNet
from supernet.backbones.wide_resnet import WideResNet

TORCHVISION = "torchvision.models.resnet"


def rebuilding(model: nn.Module) -> Callable[..., nn.Module]:
    """What builds a network like a given one from `width`, `depth` or both; their defaults are its own.

    Raises:
        InputError: If the network is of another kind, or was changed after it was built.
    """
    build = _build_of(model)
    if build is None:
        raise InputError(
            f"how is {type(model).__name__} made wider or deeper? give a function of `width`, `depth` or "
            "both that builds it, their defaults the plain network's"
        )
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        again = build()
    if _outline(again) != _outline(model):
        raise InputError(
            f"this {type(model).__name__} was changed after it was built; give a function of `width`, "
            "`depth` or both that builds it, their defaults the plain network's"
        )
    return build


def resized(build: Callable[[], nn.Module], **sizes: int | None) -> nn.Module:
    """What a function builds, or the same made wider or deeper.

    Args:
        build: Builds the network as it is.
        sizes: Its `width` and `depth`; None for its own.

    Raises:
        InputError: If it cannot be built so, or is larger already.
    """
    changes = {name: size for name, size in sizes.items() if size is not None}
    if not changes:
        return build()
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = build()
    again = rebuilding(model)
    own = {name: parameter.default for name, parameter in inspect.signature(again).parameters.items()}
    for name, size in changes.items():
        if name not in own:
            raise InputError(f"{type(model).__name__} has no {name} to choose; leave it out")
        if name == "depth" and size < own[name]:
            raise InputError(f"depth={size} is less than the {own[name]} blocks of {type(model).__name__}")
    return again(**changes)


def deepened(num_blocks: Sequence[int], total: int) -> list[int]:
    """Blocks of each stage, as many more as make a total: always where there are fewest for its size."""
    blocks = list(num_blocks)
    while sum(blocks) < total:
        shares = [((many + 1) / own, -stage) for stage, (many, own) in enumerate(zip(blocks, num_blocks))]
        blocks[shares.index(min(shares))] += 1
    return blocks


def _build_of(model: nn.Module) -> Callable[..., nn.Module] | None:
    if type(model).__module__ == TORCHVISION and type(model).__name__ == "ResNet":
        return _torchvision(model)
    match model:
        case CifarResNet():
            return _cifar(model)
        case WideResNet():
            return _wide(model)
        case MobileNet():
            return _mobile(model)
        case _:
            return None


def _cifar(model: CifarResNet) -> Callable[..., nn.Module]:
    blocks = [_length(model, f"layer{stage + 1}") for stage in range(model.num_stages)]
    classes, channels, own = model.fc.out_features, model.conv1.in_channels, model.conv1.out_channels

    def build(width: int = own, depth: int = sum(blocks)) -> nn.Module:
        return CifarResNet(deepened(blocks, depth), classes, channels, width)

    return build


def _wide(model: WideResNet) -> Callable[..., nn.Module]:
    blocks, own = _length(model, "layer1"), model.fc.in_features // 4
    classes, channels = model.fc.out_features, model.conv1.in_channels

    def build(width: int = own, depth: int = blocks) -> nn.Module:
        return WideResNet(depth, classes, channels, width)

    return build


def _mobile(model: MobileNet) -> Callable[..., nn.Module]:
    classes, channels, own = model.fc.out_features, model.conv1.in_channels, model.conv1.out_channels

    def build(width: int = own) -> nn.Module:
        return MobileNet(classes, channels, width)

    return build


def _torchvision(model: nn.Module) -> Callable[..., nn.Module]:
    """The width is that of a bottleneck's inner convolutions, 64 in a ResNet-50; basic blocks have none."""
    from torchvision.models.resnet import Bottleneck, ResNet  # slow

    assert isinstance(model, ResNet)
    blocks = [_length(model, f"layer{stage}") for stage in range(1, 5)]
    kind, groups, own = type(model.layer1[0]), model.groups, model.base_width
    classes, channels = model.fc.out_features, model.conv1.in_channels

    def build(width: int = own, depth: int = sum(blocks)) -> nn.Module:
        network = ResNet(
            kind,  # pyright: ignore[reportArgumentType]
            deepened(blocks, depth),
            num_classes=classes,
            groups=groups,
            width_per_group=width,
        )
        if channels != 3:
            network.conv1 = nn.Conv2d(channels, 64, 7, 2, padding=3, bias=False)
        return network

    def build_deeper(depth: int = sum(blocks)) -> nn.Module:
        return build(depth=depth)

    return build if kind is Bottleneck else build_deeper


def _length(model: nn.Module, stage: str) -> int:
    blocks = model.get_submodule(stage)
    assert isinstance(blocks, nn.Sequential)
    return len(blocks)


def _outline(model: nn.Module) -> list[object]:
    """What distinguishes two networks of a kind: modules, shapes of weights, strides."""
    found = list[object]()
    for name, module in model.named_modules():
        shapes = [(key, tuple(weight.shape)) for key, weight in module.named_parameters(recurse=False)]
        geometry = (module.stride, module.padding, module.dilation) if isinstance(module, nn.Conv2d) else ()
        found.append((name, type(module).__name__, shapes, geometry))
    return found
