"""The genotype: what a search finds, as plain data."""

from __future__ import annotations

import ast
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar, cast

from foundation.config import config, other_version, parse_versioned, read_text, to_json
from foundation.errors import InputError, shown, unknown

if TYPE_CHECKING:
    import networkx as nx

T = TypeVar("T")

VERSION = 1

PUBLIC_SPACE = "hoga"
"""Name of the space of the public AutoLA code."""

PUBLIC_OPERATORS = (
    "skip_connect",
    "sep_conv_3x3",
    "dil_conv_3x3",
    "sep_conv_3x3_spatial",
    "dil_conv_3x3_spatial",
    "SE",
    "SE_A_M",
    "CBAM",
)
"""What may stand on an edge in that space, in the order of the public code (genotypes.py:5-20)."""

Fuse = Literal["double", "single", "none"]
"""How a cell joins its nodes: two 1x1 convolutions (the paper's), one, or none."""


@config
class Edge:
    """One attention operation: from a state into the node that lists it."""

    source: str
    """The state read: the node's own channel group ("x2" in node "h2") or an earlier node ("h1")."""
    operator: str
    """Registered name of the operator."""

    @property
    def index(self) -> int:
        """Index of the state in the node's state list: 0 is its own group, j >= 1 is node h_j."""
        return 0 if self.source.startswith("x") else int(self.source[1:])


@config
class Node:
    """One channel group of the cell: the sum of its edges."""

    name: str
    """"h1" for the first."""
    edges: tuple[Edge, ...]
    """Incoming edges by decreasing strength."""


