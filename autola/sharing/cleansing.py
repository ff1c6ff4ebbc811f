"""Records without the user's machine: where the data, weights and genotypes lay is nobody else's business."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

from autola.configs import RetrainConfig, SearchConfig
from autola.data_record import Part
from evaluators.data.listing import PARTS
from foundation.config import adapter, parse
from foundation.hub import SCHEME
from outputs.records import DATA, ENVIRONMENT
from search_space.term import Term

C = TypeVar("C", SearchConfig, RetrainConfig)

ROOT = "DATA"
"""What the folder of the data is called wherever a config names one."""

_FILES = ("weights", "detections", "training_service")
"""Settings that may name a file."""

PART = "{part}"
"""The word in a path that stands for each part of the data."""

_SURROUNDINGS = ("python", "versions", "device", "device_name", "num_threads", "git_revision", "seed")
"""What is shared of environment.json; the rest is about the machine, not the numbers."""


def cleansed(config: C) -> C:
    """A config in which no setting says where something lay on the user's machine.

    The folder of the data is called DATA, files keep their last name, and a genotype, which is there in full,
    loses the path that it was read from; one from the hub keeps its address.
    """
    values = adapter(type(config)).dump_python(config, mode="json")
    return parse(type(config), _placeless(values), "settings")


def placeless(terms: Iterable[Term]) -> tuple[Term, ...]:
    """Terms without the paths that their genotypes were read from; those from the hub keep their address."""
    return tuple(
        replace(term, argument=None) if term.genotype and not _from_hub(term.argument) else term
        for term in terms
    )


def shared_facts(data: Mapping[str, Any], facts: Iterable[str]) -> dict[str, Any]:
    """What is shared of data.json: what the network needs, and how much of what there was.

    Args:
        data: The record.
        facts: Keys that the network cannot do without.

    Raises:
        InputError: If it is damaged.
    """
    kept = {key: data[key] for key in facts}
    if PARTS in data:
        parts = parse(dict[str, Part], data[PARTS], f"{DATA}: {PARTS}")
        kept[PARTS] = {name: {"counts": part.counts, "digests": {}} for name, part in parts.items()}
    return kept


def shared_surroundings(environment: Mapping[str, Any]) -> dict[str, Any]:
    """What is shared of environment.json.

    Raises:
        InputError: If it is damaged.
    """
    known = {key: environment[key] for key in _SURROUNDINGS if key in environment}
    if "versions" in known:
        parse(dict[str, str | None], known["versions"], f"{ENVIRONMENT}: versions")
    return known


def _from_hub(argument: object) -> bool:
    return isinstance(argument, str) and argument.startswith(SCHEME)


def _placeless(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        known = {name: _placeless(part, name) for name, part in value.items()}
        if known.get("genotype") is not None and not _from_hub(known.get("argument")):
            known["argument"] = None
        return known
    if isinstance(value, list):
        return [_placeless(part, key) for part in value]
    if not isinstance(value, str):
        return value
    if key == "root":
        return ROOT
    return _last_name(value) if key in _FILES or _is_absolute(value) else value


def _is_absolute(text: str) -> bool:
    known = PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()
    return known or text.startswith(("~", "\\\\"))


def _last_name(text: str) -> str:
    """The last name of a path, or all from the one that differs by part of the data."""
    names = PureWindowsPath(text).parts  # which knows both kinds of separators
    first = next((index for index, name in enumerate(names) if PART in name), len(names) - 1)
    return "/".join(names[first:])
