"""Advice where nothing helps: the targets are what the plain network says, with a little noise.

The network is frozen but for its classifier, so that an attention can only undo what it does itself. Prints
the table and the sentence, which should say that nothing is shown to help.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import autola
from autola.advising import RECIPE

NOISE = 0.1
"""Standard deviation of the noise, which no network can learn."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Advises."""

    minutes: float = 12.0
    """Time for all."""
    out: Path | None = None
    """Folder of the records; see `autola.advise`."""
    seed: int = 0
    """Seed of the network, the images and the advice."""


def plain_network(seed: int) -> nn.Module:
    """A ResNet-8 of random weights, frozen but for its classifier."""
    torch.manual_seed(seed)
    network = autola.build_backbone("cifar_resnet8", num_classes=10, in_channels=3, width=8)
    network.eval().requires_grad_(False)
    network.get_submodule("fc").requires_grad_(True)
    return network


@torch.no_grad()
def batches(network: nn.Module, seed: int) -> DataLoader[Any]:
    """Random images, and what the network says of them, with noise."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(256, 3, 12, 12, generator=generator)
    targets = network(images) + NOISE * torch.randn(256, 10, generator=generator)
    return DataLoader(TensorDataset(images, targets), batch_size=32)


def loss(network: Any, batch: Any) -> torch.Tensor:
    """Squared error."""
    images, targets = batch
    return nn.functional.mse_loss(network(images), targets)


def main() -> None:
    """Advises, and prints what that ends in."""
    options = tyro.cli(Options, description=__doc__)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    network = plain_network(options.seed)
    train, valid = (batches(network, 2 * options.seed + number) for number in (1, 2))
    advice = autola.advise(
        network,
        train,
        valid,
        loss,
        target="params<=1.1x",
        minutes=options.minutes,
        space=["none", "se", "eca"],
        recipe=replace(RECIPE, norm="frozen", epochs=4),
        out=options.out,
        seed=options.seed,
    )
    print(advice)


if __name__ == "__main__":
    main()
