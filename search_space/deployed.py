"""The HOGA cell once its weights are fixed: the same function in few, large operators.

All that reads one state is a stage. In a stage pools are taken once, the channel gates are two linear layers
for all edges, and layers of one shape run side by side. A node that is one of its states unchanged is that
state, so what reads it moves to an earlier stage. Norms are folded; a depthwise and a 1x1 convolution with
the norm behind them are one dense convolution unless `Form` says otherwise.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space.cell import Cell, FoundEdges, edge_name
from search_space.composed import (
    ChannelFactors,
    Composed,
    FullFactors,
    Passing,
    ScaledFactors,
    SpatialFactors,
    composed_form,
    fold,
    fold_norms,
)
from search_space.native.module import NativeCell
from search_space.norm import OperatorNorm
from search_space.operator import Operator, read
from search_space.side_by_side import (
    ChannelGates,
    Form,
    FullGates,
    Groups,
    Products,
    ScaledGates,
    SpatialGates,
    as_convolution,
    channel_pools,
)
from search_space.state import State, add_all

CellForm = Form | Literal["native"]
"""How a whole cell runs: as layers of PyTorch's own, or as one operator of ours."""

K = TypeVar("K", bound=Composed)
L = TypeVar("L", FullFactors, SpatialFactors)


@dataclass(frozen=True, eq=False)
class Reader:
    """An edge as a stage sees it.

    Attributes:
        node: Number of the node that it reaches, from 1.
        group: Channel group of the state that it reads.
        form: What it computes; None where the operator has no composed form.
        operator: The operator.
        name: Name of the edge.
    """

    node: int
    group: int
    form: Composed | None
    operator: nn.Module
    name: str


class Stage(nn.Module):
    """All edges that read one state.

    Args:
        width: Channels of a group.
        num_groups: Groups of the state.
        readers: The edges.
        form: How layers that read channels run.
        gate: A channel gate that reads the sum of all groups; None for none.
    """

    def __init__(
        self,
        width: int,
        num_groups: int,
        readers: Sequence[Reader],
        form: Form,
        gate: ChannelFactors | None = None,
    ) -> None:
        super().__init__()
        self.width, self.num_groups = width, num_groups
        channel, scaled = _of_kind(readers, ChannelFactors), _of_kind(readers, ScaledFactors)
        full, spatial = _of_kind(readers, FullFactors), _of_kind(readers, SpatialFactors)
        self.passing = _ends(reader for reader, _ in _of_kind(readers, Passing))
        self.channel_ends, self.scaled_ends = _ends(r for r, _ in channel), _ends(r for r, _ in scaled)
        gates: list[tuple[Sequence[int], ChannelFactors]]
        gates = [((reader.group,), factors) for reader, factors in channel]
        gates += [((reader.group,), factors.channel) for reader, factors in scaled]
        gates += [(range(num_groups), gate)] if gate is not None else []
        self.gates = ChannelGates(width, num_groups, gates) if gates else None
        edges = [(reader.group, factors) for reader, factors in scaled]
        self.scaled = ScaledGates(width, edges, form) if edges else None
        self.full, self.full_ends = nn.ModuleList(), list[list[tuple[int, int]]]()
        for batch in _alike(full, apart=form == "alone", by_group=form == "composed"):
            gates_of_batch = [(reader.group, factors) for reader, factors in batch]
            self.full.append(FullGates(width, num_groups, gates_of_batch, form))
            self.full_ends.append(_ends(reader for reader, _ in batch))
        read_groups = sorted({reader.group for reader, _ in spatial})
        self.pooled = read_groups if len(read_groups) < 2 else list(range(num_groups))
        self.spatial, self.spatial_ends = nn.ModuleList(), list[list[tuple[int, int]]]()
        for batch in _alike(spatial):
            maps_of_batch = [(self.pooled.index(reader.group), factors) for reader, factors in batch]
            self.spatial.append(SpatialGates(maps_of_batch, len(self.pooled)))
            self.spatial_ends.append(_ends(reader for reader, _ in batch))
        self.others, self.other_ends = nn.ModuleDict(), list[tuple[int, int]]()
        for reader in readers:
            if reader.form is None:
                self.others[reader.name] = operator = copy.deepcopy(reader.operator)
                fold_norms(operator)
                self.other_ends.append((reader.node, reader.group))

    def forward(self, x: Float[Tensor, "b c h w"], nodes: list[Tensor | None]) -> Tensor | None:
        """Adds to the nodes what the edges give.

        Args:
            x: The state.
            nodes: The sums so far, by the number of the node; changed in place.

        Returns:
            The factors of the gate that reads the sum of all groups, if there is one.
        """
        groups = x.split(self.width, 1) if self.num_groups > 1 else (x,)
        for node, group in self.passing:
            so_far = nodes[node]
            nodes[node] = groups[group] if so_far is None else so_far + groups[group]
        gates: list[Tensor] = [] if self.gates is None else list(self.gates(x))
        channel = len(self.channel_ends)
        _add(nodes, self.channel_ends, [(groups[g], f) for (_, g), f in zip(self.channel_ends, gates)])
        if self.scaled is not None:
            products = self.scaled(groups, gates[channel : channel + len(self.scaled_ends)])
            _add(nodes, self.scaled_ends, products)
        for full, ends in zip(self.full, self.full_ends):
            _add(nodes, ends, full(x, groups))
        if self.pooled:
            pools = channel_pools(x, groups, self.pooled)
            for spatial, ends in zip(self.spatial, self.spatial_ends):
                _add(nodes, ends, [(groups[g], f) for (_, g), f in zip(ends, spatial(pools))])
        self._add_others(nodes, groups)
        return gates[-1] if len(gates) > channel + len(self.scaled_ends) else None

    def _add_others(self, nodes: list[Tensor | None], groups: Groups) -> None:
        states: dict[int, State] = {}
        for operator, (node, group) in zip(self.others.values(), self.other_ends):
            state = states.setdefault(group, State(groups[group]))
            so_far, features = nodes[node], read(operator, state)
            nodes[node] = features if so_far is None else so_far + features


