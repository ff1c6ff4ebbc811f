"""The command line that repeats a run: the preset nearest to its settings, and what differs from it."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from autola.configs import ExperimentConfig, RetrainConfig, SearchConfig
from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
from foundation.config import adapter


def retrain_line(config: RetrainConfig, attention: str) -> str | None:
    """`autola retrain ...`; None where no preset has the task.

    Args:
        config: The settings.
        attention: What is trained, in the grammar.
    """
    presets = {
        name: preset for name, preset in RETRAIN_PRESETS.items() if preset.task.name == config.task.name
    }
    nearest = _nearest({name: _flat(preset) for name, preset in presets.items()}, _flat(config))
    if nearest is None:
        return None
    name, options = nearest
    return shlex.join(["autola", "retrain", attention, "--preset", name, *options])


def search_line(config: SearchConfig) -> str:
    """`autola search ...`."""
    usual = type(config.searcher)()
    presets = {
        name: _flat(
            preset
            if preset.searcher.name == config.searcher.name
            else replace(preset, searcher=usual, cuda_graph=False)
        )
        for name, preset in SEARCH_PRESETS.items()
    }
    nearest = _nearest(presets, _flat(config))
    assert nearest is not None, "there are presets"
    name, options = nearest
    given = SEARCH_PRESETS[name].searcher.name
    searcher = [] if given == config.searcher.name else ["--searcher", config.searcher.name]
    return shlex.join(["autola", "search", name, *searcher, *options])


def _nearest(presets: Mapping[str, dict[str, Any]], wanted: dict[str, Any]) -> tuple[str, list[str]] | None:
    """The preset that differs in the fewest options, and the options that differ."""
    changes = {
        name: {key: value for key, value in wanted.items() if value != known.get(key)}
        for name, known in presets.items()
    }
    if not changes:
        return None
    name = min(changes, key=lambda name: len(changes[name]))
    return name, [word for key, value in changes[name].items() for word in _words(key, value)]


def _flat(config: SearchConfig | RetrainConfig) -> dict[str, Any]:
    """Settings by the names of their options."""
    values = adapter(type(config)).dump_python(config, mode="json")
    values.pop("attentions", None)
    for group in ("task", "experiment"):
        values |= {name: value for name, value in values.pop(group, {}).items() if name != "name"}
    if isinstance(config, SearchConfig):
        values["searcher"].pop("name")
        if config.experiment == ExperimentConfig():  # which a search in one process refuses
            values = {name: value for name, value in values.items() if name not in vars(config.experiment)}
    return dict(_options(values))


def _options(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _options(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}".replace("_", "-"), value


def _words(name: str, value: Any) -> list[str]:
    """The words of one option."""
    if isinstance(value, bool):
        group, dot, last = name.rpartition(".")
        return [f"--{group}{dot}{'' if value else 'no-'}{last}"]
    return [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
