"""A definition as it stands outside of the project: without registry, shapes in signatures, errors of ours.

Texts are edited where they differ and kept elsewhere, comments and line breaks included.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from autola.ejecting.layout import edited, line_start, on_one_line, signature
from autola.ejecting.replacements import (
    CONVOLUTION_OPERATOR,
    GATE,
    INTRODUCED,
    OPERATOR,
    PLAIN,
    PLAIN_NAMES,
    STATISTICS,
    key_of,
)
from autola.ejecting.sources import Import, Name, Source

SHAPED = ("Float", "Bool", "Int")
"""jaxtyping's names for a tensor of a shape."""

KEPT_DECORATORS = ("property", "staticmethod", "classmethod")

TRAILING = re.compile(rb"  # (?:pyright: ignore\S*|slow\b.*)$", re.MULTILINE)
"""Comments for the project's own tools and readers."""


class Shared(Exception):  # noqa: N818 - it is a finding, not a fault
    """An operator uses a state in a way that a plain tensor does not allow."""


@dataclass(frozen=True)
class Member:
    """A part of a class.

    Attributes:
        name: What it is called; empty for what has no name.
        text: Its source, indented as in the class.
    """

    name: str
    text: str


@dataclass(frozen=True)
class Piece:
    """A definition, rewritten.

    Attributes:
        name: Where it comes from.
        head: The first lines of a class; all of anything else.
        members: Parts of a class in their order.
        bases: Names in the head of a class.
    """

    name: Name
    head: str
    members: tuple[Member, ...] = ()
    bases: tuple[str, ...] = ()


