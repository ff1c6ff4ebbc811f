"""`autola export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from autola.arguments import out_of_terminal, read_arguments


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Writes a trained network for use elsewhere, and checks that what is written agrees with it."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Folder of one training, as RUN/se-seed0."""
    onnx: Path | None = None
    """Path of the ONNX file to write; of a network that translates a new folder, with the loop that runs its
    graphs as translate.py. Needs autola[export]."""
    program: Path | None = None
    """Path of the torch.export file to write (.pt2)."""
    images: tuple[Path, ...] = ()
    """Image files that what is written is tried on beside the network; test images of the run if left out."""
    deploy: bool = False
    """Write the same function in fewer and larger operators: norms folded, convolutions composed. What is
    made of each HOGA cell is chosen by measuring a few forms on the runtime, which takes up to a minute."""
    runtime: Literal["eager", "onnxruntime", "openvino", "inductor"] | None = None
    """What a deployed network is for; ONNX Runtime if left out, or PyTorch with --program alone."""
    native: bool = False
    """With --deploy and --onnx: let each HOGA cell be one operator in C++, where that is fastest. Its library
    is written beside the ONNX file (net.so for net.onnx); ONNX Runtime has to register it, and it runs on
    processors like this one alone."""


def run(arguments: list[str]) -> None:
    """Exports a trained network, and prints how each file compares with it."""
    given = read_arguments(Arguments, arguments, command="export")
    from autola.exporting import run_export  # slow: torch

    report = run_export(
        given.run,
        onnx=given.onnx,
        program=given.program,
        images=given.images,
        deployed=given.deploy,
        target=given.runtime,
        native=given.native,
    )
    if report.input_shape:
        batch, *sides = report.input_shape
        out_of_terminal(f"input  {batch or 'any'} x {' x '.join(map(str, sides))}, normalised")
    if report.note:
        out_of_terminal(f"note   {report.note}")
    if report.deployment:
        out_of_terminal(f"deploy {report.deployment}")
    if report.library:
        out_of_terminal(f"{report.library}  operators of it: SessionOptions.register_custom_ops_library")
    for file in report.files:
        out_of_terminal(
            f"{file.path}  {file.kind}, max difference {file.difference:.2g} of {file.scale:.3g} "
            f"on {report.inputs}"
        )
