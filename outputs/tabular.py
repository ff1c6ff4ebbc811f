"""Tabular benchmarks: what every genotype of a small space reached, trained before anyone asks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foundation.errors import InputError, unknown
from foundation.files import write_atomically, write_text
from search_space.genotype import Genotype
from search_space.space import Space

PUBLISHED = Path(__file__).parent / "published"
"""Tables that we stand behind."""

KIND = "benchmark-"
"""Begins the names of a table's two files: its figures (npz), and how it was made (json)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Tabular:
    """A table of trained genotypes.

    Attributes:
        space: What the genotypes are of.
        genotypes: The rows; not all of the space, where `made["complete"]` is false.
        validation: Validation accuracy (genotypes, seeds, epochs).
        test: Test accuracy after the last epoch (genotypes, seeds).
        params, macs: Parameters and MACs of the network with the genotype (genotypes,).
        latency_ms: Median time of one image (genotypes,); on the device that `made` names.
        made: How it was made: command, recipe, data, hardware, versions.
    """

    space: Space
    genotypes: tuple[Genotype, ...]
    validation: np.ndarray
    test: np.ndarray
    params: np.ndarray
    macs: np.ndarray
    latency_ms: np.ndarray
    made: Mapping[str, Any]

    def row(self, genotype: Genotype) -> int:
        """The row of a genotype.

        Raises:
            InputError: If it was not trained.
        """
        try:
            return self.genotypes.index(genotype)
        except ValueError:
            raise InputError(f"the table has no row for {genotype}; it has {len(self.genotypes)}") from None

    def accuracy(self, genotype: Genotype, seed: int, epoch: int = -1) -> float:
        """Validation accuracy of a genotype with a seed after an epoch, the last one if left out.

        Raises:
            InputError: If there is no such row, seed or epoch.
        """
        try:
            return float(self.validation[self.row(genotype), seed, epoch])
        except IndexError:
            _, seeds, epochs = self.validation.shape
            raise InputError(
                f"seed {seed}, epoch {epoch} is not in the table; it has {seeds} seeds and {epochs} epochs"
            ) from None

    def separation(self) -> float:
        """F: variance between the genotypes' means, in units of what the seeds alone would give.

        About 1 where genotypes differ no more than seeds do: no searcher can be judged there. One-way
        analysis of variance of the validation accuracies after the last epoch.
        """
        scores = self.validation[:, :, -1]
        within = scores.var(1, ddof=1).mean()
        return float(scores.shape[1] * scores.mean(1).var(ddof=1) / within) if within else float("inf")


def write_tabular(
    name: str,
    space: Space,
    rows: Sequence[Sequence[str]],
    columns: Mapping[str, np.ndarray],
    made: Mapping[str, Any],
    folder: Path = PUBLISHED,
) -> Path:
    """Writes a table: the figures as compressed arrays, beside them a JSON text with how it was made.

    Args:
        name: Name of the table.
        space: What the genotypes are of.
        rows: Operators of every genotype, in the order of `space.edges`.
        columns: validation, test, params, macs, latency_ms: see `Tabular`.
        made: How it was made.
        folder: Where to write.
    """
    path = folder / f"{KIND}{name}.npz"
    index = [[space.primitives.index(operator) for operator in operators] for operators in rows]
    arrays: dict[str, Any] = {"operators": np.array(index, np.uint8)} | {
        key: column.astype(np.float32 if column.dtype.kind == "f" else np.int64)
        for key, column in columns.items()
    }

    def save(target: Path) -> None:
        with target.open("wb") as file:
            np.savez_compressed(file, **arrays)

    write_atomically(path, save)
    described = {
        "space": space.name,
        "primitives": list(space.primitives),
        "num_nodes": space.num_nodes,
        "fuse": space.fuse,
    }
    write_text(path.with_suffix(".json"), json.dumps(described | dict(made), indent=2) + "\n")
    return path


def read_tabular(name: str, folder: Path = PUBLISHED) -> Tabular:
    """Reads a table.

    Args:
        name: Name of a published table.
        folder: Where it lies.

    Raises:
        InputError: If there is none of that name.
    """
    path = folder / f"{KIND}{name}.npz"
    if not path.is_file():
        known = (path.stem.removeprefix(KIND) for path in folder.glob(f"{KIND}*.npz"))
        raise unknown("benchmark", name, known)
    made = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    space = Space(
        name=made.pop("space"),
        primitives=tuple(made.pop("primitives")),
        num_nodes=made.pop("num_nodes"),
        fuse=made.pop("fuse"),
    )
    with np.load(path, allow_pickle=False) as arrays:
        columns = {key: arrays[key] for key in arrays.files}
    rows = columns.pop("operators")
    genotypes = tuple(space.genotype([space.primitives[index] for index in row]) for row in rows)
    return Tabular(space=space, genotypes=genotypes, made=made, **columns)