class DeployedCell(Operator):
    """What a found cell computes in evaluation mode, in few operators. Has no weights that learn.

    Args:
        cell: With single operators on its edges.
        form: How layers that read channels run, or "native" for one operator. Where that does not run (other
            number formats and devices than it knows, gradients of the input), a native cell is separable.

    Attributes:
        form: That form.
        native: The operator; None in another form.
        left: Edges whose operators have no composed form and run as they are: "x2_h2 eca".
    """

    place = "inner"

    def __init__(self, cell: Cell, form: CellForm = "composed") -> None:
        super().__init__()
        assert isinstance(cell.edges, FoundEdges), "the edges of a supernet are mixtures"
        self.form: CellForm = form
        self.native = NativeCell(cell) if form == "native" else None
        layers: Form = "separable" if form == "native" else form
        self.num_nodes = num_nodes = cell.num_nodes
        group_gate, output_gate = composed_form(cell.group_gate), composed_form(cell.output_gate)
        assert isinstance(group_gate, ChannelFactors)
        assert isinstance(output_gate, ChannelFactors)
        self.width = len(group_gate.second)
        by_state = _readers(cell.edges, num_nodes)
        self.left = [
            f"{reader.name} {type(reader.operator).__name__}"
            for readers in by_state.values()
            for reader in readers
            if reader.form is None
        ]
        self.sources = list(by_state)
        self.stages = nn.ModuleList(
            Stage(self.width, num_nodes, readers, layers, group_gate)
            if source == 0
            else Stage(self.width, 1, readers, layers)
            for source, readers in by_state.items()
        )
        self.joint = None if cell.fuse is None else _joint(cell.fuse)
        self.output_gate = ChannelGates(self.width * num_nodes, 1, [((0,), output_gate)])
        self.eval()
        self.requires_grad_(False)

    def read(self, state: State) -> Float[Tensor, "b c h w"]:
        x = state.x
        if self.native is not None and self.native.takes(x):
            y: Tensor = self.native(x)
            return y
        nodes: list[Tensor | None] = [None] * (self.num_nodes + 1)
        gate: Tensor | None = None
        for source, stage in zip(self.sources, self.stages):
            reading = x if source == 0 else nodes[source]
            assert reading is not None, f"no edge reaches node h{source}"
            given = stage(reading, nodes)
            gate = given if source == 0 else gate
        assert gate is not None, "the first stage gates the sum of the groups"
        outputs = [node for node in nodes[1:] if node is not None]
        pooled = add_all(x.split(self.width, 1)) * gate
        if self.joint is None:
            y = torch.cat([node + pooled for node in outputs], 1) + x
        else:
            y = self.joint(torch.cat((*outputs, pooled), 1)) + x
        return y * self.output_gate(y)[0]


