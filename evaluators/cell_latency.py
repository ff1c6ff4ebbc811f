"""Latency of all networks of a space of cells, from that of a few.

Cells of many operators are measured, none of one alone: a deployed cell computes equal operators side by side
as one, so that one operator on all edges costs less than its share of a cell in which others stand.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from evaluators.cost_table import CostTable, Sum
from evaluators.runtimes import Target
from evaluators.used_latency import added_latencies, runs_native
from foundation.seeds import seed_of
from search_space.cell import Cell
from search_space.genotype import Genotype
from search_space.native.program import native_program
from search_space.space import Space

CELLS = 2
"""Cells that are measured for every operator: more even out noise, and take longer."""


def latency_table(
    space: Space,
    build: Callable[[Genotype | None], nn.Module],
    input_shape: Sequence[int],
    device: torch.device,
    runtime: Target = "eager",
    native: bool | None = None,
) -> CostTable:
    """Milliseconds of an image in the networks of a space, as they are used: deployed.

    What operators cost is the least-squares fit to the times of cells drawn at random, each beside the plain
    network. Where some operators run in the native operator and others do not, which has it give up the whole
    cell, cells of the former have a fit of their own.

    Args:
        space: The operators.
        build: Builds the network with a genotype in all its cells, or plain.
        input_shape: (channels, height, width) of an image.
        device: Where it is measured.
        runtime: What runs the network there.
        native: Whether cells run by the native operator; where it is to be had if left out.

    Raises:
        InputError: If the runtime is not installed or refuses the network.
    """
    native = runs_native(device, runtime) if native is None else native
    shape = tuple(input_shape)

    def measured(genotypes: Sequence[Genotype], native: bool) -> tuple[float, list[float]]:
        networks = ((number, build(genotype), shape) for number, genotype in enumerate(genotypes))
        plain, added = added_latencies((-1, build(None), shape), networks, device, runtime, native)
        return plain, [1 + added[number] / plain for number in range(len(genotypes))]

    def fitted(candidates: Sequence[str], native: bool) -> tuple[float, Sum]:
        drawn = drawn_cells(len(candidates), len(space.edges))
        some = len(candidates)  # in memory at once, beside the plain network
        parts = [drawn[begin : begin + some] for begin in range(0, len(drawn), some)]
        of_parts = [
            measured([space.genotype([candidates[each] for each in cell]) for cell in part], native)
            for part in parts
        ]
        plain = float(np.median([plain for plain, _ in of_parts]))
        times = plain * np.array([time for _, of_part in of_parts for time in of_part])
        return plain, _fit(candidates, drawn, times)

    together = [name for name in space.candidates if native and _is_native(build(_uniform(space, name)))]
    plain, costs = fitted(space.candidates, native and len(together) == len(space.candidates))
    table = CostTable(plain=plain, fixed=costs.fixed, operators=costs.operators)
    if not 0 < len(together) < len(space.candidates):
        return table
    beside, costs = fitted(together, native=True)
    share = plain / beside
    operators = {name: share * cost for name, cost in costs.operators.items()}
    return replace(table, native=Sum(fixed=share * costs.fixed, operators=operators))


def drawn_cells(num_operators: int, num_edges: int) -> list[list[int]]:
    """Operators by number on the edges of cells, `CELLS` for each operator, that tell all of them apart.

    A cell draws from a half of the operators, other ones each time: were they drawn from all, their numbers
    would be much alike in all cells.
    """
    rng = random.Random(seed_of("cells to measure", num_operators, num_edges))
    while True:
        cells = list[list[int]]()
        for _ in range(CELLS * num_operators):
            some = rng.sample(range(num_operators), min(num_operators, max(2, num_operators // 2)))
            cells.append([rng.choice(some) for _ in range(num_edges)])
        if np.linalg.matrix_rank(_counts(cells, num_operators)) == num_operators:
            return cells


def _counts(cells: Sequence[Sequence[int]], num_operators: int) -> np.ndarray:
    """How often each operator stands in each cell (cells, operators)."""
    return np.array([np.bincount(cell, minlength=num_operators) for cell in cells], dtype=float)


def _fit(candidates: Sequence[str], cells: Sequence[Sequence[int]], times: np.ndarray) -> Sum:
    """The sum that is nearest to the times of cells, by the squares of the errors' shares of them.

    All cells have as many edges, so that what is common to operators may be fixed as well: it is, and the
    cheapest costs nothing more.
    """
    counts = _counts(cells, len(candidates))
    found, *_ = np.linalg.lstsq(counts / times[:, None], np.ones(len(times)), rcond=None)
    found = found.clip(0)  # noise may make an operator that costs nothing cost less
    least = float(found.min())
    operators = {name: float(cost) - least for name, cost in zip(candidates, found)}
    return Sum(fixed=least * len(cells[0]), operators=operators)


def _uniform(space: Space, name: str) -> Genotype:
    return space.genotype([name] * len(space.edges))


def _is_native(network: nn.Module) -> bool:
    """Whether all cells of a network are of operators that the native operator knows."""
    network.eval()
    return all(native_program(each) is not None for each in network.modules() if isinstance(each, Cell))
