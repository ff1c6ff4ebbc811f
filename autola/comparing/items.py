"""What a comparison is made of: searches and trainings, each in a run folder of its own."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autola.comparing.config import OWN_SEEDS, Additions, CompareConfig
from autola.comparing.rows import Block, Row, blocks_of, matchable, rows_of
from autola.configs import RetrainConfig, SearchConfig
from autola.data_record import COSTS
from autola.runs import stored_config
from evaluators.cost_table import CostTable
from foundation.config import parse, parse_json
from foundation.errors import InputError
from foundation.seeds import seed_of
from outputs.records import DATA
from outputs.run_directory import RunDirectory
from search_space.genotype import Genotype
from search_space.grammar import genotype_at
from searchers.candidates import Candidates
from searchers.limits import Limits, parse_target

ADDED, MATCHED = "added.json", "matched.json"
"""Records: what was added later; width, depth and epochs of the plain networks of equal cost."""

MOST_DRAWS = 100
"""Draws in a row that may give nothing new before a space counts as used up."""


@dataclass(frozen=True)
class Item:
    """A training: a cell of a row with a seed.

    Attributes:
        name: Its folder.
        row: What it belongs to.
        cell: Number of the cell in the row.
        seed: Its seed.
        config: Enough to repeat it alone; None while its cell or network is not known.
    """

    name: str
    row: Row
    cell: int
    seed: int
    config: RetrainConfig | None


def full_config(whole: RunDirectory) -> CompareConfig:
    """The settings of a comparison, with what was added since.

    Raises:
        InputError: If it is none, or a record is damaged.
    """
    config = stored_config(whole, CompareConfig)
    for addition in additions_of(whole).additions:
        config = addition.to(config)
    return config


def additions_of(whole: RunDirectory) -> Additions:
    """What was added to a comparison after it began."""
    if not whole.has(ADDED):
        return Additions()
    return parse_json(Additions, whole.text(ADDED), str(whole.path / ADDED))


def search_name(seed: int) -> str:
    """The folder of a search."""
    return f"search-seed{seed}"


def searches_of(config: CompareConfig) -> dict[str, SearchConfig]:
    """Settings of each search by its folder."""
    if not config.searches:
        return {}
    return {search_name(seed): config.search_with(seed) for seed in config.search_seeds}


def found_in(config: CompareConfig, whole: Path | None) -> list[Genotype | None]:
    """What each search found, None where it has not ended; nothing at all without searches.

    Args:
        config: The comparison.
        whole: Its folder; None before there is one.
    """
    given = [term.genotype for term in config.found]
    if given or config.search is None:
        return list(given)
    paths = [None if whole is None else whole / name for name in searches_of(config)]
    ended = [path if path and RunDirectory(path).complete() else None for path in paths]
    return [None if path is None else genotype_at(path) for path in ended]


def drawn_for(config: CompareConfig, costs: Mapping[str, Any]) -> list[Genotype]:
    """The random cells: different ones of the search's space that keep its limit; more of them begin alike.

    Args:
        config: The comparison.
        costs: What operators cost, by metric.

    Raises:
        InputError: If the space has not so many.
    """
    if config.search is None or "random" not in config.beside:
        return []
    space, limits = config.search.resolved_space(), None
    if config.search.target:
        wanted = parse_target(config.search.target[0])
        tables: Any = {limit.metric: parse(CostTable, costs[limit.metric], DATA) for limit in wanted}
        limits = Limits(space, wanted, tables)
    candidates = Candidates(space=space, limits=limits, seed=0)
    drawn, rng, vain = list[Genotype](), random.Random(seed_of("random cells")), 0
    while len(drawn) < config.random_cells:
        genotype = candidates.sample(rng)
        vain = vain + 1 if genotype in drawn else 0
        if vain > MOST_DRAWS:
            raise InputError(
                f"the space has {len(drawn)} cells that keep the limit, not {config.random_cells}; "
                "give fewer random_cells or a wider limit"
            )
        if not vain:
            drawn.append(genotype)
    return drawn


Planned = list[tuple[Block, list[Row]]]


def planned_rows(config: CompareConfig, whole: RunDirectory | None, costs: Mapping[str, Any]) -> Planned:
    """The rows of every block, as far as they are known.

    Args:
        config: The comparison.
        whole: Its folder; None before there is one.
        costs: What operators cost, by metric.
    """
    matched: dict[str, Any] = whole.keys(MATCHED) if whole is not None and whole.has(MATCHED) else {}
    found, drawn = found_in(config, whole.path if whole else None), drawn_for(config, costs)
    blocks = blocks_of(config)
    return [
        (block, list(rows_of(config, block, found=found, drawn=drawn, matched=_sizes(block, matched))))
        for block in blocks
    ]


def _sizes(block: Block, matched: Mapping[str, Any]) -> dict[str, Any]:
    """What a block's plain networks of equal cost are; None each before they were matched."""
    return matched[block.name] if block.name in matched else dict.fromkeys(matchable(block.task))


def items_of(config: CompareConfig, planned: Planned) -> list[Item]:
    """All trainings, one of every row before the next of any: a table is balanced whenever time is over.

    The cells of a row are trained with seeds of their own, a thousand apart. With common ones, two searches
    that find one cell would give the same scores, and the spread among cells would look smaller than it is.
    """
    turns = list[tuple[int, int, Item]]()
    for block, rows in planned:
        before = f"{block.name}-" if block.name else ""
        for row in rows:
            turn = 0
            for seed in row.seeds:
                for number, cell in enumerate(row.cells):
                    own = seed + OWN_SEEDS * number
                    single = None if cell is None else config.training(row.task, row.train, cell, own)
                    name = f"{before}{row.names[number]}-seed{own}"
                    turns.append((turn, len(turns), Item(name, row, number, own, single)))
                    turn += 1
    return [item for _, _, item in sorted(turns, key=lambda each: each[:2])]


def recorded_items(config: CompareConfig, whole: RunDirectory) -> list[Item]:
    """All trainings of a comparison, as far as they are known from its records."""
    return items_of(config, planned_rows(config, whole, whole.keys(DATA).get(COSTS, {})))


def left_of(items: Sequence[Item], whole: RunDirectory) -> list[Item]:
    """The trainings that have not ended."""
    return [item for item in items if not RunDirectory(whole.path / item.name).complete()]
