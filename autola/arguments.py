"""From the command line to a command: tyro reads, errors are one or two lines."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

import tyro

from foundation.errors import InputError

T = TypeVar("T")

_PLAIN = {
    r"no type matching (.*) could be instantiated from (\[.*?\])\. Got errors: .*": r"give \1, not \2",
    r"\{None\}\|": "",
    r"invalid literal for int\(\) with base 10: ('.*')": r"\1 is no whole number",
    r"could not convert string to float: ('.*')": r"\1 is no number",
    r"Could not find valid parse for arguments: (\[.*\])": r"cannot read \1",
    r", 'None'|'None', ": "",
    r"\[/?bold\]": "",
    r" Perhaps you meant: ": "; perhaps ",
    r" Arguments similar to (--[\w.-]+): ": r"; for \1 perhaps ",
    r"[{}]": "",
}
"""What tyro says in Python's words, and the same in words for whoever gives the command."""

_FAILED = re.compile(r"Error parsing (?:\w+: |config\.?)")
"""How tyro begins what a class said of its values: with the name of the class, or that of our config."""

_RULE = re.compile(r"[\s│╭╰├╮╯┤─-]*[─-]{4,}[\s│╭╰├╮╯┤─-]*")

_HELP = re.compile(r"[│|] {8}")
"""How lines begin that are an option's help, below the option that tyro holds to be meant."""


def read_arguments(kind: type[T], arguments: Sequence[str], *, command: str, default: T | None = None) -> T:
    """Builds a command from its arguments; prints help and exits with 0 where it is asked for.

    Raises:
        InputError: If an argument is unknown, missing or not of its type.
    """
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            prog, args = f"autola {command}", list(arguments)
            given = (
                tyro.cli(kind, prog=prog, args=args)
                if default is None
                else tyro.cli(kind, prog=prog, args=args, default=default)
            )
    except SystemExit as exit_:
        if exit_.code == 0:
            raise
        raise InputError(f"{_condensed(errors.getvalue())} (autola {command} --help)") from None
    _refuse_empty(arguments, given, default)
    return given


def _refuse_empty(arguments: Sequence[str], given: Any, default: Any) -> None:
    """Refuses `--runs` with no run behind it, as an empty pattern of a shell leaves it: that is as left out.

    Where the default has values, an empty list says that there are to be none.
    """
    settings = _values(getattr(given, "config", None), getattr(default, "config", None))
    for name, (value, usual) in {**settings, **_values(given, default)}.items():
        flag = f"--{name.replace('_', '-')}"
        if value == () and usual in ((), None) and flag in arguments:
            raise InputError(f"{flag} has nothing behind it; name at least one, or leave it out")


def _values(given: Any, default: Any) -> dict[str, tuple[Any, Any]]:
    """What options stand at, and what they would if left out, by the name of the field."""
    return {
        field.name: (getattr(given, field.name), getattr(default, field.name, field.default))
        for field in (() if given is None else fields(given))
    }


def only_resume(arguments: Sequence[str], *, most: int = 1) -> None:
    """Checks that nothing goes with `--resume RUN`.

    Args:
        arguments: All of the command's.
        most: Runs that may be named.

    Raises:
        InputError: If something else is there.
    """
    first, *runs = arguments
    flag, equals, run = first.partition("=")
    has_options = any(word.startswith("-") for word in runs)
    runs = [run, *runs] if equals else runs
    if flag != "--resume" or not 0 < len(runs) <= most or has_options:
        raise InputError("--resume takes everything from the run; leave the other options out")


def option(arguments: Sequence[str], name: str) -> str | None:
    """The value of `--name VALUE` or `--name=VALUE`, looked at before the rest is read."""
    for number, argument in enumerate(arguments):
        if argument == f"--{name}" and number + 1 < len(arguments):
            return arguments[number + 1]
        if argument.startswith(f"--{name}="):
            return argument.partition("=")[2]
    return None


def switched_on(arguments: Sequence[str], name: str) -> bool:
    """Whether `--name` is given and no `--no-name` behind it, looked at before the rest is read."""
    known = [word for word in arguments if word in (f"--{name}", f"--no-{name}")]
    return known[-1:] == [f"--{name}"]


def without(arguments: Sequence[str], name: str) -> list[str]:
    """The arguments without `--name VALUE` or `--name=VALUE`."""
    kept, rest = list[str](), iter(arguments)
    for argument in rest:
        if argument == f"--{name}":
            next(rest, None)
        elif not argument.startswith(f"--{name}="):
            kept.append(argument)
    return kept


def _condensed(box: str) -> str:
    """The text of tyro's boxed error, in one line; tyro draws the box in ASCII where it has to."""
    parts = list[str]()
    lines = [line for line in box.splitlines() if line.strip()]
    for line in lines[1:]:  # the first is the title
        text = line.strip(" │╭╮╰╯─")
        if not text or _RULE.fullmatch(line) or _HELP.match(line):
            continue
        if text.startswith(("For full helptext", "Argument helptext")):
            break
        parts.append(re.sub(r"\s+", " ", text))
    text = re.sub(r" \(default: .*", "", " ".join(parts))
    text = _FAILED.sub("", text)
    for said, plain in _PLAIN.items():
        text = re.sub(said, plain, text)
    return text or "the arguments cannot be read"


def print_json(value: object) -> None:
    """Writes a value as one line of JSON to standard output.

    Raises:
        InputError: If it holds infinity or NaN, which JSON has not.
    """
    try:
        out_of_terminal(json.dumps(value, allow_nan=False))
    except ValueError:
        raise InputError("what was found holds infinity or NaN, which JSON has not") from None


def out_of_terminal(text: str) -> None:
    """Writes a line to standard output."""
    sys.stdout.write(text + "\n")
