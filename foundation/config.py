"""Configs: frozen, keyword-only dataclasses whose JSON refuses unknown keys.

Pydantic is imported when the first value is read or written: whoever asks for help waits for none of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, dataclass_transform, overload

from foundation.errors import InputError, shown
from foundation.reading import RECORD_BYTES, read_bytes
from foundation.words import one

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

T = TypeVar("T")

PYDANTIC = {"extra": "forbid", "ser_json_inf_nan": "strings"}
"""Settings of pydantic for every config."""


@overload
def config(cls: type[T]) -> type[T]: ...
@overload
def config(*, frozen: bool = True) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, kw_only_default=True)
def config(cls: type[T] | None = None, *, frozen: bool = True) -> Any:
    """Makes a class a config: a frozen, keyword-only dataclass that refuses unknown JSON keys.

    A class whose `old_names` map keys of earlier versions to today's (`{"root": "data.root"}`) reads both.
    """

    def decorate(cls: type[T]) -> type[T]:
        cls.__pydantic_config__ = dict(PYDANTIC)  # type: ignore[attr-defined]
        if "old_names" in cls.__dict__:
            cls.__get_pydantic_core_schema__ = classmethod(_schema_of_both)  # type: ignore[attr-defined]
        return dataclass(frozen=frozen, kw_only=True)(cls)

    return decorate if cls is None else decorate(cls)


def _schema_of_both(cls: Any, source: Any, handler: Callable[[Any], Any]) -> Any:
    """What pydantic asks a class with `old_names` for."""
    from pydantic_core import core_schema

    def renamed(value: Any) -> Any:
        return _renamed(cast(dict[str, Any], value), cls.old_names) if isinstance(value, dict) else value

    return core_schema.no_info_before_validator_function(renamed, handler(source))


def _renamed(keys: dict[str, Any], old_names: Mapping[str, str]) -> dict[str, Any]:
    """Keys with the values of earlier versions' ones where they belong now."""
    keys = dict(keys)
    for old in keys.keys() & old_names.keys():
        *groups, name = old_names[old].split(".")
        value, holder = keys.pop(old), keys
        for group in groups:
            holder[group] = holder = {**holder.get(group, {})}
        holder[name] = value
    return keys


def parse(kind: type[T], value: object, where: str) -> T:
    """Builds a `kind` from plain JSON values.

    Args:
        kind: A config class, or any type pydantic knows.
        value: Dicts, lists, numbers and strings.
        where: What the value is or comes from; starts the error message.

    Raises:
        InputError: If the value does not fit, with the first misfit and its key.
    """
    return _read(adapter(kind).validate_python, value, where)


def parse_json(kind: type[T], text: str | bytes, where: str) -> T:
    """Builds a `kind` from JSON text; see `parse`. A key that an object has twice is refused, too."""
    if len(text) <= RECORD_BYTES:
        check_keys(text, where)
    return _read(adapter(kind).validate_json, text, where)


def check_keys(text: str | bytes, where: str) -> None:
    """Refuses JSON with an object that has a key twice: readers would take the last and say nothing.

    Whatever else is wrong is left to whoever reads it.

    Raises:
        InputError: If there is such a key.
    """
    try:
        loads(text)
    except InputError as error:
        raise InputError(f"{where}: {error}") from None
    except (ValueError, RecursionError):
        return


def loads(text: str | bytes) -> Any:
    """The values of JSON text; see `json.loads`.

    Raises:
        InputError: If an object has a key twice.
        json.JSONDecodeError: If it is no JSON; others of `json.loads` as well.
    """
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise InputError(f"the key {shown(twice)} is there twice; keep one")
    return keys


def parse_text(kind: Any, text: str, where: str) -> Any:
    """Builds a `kind` from the bare text of one value: "8" for an int, "false" for a bool; see `parse`."""
    return _read(adapter(kind).validate_strings, text, where)


def to_json(value: object) -> str:
    """JSON text of a config, indented, ending in a newline; the same value gives the same bytes."""
    return adapter(type(value)).dump_json(value, indent=2).decode() + "\n"


def digest(text: str, without: str) -> str:
    """A digest of a config's JSON text, whatever stands under one key."""
    known = json.dumps(with_value(json.loads(text), without, ""), sort_keys=True)
    return hashlib.blake2b(known.encode(), digest_size=16).hexdigest()


def parse_versioned(kind: type[T], text: str, where: str, what: str, version: int) -> T:
    """Reads JSON text of a class with a version; that is looked at first, for another may have other keys.

    Raises:
        InputError: If it is cut short, of another version, or does not fit the class; starts with `where`.
    """
    found = parse_json(dict[str, Any], text, where).get("version", version)
    if found != version:
        raise InputError(f"{where}: {other_version(what, found, version)}")
    return parse_json(kind, text, where)


def other_version(what: str, found: object, known: int) -> str:
    """The message about data of a version that is not known."""
    return f"the {what} is of version {shown(found)}; this autola reads version {known}"


def with_value(value: Any, key: str, new: str) -> Any:
    """JSON values with a new one under a key, wherever that stands and is not null."""
    if isinstance(value, dict):
        pairs = cast(dict[str, Any], value).items()
        return {
            name: new if name == key and part is not None else with_value(part, key, new)
            for name, part in pairs
        }
    return (
        [with_value(part, key, new) for part in cast(list[Any], value)] if isinstance(value, list) else value
    )


def read_text(path: str | Path, what: str, most: int = RECORD_BYTES) -> str:
    """Reads a user's text file; a byte order mark, which some editors write first, is dropped.

    Raises:
        InputError: If there is no such file, it cannot be read, has more than `most` bytes, or is not UTF-8.
    """
    try:
        return read_bytes(path, what, most).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError:
        raise InputError(f"{path} is not {one(what)}: it is not UTF-8 text") from None


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """Pydantic's reader and writer of a type, built once: that is slow."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def _read(validate: Callable[[Any], T], value: object, where: str) -> T:
    from pydantic import ValidationError

    try:
        return validate(value)
    except ValidationError as error:
        raise InputError(f"{where}: {_first_misfit(error)}") from None


_UNKNOWN_KEY = ("unexpected_keyword_argument", "extra_forbidden")


def _first_misfit(error: ValidationError) -> str:
    # A misspelt key also leaves a key missing: the misspelt one says more.
    first = min(error.errors(include_url=False), key=lambda misfit: misfit["type"] not in _UNKNOWN_KEY)
    raised = first.get("ctx", {}).get("error")
    parts = (str(part) for part in first["loc"])
    key = ".".join(part if part.isprintable() else repr(part) for part in parts)
    if isinstance(raised, ValueError):
        message = str(raised)
    elif first["type"] == "json_invalid":
        message = f"cut short or not JSON ({first['msg']})"
    elif first["type"] in _UNKNOWN_KEY:
        message = "unknown key"
    elif first["type"] in ("missing", "missing_keyword_only_argument"):
        message = "this key is missing"
    else:
        message = f"{first['msg']}, not {shown(first['input'])}"
    return f"{key}: {message}" if key else message