@dataclass
class Rewriting:
    """How the definitions of one module are rewritten.

    Args:
        source: The module.
        stateless: Whether operators read tensors, since no statistics are shared.
        renames: Names that two modules use for different things, to what they are called in the file.
        inside: What was found as an attribute of a module of the project's.
    """

    source: Source
    stateless: bool
    renames: Mapping[Name, str] = field(default_factory=dict)
    inside: dict[str, Name | Import] = field(default_factory=dict[str, "Name | Import"], init=False)

    def piece(self, name: str) -> Piece:
        """One definition."""
        statement = self.source.definitions[name]
        where = Name(self.source.name, name)
        if isinstance(statement, ast.ClassDef):
            return self._class(statement, where)
        text = self._text(statement)
        if comment := self.source.comments.get(name):
            text += "\n" + self._text(comment)
        return Piece(where, text)

    def find(self, name: str) -> Name | Import | None:
        """Where a name in rewritten text comes from."""
        for new_name, renamed in self.renames.items():
            if renamed == name:
                return new_name
        found = self.source.find(name) or self.inside.get(name)
        key = key_of(found)
        if found is None or key in PLAIN:
            return INTRODUCED.get(name)
        return PLAIN_NAMES.get(key, found)

    def _class(self, statement: ast.ClassDef, where: Name) -> Piece:
        defined = {part.name for part in statement.body if isinstance(part, ast.FunctionDef)}
        own_read = {"read", "gate"} <= defined and where != Name("search_space.operator", "Gate")
        bases = list[str]()
        for base in statement.bases:
            text = self._expression(base)
            if own_read and key_of(self._origin(base)) == GATE:
                text = "nn.Module" if self.stateless else "Operator"
            if text not in bases:
                bases.append(text)
        if len(bases) > 1 and "nn.Module" in bases:
            bases.remove("nn.Module")
        head = f"class {self._called(where.name)}({', '.join(bases)}):" if bases else f"class {where.name}:"
        members = list[Member]()
        before = statement.body[0]
        for number, part in enumerate(statement.body):
            if isinstance(part, ast.FunctionDef) and _says_nothing(part):
                continue
            is_text = isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant)
            if number == 0 and is_text:
                head += "\n" + self._text(part)
            elif is_text and members and isinstance(before, ast.Assign | ast.AnnAssign):
                members[-1] = Member(members[-1].name, members[-1].text + "\n" + self._text(part))
            elif not (own_read and isinstance(part, ast.FunctionDef) and part.name == "gate"):
                members.append(Member(_member_name(part), self._text(part)))
            before = part
        return Piece(where, head, tuple(members), tuple(bases))

    def _origin(self, node: ast.expr) -> Name | Import | None:
        match node:
            case ast.Name(id=name):
                return self.source.find(name)
            case ast.Attribute(value=ast.Name(id=name), attr=attribute):
                return self.source.find_inside(name, attribute)
            case _:
                return None

    def _called(self, name: str) -> str:
        return self.renames.get(Name(self.source.name, name), name)

    # Text of nodes.

    def _text(self, statement: ast.stmt) -> str:
        """A statement with the blanks before it, comments above it included."""
        data = self.source.data
        decorators: Sequence[ast.expr] = getattr(statement, "decorator_list", [])
        line = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
        lines = data.splitlines()
        while line > 1 and lines[line - 2].startswith(b" " * statement.col_offset + b"#"):
            line -= 1
        start = line_start(data, line)
        edits = list[tuple[int, int, str]]()
        self._edit(statement, edits)
        end = self._end(statement)
        rest = data[end : data.index(b"\n", end)]
        end += len(rest) if rest.lstrip().startswith(b"#") else 0
        text = edited(data, start, end, edits)
        text = TRAILING.sub(b"", text.encode()).decode()
        return "\n".join(line.rstrip() for line in text.splitlines() if line.strip() != _GONE)

    def _expression(self, node: ast.expr) -> str:
        edits = list[tuple[int, int, str]]()
        self._edit(node, edits)
        return edited(self.source.data, self._start(node), self._end(node), edits)

    def _start(self, node: ast.expr | ast.stmt | ast.arg) -> int:
        return line_start(self.source.data, node.lineno) + node.col_offset

    def _end(self, node: ast.expr | ast.stmt | ast.arg) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return line_start(self.source.data, node.end_lineno) + node.end_col_offset

    # Edits.

    def _edit(self, node: ast.AST, edits: list[tuple[int, int, str]]) -> None:
        """Adds the edits of a node and of what is in it."""
        if isinstance(node, ast.FunctionDef):
            self._edit_function(node, edits)
            return
        if isinstance(node, ast.expr) and (new := self._replaced(node)) is not None:
            edits.append((self._start(node), self._end(node), new))
            return
        if self.stateless and _is_x_of_state(node):
            assert isinstance(node, ast.stmt)
            edits.append((self._start(node), self._end(node), _GONE))
            return
        inner = list[tuple[int, int, str]]()
        for child in ast.iter_child_nodes(node):
            self._edit(child, inner)
        if inner and isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return | ast.Expr):
            start, end = self._start(node), self._end(node)
            text = edited(self.source.data, start, end, inner)
            edits.append((start, end, on_one_line(text, node.col_offset)))
        else:
            edits += inner

    def _edit_function(self, node: ast.FunctionDef, edits: list[tuple[int, int, str]]) -> None:
        for decorator in node.decorator_list:
            name = decorator.id if isinstance(decorator, ast.Name) else ""
            if name not in KEPT_DECORATORS:
                start = line_start(self.source.data, decorator.lineno)
                edits.append((start, self._end(decorator), _GONE))
        start = self._start(node)
        parts: list[ast.expr | ast.arg] = [*node.args.args, *node.args.kwonlyargs, *node.args.defaults]
        parts += [default for default in node.args.kw_defaults if default is not None]
        parts += [arg for arg in (node.args.vararg, node.args.kwarg) if arg is not None]
        last = max((self._end(part) for part in parts), default=start)
        exploded = b"," in self.source.data[last : self.source.data.index(b")", last)]
        colon = self.source.data.index(b":", last if node.returns is None else self._end(node.returns)) + 1
        edits.append((start, colon, self._header(node, exploded)))
        if self.stateless and _rebinds_x(node):
            raise Shared
        for child in node.body:
            self._edit(child, edits)

    def _header(self, node: ast.FunctionDef, exploded: bool) -> str:
        """The signature; one argument a line where a comma is behind the last, as formatters have it."""
        arguments = self._arguments(node.args)
        returns, shape = "", ""
        if node.returns is not None:
            returns = f" -> {self._expression(node.returns)}"
            shape = _shape(node.returns)
        name = {"read": "forward"}.get(node.name, node.name) if self.stateless else node.name
        return signature(self._called(name), arguments, returns, shape, node.col_offset, exploded)

    def _arguments(self, args: ast.arguments) -> list[str]:
        positional = [*args.posonlyargs, *args.args]
        defaults: list[ast.expr | None] = [None] * (len(positional) - len(args.defaults))
        defaults += args.defaults
        listed = [self._argument(arg, default) for arg, default in zip(positional, defaults)]
        if args.vararg:
            listed.append("*" + self._argument(args.vararg, None))
        elif args.kwonlyargs:
            listed.append("*")
        listed += [self._argument(arg, default) for arg, default in zip(args.kwonlyargs, args.kw_defaults)]
        if args.kwarg:
            listed.append("**" + self._argument(args.kwarg, None))
        return listed

    def _argument(self, arg: ast.arg, default: ast.expr | None) -> str:
        if self.stateless and arg.arg == "state":
            return "x: Tensor"
        text = arg.arg
        if arg.annotation is not None:
            text += f": {self._expression(arg.annotation)}"
        if default is not None:
            equals = " = " if arg.annotation is not None else "="
            text += equals + self._expression(default)
        return text

    def _replaced(self, node: ast.expr) -> str | None:
        """What stands for an expression as a whole; None where it is looked into."""
        match node:
            case ast.Subscript(value=ast.Name(id=kind), slice=ast.Tuple(elts=[what, _])) if kind in SHAPED:
                return self._expression(what)
            case ast.Name(id=name):
                if self.stateless and name == "state":
                    raise Shared
                return self._stand_in(self.source.find(name))
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if found := self.source.find_inside(
                name, attribute
            ):
                self.inside[attribute] = found
                return self._stand_in(found) or attribute
            case _:
                return self._without_state(node) if self.stateless else None

    def _stand_in(self, found: Name | Import | None) -> str | None:
        """The text that stands for a name; None where it stays."""
        key = key_of(found)
        if self.stateless and key in (OPERATOR, CONVOLUTION_OPERATOR, "search_space.plain:Operator"):
            return "nn.Module"
        if key in PLAIN:
            return PLAIN[key]
        if key in PLAIN_NAMES:
            return PLAIN_NAMES[key].name
        return self.renames.get(found) if isinstance(found, Name) else None

    def _without_state(self, node: ast.expr) -> str | None:
        match node:
            case ast.Attribute(value=ast.Name(id="state"), attr="x"):
                return "x"
            case ast.Attribute(value=ast.Name(id="state"), attr=statistic):
                if statistic not in STATISTICS:
                    raise Shared
                return STATISTICS[statistic]
            case (
                ast.Call(func=ast.Attribute(value=ast.Name(id="state"), attr="like"), args=[x])
                | ast.Call(func=ast.Name(id="State"), args=[x])
            ):
                return self._expression(x)
            case ast.Call(func=ast.Attribute(value=module, attr="read"), args=[x], keywords=[]):
                return f"{self._expression(module)}({self._state(x)})"
            case ast.Call(func=ast.Attribute(value=module, attr="gate"), args=[x], keywords=[]):
                return f"{self._expression(module)}.gate({self._state(x)})"
            case _:
                return None

    def _state(self, node: ast.expr) -> str:
        """A state that is handed on."""
        return "x" if isinstance(node, ast.Name) and node.id == "state" else self._expression(node)


