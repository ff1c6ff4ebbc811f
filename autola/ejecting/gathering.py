"""All that some names need, and nothing else: definitions in order, and imports."""

from __future__ import annotations

import ast
import builtins
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autola.ejecting.rewriting import Member, Piece, Rewriting
from autola.ejecting.sources import Import, Name, source_of
from foundation.errors import InputError

ENTRIES = ("forward", "read", "start_plain")
"""Methods that are called from outside of a file."""

WORDS = (("InputError", "ValueError"), ("; off in the supernet", ""))
"""What docstrings say only within the project, and what stands for it."""


@dataclass(frozen=True)
class Gathered:
    """What a file is made of.

    Attributes:
        texts: The definitions, each after what it stands on.
        imports: What they import.
        called: What each is called in the file.
    """

    texts: dict[Name, str]
    imports: frozenset[Import]
    called: dict[Name, str]


def gather(roots: Sequence[Name], *, stateless: bool) -> Gathered:
    """Collects definitions and all that they stand on.

    Args:
        roots: What is wanted.
        stateless: Whether operators read tensors, since no statistics are shared.

    Raises:
        Shared: If they cannot.
        InputError: If a source is not at hand.
    """
    first = _Gathering(stateless, {})
    first.collect(roots)
    taken = Counter(name.name for name in first.live)
    renames = {name: f"_{_stem(name)}{name.name}" for name in first.live if taken[name.name] > 1}
    every = first
    if renames:
        every = _Gathering(stateless, renames)
        every.collect(roots)
    ordered = list(dict.fromkeys(name for root in roots for name in every.in_order(root, set())))
    ordered.sort(key=lambda name: not every.is_plain_constant(name))
    return Gathered(
        texts={name: every.text(name) for name in ordered},
        imports=frozenset(every.imports),
        called={name: renames.get(name, name.name) for name in ordered},
    )


class _Gathering:
    """What is needed so far.

    Attributes:
        live: Definitions.
        imports: Imports of what is needed.
    """

    def __init__(self, stateless: bool, renames: dict[Name, str]) -> None:
        self.stateless, self.renames = stateless, renames
        self.live = dict[Name, Piece]()
        self.imports = set[Import]()
        self.attributes = set(ENTRIES)
        self.rewritings = dict[str, Rewriting]()

    def collect(self, roots: Sequence[Name]) -> None:
        """Follows names and attributes until nothing new is found."""
        for root in roots:
            self._add(root)
        before = (-1, -1)
        while before != (before := (len(self.live), len(self.attributes))):
            for name in list(self.live):
                for used in self._uses(name):
                    if isinstance(used, Import):
                        self.imports.add(used)
                    else:
                        self._add(used)

    def in_order(self, name: Name, seen: set[Name]) -> Iterator[Name]:
        """A definition after those that it stands on."""
        if name in seen:
            return
        seen.add(name)
        for used in self._uses(name):
            if isinstance(used, Name):
                yield from self.in_order(used, seen)
        yield name

    def is_plain_constant(self, name: Name) -> bool:
        """Whether it is a value that stands on no other definition, and so may stand first."""
        is_value = _kind(self.live[name].head) == "field"
        return is_value and not any(isinstance(used, Name) for used in self._uses(name))

    def text(self, name: Name) -> str:
        """A definition without the members that nobody needs."""
        piece, parts = self.live[name], list[str]()
        before = ""
        for member in self._members(piece):
            fields = bool(before) and not {"def", "@", "class"} & {before, _kind(member.text)}
            parts.append(("\n" if fields else "\n\n") + member.text)
            before = _kind(member.text)
        text = piece.head + "".join(parts)
        if text.endswith(":"):
            text += "\n    pass"
        for ours, theirs in WORDS:
            text = text.replace(ours, theirs)
        return text

    def _add(self, name: Name) -> None:
        if name in self.live:
            return
        if name.module not in self.rewritings:
            source = source_of(name.module)
            self.rewritings[name.module] = Rewriting(source, self.stateless, self.renames)
        self.live[name] = self.rewritings[name.module].piece(name.name)

    def _members(self, piece: Piece) -> list[Member]:
        return [
            member
            for member in piece.members
            if not member.name or member.name.startswith("__") or member.name in self.attributes
        ]

    def _uses(self, name: Name) -> list[Name | Import]:
        """What a definition names; notes the attributes that it reads."""
        piece, rewriting = self.live[name], self.rewritings[name.module]
        found = dict[Name | Import, None]()
        texts = [piece.head + "\n    pass" if piece.head.startswith("class ") else piece.head]
        for text in (*texts, *(member.text for member in self._members(piece))):
            tree = ast.parse(textwrap.dedent(text))
            self.attributes |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            for used in sorted(_free_names(tree), key=text.index):
                origin = rewriting.find(used)
                if origin is None:
                    raise InputError(
                        f"{name.name} needs {used!r}, and {name.module} has no function, class, constant or "
                        "import of that name at its top, so a file cannot take it along"
                    )
                if origin != name:
                    found[origin] = None
        return list(found)


def _free_names(tree: ast.AST) -> set[str]:
    """Names that a text takes from around it."""
    if isinstance(tree, ast.FunctionDef | ast.Lambda):
        inner = set[str]()
        for child in ast.iter_child_nodes(tree):
            inner |= _free_names(child)
        return inner - _bound(tree)
    names = {tree.id} if isinstance(tree, ast.Name) and not hasattr(builtins, tree.id) else set[str]()
    for child in ast.iter_child_nodes(tree):
        names |= _free_names(child)
    return names


def _bound(function: ast.FunctionDef | ast.Lambda) -> set[str]:
    """Names that a function binds itself."""
    args = function.args
    given = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    names = {arg.arg for arg in given if arg is not None}
    for node in ast.walk(function):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.FunctionDef(name=name) if node is not function:
                names.add(name)
            case ast.alias(name=name, asname=other):
                names.add((other or name).partition(".")[0])
            case _:
                pass
    return names


def _kind(text: str) -> str:
    word = text.lstrip()
    return next((kind for kind in ("def", "@", "class") if word.startswith(kind)), "field")


def _stem(name: Name) -> str:
    return name.module.rpartition(".")[2]


def import_lines(imports: frozenset[Import]) -> str:
    """Import statements, in the order of isort: Python's own, then others; whole modules first."""
    groups: list[list[str]] = [[], []]
    modules = sorted({found.module for found in imports})
    for whole in (True, False):
        for module in modules:
            group = groups[module.partition(".")[0] not in sys.stdlib_module_names]
            found = sorted((one for one in imports if one.module == module), key=_by_kind)
            if whole:
                group += [f"import {module}" for one in found if not one.name]
            else:
                named = [
                    one.name if one.name == one.bound else f"{one.name} as {one.bound}"
                    for one in found
                    if one.name
                ]
                apart = [text for text in named if " as " in text]
                together = [text for text in named if " as " not in text]
                group += [f"from {module} import {', '.join(together)}"] if together else []
                group += [f"from {module} import {text}" for text in apart]
    return "\n\n".join("\n".join(group) for group in groups if group)


def _by_kind(found: Import) -> tuple[int, str]:
    """Constants, then classes, then the rest, as isort has it."""
    kind = 0 if found.name.isupper() and len(found.name) > 1 else 1 if found.name[:1].isupper() else 2
    return kind, found.name
