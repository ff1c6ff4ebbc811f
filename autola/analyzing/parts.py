"""The parts of an analysis, and which of them make sense for which networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

from autola.analyzing.subjects import Subject
from evaluators.analysis.edges import cell_edges
from evaluators.analysis.gates import has_gates
from evaluators.tasks import TaskConfig
from foundation.errors import InputError

Part = Literal["selectivity", "saliency", "features", "gates", "edges"]

PARTS: tuple[Part, ...] = get_args(Part)

OF_CLASSES: tuple[Part, ...] = ("selectivity", "saliency", "features")
"""Parts that ask for one class an image."""

SAID: dict[Part, str] = {
    "selectivity": "class selectivity",
    "saliency": "Grad-CAM and guided backpropagation",
    "features": "t-SNE",
    "gates": "gates",
    "edges": "edges",
}


def chosen(asked: Sequence[Part], subjects: Sequence[Subject]) -> tuple[list[Part], list[str]]:
    """The parts to do, and why others are left out, a line each.

    Args:
        asked: Parts by name; none for all that make sense.
        subjects: The networks.

    Raises:
        InputError: If one that is asked for makes no sense.
    """
    task = subjects[0].trained.task
    reasons = dict[Part, str]()
    if task.hub_task != "image-classification":
        reasons |= dict.fromkeys(OF_CLASSES, f"the task {task.name} has no one class for an image")
    if type(task).exportable is TaskConfig.exportable:
        reasons["gates"] = f"the task {task.name} reads no images"
    elif not any(has_gates(subject.trained.network) for subject in subjects):
        reasons["gates"] = "no network has attention with gates that can be seen"
    if not any(cell_edges(subject.trained.network) for subject in subjects):
        reasons["edges"] = "no network has a cell"
    for part in asked:
        if part in reasons:
            raise InputError(f"{SAID[part]}: {reasons[part]}; leave out --parts {part}")
    parts: list[Part] = [part for part in PARTS if (part in asked or not asked) and part not in reasons]
    if not parts:
        raise InputError(f"nothing can be analyzed: {'; '.join(dict.fromkeys(reasons.values()))}")
    by_reason = dict[str, list[str]]()
    for part, reason in reasons.items():
        by_reason.setdefault(reason, []).append(SAID[part])
    return parts, [f"{', '.join(names)} left out: {reason}" for reason, names in by_reason.items()]
