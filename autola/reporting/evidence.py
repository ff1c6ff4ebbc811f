"""What the records of a run say, read once for its report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from autola.comparing.config import CompareConfig
from autola.comparing.items import full_config, items_of, planned_rows, searches_of
from autola.conclusions import read_conclusion
from autola.configs import AnySearch, RetrainConfig, SearchConfig, TaskSearch
from autola.data_record import COSTS
from autola.member import members_of
from autola.runs import is_comparison, is_search, stored_config, stored_search
from autola.tables import TABLE, Table
from outputs.comparison import COMPARISON, Comparison
from outputs.front import FRONT, Front
from outputs.records import CONFIG, DATA, ENVIRONMENT, GENOTYPE
from outputs.run_directory import RunDirectory
from search_space.genotype import Genotype
from search_space.grammar import genotype_at, placement_at
from search_space.placement import PLACEMENT, Placement


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
        genotype: Cell that a search found so far.
        placement: Placement that a search found so far.
        told: What a comparison allows one to say, of its trainings that have ended.
        parts: Searches and trainings of a comparison that have begun.
        row: The row of a comparison that a training of it belongs to; empty elsewhere.
        block: Its network and recipe there, where there are several.
    """

    name: str
    kind: Literal["search", "retraining", "comparison"]
    run: RunDirectory
    settings: SearchConfig | TaskSearch | RetrainConfig | CompareConfig
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    data: Mapping[str, Any]
    curves: Mapping[str, Sequence[Mapping[str, Any]]]
    result: Mapping[str, Any] | None
    table: Table | None
    front: Front | None
    genotype: Genotype | None
    placement: Placement | None = None
    told: Comparison | None = None
    parts: tuple[Evidence, ...] = ()
    row: str = ""
    block: str = ""

    @property
    def seconds(self) -> float | None:
        """Seconds of all its epochs; None of a run that has not ended."""
        if self.kind == "comparison":
            spent = [part.seconds for part in self.parts]
            known = [seconds for seconds in spent if seconds is not None]
            ended = self.told is not None and self.told.done == self.told.planned
            return sum(known) if ended and len(known) == len(spent) else None
        if self.table is not None:
            return sum(row.seconds * len(row.seeds) for row in self.table.rows)
        return None if self.result is None else self.result.get("seconds")

    def problem(self) -> dict[str, Any]:
        """What has to be equal for runs to be compared: not the method, seeds, or where it computes."""
        if self.kind == "search":
            keys = (
                "data",
                "task",
                "backbone",
                "width",
                "space",
                "primitives",
                "sites",
                "num_nodes",
                "fuse",
                "target",
            )
            return flat({key: self.config[key] for key in keys if key in self.config}, without=("root",))
        keys = ("task", "train", "search", "match") if self.kind == "comparison" else ("task", "train")
        return flat({key: self.config[key] for key in keys}, without=("root",))

    def protocol(self) -> dict[str, Any]:
        """How trainings are evaluated."""
        return flat({"train": self.config["train"], "task": self.config["task"]}, without=("root",))

    def surroundings(self) -> dict[str, Any]:
        """What of the environment may change numbers or times."""
        keys = ("python", "versions", "device", "device_name", "num_threads")
        return flat({key: self.environment.get(key) for key in keys})


def read_evidence(path: Path, row: str = "", block: str = "") -> Evidence:
    """Reads a run; one that has not ended says what there is.

    Args:
        path: Its folder.
        row: The row of a comparison that it belongs to, if it does.
        block: Its network and recipe there, where there are several.

    Raises:
        InputError: If it is no run, or a record is damaged.
    """
    run = RunDirectory.open(path)
    if is_comparison(run):
        return _comparison(run)
    search = is_search(run)
    settings = stored_search(run) if search else stored_config(run, RetrainConfig)
    table = read_conclusion(run, TABLE, Table) if run.has(TABLE) else None
    front = read_conclusion(run, FRONT, Front) if run.has(FRONT) else None
    return Evidence(
        kind="search" if search else "retraining",
        settings=settings,
        curves=_curves(run, settings, front),
        table=table,
        front=front,
        genotype=genotype_at(run.path) if search and run.has(GENOTYPE) else None,
        placement=placement_at(run.path) if search and run.has(PLACEMENT) else None,
        row=row,
        block=block,
        **_records(run),
    )


def _comparison(run: RunDirectory) -> Evidence:
    """A comparison, with its searches and trainings that have begun."""
    settings = full_config(run)
    named = [(name, "", "") for name in searches_of(settings)]
    for block, rows in planned_rows(settings, run, run.keys(DATA).get(COSTS, {})):
        named += [(item.name, item.row.name, block.name) for item in items_of(settings, [(block, rows)])]
    begun = [each for each in named if RunDirectory(run.path / each[0]).has(CONFIG)]
    parts = tuple(read_evidence(run.path / name, row, block) for name, row, block in begun)
    told = read_conclusion(run, COMPARISON, Comparison) if run.has(COMPARISON) else None
    return Evidence(
        kind="comparison",
        settings=settings,
        curves={part.name: lines for part in parts if part.row for lines in part.curves.values()},
        table=None,
        front=None,
        genotype=None,
        told=told,
        parts=parts,
        **_records(run),
    )


def _records(run: RunDirectory) -> dict[str, Any]:
    """What every run has."""
    return {
        "name": run.path.resolve().name,
        "run": run,
        "config": run.keys(CONFIG),
        "environment": run.keys(ENVIRONMENT) if run.has(ENVIRONMENT) else {},
        "data": run.keys(DATA) if run.has(DATA) else {},
        "result": run.result(),
    }


def _curves(
    run: RunDirectory, settings: AnySearch | RetrainConfig, front: Front | None
) -> dict[str, Sequence[Mapping[str, Any]]]:
    if isinstance(settings, AnySearch):
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
