"""Search spaces: which cells there are, how many, and how to walk among them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product

from foundation.config import config
from foundation.errors import InputError
from foundation.registry import Registry
from search_space.genotype import PUBLIC_OPERATORS, PUBLIC_SPACE, Edge, Fuse, Genotype, Node

SPACES: Registry[Space] = Registry("search space")

OWN = "own"
"""What genotypes call the space of a search over a user's own list of primitives."""

NONE = "none"
"""The primitive that passes nothing; it is mixed in while searching and never derived."""


@config
class Space:
    """All cells with a number of nodes and a list of primitives.

    Node h_i (i = 1 ... num_nodes) reads its own channel group and every earlier node, so there are
    num_nodes (num_nodes + 1) / 2 edges. An edge is a pair (node number, state index).

    Raises:
        InputError: If there are no nodes, or the primitives are empty or repeat.
    """

    name: str
    """Registered name of the space, which its genotypes carry."""
    primitives: tuple[str, ...]
    """Operators that compete on every edge, in the order of the alphas' columns: registered names, with the
    argument where there is one ("ga:0010")."""
    num_nodes: int = 4
    """Channel groups of the cell; has to divide the channels of every block."""
    fuse: Fuse = "double"
    """How the cell joins its nodes: "double" (two 1x1 convolutions, the paper's), "single", "none"."""

    def __post_init__(self) -> None:
        if self.num_nodes < 1:
            raise InputError(f"a cell needs at least one node, not {self.num_nodes}")
        if len(set(self.primitives)) != len(self.primitives):
            raise InputError(f"space {self.name!r} lists a primitive twice: {self.primitives}")
        if not self.candidates:
            raise InputError(f"space {self.name!r} has no primitive besides {NONE!r}")

    @property
    def candidates(self) -> tuple[str, ...]:
        """The primitives that a genotype can have: all but `none`."""
        return tuple(name for name in self.primitives if name != NONE)

    @property
    def candidate_columns(self) -> list[int]:
        """The columns of the alphas that the candidates have, in their order."""
        return [column for column, name in enumerate(self.primitives) if name != NONE]

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """All edges (node, state), in the order of the alphas' rows."""
        return tuple((i, j) for i in range(1, self.num_nodes + 1) for j in range(i))

    @property
    def rows(self) -> tuple[tuple[int, int], ...]:
        """What is decided, one after another: the edges."""
        return self.edges

    def columns_at(self, row: tuple[int, int]) -> list[int]:
        """The columns of the alphas that can be derived in a row: the same on all edges."""
        return self.candidate_columns

    @property
    def size(self) -> int:
        """Number of genotypes that the derivation rule can give: one candidate an edge."""
        return len(self.candidates) ** len(self.edges)

    def genotypes(self) -> Iterator[Genotype]:
        """All of them, `size` in number: the last edge's operator changes first."""
        for operators in product(self.candidates, repeat=len(self.edges)):
            yield self.genotype(operators)

    def genotype(self, operators: Sequence[str]) -> Genotype:
        """The genotype with these operators, one for each of `edges`, in that order."""
        nodes = list[list[tuple[str, int]]]([] for _ in range(self.num_nodes))
        for (i, j), operator in zip(self.edges, operators, strict=True):
            nodes[i - 1].append((operator, j))
        return Genotype.of(nodes, space=self.name, fuse=self.fuse)

    def operators(self, genotype: Genotype) -> tuple[str, ...]:
        """The operators of a genotype that keeps every edge, in the order of `edges`."""
        found = self.decided(genotype)
        return tuple(found[edge] for edge in self.edges)

    def decided(self, genotype: Genotype) -> dict[tuple[int, int], str]:
        """The operator of every edge that a genotype keeps, in the order of `edges`."""
        found = {(i, edge.index): edge.operator for i, edge in genotype.edges()}
        return {edge: found[edge] for edge in self.edges if edge in found}

    def arranged(
        self, rows: Sequence[tuple[int, int]], operators: Sequence[str], scores: Sequence[float]
    ) -> Genotype:
        """The genotype with these operators on these edges; those of a node by decreasing score."""
        nodes = list[list[tuple[str, int]]]()
        for i in range(1, self.num_nodes + 1):
            of_node = [
                (score, name, j) for (node, j), name, score in zip(rows, operators, scores) if node == i
            ]
            of_node.sort(key=lambda found: -found[0])
            nodes.append([(name, j) for _, name, j in of_node])
        return Genotype.of(nodes, space=self.name, fuse=self.fuse)

    def strongest(self, weights: Sequence[Sequence[float]], most: int | None = None) -> Genotype:
        """Every edge with its strongest operator that is not `none`; of every node the strongest edges.

        Edges of a node are listed by decreasing strength; equal strengths keep the order of the states.

        Args:
            weights: Strengths (edges, primitives), rows in the order of `edges`.
            most: Edges that a node keeps; None for all.
        """
        best = {
            edge: max(
                ((weight, -column) for column, weight in enumerate(row) if self.primitives[column] != NONE)
            )
            for edge, row in zip(self.edges, weights, strict=True)
        }
        nodes = list[list[tuple[str, int]]]()
        for i in range(1, self.num_nodes + 1):
            order = sorted(range(i), key=lambda j: -best[i, j][0])[:most]
            nodes.append([(self.primitives[-best[i, j][1]], j) for j in order])
        return Genotype.of(nodes, space=self.name, fuse=self.fuse)

    def read(self, text: str) -> Genotype:
        """A genotype from its JSON text."""
        return Genotype.from_json(text)

    def sample(self, rng: random.Random) -> Genotype:
        """A genotype drawn uniformly: every edge kept, in the order of the states."""
        return self.genotype([rng.choice(self.candidates) for _ in self.edges])

    def neighbours(self, genotype: Genotype) -> Iterator[Genotype]:
        """All genotypes that differ from this one in the operator of one edge."""
        for number, (_, edge) in enumerate(genotype.edges()):
            for operator in self.candidates:
                if operator != edge.operator:
                    yield _changed(genotype, number, operator)

    def mutate(self, genotype: Genotype, rng: random.Random) -> Genotype:
        """A neighbour: one edge, chosen uniformly, gets another operator.

        Raises:
            InputError: If the space has a single candidate, so that nothing can change.
        """
        if len(self.candidates) < 2:
            raise InputError(f"space {self.name!r} has one candidate; there is nothing to mutate")
        edges = [edge for _, edge in genotype.edges()]
        chosen = rng.randrange(len(edges))
        new = rng.choice([name for name in self.candidates if name != edges[chosen].operator])
        return _changed(genotype, chosen, new)

    def check(self, genotype: Genotype) -> Genotype:
        """Returns the genotype if it can be built from this space's operators.

        Raises:
            InputError: If it has an operator that is not a primitive of the space.
        """
        return genotype.check(self.candidates)