@config
class Genotype:
    """A found attention module: which operators sit on which edges of the cell.

    Frozen, validated, equal by value. Node h_i reads its own channel group x_i and the earlier
    nodes h_1 ... h_{i-1}; every node has at least one edge, and no state is read twice by one node.

    Raises:
        InputError: If the version, a node or an edge is impossible.
    """

    version: int = VERSION
    """Version of the format."""
    space: str = PUBLIC_SPACE
    """Name of the search space it comes from."""
    fuse: Fuse = "double"
    """How the cell joins its nodes."""
    nodes: tuple[Node, ...]
    """The nodes, h1 first."""

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise InputError(other_version("genotype", self.version, VERSION))
        if not self.nodes:
            raise InputError("a genotype needs at least one node")
        for i, node in enumerate(self.nodes, 1):
            allowed = (f"x{i}", *(f"h{j}" for j in range(1, i)))
            if node.name != f"h{i}":
                raise InputError(f"node {i} is called {shown(node.name)}; its name is h{i}")
            if not node.edges:
                raise InputError(f"node h{i} has no edge; give it at least one")
            for k, edge in enumerate(node.edges):
                if edge.source not in allowed:
                    raise InputError(
                        f"impossible edge {shown(edge.source)} -> h{i}: h{i} reads {', '.join(allowed)}"
                    )
                if any(edge.source == other.source for other in node.edges[:k]):
                    raise InputError(f"node h{i} reads {edge.source} twice; keep one of the edges")

    def edges(self) -> Iterator[tuple[int, Edge]]:
        """Pairs (number of the node, from 1; edge) in the order of the nodes."""
        for i, node in enumerate(self.nodes, 1):
            for edge in node.edges:
                yield i, edge

    @classmethod
    def of(
        cls, nodes: list[list[tuple[str, int]]], *, space: str = PUBLIC_SPACE, fuse: Fuse = "double"
    ) -> Genotype:
        """A genotype from (operator, state index) pairs, a list for every node."""
        return cls(
            space=space,
            fuse=fuse,
            nodes=tuple(
                Node(
                    name=f"h{i}",
                    edges=tuple(
                        Edge(source=f"h{index}" if index else f"x{i}", operator=operator)
                        for operator, index in pairs
                    ),
                )
                for i, pairs in enumerate(nodes, 1)
            ),
        )

    def to_json(self) -> str:
        """JSON text; equal genotypes give the same bytes."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str, where: str = "genotype") -> Genotype:
        """Reads JSON text.

        Raises:
            InputError: If it is cut short, of another version, or impossible; starts with `where`.
        """
        return parse_versioned(cls, text, where, "genotype", VERSION)

    @classmethod
    def load(cls, path: str | Path) -> Genotype:
        """Reads a genotype file, JSON or the literal form, or genotype.json of a run folder.

        Raises:
            InputError: If there is none, or it is neither.
        """
        path = Path(path)
        path = path / "genotype.json" if os.path.isdir(path) else path  # Path.is_dir raises on odd names
        text = read_text(path, "genotype")
        if not text.lstrip().startswith("Genotype"):
            return cls.from_json(text, str(path))
        try:
            return cls.from_literal(text)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None

    def to_literal(self) -> str:
        """The literal form of the public AutoLA code, one edge for every state of every node.

        It says nothing about the space and the fuse.

        Raises:
            InputError: If a node does not read all its states: that form cannot say so.
        """
        for i, node in enumerate(self.nodes, 1):
            if len(node.edges) != i:
                raise InputError(f"the literal form needs {i} edges in h{i}, not {len(node.edges)}")
        normal = [(edge.operator, edge.index) for _, edge in self.edges()]
        return f"Genotype(normal={normal!r}, normal_concat=range(1, {len(self.nodes) + 1}))"

    @classmethod
    def from_literal(cls, text: str, *, space: str = PUBLIC_SPACE, fuse: Fuse = "double") -> Genotype:
        """Reads `Genotype(normal=[('skip_connect', 0), ...], normal_concat=range(1, 5))`.

        Nothing is executed: only this form is understood. It says nothing about the space and the fuse.

        Raises:
            InputError: If the text has another form, or is of the space hoga and names an operator that the
                public code does not have; operators of other spaces are looked up where they are used.
        """
        try:
            pairs, (start, stop) = _literal_parts(text.strip())
        except (
            SyntaxError,
            ValueError,
            TypeError,
            MemoryError,
            RecursionError,
        ):  # the last two: deep nesting
            form = "Genotype(normal=[('skip_connect', 0), ...], normal_concat=range(1, 5))"
            raise InputError(f"not a literal genotype; the form is {form}") from None
        num_nodes = stop - 1
        if start != 1 or len(pairs) != num_nodes * (num_nodes + 1) // 2:
            raise InputError(
                f"{len(pairs)} edges do not make the nodes of range({start}, {stop}); "
                f"k nodes have k(k+1)/2 edges and are range(1, k + 1)"
            )
        nodes = [pairs[i * (i - 1) // 2 : i * (i + 1) // 2] for i in range(1, num_nodes + 1)]
        genotype = cls.of(nodes, space=space, fuse=fuse)
        if space == PUBLIC_SPACE:
            genotype.check(PUBLIC_OPERATORS)
        return genotype

    def check(self, operators: Collection[str]) -> Genotype:
        """Returns the genotype if it has these operators alone.

        Raises:
            InputError: If it has another one.
        """
        for i, edge in self.edges():
            if edge.operator not in operators:
                raise InputError(
                    f"edge {edge.source} -> h{i}: {unknown('operator', edge.operator, operators)}"
                )
        return self

    def graph(self) -> nx.DiGraph[str]:
        """A directed graph of states: every edge has an `operator` and its `rank` in the node."""
        import networkx as nx  # slow

        graph: nx.DiGraph[str] = nx.DiGraph()
        for i, node in enumerate(self.nodes, 1):
            graph.add_node(f"x{i}", layer="input")
            graph.add_node(node.name, layer="node")
            for rank, edge in enumerate(node.edges):
                graph.add_edge(edge.source, node.name, operator=edge.operator, rank=rank)
        return graph

    def __str__(self) -> str:
        return "; ".join(
            f"{node.name} = " + " + ".join(f"{e.operator}({e.source})" for e in node.edges)
            for node in self.nodes
        )


def _literal_parts(text: str) -> tuple[list[tuple[str, int]], tuple[int, int]]:
    match ast.parse(text, mode="eval").body:
        case ast.Call(
            func=ast.Name(id="Genotype"),
            args=[],
            keywords=[
                ast.keyword(arg="normal", value=normal),
                ast.keyword(
                    arg="normal_concat", value=ast.Call(func=ast.Name(id="range"), args=[first, last])
                ),
            ],
        ):
            pairs = [(_exactly(str, name), _exactly(int, index)) for name, index in ast.literal_eval(normal)]
            start, stop = (_exactly(int, ast.literal_eval(bound)) for bound in (first, last))
            return pairs, (start, stop)
        case _:
            raise ValueError("another form")


def _exactly(kind: type[T], value: object) -> T:
    if type(value) is not kind:
        raise TypeError(f"{value!r} is no {kind.__name__}")
    return cast(T, value)


PUBLISHED = Genotype.of(
    [
        [("skip_connect", 0)],
        [("sep_conv_3x3_spatial", 0), ("sep_conv_3x3", 1)],
        [("CBAM", 0), ("skip_connect", 2), ("sep_conv_3x3", 1)],
        [("sep_conv_3x3", 0), ("skip_connect", 1), ("sep_conv_3x3", 3), ("dil_conv_3x3", 2)],
    ]
)
"""The genotype of the public AutoLA code (genotypes.py:22, commit 49c1e57)."""
