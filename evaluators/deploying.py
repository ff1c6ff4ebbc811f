"""`deploy`: a network with attention as it is used, in the forms that a target runs fastest."""

from __future__ import annotations

import copy
import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast, get_args

import torch
from torch import Tensor, nn

from evaluators.counting import check_shape
from evaluators.evaluating import modes_kept
from evaluators.latency import in_turn, random_images
from evaluators.runtimes import Target, check_target, runner
from foundation.errors import InputError, listed, unknown
from search_space.cell import Cell
from search_space.composed import fold_norms
from search_space.deployed import CellForm, DeployedCell
from search_space.native.onnx_form import onnxruntime_library
from search_space.native.operator import why_missing
from search_space.native.program import native_program
from search_space.operator import Operator
from search_space.side_by_side import Form
from supernet.attach import attached
from supernet.deploying import cell_inputs, check_deployable, fold_backbone, replace
from supernet.map_sizes import refused_images

M = TypeVar("M", bound=nn.Module)

log = logging.getLogger(__name__)

FORMS = cast("tuple[CellForm, ...]", (*get_args(Form), "native"))

NATIVE_TARGETS = ("eager", "inductor", "onnxruntime")
"""What runs the native operator; the last only where its library is registered."""

ROUNDS = 15
"""Rounds in which every form runs once; the median counts."""

