"""Writes docs/reference.md from the code: every option with its help text and preset values, every name.

The page holds nothing that depends on the machine or on versions, so that a test can hold it to the code.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "reference.md"

HEAD = """\
# Reference

Written from the code by `make docs`; edits belong there. `autola COMMAND --help` shows the same.

Options are written `--name VALUE`; switches `--name` and `--no-name`. Python takes the same names with
underscores, nested ones as dicts: `--train.weight-decay 1e-4` is `train={"weight_decay": 1e-4}`.
"""


SIDE_BY_SIDE = """\
Every option and argument with the commands that take it. An option has one meaning, whichever command it is
given to; where not all of a command's searchers or tasks take it, they are named.
"""


OF_OTHERS = ("task", "attentions", "search", "found")
"""Settings of a comparison that other tables describe, or that its arguments are read into."""

OPTIONS_OF_OTHERS = """\
It takes the options of `autola retrain`'s tasks, and those of `autola search` with `search.` in front:
`--search.target`, `--search.searcher.epochs`.
"""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a command line."""

    name: str
    """As in the dotted name of the config, without dashes in front."""
    kind: str
    help: str
    default: Any


def main() -> None:
    """Writes the page."""
    PAGE.write_text(reference(), encoding="utf-8")


def reference() -> str:
    """The text of the page."""
    from autola.cli import COMMANDS
    from autola.comparing.config import CompareConfig
    from autola.comparing.presets import COMPARE_PRESETS
    from autola.configs import RetrainConfig, SearchConfig
    from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
    from evaluators.tasks import TASKS
    from searchers import SEARCHERS

    parts = [HEAD]
    for command, summary in COMMANDS.items():
        module = importlib.import_module(f"autola.commands.{command}")
        parts.append(f"## autola {command}\n\n{summary.capitalize()}.\n")
        parts.append(_command_table(module.Arguments))
        if command == "search":
            presets = dict(SEARCH_PRESETS.items())
            parts.append("Values of the presets:\n")
            parts.append(_preset_table(SearchConfig, presets, leave_out=("searcher",)))
            for name, kind in SEARCHERS.items():
                parts.append(f"With `--searcher {name}`. {_summary(kind)}\n")
                used = {key: preset.searcher for key, preset in presets.items()}
                used = {key: value for key, value in used.items() if isinstance(value, kind)}
                parts.append(_preset_table(kind, used, prefix="searcher.", own=kind()))
        if command == "retrain":
            parts.append("Values of the presets:\n")
            presets = dict(RETRAIN_PRESETS.items())
            parts.append(_preset_table(RetrainConfig, presets, leave_out=("task", "attentions")))
            for name, kind in TASKS.items():
                parts.append(f"With `--task {name}`. {_summary(kind)}\n")
                used = {key: preset.task for key, preset in presets.items() if type(preset.task) is kind}
                parts.append(_preset_table(kind, used))
        if command == "compare":
            parts.append("Values of the presets:\n")
            presets = dict(COMPARE_PRESETS.items())
            parts.append(_preset_table(CompareConfig, presets, leave_out=OF_OTHERS))
            parts.append(OPTIONS_OF_OTHERS)
    parts.append(f"## Options side by side\n\n{SIDE_BY_SIDE}\n")
    parts.append(_side_by_side(places()))
    parts.append("## Names\n\nWhat `autola list` prints; a name of your own joins them by `--import`.\n")
    listing = importlib.import_module("autola.commands.list").everything()
    for kind, names in listing.items():
        parts.append(f"### {kind.replace('_', ' ').capitalize()}\n")
        parts.append(_table(("name", "what"), [(f"`{name}`", text) for name, text in names.items()]))
    return "\n".join(parts).rstrip() + "\n"


Places = dict[str, dict[str, dict[str, Option]]]
"""Option to command to searcher or task ("" for all of them) to what it is there."""


def places() -> Places:
    """Where every option stands."""
    from autola.cli import COMMANDS
    from autola.comparing.config import CompareConfig
    from autola.configs import RetrainConfig, SearchConfig, TaskSearch
    from evaluators.tasks import TASKS
    from searchers import SEARCHERS

    found = Places()

    def add(command: str, who: str, kind: type, name: str, option: Option) -> None:
        group, dot, last = name.partition(".")
        name = _dashed(last if dot and group in _flat(kind) else name)
        found.setdefault(f"--{name}", {}).setdefault(command, {})[who] = option

    for command in COMMANDS:
        arguments = importlib.import_module(f"autola.commands.{command}").Arguments
        positional = _positional(arguments)
        for option in options_of_command(arguments):
            if option.name in positional:
                found.setdefault(option.name.upper(), {}).setdefault(command, {})[""] = option
            else:
                add(command, "", arguments, option.name, option)
    for option in options(SearchConfig):
        if option.name != "searcher":
            add("search", "", SearchConfig, option.name, option)
    for name, kind in SEARCHERS.items():
        for option in options(kind):
            add("search", name, kind, f"searcher.{option.name}", option)
    for option in options(TaskSearch):
        if option.name == "norm":
            add("search", "places", TaskSearch, option.name, option)
    for option in options(RetrainConfig):
        if option.name not in ("task", "attentions"):
            add("retrain", "", RetrainConfig, option.name, option)
            if option.name != "seeds":
                add("advise", "", RetrainConfig, option.name, option)
    for name, kind in TASKS.items():
        for option in options(kind):
            add("retrain", name, kind, option.name, option)
            add("compare", name, kind, option.name, option)
            add("advise", name, kind, option.name, option)
    for option in options(CompareConfig):
        if option.name not in OF_OTHERS:
            add("compare", "", CompareConfig, option.name, option)
    return found


