"""`autola eject`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from autola.arguments import out_of_terminal, read_arguments


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Writes attention as one readable Python file that needs torch alone and checks itself when run."""

    attention: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ATTENTION")]
    """What is written: se, cbam, hoga:RUN, se[reduction=8]+hoga ..."""
    channels: int | None = None
    """Channels of the map that it is built for, when it stands alone."""
    backbone: Annotated[str | None, tyro.conf.arg(aliases=["--model"])] = None
    """The network; `autola list` names them. The file then has a function attach(model) for its places."""
    input: tuple[int, int, int] | None = None
    """Channels, height and width; if left out, what the backbone was made for: 3 32 32 for
    the networks of CIFAR, 3 224 224 for others."""
    width: int | None = None
    """Channels of the backbone's first stage; its own if left out."""
    num_classes: int | None = None
    """Outputs of the classifier; if left out, 10 for the networks of CIFAR and 1000 for others."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """File to write; if left out, it is printed."""


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
        out_of_terminal(f"{given.out}  {len(text.splitlines())} lines; `python {given.out}` checks it")