def _changed(genotype: Genotype, number: int, operator: str) -> Genotype:
    """A genotype with another operator on one of its edges, counted in the order of `Genotype.edges`."""
    nodes = list[Node]()
    for node in genotype.nodes:
        edges = list(node.edges)
        if 0 <= number < len(edges):
            edges[number] = Edge(source=edges[number].source, operator=operator)
        number -= len(node.edges)
        nodes.append(Node(name=node.name, edges=tuple(edges)))
    return replace(genotype, nodes=tuple(nodes))


HOGA = Space(name=PUBLIC_SPACE, primitives=(NONE, *PUBLIC_OPERATORS))
"""The nine operators of the public AutoLA space, in its order (genotypes.py:5-20)."""

SPACES.add(HOGA.name, HOGA)

HOGA_WIDE = Space(
    name="hoga_wide",
    primitives=(
        *HOGA.primitives,
        "eca",
        "gc",
        "simam",
        "coordinate",
        "triplet",
        "dynamic",
        "ga:0010",
        "ga:1111",
    ),
)
"""The nine, and what else keeps the shape of a group: channel gates, gates of positions, two attentions."""

SPACES.add(HOGA_WIDE.name, HOGA_WIDE)

HOGA_SMALL = Space(
    name="hoga_small",
    primitives=(NONE, "skip_connect", "sep_conv_3x3", "dil_conv_3x3", "sep_conv_3x3_spatial", "SE", "CBAM"),
    num_nodes=2,
)
"""Two nodes and one operator of each kind: 216 genotypes, few enough to train them all."""

SPACES.add(HOGA_SMALL.name, HOGA_SMALL)
