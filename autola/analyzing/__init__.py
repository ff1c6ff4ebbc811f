"""An analysis of trained networks: what they answer to, where they look, what their attention does."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from autola.analyzing.folder import Contents
from autola.analyzing.measuring import Data, Drop, Measured, drops_of, measured, part_of, summed_up
from autola.analyzing.parts import Part, chosen
from autola.analyzing.seeing import as_seen, evidence, gates, last_of_stages, open_images
from autola.analyzing.subjects import Subject, open_subjects
from autola.runtime import own_state
from evaluators.analysis.edges import CellEdge
from evaluators.analysis.features import FEWEST, embedded
from evaluators.analysis.saliency import need_captum
from evaluators.analysis.selectivity import selectivity
from evaluators.tasks import Split, Task
from evaluators.tasks.classification.training import ClassificationTask
from foundation.errors import InputError, unknown
from outputs.analysis import FOLDER, Analysis
from outputs.new_folder import make_folder

log = logging.getLogger(__name__)

MOST_EMBEDDED = 2000
"""Images that are embedded, evenly from first to last: more take minutes."""


def run_analysis(
    runs: Sequence[str | Path],
    *,
    images: Sequence[str | Path] = (),
    out: str | Path | None = None,
    parts: Sequence[Part] = (),
    split: Split | None = None,
    target: str | None = None,
    root: str | Path | None = None,
) -> Analysis:
    """Looks at trained networks, and keeps pictures and figures in a new folder.

    Args:
        runs: Folders of single trainings, or of retrainings, for all trainings in them.
        images: Files that the pictures are of; a few test images of the data if left out.
        out: The folder; `analysis` in that of the first run if None. It appears whole or not at all.
        parts: What to do: selectivity, saliency, features, gates, edges; all that make sense if left out.
        split: The part of the data that numbers are of; the validation part where there is one if None.
        target: The class whose evidence is shown; each network's own likeliest one if None.
        root: The folder of the data, where that moved.

    Raises:
        InputError: If a run has not ended, they are of different data, an image cannot be read, a part makes
            no sense for them, or the folder exists. Nothing is written then.
    """
    subjects = open_subjects(runs)
    folder = Path(runs[0]) / FOLDER if out is None else Path(out)
    if folder.exists():
        raise InputError(f"{folder} exists already; choose another --out")
    doing, left_out = chosen(parts, subjects)
    if "saliency" in doing:
        need_captum()
        classes = subjects[0].trained.data["classes"]
        if target is not None and target not in classes:
            raise unknown("class", target, classes)
    elif target is not None:
        raise InputError("a target is a class for Grad-CAM, which is not done here; leave it out")
    contents = Contents(subjects, left_out)
    with own_state(subjects[0].config):
        pictured = {"saliency", "gates"} & {*doing}
        if images and not pictured:
            raise InputError("none of the parts is of single images; leave out --images")
        opened = open_images(images, subjects[0].trained.task) if pictured else {}
        data, tasks = Data(None if root is None else str(root)), dict[str, Task]()
        if {"selectivity", "features", "edges"} & {*doing}:
            tasks = {subject.name: data.task(subject) for subject in subjects}
            contents.split = part_of(next(iter(tasks.values())), split)
        _measure(subjects, tasks, doing, contents)
        for name, image in opened.items():
            _look(subjects, name, image, doing, target, contents)
    make_folder(folder, contents.write, what="folder of the analysis")
    return replace(contents.analysis(), folder=str(folder))


def _measure(
    subjects: Sequence[Subject], tasks: dict[str, Task], doing: Sequence[Part], contents: Contents
) -> None:
    """Figures of a part of the data."""
    drops = dict[tuple[str, CellEdge], list[Drop]]()
    for subject in subjects:
        task = tasks.get(subject.name)
        if task is None:
            continue
        wants = {"selectivity", "features"} & {*doing}
        whole: Measured | None = None
        if isinstance(task, ClassificationTask):
            log.info("%s: %s part", subject.name, contents.split)
            whole = measured(subject, task, contents.split, stages=bool(wants))
            contents.add_score(subject, float(whole.correct.double().mean()), len(whole.correct))
        elif wants:
            name = subject.trained.task.name
            raise InputError(
                f"the task {name} does not show its images one by one; choose --parts gates edges"
            )
        if whole is not None and "selectivity" in doing:
            contents.add_selectivity(
                subject, {name: selectivity(each.means()).numpy() for name, each in whole.means.items()}
            )
        if whole is not None and "features" in doing and subject.is_first:
            _embed(subject, whole, contents)
        if "edges" in doing:
            for edge, drop in drops_of(subject, task, contents.split, whole).items():
                drops.setdefault((subject.attention, edge), []).append(drop)
                contents.add_score(subject, drop.score, None)
    operators = {name: operator for subject in subjects for name, operator in _operators(subject).items()}
    contents.edges = [
        summed_up(
            each, attention, edge.name, operators.get((attention, edge.source, edge.node), edge.operator)
        )
        for (attention, edge), each in drops.items()
    ]
    contents.score = next((task.score for task in tasks.values()), "")


def _operators(subject: Subject) -> dict[tuple[str, str, str], str]:
    """The names that a genotype gives to what is on its edges, by attention, source and node."""
    genotypes = [term.genotype for term in subject.config.attentions[0] if term.genotype is not None]
    if len(genotypes) != 1:
        return {}
    return {
        (subject.attention, edge.source, f"h{node}"): edge.operator for node, edge in genotypes[0].edges()
    }


def _embed(subject: Subject, whole: Measured, contents: Contents) -> None:
    count = len(whole.features)
    if count < FEWEST:
        contents.leave_out(f"t-SNE left out: {count} images are fewer than {FEWEST}")
        return
    chosen_images = np.arange(min(count, MOST_EMBEDDED)) * count // min(count, MOST_EMBEDDED)
    positions = embedded(whole.features[chosen_images])
    contents.add_features(subject, positions, whole.labels[chosen_images].numpy(), chosen_images)


def _look(
    subjects: Sequence[Subject],
    name: str,
    image: Any,
    doing: Sequence[Part],
    target: str | None,
    contents: Contents,
) -> None:
    """Pictures of one image, by the first training of each attention."""
    for subject in subjects:
        if not subject.is_first:
            continue
        x, shown = as_seen(subject, image)
        if "saliency" in doing:
            found = evidence(subject, x, target)
            if found.gradient is None:
                contents.leave_out(f"guided backpropagation of {subject.name} left out: it has no ReLU")
            contents.add_evidence(subject, name, shown, found)
        if "gates" in doing:
            maps = gates(subject, x)
            if maps:
                contents.add_gates(subject, name, shown, maps, last_of_stages(maps))
