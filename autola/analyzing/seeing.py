"""Images as trained networks see them: classes and their evidence, and the gates of attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from autola.analyzing.subjects import Subject
from evaluators.analysis.gates import GateMap, gates_seen
from evaluators.analysis.saliency import grad_cam, guided_backpropagation
from evaluators.analysis.stages import stages_of
from evaluators.data.pictures import open_picture
from evaluators.evaluating import evaluating
from evaluators.tasks import TaskConfig
from foundation.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

EXAMPLES = 4
"""Images of the data that are shown where none are named."""


def open_images(paths: Sequence[str | Path], task: TaskConfig) -> dict[str, Image]:
    """Images by name: those that are named, or a few of the task's own.

    Raises:
        InputError: If one cannot be read, is named twice, or the task has none.
    """
    if paths:
        names = [str(path) for path in paths]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InputError(f"{twice} is named twice")
        return {name: open_picture(name) for name in names}
    examples = task.examples(EXAMPLES)
    if not examples:
        raise InputError(f"the task {task.name} has no examples of its own; name images: --images FILE ...")
    return {f"example {number}": image for number, image in enumerate(examples, 1)}


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What speaks for a class in an image.

    Attributes:
        shown: The class.
        probability: What the network gives it.
        cam: Grad-CAM of the last stage (h2, w2).
        gradient: Guided backpropagation (c, h, w); None for a network without ReLU.
    """

    shown: str
    probability: float
    cam: np.ndarray
    gradient: np.ndarray | None


def as_seen(subject: Subject, image: Image) -> tuple[Tensor, np.ndarray]:
    """An image as the network takes it (1, c, h, w), and the same to look at (h, w, 3), 0 to 1."""
    data = subject.trained.data
    x = subject.trained.task.exportable(subject.trained.network, data).prepare(image)
    pixels = x[0].detach().double().cpu()
    if "mean" in data and len(data["mean"]) == len(pixels):
        mean, std = (torch.tensor(data[key]).double()[:, None, None] for key in ("mean", "std"))
        pixels = pixels * std + mean
    else:
        low, high = pixels.min(), pixels.max()
        pixels = (pixels - low) / (high - low) if high > low else pixels * 0
    shown = pixels.clamp(0, 1).permute(1, 2, 0).numpy()
    return x, np.broadcast_to(shown, (*shown.shape[:2], 3))


def evidence(subject: Subject, x: Tensor, target: str | None) -> Evidence:
    """Where a classifier looks in an image.

    Args:
        subject: The training.
        x: The image as its network takes it (1, c, h, w).
        target: The class that is explained; the network's likeliest one if None.

    Raises:
        InputError: If there is no such class, or the network has no stages.
    """
    network, classes = subject.trained.network, list(subject.trained.data["classes"])
    with evaluating(network) as ask:
        shares = ask(x)[0].double().softmax(0)
    number = int(shares.argmax()) if target is None else classes.index(target)
    stages = stages_of(network, x)
    if not stages:
        raise InputError(f"{subject.name}: no module of its network gives a map for Grad-CAM")
    explained = torch.tensor([number], device=x.device)
    try:
        gradient = guided_backpropagation(network, x, explained)[0].cpu().double().numpy()
    except InputError:
        gradient = None  # said once, for all images
    return Evidence(
        shown=classes[number],
        probability=float(shares[number]),
        cam=grad_cam(network, list(stages.values())[-1], x, explained)[0].cpu().double().numpy(),
        gradient=gradient,
    )


def gates(subject: Subject, x: Tensor) -> list[GateMap]:
    """The gates of a network for an image, in the order in which they are computed."""
    trained = subject.trained
    module: Any = trained.task.exportable(trained.network, trained.data).module
    with gates_seen(trained.network) as found, evaluating(module) as ask:
        ask(x)
    return found


def last_of_stages(found: Sequence[GateMap]) -> dict[str, dict[str, np.ndarray]]:
    """Gates to draw: of the sites that read maps of one size the last one; by site, then by gate.

    Returns:
        Maps (h, w), and the factors (1, c) of gates of channels alone.
    """
    last = {gate.size: gate.site for gate in found}
    drawn: dict[str, dict[str, np.ndarray]] = {site: {} for site in last.values()}
    for gate in found:
        if gate.site in drawn:
            factors = gate.channels[None] if gate.reach == "channels" else gate.map
            drawn[gate.site][gate.gate or gate.operator] = factors.numpy()
    return drawn
