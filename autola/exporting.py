"""A trained network in other formats: torch.export's program, and ONNX."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autola.trained import Trained, open_trained
from evaluators.data.pictures import open_picture
from evaluators.deploying import deploy
from evaluators.runtimes import Target
from evaluators.tasks import Exportable, reads_text
from foundation.config import config
from foundation.errors import InputError
from foundation.files import check_new_file, write_atomically
from search_space.native.onnx_form import holds_native, onnxruntime_library, translations

NEEDED = ("onnx", "onnxscript", "onnxruntime")

EXAMPLES = 4
"""Test images that an export is tried on."""

TOLERANCE = 1e-3
"""Largest difference to the network, in shares of the largest output, that rounding may explain."""


@config
class Exported:
    """A file that was written, and how its outputs compare with the network's."""

    path: str
    """Path of the file."""
    kind: str
    """Format of the file: ONNX or program."""
    difference: float
    """Largest absolute difference to the network's outputs."""
    scale: float
    """Largest absolute output of the network."""


@config
class Report:
    """What an export ends with."""

    inputs: str
    """Inputs that the files were tried on, in words."""
    input_shape: tuple[int, ...]
    """Batch, channels, height and width that the files take; 0 for any. Empty where they take sentences."""
    note: str
    """What the files lack beside the network, or how they are run."""
    deployment: str
    """What the network was made of to be deployed; empty where it is written as it was trained."""
    library: str
    """The library of operators that ONNX Runtime needs for the file; empty where it needs none."""
    files: tuple[Exported, ...]
    """What was written."""


def run_export(
    run: Path,
    *,
    onnx: Path | None = None,
    program: Path | None = None,
    images: Sequence[Path] = (),
    deployed: bool = False,
    target: Target | None = None,
    native: bool = False,
) -> Report:
    """Writes a trained network and holds what was written against it.

    Args:
        run: Folder of one training.
        onnx: ONNX file to write; of a network that translates a folder.
        program: torch.export's file to write.
        images: Images to try; test images of the run if there are none, else random numbers.
        deployed: Whether to write the network as `deploy` makes it: the same function in fewer operators.
        target: What it is deployed for; None for ONNX Runtime, or PyTorch where no ONNX file is written.
        native: Whether cells may be operators of a library, which is written beside the ONNX file.

    Raises:
        InputError: If the run or an image cannot be read, the task or network cannot be exported, a package
            is missing, or a file does not agree with the network; it is not written then.
    """
    if onnx is None and program is None:
        raise InputError("nothing to write: give --onnx FILE, --program FILE or both")
    if onnx is not None and (missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]):
        raise InputError(f"ONNX needs {', '.join(missing)}: pip install 'autola[export]'")
    if target is not None and not deployed:
        raise InputError("a target is what a deployed network is for: give --deploy as well")
    library = None if onnx is None or not native else onnx.with_suffix(".so")
    if native and (
        not deployed or library is None or program is not None or target not in (None, "onnxruntime")
    ):
        raise InputError("native operators are for ONNX Runtime: give --deploy and --onnx FILE, no --program")
    for path in (onnx, program, library):
        if path is not None:
            check_new_file(path)
    trained = open_trained(run)
    if reads_text(trained.task):
        return _text(trained, onnx, program, images, deployed)
    exportable = trained.task.exportable(trained.network, trained.data)
    if program is not None and exportable.traced:
        raise InputError(f"torch.export refuses this network ({exportable.note}); give --onnx alone")
    inputs, source = _inputs(trained, exportable, images)
    files = list[Exported]()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporters, about themselves
        written, how = exportable.module, ""
        if deployed:
            written = deploy(
                written,
                exportable.input_shape,
                target=target or ("eager" if onnx is None else "onnxruntime"),
                native=native,
            )
            how = str(written.deployment)
        exported, any_batch = _program(replace(exportable, module=written), inputs[0])
        if program is not None:
            assert exported is not None
            files.append(_checked(program, "program", exported, written, exportable, inputs))
        if onnx is not None:
            files.append(_checked(onnx, "ONNX", exported, written, exportable, inputs))
            library = library if holds_native(written) else None
            if library is not None:
                write_atomically(library, lambda path: shutil.copyfile(onnxruntime_library(), path))
    bound = exportable.any_batch and not exportable.traced and not any_batch
    fixed = "one image at a time: torch.export binds this network to the batch it sees" if bound else ""
    return Report(
        inputs=source,
        input_shape=(0 if any_batch else 1, *exportable.input_shape),
        note="; ".join(filter(None, (exportable.note, fixed))),
        deployment=how,
        library="" if library is None else str(library),
        files=tuple(files),
    )


def _text(
    trained: Trained, onnx: Path | None, program: Path | None, images: Sequence[Path], deployed: bool
) -> Report:
    """Writes a network that translates, as a folder of graphs."""
    if onnx is None or program is not None or images or deployed:
        raise InputError(
            f"the task {trained.task.name} is written as ONNX alone, as two graphs in a folder, and tried on "
            "sentences: give --onnx FOLDER and nothing else"
        )
    from autola.exporting_text import export_translator

    told = export_translator(trained, onnx)
    languages = "-".join(trained.data.get("languages", ()))
    return Report(
        inputs=f"{told.inputs}, {told.equal} of {told.tried} translated alike",
        input_shape=(),
        note=f"{languages}: python {onnx}/translate.py < LINES, without autola",
        deployment="",
        files=(Exported(path=str(onnx), kind="ONNX", difference=told.difference, scale=told.scale),),
    )


