"""The part of an ejected file that is written for the one attention: what builds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autola.ejecting.sources import Name, is_own, take_along
from foundation.errors import InputError
from search_space.operator import OPERATORS, Recipe
from search_space.term import STAGES, Term

CELL = tuple(Name("search_space.cell", name) for name in ("Cell", "FoundEdges", "group_width"))


@dataclass(frozen=True, kw_only=True)
class Builder:
    """A function of the file that builds the attention of one site.

    Attributes:
        name: Name of the function.
        terms: The attentions that it builds, one after another.
        channels: The channels that it builds for where no others are given.
        on_convolution: Whether it is given a convolution to stand for.
        sized: Whether it is given the height and width of the map.
    """

    name: str
    terms: tuple[Term, ...]
    channels: int
    on_convolution: bool = False
    sized: bool = False

    def table(self, name: str) -> str:
        """Name of a table of the file that belongs to it: "PLACES" of `build_se` is PLACES_SE."""
        return name + self.name.removeprefix("build").upper()

    def text(self, called: Mapping[Name, str]) -> str:
        """The source text of the function.

        Args:
            called: Names of the classes in the file.
        """
        kind, what = "int", "number of channels"
        if self.on_convolution:
            kind, what = "int | nn.Conv2d", "convolution to stand for, or a number of channels"
        size = ", size: int | tuple[int, int] = 32" if self.sized else ""
        head = f"def {self.name}(channels: {kind} = {self.channels}{size}) -> nn.Module:\n"
        lines = list[str]()
        parts = [self._part(term, number, called, lines) for number, term in enumerate(self.terms)]
        head += f'    """The attention for a {what}{", and the size of its map" if self.sized else ""}."""\n'
        value = parts[0] if len(parts) == 1 else f"nn.Sequential({', '.join(parts)})"
        return head + "".join(f"    {line}\n" for line in lines) + f"    return {value}"

    def _part(self, term: Term, number: int, called: Mapping[Name, str], lines: list[str]) -> str:
        if term.genotype is None:
            recipe, options = OPERATORS[term.name], dict(term.options)
            options.pop(STAGES, None)
            given = {**recipe.options, **options}
            if term.argument is not None:
                given["argument"] = term.argument
            return _call(recipe, "channels", given, called, "size=size" if self.sized else "")
        num_nodes, edges, width = len(term.genotype.nodes), "edges", "width"
        if any(before.genotype for before in self.terms[:number]):
            edges, width = f"edges{number + 1}", f"width{number + 1}"
        lines.append(f"{width} = {called[CELL[2]]}(channels, {num_nodes})")
        lines.append(f"{edges} = {called[CELL[1]]}(")
        lines.append("    [  # node, state that it reads (0 for its own group of channels), operator")
        for node, edge in term.genotype.edges():
            recipe = OPERATORS[edge.operator]
            lines.append(f"        ({node}, {edge.index}, {_call(recipe, width, recipe.options, called)}),")
        lines += ["    ]", ")"]
        return f'{called[CELL[0]]}(channels, {num_nodes}, {edges}, "{term.genotype.fuse}")'


def roots(terms: Sequence[Term]) -> list[Name]:
    """The classes that terms are built of.

    Raises:
        InputError: If one comes from where no source is taken from.
    """
    found = dict[Name, None]()
    for term in terms:
        if term.genotype is None:
            found[_class(OPERATORS[term.name])] = None
        else:
            found |= dict.fromkeys(CELL)
            found |= {_class(OPERATORS[edge.operator]): None for _, edge in term.genotype.edges()}
    return list(found)


def _class(recipe: Recipe) -> Name:
    kind = recipe.module
    if not is_own(kind.__module__):
        if kind.__module__.partition(".")[0] in ("torch", "torchvision", "timm", "__main__"):
            raise InputError(
                f"{recipe.name} is the class {kind.__qualname__} of {kind.__module__}; take it there"
            )
        take_along(kind.__module__)
    if "." in kind.__qualname__:
        raise InputError(
            f"{recipe.name} is defined inside {kind.__qualname__.rpartition('.')[0]}; move it out"
        )
    return Name(kind.__module__, kind.__qualname__)


def _call(
    recipe: Recipe, channels: str, options: Mapping[str, object], called: Mapping[Name, str], more: str = ""
) -> str:
    given = [channels, *(f"{name}={_literal(value)}" for name, value in options.items())]
    return f"{called[_class(recipe)]}({', '.join([*given, *([more] if more else [])])})"


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)