def _readers(edges: FoundEdges, num_nodes: int) -> dict[int, list[Reader]]:
    """What reads each state, by the number of the source; the first is always there.

    A node whose only edge passes a state on is that state.
    """
    found = dict[int, list[Reader]]()
    by_node = dict[int, list[tuple[int, Reader]]]()
    for source in range(num_nodes):
        for node, name in edges.readers.get(source, []):
            operator = edges.operators[name]
            assert name == edge_name(node, source)
            group = node - 1 if source == 0 else 0
            reader = Reader(node, group, composed_form(operator), operator, name)
            by_node.setdefault(node, []).append((source, reader))
    same = {source: (source, 0) for source in range(1, num_nodes + 1)}
    found[0] = []
    for node in range(1, num_nodes + 1):
        into = by_node.get(node, [])
        if len(into) == 1 and isinstance(into[0][1].form, Passing):
            source, reader = into[0]
            same[node] = (0, reader.group) if source == 0 else same[source]
        for source, reader in into:
            home, group = (0, reader.group) if source == 0 else same[source]
            moved = Reader(node, group, reader.form, reader.operator, reader.name)
            found.setdefault(home, []).append(moved)
    return dict(sorted(found.items()))


def _joint(fuse: nn.Sequential) -> nn.Sequential:
    """The fuse with its norms folded."""
    layers, modules = list[nn.Module](), list(fuse)
    for module, after in zip(modules, [*modules[1:], None]):
        if isinstance(module, nn.Conv2d):
            assert isinstance(after, OperatorNorm)
            layer = fold(module, norm=after)
            layers.append(as_convolution(layer.kernel, layer.bias))
        elif isinstance(module, nn.ReLU):
            layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def _of_kind(readers: Sequence[Reader], kind: type[K]) -> list[tuple[Reader, K]]:
    """The edges whose composed form is of a kind."""
    return [(reader, reader.form) for reader in readers if isinstance(reader.form, kind)]


def _alike(
    edges: Sequence[tuple[Reader, L]], *, by_group: bool = False, apart: bool = False
) -> list[list[tuple[Reader, L]]]:
    """The edges in batches whose layers have the same shapes.

    Args:
        edges: Edges of one kind.
        by_group: Whether those of a batch also read one group.
        apart: Whether every edge is a batch.
    """
    batches = dict[tuple[object, ...], list[tuple[Reader, L]]]()
    for reader, factors in edges:
        shapes = tuple(layer.signature for layer in factors.layers)
        key = shapes, reader.group if by_group else None, reader.name if apart else None
        batches.setdefault(key, []).append((reader, factors))
    return [sorted(batch, key=lambda edge: edge[0].group) for batch in batches.values()]


def _ends(readers: Iterable[Reader]) -> list[tuple[int, int]]:
    """Node and group of each edge."""
    return [(reader.node, reader.group) for reader in readers]


def _add(nodes: list[Tensor | None], ends: Sequence[tuple[int, int]], products: Products) -> None:
    for (node, _), (x, factor) in zip(ends, products):
        so_far = nodes[node]
        nodes[node] = x * factor if so_far is None else torch.addcmul(so_far, x, factor)