_GONE = "\0"


def _member_name(part: ast.stmt) -> str:
    match part:
        case ast.FunctionDef(name=name):
            return name
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case _:
            return ""


def _says_nothing(method: ast.FunctionDef) -> bool:
    """Whether a method is a docstring alone: it says to other parts that nothing is to be done."""
    only = method.body[0]
    return len(method.body) == 1 and isinstance(only, ast.Expr) and isinstance(only.value, ast.Constant)


def _is_x_of_state(node: ast.AST) -> bool:
    """Whether a statement is `x = state.x`."""
    match node:
        case ast.Assign(
            targets=[ast.Name(id="x")], value=ast.Attribute(value=ast.Name(id="state"), attr="x")
        ):
            return True
        case _:
            return False


def _rebinds_x(function: ast.FunctionDef) -> bool:
    """Whether a function reads its state where `x` is something else already, or reads a statistic twice."""
    first = min(
        (
            node.lineno
            for statement in ast.walk(function)
            if not _is_x_of_state(statement) and isinstance(statement, ast.Assign | ast.AugAssign)
            for node in ast.walk(statement)
            if isinstance(node, ast.Name) and node.id == "x" and isinstance(node.ctx, ast.Store)
        ),
        default=0,
    )
    reads = [
        node
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "state"
    ]
    statistics = [node.attr for node in reads if node.attr in STATISTICS]
    late = any(first and node.lineno >= first for node in reads)
    return late or len(set(statistics)) < len(statistics)


def _shape(returns: ast.expr) -> str:
    """The axes in a signature's result."""
    match returns:
        case ast.Subscript(value=ast.Name(id=kind), slice=ast.Tuple(elts=[_, ast.Constant(value=axes)])):
            return f"({', '.join(str(axes).split())})" if kind in SHAPED else ""
        case _:
            return ""
