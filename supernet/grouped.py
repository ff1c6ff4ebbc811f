"""Mixed edges in the grouped form: all edges that read one state run as one batch. The default.

The same function as the plain form (`supernet.mixed`), with the same parameters, stacked. State dicts of the
two convert into each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import torch
from torch import Tensor, nn
from torch.func import functional_call

from search_space.cell import edge_name
from search_space.grouped import GROUPED, Grouped, Mixture, count_batches, stack_modules
from search_space.operator import OPERATORS, read
from search_space.operators.squeeze_excite import ChannelGates
from search_space.space import NONE, Space
from search_space.state import State
from supernet.mixed import MixedEdges, Mixing


class GroupedMixedEdges(MixedEdges):
    """Group by group: stacked parameters, shared statistics, gates summed before they multiply.

    `none` adds nothing, its weight in the softmax stays. Operators without a grouped form run one by one.
    Where one operator an edge is chosen, it runs alone, on its own part of its stack.

    Args:
        space: The primitives and edges.
        width: Channels of a group.
        mixing: Where the weights (edges, primitives) are read.
    """

    def __init__(self, space: Space, width: int, mixing: Mixing) -> None:
        super().__init__(mixing)
        plain = {
            edge: [OPERATORS[name].build_for_search(width) for name in space.primitives]
            for edge in space.edges
        }
        self.groups = nn.ModuleList()
        for source in range(space.num_nodes):
            edges = [edge for edge in space.edges if edge[1] == source]
            rows = [space.edges.index(edge) for edge in edges]
            operators = {
                column: [plain[edge][column] for edge in edges]
                for column, name in enumerate(space.primitives)
                if name != NONE
            }
            group = _Group(source, [node for node, _ in edges], rows, operators)
            mixing.select(group.rows)
            self.groups.append(group)

    @property
    def stacked(self) -> Iterator[nn.Module]:
        """Every stack of parameters."""
        for group in self.groups:
            assert isinstance(group, _Group)
            yield from group.stacks.children()

    def forward(self, source: int, state: State) -> list[tuple[int, Tensor]]:
        group = self.groups[source]
        assert isinstance(group, _Group)
        if self.mixing.chosen is not None:
            return group.mix_one_each(state, self.mixing.weights, self.mixing.chosen)
        if source == 0:
            count_batches(self.stacked)
        return group.mix(state, self.mixing.columns(group.rows))


class _Group(nn.Module):
    """All edges that read one source.

    Args:
        source: The source read.
        nodes: The node that each edge leads to.
        rows: The row of each edge in the mixing weights.
        operators: For each column of the mixing weights, one operator for every edge.
    """

    def __init__(
        self,
        source: int,
        nodes: Sequence[int],
        rows: Sequence[int],
        operators: Mapping[int, Sequence[nn.Module]],
    ) -> None:
        super().__init__()
        self.source = source
        self.nodes = nodes
        self.rows = tuple(rows)
        self.stacks = nn.ModuleDict()
        self.singles = nn.ModuleDict()
        self.forms = list[tuple[int, Grouped]]()
        for column, modules in operators.items():
            form = GROUPED.get(type(modules[0]))
            if form is None:
                self.singles[str(column)] = nn.ModuleList(modules)
            else:
                stack = stack_modules(modules)
                self.stacks[str(column)] = stack
                self.forms.append((column, form(stack)))
        mlps = [mlp for _, form in self.forms for mlp in form.channel_mlps()]
        self.channel_gates = ChannelGates(mlps) if mlps else None

    @property
    def edge_names(self) -> list[str]:
        """Name of every edge, as in the state dict of the plain form."""
        return [edge_name(node, self.source) for node in self.nodes]

    def mix(self, state: State, columns: Sequence[Tensor]) -> list[tuple[int, Tensor]]:
        num_edges = len(self.nodes)
        if state.num_groups != num_edges:
            state = state.repeat(num_edges)
        mixture = Mixture(state)
        gates = iter([] if self.channel_gates is None else self.channel_gates(state))
        for column, form in self.forms:
            form.mix(state, columns[column], mixture, [next(gates) for _ in form.channel_mlps()])
        for column, modules in self.singles.items():
            weight = columns[int(column)].unbind()
            features = [
                w * read(module, group)
                for w, module, group in zip(weight, modules.children(), state.groups())
            ]
            mixture.add_features(torch.cat(features, 1))
        return list(zip(self.nodes, mixture.total().chunk(num_edges, 1)))

    def mix_one_each(self, state: State, weights: Tensor, chosen: Sequence[int]) -> list[tuple[int, Tensor]]:
        """One operator an edge, nothing else computed.

        Args:
            state: What the edges read.
            weights: All mixing weights (edges, primitives).
            chosen: The column of every edge of the cell.
        """
        mixed = list[tuple[int, Tensor]]()
        groups = state.groups()
        for index, (node, row) in enumerate(zip(self.nodes, self.rows)):
            own, column = groups[index if len(groups) > 1 else 0], str(chosen[row])
            weight = weights[row, chosen[row]]
            if column in self.singles:
                operator = list(self.singles[column].children())[index]
                mixed.append((node, weight * read(operator, own)))
            elif column in self.stacks:
                # Views of one edge's part of the stack: statistics that move, move in the stack.
                stack = self.stacks[column]
                part = {
                    f"stacks.{column}.{name}": value[index]
                    for name, value in chain(stack.named_parameters(), stack.named_buffers())
                }
                mixed.append((node, weight * functional_call(self, part, (column, own), tie_weights=False)))
            else:
                mixed.append((node, torch.zeros_like(own.x)))
        return mixed

    def forward(self, column: str, state: State) -> Tensor:
        """The operator that a stack holds the parameters of, while they are one edge's."""
        return read(self.stacks[column], state)


