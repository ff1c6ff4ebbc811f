"""What of a training or a search is shared, read from its records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from autola.conclusions import read_conclusion
from autola.configs import RetrainConfig, SearchConfig
from autola.member import members_of
from autola.runs import is_search, stored_config
from autola.sharing.cleansing import cleansed, placeless, shared_facts, shared_surroundings
from autola.tables import TABLE, Row, Table
from autola.trained import open_trained
from evaluators.cost import macs, params
from foundation.config import parse
from foundation.errors import InputError
from foundation.words import typed
from outputs.records import CONFIG, DATA, ENVIRONMENT, RESULT, WEIGHTS, check_number
from outputs.run_directory import RunDirectory
from search_space.genotype import Genotype
from search_space.grammar import genotype_at
from search_space.term import Term, label

if TYPE_CHECKING:
    from torch import nn


_OF_SEARCH = ("input_shape", "num_classes")
"""What is shared of the data of a search: what costs are counted for."""


@dataclass(frozen=True, eq=False, kw_only=True)
class SharedNetwork:
    """What of a training is shared.

    Attributes:
        config: Its settings, without places of the user's machine.
        data: What the network has to know of its data, and how many there were.
        result: Its score on the test set, seconds and metrics.
        environment: Versions and device.
        score: What the score is: "test accuracy".
        rows: The table of the retraining that it is part of, its own row alone if there is no table.
        row: Its own row.
        network: The network, in eval mode.
    """

    config: RetrainConfig
    data: Mapping[str, Any]
    result: Mapping[str, Any]
    environment: Mapping[str, Any]
    score: str
    rows: tuple[Row, ...]
    row: Row
    network: nn.Module

    @property
    def terms(self) -> tuple[Term, ...]:
        """Its attention."""
        return self.config.attentions[0]

    @property
    def genotype(self) -> Genotype | None:
        """The genotype in its attention; of several, the first."""
        return next((term.genotype for term in self.terms if term.genotype), None)


@dataclass(frozen=True, eq=False, kw_only=True)
class SharedGenotype:
    """What of a search is shared.

    Attributes:
        genotype: What was found.
        config: The settings of the search, without places of the user's machine; None for a genotype alone.
        data: Shape and number of classes of its data, and how many there were.
        environment: Versions and device of the search.
    """

    genotype: Genotype
    config: SearchConfig | None = None
    data: Mapping[str, Any] | None = None
    environment: Mapping[str, Any] | None = None


def search_contents(run: RunDirectory) -> SharedGenotype:
    """What is shared of a search.

    Raises:
        InputError: If it has not ended, or a record is damaged.
    """
    if not run.complete():
        raise InputError(
            f"the search in {run.path} has not ended; go on with autola search --resume {typed(run.path)}, "
            f"or share what it has found so far: {run.path / 'genotype.json'}"
        )
    return SharedGenotype(
        genotype=genotype_at(run.path),
        config=cleansed(stored_config(run, SearchConfig)),
        data=shared_facts(run.keys(DATA, *_OF_SEARCH), _OF_SEARCH),
        environment=_surroundings(run),
    )


def training_contents(run: RunDirectory) -> SharedNetwork:
    """What is shared of a training.

    Args:
        run: The folder of one attention and seed, or a retraining that has only one.

    Raises:
        InputError: If it holds several, has not ended, or a record is damaged.
    """
    stored = stored_config(run, RetrainConfig)
    members = [run.path / member.name for member in members_of(stored)]
    if not run.has(WEIGHTS) and any(path.is_dir() for path in members):
        if len(members) > 1:
            names = ", ".join(path.name for path in members)
            raise InputError(f"{run.path} holds several trainings; share one of the folders in it: {names}")
        run = RunDirectory.open(members[0])
        stored = stored_config(run, RetrainConfig)
    trained = open_trained(run.path)
    config = cleansed(stored)
    result = run.numbers(RESULT, "score", "seconds")
    metrics = parse(dict[str, Any], result.get("metrics", {}), f"{run.path / RESULT}: metrics")
    for key in metrics:
        check_number(metrics, key, str(run.path / RESULT))
    data = shared_facts(trained.data, trained.task.facts)
    table = _table(run)
    own = label(config.attentions[0])
    row = next((row for row in table.rows if row.attention == own), None) if table else None
    if row is None:
        shape = data.get("input_shape")
        row = Row(
            attention=own,
            params=params(trained.network),
            macs=macs(trained.network, tuple(shape)) if shape else 0,
            seeds=config.seeds,
            scores=(result["score"],),
            seconds=result["seconds"],
        )
        table = None
    return SharedNetwork(
        config=config,
        data=data,
        result={"score": result["score"], "seconds": result["seconds"], "metrics": metrics},
        environment=_surroundings(run),
        score=table.score if table else f"test {_score_name(result['score'], metrics)}",
        rows=table.rows if table else (row,),
        row=row,
        network=trained.network,
    )


def _score_name(score: float, metrics: Mapping[str, Any]) -> str:
    """The metric of the test set that is the score."""
    names = (name for name, value in metrics.items() if value == score)
    return next((name.removeprefix("test_") for name in names if name.startswith("test_")), "score")


def _surroundings(run: RunDirectory) -> dict[str, Any]:
    return shared_surroundings(run.keys(ENVIRONMENT)) if run.has(ENVIRONMENT) else {}


def _table(run: RunDirectory) -> Table | None:
    """The table that a training stands in, its attentions named without paths: its own, or that around it."""
    if run.has(TABLE):
        return _read_table(run)
    whole = RunDirectory(run.path.resolve().parent)
    if not whole.has(CONFIG) or not whole.has(TABLE) or is_search(whole):
        return None
    config = stored_config(whole, RetrainConfig)
    if run.path.resolve().name not in {member.name for member in members_of(config)}:
        return None
    table = _read_table(whole)
    if len(table.rows) != len(config.attentions):
        raise InputError(f"{whole.path / TABLE} has not a row for every attention; was it edited?")
    rows = zip(table.rows, config.attentions)
    return replace(table, rows=tuple(replace(row, attention=label(placeless(terms))) for row, terms in rows))


def _read_table(run: RunDirectory) -> Table:
    table = read_conclusion(run, TABLE, Table)
    if not all(row.scores and len(row.scores) == len(row.seeds) for row in table.rows):
        raise InputError(f"{run.path / TABLE} has not a score for every seed; was it edited?")
    return replace(table, run=".")
