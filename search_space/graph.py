"""What the graph of a genotype says: how deep it is, how many ways lead through it, what is not read."""

from __future__ import annotations

from dataclasses import dataclass

from search_space.genotype import Genotype

SKIP = "skip_connect"


@dataclass(frozen=True)
class Facts:
    """Figures of a genotype's graph.

    Attributes:
        depth: Most operators one after the other between a channel group and the fuse; skips do not count.
        paths: Ways from the channel groups to the fuse, which reads every node.
        unread: Channel groups that no edge reads; their channels pass the cell by the residual alone.
        skips: Edges that hand a state on as it is.
    """

    depth: int
    paths: int
    unread: tuple[str, ...]
    skips: int

    def __str__(self) -> str:
        text = f"depth {self.depth}, {self.paths} paths, {self.skips} of the edges skip"
        return text + (f"; {', '.join(self.unread)} read by no edge" if self.unread else "")


def facts(genotype: Genotype) -> Facts:
    """The figures of a genotype's graph."""
    import networkx as nx  # slow

    graph = genotype.graph()
    for _, _, edge in graph.edges(data=True):
        edge["weight"] = 0 if edge["operator"] == SKIP else 1
    ways = dict[str, int]()
    for state in nx.topological_sort(graph):
        before = [ways[source] for source, _ in graph.in_edges(state)]
        ways[state] = sum(before) if graph.nodes[state]["layer"] == "node" else 1
    return Facts(
        depth=nx.dag_longest_path_length(graph),
        paths=sum(count for state, count in ways.items() if graph.nodes[state]["layer"] == "node"),
        unread=tuple(state for state in graph if graph.out_degree(state) == 0 and state.startswith("x")),
        skips=sum(edge.operator == SKIP for _, edge in genotype.edges()),
    )


def isomorphic(one: Genotype, other: Genotype) -> bool:
    """Whether two genotypes are one cell but for the order of its channel groups, which are all alike."""
    import networkx as nx  # slow

    if one.fuse != other.fuse:
        return False
    return nx.is_isomorphic(
        one.graph(),
        other.graph(),
        node_match=lambda a, b: a["layer"] == b["layer"],
        edge_match=lambda a, b: a["operator"] == b["operator"],
    )