def _inputs(trained: Trained, exportable: Exportable, images: Sequence[Path]) -> tuple[list[Tensor], str]:
    examples = [open_picture(image) for image in images]
    source, why = f"{len(images)} given image(s)", "the test set has none"
    if not examples:
        try:
            examples = trained.task.examples(EXAMPLES)
        except InputError as error:
            why = str(error)
        source = f"{len(examples)} test image(s)"
    if examples:
        return [exportable.prepare(image) for image in examples], source
    weight = next(exportable.module.parameters())
    generator = torch.Generator().manual_seed(0)
    shape = (1, *exportable.input_shape)
    numbers = [torch.randn(shape, generator=generator, dtype=weight.dtype) for _ in range(EXAMPLES)]
    return (
        numbers,
        f"{EXAMPLES} inputs of random numbers (no images given, and none of the test set: {why})",
    )


def _program(exportable: Exportable, example: Tensor) -> tuple[torch.export.ExportedProgram | None, bool]:
    """The program, and whether it takes batches of any size, which torch.export cannot always prove."""
    if exportable.traced:
        return None, False
    if exportable.any_batch:
        with contextlib.suppress(Exception):  # torch.export's own, of many kinds
            shapes = ({0: torch.export.Dim("batch", min=1)},)
            several = example.repeat(2, 1, 1, 1)
            return torch.export.export(exportable.module, (several,), dynamic_shapes=shapes), True
    try:
        return torch.export.export(exportable.module, (example,)), False
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"torch.export refuses this network ({reason})") from None


def _checked(
    path: Path,
    kind: str,
    exported: torch.export.ExportedProgram | None,
    written: nn.Module,
    exportable: Exportable,
    inputs: Sequence[Tensor],
) -> Exported:
    """Writes a module, reads the file and compares with the network; a file that disagrees is not kept."""
    found: list[tuple[float, float]] = []

    def write(temporary: Path) -> None:
        run = _write_onnx if kind == "ONNX" else _write_program
        found.append(_difference(exportable, run(temporary, exported, written, inputs[0]), inputs))
        difference, scale = found[0]
        if not difference <= TOLERANCE * scale:
            raise InputError(
                f"the {kind} file differs from the network by {difference:.3g}, outputs being up to "
                f"{scale:.3g}; it is not kept"
            )

    write_atomically(path, write)
    return Exported(path=str(path), kind=kind, difference=found[0][0], scale=found[0][1])


def _difference(
    exportable: Exportable, other: Callable[[Tensor], Sequence[Tensor]], inputs: Sequence[Tensor]
) -> tuple[float, float]:
    """Largest difference and largest output over all inputs; infinite where a file gives no numbers.

    Raises:
        InputError: If the network itself gives none, or there is nothing to compare.
    """
    differences, scales = list[float](), list[float]()
    for given in inputs:
        for ours, theirs in zip(_flat(exportable.module(given)), other(given), strict=True):
            if not bool(ours.isfinite().all()):
                raise InputError(
                    "the network itself gives infinity or NaN, so nothing can be held against it; "
                    "its training may have diverged"
                )
            if ours.shape != theirs.shape or not bool(theirs.isfinite().all()):
                return float("inf"), float(ours.abs().max()) if ours.numel() else 0.0
            if ours.numel():
                differences.append(float((ours.double() - theirs.double()).abs().max()))
                scales.append(float(ours.abs().max()))
    if not scales:
        raise InputError("the network gives nothing to compare on these inputs; give others: --images")
    return max(differences), max(scales)


def _write_program(
    path: Path, exported: Any, module: nn.Module, example: Tensor
) -> Callable[[Tensor], Sequence[Tensor]]:
    torch.export.save(exported, path)
    read = torch.export.load(path).module()
    return lambda given: _flat(read(given))


def _write_onnx(
    path: Path, exported: Any, module: nn.Module, example: Tensor
) -> Callable[[Tensor], Sequence[Tensor]]:
    try:
        if exported is None:
            torch.onnx.export(module, (example,), path, dynamo=False, input_names=["images"])
        else:
            made = torch.onnx.export(
                exported,
                dynamo=True,
                verbose=False,
                input_names=["images"],
                custom_translation_table=dict(translations()) if holds_native(module) else None,
            )
            assert made is not None
            made.save(path, external_data=False)
    except Exception as error:  # the exporters', of many kinds
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"the ONNX exporter refuses this network ({reason})") from None
    import onnxruntime

    options = onnxruntime.SessionOptions()
    if holds_native(module):
        options.register_custom_ops_library(str(onnxruntime_library()))
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda given: [torch.as_tensor(part) for part in session.run(None, {name: given.numpy()})]


def _flat(outputs: Any) -> list[Tensor]:
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)
