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
from scipy.optimize import nnls
from torch import nn

from evaluators.cost_table import CostTable, Sum
from evaluators.runtimes import Target
from evaluators.used_latency import added_latencies, runs_native
from foundation.seeds import seed_of
from search_space.cell import Cell
from search_space.genotype import Genotype
from search_space.native.program import native_program
from search_space.space import Space

Edge = tuple[int, int]
"""Node and state."""

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

    def new(genotype: Genotype | None) -> nn.Module:
        with torch.random.fork_rng(devices=[]):  # nothing else that is drawn notices its weights
            return build(genotype)

    def measured(genotypes: Sequence[Genotype], native: bool) -> tuple[float, list[float]]:
        networks = ((number, new(genotype), shape) for number, genotype in enumerate(genotypes))
        plain, added = added_latencies((-1, new(None), shape), networks, device, runtime, native)
        return plain, [1 + added[number] / plain for number in range(len(genotypes))]

    def fitted(candidates: Sequence[str], native: bool) -> tuple[float, Sum]:
        cells = drawn_cells(len(candidates), space.edges)
        genotypes = [_genotype(space, candidates, cell) for cell in cells]
        some = len(candidates)  # in memory at once, beside the plain network
        parts = [
            measured(genotypes[begin : begin + some], native) for begin in range(0, len(genotypes), some)
        ]
        plain = float(np.median([plain for plain, _ in parts]))
        times = np.array([time for _, of_part in parts for time in of_part])
        fixed, *costs = plain * _fit(_counts(cells, len(candidates)), times)
        return plain, Sum(fixed=float(fixed), operators=dict(zip(candidates, map(float, costs), strict=True)))

    together = [name for name in space.candidates if native and _is_native(new(_uniform(space, name)))]
    plain, costs = fitted(space.candidates, native and len(together) == len(space.candidates))
    table = CostTable(plain=plain, fixed=costs.fixed, operators=costs.operators)
    if not 0 < len(together) < len(space.candidates):
        return table
    beside, costs = fitted(together, native=True)
    share = plain / beside
    operators = {name: share * cost for name, cost in costs.operators.items()}
    return replace(table, native=Sum(fixed=share * costs.fixed, operators=operators))


def drawn_cells(num_operators: int, edges: Sequence[Edge]) -> list[list[tuple[Edge, int]]]:
    """Cells that tell all operators, and what is fixed, apart: operators by number on edges.

    A cell draws from a half of the operators, other ones each time: were they drawn from all, their numbers
    would be much alike in all cells. Every other cell has some of the edges, one at least of each node.

    Args:
        num_operators: There are `CELLS` cells for each.
        edges: Those of a cell, (node, state).
    """
    rng = random.Random(seed_of("cells to measure", num_operators, len(edges)))
    of_nodes = [
        [edge for edge in edges if edge[0] == node] for node in dict.fromkeys(node for node, _ in edges)
    ]
    columns = num_operators + (len(edges) > 1)  # a single edge is always there: nothing tells what is fixed
    while True:
        cells = list[list[tuple[Edge, int]]]()
        for number in range(CELLS * num_operators):
            some = rng.sample(range(num_operators), min(num_operators, max(2, num_operators // 2)))
            kept = edges
            if number % 2:
                kept = [edge for node in of_nodes for edge in rng.sample(node, rng.randint(1, len(node)))]
            cells.append([(edge, rng.choice(some)) for edge in kept])
        if np.linalg.matrix_rank(_counts(cells, num_operators)) == columns:
            return cells


def _genotype(space: Space, candidates: Sequence[str], cell: Sequence[tuple[Edge, int]]) -> Genotype:
    operators = [candidates[number] for _, number in cell]
    return space.arranged([edge for edge, _ in cell], operators, [0.0] * len(cell))


def _counts(cells: Sequence[Sequence[tuple[Edge, int]]], num_operators: int) -> np.ndarray:
    """One, and how often each operator stands in each cell (cells, 1 + operators)."""
    numbers = [[number for _, number in cell] for cell in cells]
    return np.array([[1, *np.bincount(each, minlength=num_operators)] for each in numbers], dtype=float)


def _fit(counts: np.ndarray, times: np.ndarray) -> np.ndarray:
    """What is fixed, at least 1, and what each operator costs, at least 0, nearest to the times of cells.

    Nearest by the squares of the errors' shares of the times.

    Args:
        counts: See `_counts`.
        times: Of the cells, in times of the plain network.
    """
    found, _ = nnls(counts / times[:, None], 1 - 1 / times)
    found[0] += 1
    return found


def _uniform(space: Space, name: str) -> Genotype:
    return space.genotype([name] * len(space.edges))


def _is_native(network: nn.Module) -> bool:
    """Whether all cells of a network are of operators that the native operator knows."""
    network.eval()
    return all(native_program(each) is not None for each in network.modules() if isinstance(each, Cell))
