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
from outputs.comparison import FOUND, RANDOM, are_drawn
from search_space.genotype import Genotype
from search_space.grammar import parse_attention
from search_space.space import OWN as OWN_SPACE
from search_space.space import SPACES, Space
from search_space.term import Term
from supernet.backbones import usual_images

WRAPPED = {"se-wrapped": "SE", "cbam-wrapped": "CBAM"}
"""Controls that are a cell with one operator on every edge, and which."""

SIZED = {"wider": "width", "deeper": "depth"}
"""Controls that are the plain network made larger, and the setting of the task that does it."""

PLAIN, LONGER = "plain", "longer"


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
        train: The recipe.
        setting: How network or recipe differs from the block's.
    """

    name: str
    cells: tuple[tuple[Term, ...] | None, ...]
    names: tuple[str, ...]
    seeds: tuple[int, ...]
    task: TaskConfig
    train: TrainConfig
    setting: str = ""

    @property
    def design(self) -> Design:
        """How many scores it will have."""
        return Design(len(self.cells), len(self.seeds), drawn=are_drawn(self.name))


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


def matchable(task: TaskConfig) -> list[str]:
    """The controls that are matched in cost; of the larger networks those that a task has a setting for."""
    known = {field.name for field in fields(task)}
    return [*(control for control, setting in SIZED.items() if setting in known), LONGER]


def stretched(train: TrainConfig, epochs: int) -> TrainConfig:
    """A recipe over more epochs; what it does at given epochs moves along."""
    milestones = tuple(round(each * epochs / train.epochs) for each in train.milestones)
    return replace(train, epochs=epochs, milestones=milestones)


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
        matched: Width, depth and epochs of the plain networks of equal cost by the name of the control, None
            where they are not known yet; a control that cannot be had is left out.
    """
    if found:
        names = tuple(f"{FOUND}{number}" for number in range(len(found)))
        cells = tuple(None if genotype is None else _cell(genotype) for genotype in found)
        yield Row(FOUND, cells, names, config.seeds, block.task, block.train)
    given = config.attentions
    for name, attention in zip(map(free_name, member_names(given)), given):
        yield Row(name, (attention,), (name,), config.control_seeds, block.task, block.train)
    for control in config.beside:
        if control == RANDOM and drawn:
            names = tuple(f"{RANDOM}{number}" for number in range(len(drawn)))
            cells = tuple(map(_cell, drawn))
            yield Row(RANDOM, cells, names, config.random_seeds, block.task, block.train)
        elif control in matched:
            yield _matched(control, matched[control], block, config.control_seeds)
        elif control not in (RANDOM, LONGER, *SIZED):
            attention = _attention(control, config)
            if attention not in given:
                yield Row(control, (attention,), (control,), config.control_seeds, block.task, block.train)


def _matched(control: str, value: int | float | None, block: Block, seeds: tuple[int, ...]) -> Row:
    """The plain network made larger, or trained longer; one without a network while that is not known."""
    if value is None:
        return Row(control, (None,), (control,), seeds, block.task, block.train)
    if control == LONGER:
        train = stretched(block.train, int(value))
        return Row(control, ((),), (control,), seeds, block.task, train, f"epochs={value}")
    task = replace(block.task, **{SIZED[control]: value})
    return Row(control, ((),), (control,), seeds, task, block.train, f"{SIZED[control]}={value}")


def free_name(name: str) -> str:
    """A name that no row of cells and no control has."""
    taken = name.startswith((FOUND, RANDOM)) or name in (PLAIN, LONGER, *SIZED, *WRAPPED)
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