def to_plain(values: Mapping[str, Tensor], supernet: nn.Module) -> dict[str, Tensor]:
    """Unstacks: the keys and shapes of the plain form from those of the grouped form.

    Args:
        values: A state dict, or gradients by parameter name, of a grouped supernet (or of a part).
        supernet: The module whose names `values` has. Names outside its mixed edges stay.
    """
    groups = _groups(supernet)
    plain = dict[str, Tensor]()
    for key, value in values.items():
        names, is_stack = _plain_names(key, groups)
        plain.update(zip(names, value.unbind() if is_stack else [value]))
    return plain


def to_stacked(values: Mapping[str, Tensor], supernet: nn.Module) -> dict[str, Tensor]:
    """Stacks: the keys and shapes of the grouped form from those of the plain form.

    Args:
        values: A whole state dict of the plain form of `supernet`.
        supernet: A grouped supernet.
    """
    groups = _groups(supernet)
    stacked = dict[str, Tensor]()
    for key in supernet.state_dict(keep_vars=True):
        names, is_stack = _plain_names(key, groups)
        stacked[key] = torch.stack([values[name] for name in names]) if is_stack else values[names[0]]
    return stacked


def _groups(supernet: nn.Module) -> dict[str, _Group]:
    return {f"{name}.": module for name, module in supernet.named_modules() if isinstance(module, _Group)}


def _plain_names(key: str, groups: Mapping[str, _Group]) -> tuple[list[str], bool]:
    """The plain form's names for one name of the grouped form, and whether its value is a stack of them."""
    cell, marker, inside = key.partition("edges.groups.")
    source, _, rest = inside.partition(".")
    group = groups.get(f"{cell}{marker}{source}.")
    if group is None:
        return [key], False
    kind, column, rest = rest.split(".", 2)
    edges = group.edge_names
    if kind == "singles":
        edge, _, rest = rest.partition(".")
        edges = [edges[int(edge)]]
    return [f"{cell}edges.operators.{edge}.{column}.{rest}" for edge in edges], kind == "stacks"
