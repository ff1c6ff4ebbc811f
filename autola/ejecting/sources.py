"""The project's own sources, by definition: where a name of a module comes from."""

from __future__ import annotations

import ast
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from autola import HOMES
from foundation.errors import InputError

ROOMS = ("foundation", "search_space", "supernet", "evaluators", "autola")
"""Packages whose sources are taken along; an operator of the user's brings its own."""

_own = set[str](ROOMS)


@dataclass(frozen=True, order=True)
class Name:
    """A definition of the project's.

    Attributes:
        module: Dotted name of its module.
        name: What it is called there.
    """

    module: str
    name: str


@dataclass(frozen=True, order=True)
class Import:
    """An import from a package that stays what it is.

    Attributes:
        module: What is imported from; what is imported, where `name` is empty.
        name: What is imported from the module; empty for the module itself.
        bound: What it is called in the file.
    """

    module: str
    name: str
    bound: str


class Source:
    """A module of the project's, parsed.

    Attributes:
        name: Its dotted name.
        data: Its text as bytes, by which the parser counts columns.
        definitions: Its functions, classes and constants by name.
        comments: Texts under constants that say what they are, by the constant's name.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.data = name, data
        self.tree = ast.parse(data)
        self.definitions: dict[str, ast.stmt] = {}
        self.comments: dict[str, ast.stmt] = {}
        self._imports: dict[str, Import] = {}
        for statement, following in zip(self.tree.body, [*self.tree.body[1:], None]):
            match statement:
                case ast.FunctionDef(name=known) | ast.ClassDef(name=known):
                    self.definitions[known] = statement
                case ast.Assign(targets=[ast.Name(id=known)]) | ast.AnnAssign(target=ast.Name(id=known)):
                    self.definitions[known] = statement
                    if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
                        self.comments[known] = following
                case ast.Import() | ast.ImportFrom():
                    self._imports |= {found.bound: found for found in imports_of(statement)}
                case _:
                    pass

    def find(self, name: str) -> Name | Import | None:
        """Where a name comes from; None for Python's own."""
        if name in self.definitions:
            return Name(self.name, name)
        found = self._imports.get(name)
        if found is None or not is_own(found.module):
            return found
        return _defined_in(found.module, found.name) or found

    def find_inside(self, name: str, attribute: str) -> Name | Import | None:
        """Where `name.attribute` comes from, if the name is a module of the project's; None for all else."""
        found = self._imports.get(name)
        if found is None or found.name or not is_own(found.module):
            return None
        return _defined_in(found.module, attribute)


def _defined_in(module: str, name: str) -> Name | Import | None:
    """Where a name of a module of the project's comes from; the front door hands on those of others."""
    if module == "autola":
        module, _, original = HOMES.get(name, "autola").partition(":")
        name = original or name
    return source_of(module).find(name)


@cache
def source_of(module: str) -> Source:
    """A module of the project's, or of the user's operators.

    Raises:
        InputError: If its source is not at hand.
    """
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise InputError(f"the source of {module} is not at hand, so what is defined there cannot be ejected")
    return Source(module, Path(spec.origin).read_bytes())


def take_along(module: str) -> None:
    """Has the package of a user's operator count as one whose sources are taken along."""
    _own.add(module.partition(".")[0])


def is_own(module: str) -> bool:
    """Whether the sources of a module are taken along, and not imported."""
    return module.partition(".")[0] in _own


def imports_of(statement: ast.Import | ast.ImportFrom) -> list[Import]:
    """What a statement imports; `import a.b as c` counts as `from a import b as c`."""
    found = list[Import]()
    for alias in statement.names:
        if isinstance(statement, ast.ImportFrom):
            found.append(Import(statement.module or "", alias.name, alias.asname or alias.name))
        elif alias.asname and "." in alias.name:
            module, _, name = alias.name.rpartition(".")
            found.append(Import(module, name, alias.asname))
        else:
            found.append(Import(alias.name, "", alias.asname or alias.name))
    return found
