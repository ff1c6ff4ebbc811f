"""The rows of a comparison: who is trained, in which network, how often."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from autola.comparing.config import OWN, CompareConfig
from autola.member import member_names
from autola.presets import RETRAIN_PRESETS
from evaluators.recipe import TrainConfig
from evaluators.statistics.power import Design
from evaluators.tasks import TaskConfig
from foundation.errors import InputError
from search_space.genotype import Genotype
from search_space.grammar import Term, parse_attention
from search_space.space import OWN as OWN_SPACE
from search_space.space import SPACES, Space
from supernet.backbones import usual_images

WRAPPED = {"se-wrapped": "SE", "cbam-wrapped": "CBAM"}
"""Controls that are a cell with one operator on every edge, and which."""

SIZED = {"wider": "width", "deeper": "depth"}
"""Controls that are the plain network made larger, and the setting of the task that does it."""

FOUND, RANDOM, PLAIN = "found", "random", "plain"


@dataclass(frozen=True)
class Block:
    """A network and a recipe that all rows are trained in.

    Attributes:
        name: Backbone and recipe, where there are several; else empty.
        task: The task in this network.
        train: The recipe.
    """

    name: str
    task: TaskConfig
    train: TrainConfig


@dataclass(frozen=True)
class Row:
    """What is compared.

    Attributes:
        name: As contrasts name it.
        cells: Attention of each cell; None for one that is not known yet.
        names: Begins the folders of each cell's trainings.
        seeds: Of the trainings.
        task: In which network.
        setting: How that differs from the block's.
    """

    name: str
    cells: tuple[tuple[Term, ...] | None, ...]
    names: tuple[str, ...]
    seeds: tuple[int, ...]
    task: TaskConfig
    setting: str = ""

    @property
    def design(self) -> Design:
        """How many scores it will have."""
        return Design(len(self.cells), len(self.seeds))


def blocks_of(config: CompareConfig) -> list[Block]:
    """Every backbone with every recipe.

    Raises:
        InputError: If the task has no backbone to choose, or there is no such recipe.
    """
    names = {field.name for field in fields(config.task)}
    if config.backbones and "backbone" not in names:
        raise InputError(f"the task {config.task.name} has no backbone to choose; leave out the backbones")
    found = list[Block]()
    for backbone in config.backbones or (None,):
        changes: dict[str, Any] = {} if backbone is None else {"backbone": backbone}
        if backbone is not None:
            usual_images(backbone)  # refuses a name that is none
        task = replace(config.task, **changes)
        for recipe in config.recipes or (OWN,):
            train = config.train if recipe == OWN else RETRAIN_PRESETS[recipe].train
            config.task.refuse_unused(train)
            parts = [backbone] if len(config.backbones) > 1 else []
            parts += [recipe] if len(config.recipes) > 1 else []
            found.append(Block(name="-".join(str(part) for part in parts), task=task, train=train))
    return found


def sizes_of(task: TaskConfig) -> list[str]:
    """The controls among wider and deeper that a task has a setting for."""
    known = {field.name for field in fields(task)}
    return [control for control, setting in SIZED.items() if setting in known]


def rows_of(
    config: CompareConfig,
    block: Block,
    *,
    found: Sequence[Genotype | None],
    drawn: Sequence[Genotype],
    matched: Mapping[str, int | float | None],
) -> Iterator[Row]:
    """The rows of a block: found, the modules given, then the controls.

    Args:
        config: The comparison.
        block: One of its blocks.
        found: What each search found, None where it has not ended; none at all without searches.
        drawn: The random cells.
        matched: Width and depth of the plain networks made larger by the name of the control, None where they
            are not known yet; a control that cannot be had is left out.
    """
    if found:
        names = tuple(f"{FOUND}{number}" for number in range(len(found)))
        cells = tuple(None if genotype is None else _cell(genotype) for genotype in found)
        yield Row(FOUND, cells, names, config.seeds, block.task)
    given = config.attentions
    for name, attention in zip(member_names(given), given):
        yield Row(_free(name), (attention,), (_free(name),), config.control_seeds, block.task)
    for control in config.beside:
        if control == RANDOM and drawn:
            names = tuple(f"{RANDOM}{number}" for number in range(len(drawn)))
            yield Row(RANDOM, tuple(map(_cell, drawn)), names, config.random_seeds, block.task)
        elif control in SIZED and control in matched:
            value, setting = matched[control], SIZED[control]
            task = block.task if value is None else replace(block.task, **{setting: value})
            cell = None if value is None else ()
            yield Row(control, (cell,), (control,), config.control_seeds, task, f"{setting}={value}")
        elif control not in (RANDOM, *SIZED):
            attention = _attention(control, config)
            if attention not in given:
                yield Row(control, (attention,), (control,), config.control_seeds, block.task)


def _free(name: str) -> str:
    """A name that no row of cells and no control has."""
    taken = name.startswith((FOUND, RANDOM)) or name in (PLAIN, *SIZED, *WRAPPED)
    return f"given-{name}" if taken else name


def _cell(genotype: Genotype) -> tuple[Term, ...]:
    return (Term(name="hoga", genotype=genotype),)


def _attention(control: str, config: CompareConfig) -> tuple[Term, ...]:
    if control not in WRAPPED:
        return parse_attention("none" if control == PLAIN else control)
    space = SPACES["hoga"] if config.search is None else config.search.resolved_space()
    return _cell(uniform(WRAPPED[control], space))


def uniform(operator: str, space: Space) -> Genotype:
    """A cell of the shape of a space with one operator on every edge."""
    if operator not in space.candidates:
        space = replace(space, name=OWN_SPACE, primitives=(operator,))
    return space.genotype([operator] * len(space.edges))
