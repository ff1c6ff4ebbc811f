"""Numbers of an analysis: a part of the data goes through each network, whole and without single edges."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from autola.analyzing.subjects import Subject
from autola.data_record import check_data, described, found_data
from autola.runtime import make_fabric
from evaluators.analysis.edges import CellEdge, cell_edges, without_edge
from evaluators.analysis.selectivity import ClassMeans
from evaluators.analysis.stages import maps_of, stages_of
from evaluators.evaluating import evaluating
from evaluators.tasks import Setting, Split, Task
from evaluators.tasks.classification.training import ClassificationTask
from foundation.config import to_json
from foundation.errors import InputError
from outputs.analysis import EdgeDrop

log = logging.getLogger(__name__)


class Data:
    """The data of the runs, read once for those that read them alike.

    Args:
        root: The folder of the data, where it moved.
    """

    def __init__(self, root: str | None = None) -> None:
        self.root = root
        self._settings = dict[str, Setting]()

    def task(self, subject: Subject) -> Task:
        """A training's task, with its network where the data are.

        Raises:
            InputError: If the data are not there, or not what the run was trained on.
        """
        config = replace(subject.config, devices=1, machines=1)
        config = found_data(config, subject.run, self.root)
        train = replace(config.train, epochs=1, warmup_epochs=0.0, milestones=(), schedule="cosine")
        key = to_json(replace(config, train=train, attentions=(), seeds=(0,)))
        fabric = make_fabric(config)
        if key not in self._settings:
            self._settings[key] = config.task.read(config.train, fabric)
            check_data(subject.run, described(config, self._settings[key]))
        network = subject.trained.network.to(fabric.device)
        return self._settings[key].start(network, subject.seed)


def part_of(task: Task, asked: Split | None) -> Split:
    """The part of the data to look at: the validation part where there is one.

    Raises:
        InputError: If a validation part is asked for and there is none.
    """
    if asked == "validation" and not task.has_validation:
        raise InputError("these runs held out no validation part; take --split test")
    return asked or ("validation" if task.has_validation else "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """What a network does on a part of the data.

    Attributes:
        correct: Whether the likeliest class of each image is its own (n,).
        labels: Their classes (n,).
        means: Name of each stage to the means of its channels over the images of each class.
        features: Mean of the last stage's map over its positions (n, c).
    """

    correct: Tensor
    labels: Tensor
    means: dict[str, ClassMeans]
    features: Tensor


def measured(subject: Subject, task: ClassificationTask, split: Split, *, stages: bool) -> Measured:
    """Passes a part of the data through a classifier.

    Args:
        subject: The training.
        task: Its task.
        split: The part.
        stages: Whether its stages are looked at, too.

    Raises:
        InputError: If stages are asked for and it has none.
    """
    batches = task.splits[split]
    assert batches is not None, f"the task has no {split} part"
    network, means = task.model, dict[str, ClassMeans]()
    kept, seen = dict[str, Tensor](), (list[Tensor](), list[Tensor](), list[Tensor]())
    modules = stages_of(network, next(iter(batches))[0][:1]) if stages else {}
    if stages and not modules:
        raise InputError(f"{subject.name}: no module of its network gives a map, so it has no stages")
    means = {name: ClassMeans(len(subject.trained.data["classes"])) for name in modules}
    with maps_of(modules, kept.__setitem__), evaluating(network, task.fabric) as ask:
        for images, labels in batches:
            logits = ask(images)
            seen[0].append((logits.argmax(1) == labels).cpu())
            seen[1].append(labels.cpu())
            for name, maps in kept.items():
                means[name].add(maps, labels)
            if kept:
                seen[2].append(list(kept.values())[-1].double().mean((2, 3)).cpu())
    correct, labels, features = (torch.cat(each) if each else torch.zeros(0) for each in seen)
    return Measured(correct=correct, labels=labels, means=means, features=features)


@dataclass(frozen=True, kw_only=True, eq=False)
class Drop:
    """What one network loses without one edge.

    Attributes:
        score: Of the whole network.
        drop: How much lower it is without.
        images: The same for each image, where the score is a mean over images; None elsewhere.
    """

    score: float
    drop: float
    images: np.ndarray | None


def drops_of(subject: Subject, task: Task, split: Split, whole: Measured | None) -> dict[CellEdge, Drop]:
    """What a network loses without each edge of its cells.

    Args:
        subject: The training.
        task: Its task.
        split: The part of the data.
        whole: What the whole network does there, for a classifier.
    """
    score_of = _score(task, split)
    before, ours = (None, None) if whole is None else (whole.correct.double().numpy(), whole)
    score = score_of() if before is None else float(before.mean())
    found = dict[CellEdge, Drop]()
    for edge in cell_edges(task.model):
        log.info("%s without %s (%s)", subject.name, edge.name, edge.operator)
        with without_edge(task.model, edge):
            if ours is not None and before is not None:
                assert isinstance(task, ClassificationTask)
                after = measured(subject, task, split, stages=False).correct.double().numpy()
                found[edge] = Drop(score=score, drop=float((before - after).mean()), images=before - after)
            else:
                found[edge] = Drop(score=score, drop=score - score_of(), images=None)
    return found


def _score(task: Task, split: Split) -> Callable[[], float]:
    return lambda: task.evaluate(task.model, split)[task.score]


def summed_up(drops: Sequence[Drop], attention: str, edge: str, operator: str) -> EdgeDrop:
    """The drop of one edge over all trainings of its attention."""
    values = np.array([drop.drop for drop in drops])
    deviation = low = high = over = None
    if len(drops) > 1:
        over, count, deviation = "trainings", len(values), float(values.std(ddof=1))
        error = deviation / count**0.5
    elif drops[0].images is not None and len(drops[0].images) > 1:
        over, count = "images", len(drops[0].images)
        deviation = error = float(drops[0].images.std(ddof=1)) / count**0.5
    else:
        count, error = 0, 0.0
    mean = float(values.mean())
    if over is not None:
        from scipy.stats import t

        quantile: Any = t.ppf(0.975, count - 1)
        low, high = mean - float(quantile) * error, mean + float(quantile) * error
    return EdgeDrop(
        attention=attention,
        edge=edge,
        operator=operator,
        networks=len(drops),
        score=float(np.mean([drop.score for drop in drops])),
        drop=mean,
        deviation=deviation,
        low=low,
        high=high,
        over=over,
    )