def _side_by_side(found: Places) -> str:
    from autola.cli import COMMANDS
    from evaluators.tasks import TASKS
    from searchers import SEARCHERS

    everyone = {"search": set(SEARCHERS), "retrain": set(TASKS), "compare": set(TASKS), "advise": set(TASKS)}

    def cell(command: str, whose: Mapping[str, Option]) -> str:
        all_of_them = "" in whose or set(whose) == everyone.get(command)
        return "yes" if whose and all_of_them else ", ".join(sorted(whose))

    rows = [
        (f"`{name}`", *(cell(command, where.get(command, {})) for command in COMMANDS))
        for name, where in sorted(found.items())
    ]
    return _table(("option", *COMMANDS), rows)


def options(kind: type, prefix: str = "") -> Iterator[Option]:
    """The options of a config class, nested ones after its own."""
    hints, helps = get_type_hints(kind), _helps(kind)
    nested = list[Option]()
    for field in fields(kind):
        hint = hints[field.name]
        if is_dataclass(hint) and isinstance(hint, type):
            nested += options(hint, f"{prefix}{field.name}.")
        else:
            yield Option(
                name=prefix + field.name,
                kind=_kind(hint),
                help=helps.get(field.name, ""),
                default=_default(field),
            )
    yield from nested


def _command_table(arguments: type) -> str:
    rows = []
    positional = _positional(arguments)
    for option in options_of_command(arguments):
        shown = option.name.upper() if option.name in positional else f"--{_dashed(option.name)}"
        rows.append((f"`{shown}`", option.kind, option.help, _shown(option.default)))
    return _table(("option", "value", "what", "if left out"), rows)


def options_of_command(arguments: type) -> list[Option]:
    """A command's own options, without those of its config."""
    own = {field.name for field in fields(arguments) if field.name != "config"}
    return [option for option in options(arguments) if option.name in own]


def _positional(arguments: type) -> set[str]:
    hints = get_type_hints(arguments, include_extras=True)
    return {name for name, hint in hints.items() if any("Positional" in str(x) for x in get_args(hint)[1:])}


def _preset_table(
    kind: type,
    presets: Mapping[str, Any],
    *,
    prefix: str = "",
    own: Any = None,
    leave_out: tuple[str, ...] = (),
) -> str:
    columns = dict(presets) if own is None else {"its own": own, **presets}
    rows = []
    for option in options(kind):
        if option.name in leave_out:
            continue
        values = (_shown(_value(config, option.name)) for config in columns.values())
        group, dot, name = option.name.partition(".")
        name = name if dot and group in _flat(kind) else option.name
        rows.append((f"`--{_dashed(prefix + name)}`", option.kind, option.help, *values))
    return _table(("option", "value", "what", *columns), rows)


def _flat(kind: type) -> set[str]:
    """Nested configs whose options have no prefix on the command line."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        name
        for name, hint in hints.items()
        if any(getattr(x, "name", None) == "" for x in get_args(hint)[1:])
    }


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def _helps(kind: type) -> dict[str, str]:
    """The text under each field, of the class and the classes above it."""
    helps = dict[str, str]()
    for cls in reversed(kind.__mro__):
        if not is_dataclass(cls):
            continue
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in zip(definition.body, definition.body[1:]):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(words))),
                ):
                    helps[name] = " ".join(words.split())
    return helps


def _kind(hint: Any) -> str:
    """A type in the words of a manual."""
    words = {int: "integer", float: "number", str: "text", bool: "switch", Path: "path"}
    origin, given = get_origin(hint), get_args(hint)
    if hint in words:
        return words[hint]
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in given)
    if origin in (Union, UnionType):
        return " or ".join(_kind(member) for member in given if member is not NoneType)
    if origin is tuple and given[-1] is Ellipsis:
        return f"{_kind(given[0])} ..."
    if origin is tuple:
        return " ".join(_kind(member) for member in given)
    return "config"


def _default(field: Field[Any]) -> Any:
    return None if field.default is MISSING else field.default


def _value(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = getattr(config, part)
    return config


def _shown(value: Any) -> str:
    match value:
        case None | ():
            return ""
        case bool():
            return "on" if value else "off"
        case tuple():
            return " ".join(map(_shown, value))
        case float():
            return f"{value:g}"
    return str(value)


def _dashed(name: str) -> str:
    return name.replace("_", "-")


def _summary(kind: type) -> str:
    return (inspect.getdoc(kind) or "").partition("\n")[0]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
