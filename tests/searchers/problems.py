"""Small search problems for tests."""

from __future__ import annotations

import torch
from lightning.fabric import Fabric

from evaluators.data import Augment, ImageSet, halves
from search_space.space import Space
from searchers.searches.problem import Problem
from supernet.backbones import build_backbone


def coloured_squares(num_images: int, seed: int = 0) -> ImageSet:
    """Images 6x5 of three classes that differ in their brightest channel."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_images) % 3
    images = torch.randint(0, 120, (num_images, 6, 5, 3), generator=generator)
    images[torch.arange(num_images), :, :, labels] += 100
    return ImageSet(images.to(torch.uint8), labels, ("red", "green", "blue"))


def small_problem(seed: int = 0, *, num_images: int = 60, width: int = 8, **changes) -> Problem:
    """Three blocks, four nodes, four primitives, float64."""
    settings = {
        "space": Space(name="hoga", primitives=("none", "skip_connect", "SE", "sep_conv_3x3")),
        "backbone": lambda: build_backbone("cifar_resnet8", num_classes=3, width=width),
        "halves": halves(coloured_squares(num_images)),
        "mean": (0.5, 0.5, 0.5),
        "std": (0.25, 0.25, 0.25),
        "augment": Augment(padding=1, flip=True),
        "fabric": Fabric(accelerator="cpu", devices=1, precision="64-true"),
        "seed": seed,
        "form": "plain",
    }
    return Problem(**(settings | changes))
