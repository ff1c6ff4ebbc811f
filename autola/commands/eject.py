"""`autola eject`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from autola.arguments import out_of_terminal, read_arguments
from foundation.words import typed


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Writes attention as one readable Python file that needs torch alone and checks itself when run."""

    attention: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ATTENTION")]
    """Attention to write: se, cbam, hoga:RUN, se[reduction=8]+hoga ..."""
    channels: int | None = None
    """Channels of the map that the attention is built for, where no backbone is named."""
    backbone: Annotated[str | None, tyro.conf.arg(aliases=["--model"])] = None
    """Name of a network, which `autola list` shows; the file then has a function attach(model), which puts
    the attention into it."""
    input: tuple[int, int, int] | None = None
    """Channels, height and width in pixels of the image that the network takes. If left out, what the
    backbone was made for: 3 32 32 for the networks of CIFAR, 3 224 224 for others."""
    width: int | None = None
    """Channels of the backbone's first stage, which scale those of the others: more cost more. Its own if
    left out."""
    num_classes: int | None = None
    """Number of classes, which are the classifier's outputs. If left out, 10 for the networks of CIFAR and
    1000 for others."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Path of the file to write; if left out, the file is printed."""


def run(arguments: list[str]) -> None:
    """Writes or prints the file."""
    given = read_arguments(Arguments, arguments, command="eject")
    from autola.ejecting import eject  # slow: PyTorch

    text = eject(
        given.attention,
        channels=given.channels,
        backbone=given.backbone,
        input_shape=given.input,
        width=given.width,
        num_classes=given.num_classes,
        out=given.out,
    )
    if given.out is None:
        sys.stdout.write(text)
    else:
        out_of_terminal(f"{given.out}  {len(text.splitlines())} lines; `python {typed(given.out)}` checks it")
