"""Backbones by name; a new file here is found by itself.

A backbone is a function `(num_classes, in_channels, width) -> nn.Module`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import nn

from foundation.errors import InputError
from foundation.registry import Registry
from supernet.narrow_strides import in_planes_where_narrow


@runtime_checkable
class Backbone(Protocol):
    """Builds a classifier from (b, in_channels, h, w) to (b, num_classes)."""

    def __call__(self, *, num_classes: int, in_channels: int, width: int | None, name: str) -> nn.Module: ...


Usual = tuple[tuple[int, int, int], int]
"""What a backbone was made for: (channels, height, width) of an image, and the number of classes."""

LARGEST_WIDTH = 2**16
"""Channels of a first stage that may be asked for."""

CIFAR: Usual = ((3, 32, 32), 10)
IMAGENET: Usual = ((3, 224, 224), 1000)


class Backbones(Registry[Backbone]):
    """Maps names to backbones, and knows the images that each is usually given."""

    def __init__(self) -> None:
        super().__init__("backbone", "supernet.backbones")
        self._usual: dict[str, Usual] = {}

    def register(self, name: str, *, usual: Usual = IMAGENET) -> Callable[[Backbone], Backbone]:
        def decorate(entry: Backbone) -> Backbone:
            self.add(name, entry, usual=usual)
            return entry

        return decorate

    def add(self, name: str, entry: Backbone, *, usual: Usual = IMAGENET) -> None:
        super().add(name, entry)
        self._usual[name] = usual

    def usual(self, name: str) -> Usual:
        """Shape of the images and number of the classes that a backbone was made for."""
        self[name]  # loads all, and refuses a name that is none
        return self._usual.get(name, IMAGENET)


BACKBONES = Backbones()


def build_backbone(
    name: str, *, num_classes: int = 10, in_channels: int = 3, width: int | None = None
) -> nn.Module:
    """A new backbone with random weights.

    Args:
        name: A registered name, or `family:name` for the families that take any name ("timm:resnet50").
        num_classes: Outputs of the classifier.
        in_channels: Channels of the input images.
        width: Channels of the first stage; None for the backbone's own.

    Raises:
        InputError: If the name is unknown, a number is not positive, or the backbone has a fixed width.
    """
    for label, value in (("num_classes", num_classes), ("in_channels", in_channels)):
        if value < 1:
            raise InputError(f"{label}={value} is not positive")
    if width is not None and not 1 <= width <= LARGEST_WIDTH:
        raise InputError(f"width={width} is not in 1 ... {LARGEST_WIDTH}")
    family, colon, member = name.partition(":")
    build = BACKBONES[family + colon if colon else name]
    try:
        network = build(num_classes=num_classes, in_channels=in_channels, width=width, name=member or name)
    except (MemoryError, RuntimeError) as error:
        if "memory" not in str(error):
            raise
        raise InputError(f"{name} of this width or so many classes is larger than the memory") from None
    return in_planes_where_narrow(network)


def usual_images(name: str) -> Usual:
    """What a backbone was made for, as it was registered.

    Raises:
        InputError: If the name is unknown.
    """
    family, colon, _ = name.partition(":")
    return BACKBONES.usual(family + colon)


def fixed_width(name: str, width: int | None) -> None:
    """Refuses a width for backbones that have only their own."""
    if width is not None:
        raise InputError(f"backbone {name} has a fixed width; leave the width out")


BackboneFactory = Callable[..., nn.Module]
