"""What the records of a run say, read once for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from autola.configs import RetrainConfig, SearchConfig
from autola.member import members_of
from autola.runs import is_comparison, is_search, stored_config
from autola.tables import TABLE, Table
from foundation.config import parse_json
from foundation.errors import InputError
from outputs.front import FRONT, Front
from outputs.records import CONFIG, DATA, ENVIRONMENT, GENOTYPE, RESULT
from outputs.run_directory import RunDirectory
from search_space.genotype import Genotype
from search_space.grammar import genotype_at


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """The records of a run.

    Attributes:
        name: Name of its folder.
        kind: What it is.
        run: Where it is.
        settings: Its config.
        config: The same as JSON values.
        environment: What environment.json holds.
        data: What data.json holds.
        curves: Name of a training, or "search", to its lines of metrics.jsonl.
        result: What result.json holds; None of a run that has not ended.
        table: The table of a retraining that has ended.
        front: The front of a search with several targets that has ended.
        genotype: What a search found so far.
    """

    name: str
    kind: Literal["search", "retraining"]
    run: RunDirectory
    settings: SearchConfig | RetrainConfig
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    data: Mapping[str, Any]
    curves: Mapping[str, Sequence[Mapping[str, Any]]]
    result: Mapping[str, Any] | None
    table: Table | None
    front: Front | None
    genotype: Genotype | None

    @property
    def seconds(self) -> float | None:
        """Seconds of all its epochs; None of a run that has not ended."""
        if self.kind == "search":
            return None if self.result is None else self.result.get("seconds")
        if self.table is None:
            return None
        return sum(row.seconds * len(row.seeds) for row in self.table.rows)

    def problem(self) -> dict[str, Any]:
        """What has to be equal for runs to be compared: not the method, seeds, or where it computes."""
        if self.kind == "search":
            keys = ("data", "backbone", "width", "space", "primitives", "num_nodes", "fuse", "target")
            return flat({key: self.config[key] for key in keys}, without=("root",))
        return flat({key: self.config[key] for key in ("task", "train")}, without=("root",))

    def protocol(self) -> dict[str, Any]:
        """How trainings are evaluated."""
        return flat({"train": self.config["train"], "task": self.config["task"]}, without=("root",))

    def surroundings(self) -> dict[str, Any]:
        """What of the environment may change numbers or times."""
        keys = ("python", "versions", "device", "device_name", "num_threads")
        return flat({key: self.environment.get(key) for key in keys})


def read_evidence(path: Path) -> Evidence:
    """Reads a run; one that has not ended says what there is.

    Raises:
        InputError: If it is no run, or a record is damaged.
    """
    run = RunDirectory.open(path)
    if is_comparison(run):
        raise InputError(f"{path} is a comparison, which a report does not show; name the runs in it")
    search = is_search(run)
    settings = stored_config(run, SearchConfig) if search else stored_config(run, RetrainConfig)
    table = parse_json(Table, run.text(TABLE), str(path / TABLE)) if run.has(TABLE) else None
    front = parse_json(Front, run.text(FRONT), str(path / FRONT)) if run.has(FRONT) else None
    return Evidence(
        name=run.path.resolve().name,
        kind="search" if search else "retraining",
        run=run,
        settings=settings,
        config=run.keys(CONFIG),
        environment=run.keys(ENVIRONMENT) if run.has(ENVIRONMENT) else {},
        data=run.keys(DATA) if run.has(DATA) else {},
        curves=_curves(run, settings, front),
        result=run.keys(RESULT) if run.has(RESULT) else None,
        table=table,
        front=front,
        genotype=genotype_at(run.path) if search and run.has(GENOTYPE) else None,
    )


def _curves(
    run: RunDirectory, settings: SearchConfig | RetrainConfig, front: Front | None
) -> dict[str, Sequence[Mapping[str, Any]]]:
    if isinstance(settings, SearchConfig):
        names = [point.run for point in front.points] if front else []
    else:
        names = [member.name for member in members_of(settings)]
    own = run.metrics.records("epoch")
    curves: dict[str, Sequence[Mapping[str, Any]]] = {"search": own} if own else {}
    for name in names:
        if (run.path / name).is_dir():
            lines = RunDirectory(run.path / name).metrics.records("epoch")
            curves |= {name: lines} if lines else {}
    if isinstance(settings, RetrainConfig) and own and not names[1:]:
        return {names[0]: own}  # one training of a retraining
    return curves


def flat(value: Any, prefix: str = "", without: Sequence[str] = ()) -> dict[str, Any]:
    """Nested settings by their dotted names.

    Args:
        value: JSON values.
        prefix: Begins the names.
        without: Last names that are left out.
    """
    if not isinstance(value, dict):
        return {prefix: value}
    found = dict[str, Any]()
    for key, part in value.items():
        if key not in without:
            found |= flat(part, f"{prefix}.{key}" if prefix else key, without)
    return found


def differing(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of settings that are not the same in all."""
    names = dict.fromkeys(name for each in settings for name in each)
    return [name for name in names if any(each.get(name) != settings[0].get(name) for each in settings)]


def refuse_twice(paths: Sequence[Path]) -> None:
    """Raises an InputError where a run is named twice."""
    seen = set[Path]()
    for path in paths:
        if path.resolve() in seen:
            raise InputError(f"{path} is named twice")
        seen.add(path.resolve())
