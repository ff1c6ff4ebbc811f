"""What an analysis has found so far, and the folder that it becomes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from itertools import zip_longest
from pathlib import Path

import numpy as np

from autola.analyzing.seeing import Evidence
from autola.analyzing.subjects import Subject
from evaluators.analysis.gates import GateMap
from evaluators.tasks import Split
from outputs.analysis import (
    AnalysedNetwork,
    Analysis,
    EdgeDrop,
    Explained,
    GateRow,
    Picture,
    StageSelectivity,
    write_analysis,
)
from outputs.analysis_pictures import (
    draw_edges,
    draw_features,
    draw_gates,
    draw_saliency,
    draw_selectivity,
)

VERSIONS = ("torch", "captum", "scikit-learn", "scipy", "numpy")


class Contents:
    """Gathers figures and maps, then writes them with their pictures.

    Args:
        subjects: The networks.
        left_out: What is not done, a line each.

    Attributes:
        split: Part of the data that numbers are of.
        score: What the scores are.
        edges: Drops without single edges.
    """

    def __init__(self, subjects: Sequence[Subject], left_out: Sequence[str]) -> None:
        self.subjects, self.left_out = subjects, list(left_out)
        self.split: Split = "test"
        self.score = ""
        self.edges: Sequence[EdgeDrop] = ()
        self._num_images: int | None = None
        self._scores = dict[str, float]()
        self._selectivity = dict[str, dict[str, np.ndarray]]()
        self._features = dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]()
        self._evidence = dict[str, tuple[np.ndarray, dict[str, Evidence]]]()
        self._gates = dict[tuple[str, str], tuple[np.ndarray, Sequence[GateMap], Mapping[str, Mapping[str, np.ndarray]]]]()  # fmt: skip  # noqa: E501
        self._pictures = list[Picture]()

    def leave_out(self, line: str) -> None:
        """Notes what is not done, once."""
        if line not in self.left_out:
            self.left_out.append(line)

    def add_score(self, subject: Subject, score: float, num_images: int | None) -> None:
        """The score of a network, and the images it is a mean over."""
        self._scores[subject.name] = score
        self._num_images = self._num_images if num_images is None else num_images

    def add_selectivity(self, subject: Subject, values: Mapping[str, np.ndarray]) -> None:
        """The class selectivity of the channels of each stage, NaN for silent ones."""
        self._selectivity[subject.name] = dict(values)

    def add_features(
        self, subject: Subject, positions: np.ndarray, labels: np.ndarray, images: np.ndarray
    ) -> None:
        """Embedded features (n, 2), the classes (n,) and numbers (n,) of the images."""
        self._features[subject.name] = positions, labels, images

    def add_evidence(self, subject: Subject, image: str, shown: np.ndarray, found: Evidence) -> None:
        """What speaks for a class in an image."""
        self._evidence.setdefault(image, (shown, {}))[1][subject.name] = found

    def add_gates(
        self,
        subject: Subject,
        image: str,
        shown: np.ndarray,
        found: Sequence[GateMap],
        drawn: Mapping[str, Mapping[str, np.ndarray]],
    ) -> None:
        """The gates of a network for an image, and those of them that are drawn."""
        self._gates[image, subject.name] = shown, found, drawn

    def write(self, folder: Path) -> None:
        """Draws and writes all of it into an empty folder."""
        self._pictures = list[Picture]()
        self._draw_numbers(folder)
        self._draw_images(folder)
        channels = [
            (network, stage, number, None if np.isnan(value) else float(value))
            for network, of_stage in self._selectivity.items()
            for stage, values in of_stage.items()
            for number, value in enumerate(values)
        ]
        classes = self.subjects[0].trained.data.get("classes", ())
        positions = [
            (network, int(number), classes[label], float(x), float(y))
            for network, (points, labels, numbers) in self._features.items()
            for number, label, (x, y) in zip(numbers, labels, points)
        ]
        write_analysis(self.analysis(), folder, channels=channels, positions=positions, maps=self._maps())

    def analysis(self) -> Analysis:
        """The figures; where they lie is not known yet."""
        return Analysis(
            folder="",
            task=self.subjects[0].trained.task.name,
            score=self.score,
            split=self.split,
            num_images=self._num_images,
            networks=tuple(
                AnalysedNetwork(
                    name=subject.name,
                    run=str(subject.run.path),
                    attention=subject.attention,
                    seed=subject.seed,
                    score=self._scores.get(subject.name),
                )
                for subject in self.subjects
            ),
            selectivity=tuple(
                _stage(network, stage, values)
                for network, of_stage in self._selectivity.items()
                for stage, values in of_stage.items()
            ),
            edges=tuple(self.edges),
            explained=tuple(
                Explained(image=image, network=name, shown=found.shown, probability=found.probability)
                for image, (_, networks) in self._evidence.items()
                for name, found in networks.items()
            ),
            gates=tuple(
                _gate(image, network, gate)
                for (image, network), (_, found, _) in self._gates.items()
                for gate in found
            ),
            left_out=tuple(self.left_out),
            pictures=tuple(self._pictures),
            versions={name: metadata.version(name) for name in VERSIONS if _is_installed(name)},
        )

    def _maps(self) -> dict[str, np.ndarray]:
        maps = dict[str, np.ndarray]()
        for image, (_, networks) in self._evidence.items():
            for name, found in networks.items():
                maps[f"{image}|{name}|grad_cam"] = found.cam
                if found.gradient is not None:
                    maps[f"{image}|{name}|guided_backpropagation"] = found.gradient
        for (image, name), (_, found, _) in self._gates.items():
            for gate in found:
                part = gate.channels if gate.reach == "channels" else gate.map
                maps[f"{image}|{name}|{gate.site}|{gate.gate or gate.operator}"] = part.numpy()
        return maps

    def _draw_numbers(self, folder: Path) -> None:
        if self._selectivity:
            known = {
                network: {stage: values[~np.isnan(values)] for stage, values in of_stage.items()}
                for network, of_stage in self._selectivity.items()
            }
            stages = [[name for name in names if name is not None] for names in zip_longest(*known.values())]
            draw_selectivity(known, self._new(folder, "selectivity", "Class selectivity of the stages",
                "; ".join(_words(row) for row in self.analysis().selectivity)), stages)  # fmt: skip
        if self.edges:
            lost = max(self.edges, key=lambda row: row.drop)
            said = f"most is lost without {lost.edge} ({lost.operator}): {100 * lost.drop:.2f} points"
            draw_edges(self.edges, self.score, self._new(folder, "edges", "What each edge contributes", said))
        if self._features:
            (_, labels, _), *_ = self._features.values()
            classes = self.subjects[0].trained.data["classes"]
            title = "Last-stage features, embedded by t-SNE"
            said = f"{len(labels)} images of {len(classes)} classes; a panel a network"
            path = self._new(folder, "features", title, said)
            draw_features({name: each[0] for name, each in self._features.items()}, labels, classes, path)

    def _draw_images(self, folder: Path) -> None:
        for image, (shown, networks) in self._evidence.items():
            said = "; ".join(
                f"{name}: {found.shown} {100 * found.probability:.0f} %" for name, found in networks.items()
            )
            title = f"Grad-CAM and guided backpropagation: {Path(image).name}"
            path = self._new(folder, f"saliency-{_slug(image)}", title, said)
            columns = {
                name: (f"{found.shown} {100 * found.probability:.0f} %", found.cam, found.gradient)
                for name, found in networks.items()
            }
            draw_saliency(shown, columns, path)
        for (image, network), (shown, found, drawn) in self._gates.items():
            title = f"Gates of {network}: {Path(image).name}"
            said = f"{len(found)} gates; the last site of each size of map"
            path = self._new(folder, f"gates-{_slug(network)}-{_slug(image)}", title, said)
            draw_gates(shown, drawn, path, title)

    def _new(self, folder: Path, stem: str, title: str, summary: str) -> Path:
        """The path of a new picture, which is noted."""
        taken = {picture.file for picture in self._pictures}
        number, name = 2, f"{stem}.png"
        while name in taken:
            name, number = f"{stem}-{number}.png", number + 1
        self._pictures.append(Picture(file=name, title=title, summary=summary))
        return folder / name


def _stage(network: str, stage: str, values: np.ndarray) -> StageSelectivity:
    known = values[~np.isnan(values)]
    return StageSelectivity(
        network=network,
        stage=stage,
        channels=len(known),
        silent=len(values) - len(known),
        mean=float(known.mean()) if len(known) else None,
        deviation=float(known.std(ddof=1)) if len(known) > 1 else None,
    )


def _gate(image: str, network: str, gate: GateMap) -> GateRow:
    values = gate.channels if gate.reach == "channels" else gate.map
    return GateRow(
        image=image,
        network=network,
        site=gate.site,
        gate=gate.gate or gate.operator,
        operator=gate.operator,
        reach=gate.reach,
        mean=float(values.mean()),
        lowest=float(values.min()),
        highest=float(values.max()),
    )


def _words(row: StageSelectivity) -> str:
    return f"{row.network} {row.stage}: {'silent' if row.mean is None else f'{row.mean:.2f}'}"


def _is_installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def _slug(image: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", Path(image).stem).strip("-").lower()[:40] or "image"