NARROW = 16
"""Most channels of a group whose layers are composed where nothing is measured: a dense 3x3 kernel multiplies
up to nine times as often as its parts, which few channels do not show."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """How long each form of one cell takes on maps of one shape.

    Attributes:
        cells: Names of the cells that it is measured for.
        shape: (batch, channels, height, width) of the maps.
        milliseconds: Median CPU time of a pass by form.
    """

    cells: tuple[str, ...]
    shape: tuple[int, ...]
    milliseconds: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """What `deploy` made of a model; its attribute `deployment`.

    Attributes:
        target: What the forms were chosen for.
        forms: For the name of every cell the form that its layers run in.
        measured: What the choice rests on; empty where it was not measured.
        left: What runs as before, for no other form of it is known: "layer1.0.bn2_attention: x2_h2 eca".
        norms: How many norms outside of cells were folded.
        without: Why the native operator was not among the forms that were measured; empty where it was, or
            nothing is measured.
    """

    target: Target
    forms: Mapping[str, CellForm]
    measured: tuple[Measured, ...]
    left: tuple[str, ...]
    norms: int
    without: str = ""

    def __str__(self) -> str:
        how = "measured" if self.measured else "by width, not measured"
        counts = {form: list(self.forms.values()).count(form) for form in FORMS}
        forms = ", ".join(f"{form} {count}" for form, count in counts.items() if count)
        parts = [f"forms of cells for {self.target} ({how}): {forms}"] if forms else []
        parts += [f"{self.norms} norms folded"] if self.norms else []
        operators = sorted({left.rpartition(" ")[2] for left in self.left})
        parts += [f"as before: {', '.join(operators)} ({len(self.left)} in number)"] if operators else []
        parts += [self.without] if self.without else []
        return "; ".join(parts)


def deploy(
    model: M,
    input_shape: Sequence[int] | None = None,
    *,
    target: Target = "eager",
    batch: int = 1,
    form: CellForm | None = None,
    native: bool | None = None,
) -> M:
    """A copy of a model with attention that computes the same with fewer and larger operators.

    Norms are folded. In a HOGA cell, what reads one state runs side by side, pools are taken once, and
    convolutions in a row become one. There are several forms, whose speed depends on the target, the width
    and the size of the maps; one is an operator in C++, compiled once where there is a compiler. With
    `input_shape` every form of every cell is measured on the target, and the fastest chosen. The copy can be
    pickled, copied, compiled and exported; its attention does not learn. Its attribute `deployment` says what
    was chosen, and what is as before.

    Args:
        model: In evaluation mode; unchanged.
        input_shape: (channels, height, width) of the images; None to choose by the width of the cells.
        target: "eager", "onnxruntime", "openvino" or "inductor".
        batch: Images in a forward pass.
        form: "composed", "wide", "separable", "alone" or "native" for all cells, instead of a choice.
        native: Whether the operator in C++ may be chosen, which other machines do not have; left out, for
            "eager" and "inductor" alone. In an ONNX model it is a node of a domain of its own, whose library
            ONNX Runtime has to register.

    Raises:
        InputError: If the model is in training mode, deployed or compiled already, has no attention, cannot
            take such images, or the target or form is unknown or not installed.
    """
    check_deployable(model)
    if form == "native" and target in get_args(Target) and target not in NATIVE_TARGETS:
        raise InputError(f"{target} does not run the native operator; {listed(NATIVE_TARGETS)} do")
    check_target(target)
    if batch < 1:
        raise InputError(f"batch={batch} is not positive; a forward pass has one image at least")
    if form is not None and form not in FORMS:
        raise unknown("form", form, FORMS)
    images = None
    if input_shape is not None:
        images = random_images(model, batch, check_shape(input_shape))
    measured, without = list[Measured](), ""
    if images is not None and form is None:
        with refused_images(model, images.shape[1:]):
            inputs = cell_inputs(model, images)
        wanted = native or (native is None and target != "onnxruntime")
        can_run = wanted and target in NATIVE_TARGETS and _is_native(images, target) and bool(inputs)
        without = why_without(target) if can_run else ""
        measured = _measured(model, inputs, target, native=can_run and not without)
    fastest = {
        name: min(figures.milliseconds, key=lambda form: figures.milliseconds[form])
        for figures in measured
        for name in figures.cells
    }

    def choose(name: str, cell: Cell) -> CellForm:
        return form or cast("CellForm", fastest.get(name, _by_width(cell)))

    made, done = replace(model, choose)
    made.deployment = Deployment(  # pyright: ignore[reportArgumentType]
        target=target,
        forms=done.forms,
        measured=tuple(measured),
        left=tuple(done.left),
        norms=done.norms,
        without=without,
    )
    if images is not None:
        _check_same(model, made, images)
    log.info("deployed: %s", made.deployment)
    return made


def _is_native(x: Tensor, target: Target) -> bool:
    """Whether the native operator knows such numbers where they are."""
    is_single = x.dtype == torch.float32
    return x.device.type == "cpu" and (is_single or (x.dtype == torch.float64 and target != "onnxruntime"))


def why_without(target: str) -> str:
    """Why the native operator cannot be had for a target that runs it; empty where it can."""
    if target == "onnxruntime":
        try:
            onnxruntime_library()
        except InputError as error:
            return str(error)
    return why_missing() or ""


def _measured(
    model: nn.Module, inputs: Mapping[str, Tensor], target: Target, *, native: bool
) -> list[Measured]:
    """Every form of every cell, cells of one genotype on maps of one shape once."""
    alike = dict[tuple[object, ...], list[str]]()
    for name, x in inputs.items():
        key = tuple(x.shape), x.stride(), str(model.get_submodule(name))
        alike.setdefault(key, []).append(name)
    found = list[Measured]()
    for names in alike.values():
        cell, x = model.get_submodule(names[0]), inputs[names[0]]
        assert isinstance(cell, Cell)
        is_known = native and native_program(cell) is not None
        forms: list[CellForm] = [form for form in FORMS if form != "native" or is_known]
        with torch.no_grad():
            runs: dict[CellForm, Callable[[], Tensor]] = {
                form: runner(DeployedCell(cell, form), x, target) for form in forms
            }
            seconds = in_turn(runs, ROUNDS, x.device.type)
        milliseconds = {form: 1e3 * statistics.median(values) for form, values in seconds.items()}
        found.append(Measured(cells=tuple(names), shape=tuple(x.shape), milliseconds=milliseconds))
    return found


def as_used(
    module: nn.Module, input_shape: Sequence[int] | None = None, *, native: bool = False
) -> nn.Module:
    """A network, or an operator alone, as it is used once trained; a copy, in evaluation mode.

    Norms are folded. Cells take the form that is fastest on such images; without images the native one where
    it is to be had and wanted, else the one that their width suggests.

    Args:
        module: The network or operator.
        input_shape: (channels, height, width) of the images to measure forms on.
        native: Whether cells take the native form without measuring.
    """
    native = native and why_missing() is None

    def form(cell: Cell) -> CellForm:
        return "native" if native and native_program(cell) is not None else _by_width(cell)

    if attached(module):
        with modes_kept(module):
            module.eval()
            if input_shape is not None:
                return deploy(module, input_shape)
            return replace(module, lambda _, cell: form(cell))[0]
    module = copy.deepcopy(module).eval()
    if isinstance(module, Cell):
        return DeployedCell(module, form(module))
    if isinstance(module, Operator):
        fold_norms(module)
    else:
        fold_backbone(module)
    return module


def _by_width(cell: Cell) -> Form:
    return "composed" if cell.group_gate.excite.out_features <= NARROW else "separable"


def _check_same(model: nn.Module, made: nn.Module, images: Tensor) -> None:
    """Raises an error where the copy computes something else than the model.

    Raises:
        InputError: If it does.
    """
    with torch.no_grad():
        pairs = list(zip(_tensors(model(images)), _tensors(made(images))))
    for ours, theirs in pairs:
        if ours.shape != theirs.shape or not bool(ours.isfinite().all()):
            continue  # a number of findings, which rounding may change; or numbers that are none
        bound = 1e4 * torch.finfo(ours.dtype).eps * ours.abs().max() if ours.numel() else 0
        if not bool(((ours - theirs).abs() <= bound).all()):
            raise InputError(
                "the deployed model computes something else than the model: its class is not known to deploy"
            )


def _tensors(outputs: object) -> list[Tensor]:
    """All real tensors among what a network gives, in order."""
    if isinstance(outputs, Tensor):
        return [outputs] if outputs.is_floating_point() else []
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    return [x for part in outputs for x in _tensors(part)] if isinstance(outputs, list | tuple) else []
