"""The settings of a comparison made whole: what the search takes from the task, searches made before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from autola.comparing.config import CompareConfig
from autola.configs import DeviceConfig, SearchConfig
from autola.runs import stored_config
from evaluators.recipe import TrainConfig
from evaluators.tasks import TaskConfig
from foundation.errors import InputError, listed
from outputs.records import DATA
from outputs.run_directory import RunDirectory
from search_space.grammar import genotype_term

TAKEN = ("backbone", "width")
"""Settings that a search has as the task has them, where nothing else is said; its images likewise."""

MOST_NAMED = 4
"""Differences that a message names."""


def followed(config: CompareConfig, usual: CompareConfig) -> CompareConfig:
    """A comparison whose search reads the task's images and searches in its network.

    What was changed from the preset in the task is changed in the search too, unless that was changed itself,
    or the task reads images of another kind.

    Args:
        config: As it was given.
        usual: The preset that it started from.
    """
    search = config.search
    data = getattr(config.task, "data", None)
    if search is None or usual.search is None or type(data) is not type(search.data):
        return config
    changes = _changed(config.task, usual.task, search, usual.search, TAKEN)
    names = [field.name for field in fields(search.data)]
    images = _changed(data, getattr(usual.task, "data", data), search.data, usual.search.data, names)
    if images:
        changes["data"] = replace(search.data, **images)
    return replace(config, search=replace(search, **changes)) if changes else config


def _changed(
    task: Any, task_before: Any, search: Any, search_before: Any, names: Sequence[str]
) -> dict[str, Any]:
    """What was changed in the task, and was left as it was in the search."""
    found = dict[str, Any]()
    for name in names:
        given, before = getattr(task, name, None), getattr(task_before, name, None)
        if given != before and getattr(search, name) == getattr(search_before, name):
            found[name] = given
    return found


def with_found(config: CompareConfig, paths: Sequence[Path], *, mixed: bool = False) -> CompareConfig:
    """A comparison of cells that were found before, with random ones of their space under their limit.

    Args:
        config: The comparison.
        paths: Run folders of searches that have ended.
        mixed: Whether they may be of other data or settings; the first one's then make the random cells.

    Raises:
        InputError: If a run is no search, has not ended, or differs from the first in more than the seed.
    """
    runs = [RunDirectory.open(path) for path in paths]
    configs = [stored_config(run, SearchConfig) for run in runs]
    for run in runs:
        if not run.complete():
            raise InputError(f"{run.path} has not ended; autola search --resume goes on")
    seeds = [each.seed for each in configs]
    for place, (run, each) in enumerate(zip(runs, configs)):
        same = [
            *differences(_plain(configs[0]), _plain(each)),
            *differences(_known(runs[0]), _known(run)),
        ]
        if same and not mixed:
            raise InputError(
                f"{run.path} and {runs[0].path} are no searches of one kind: "
                f"{listed(same, MOST_NAMED, '; ')}; take those of equal data and budget, or say --mixed"
            )
        if each.seed in seeds[:place] and not mixed:
            raise InputError(f"{run.path} has the seed {each.seed} of another: it is the same search twice")
    first = _plain(configs[0])
    terms = tuple(genotype_term(str(run.path)) for run in runs)
    return replace(config, search=first, found=terms)


def _plain(config: SearchConfig) -> SearchConfig:
    """A search without its seed, and without where it ran."""
    usual = {field.name: field.default for field in fields(DeviceConfig)}
    return replace(config, seed=0, **usual)


def _known(run: RunDirectory) -> Mapping[str, Any]:
    """What a run knows of its images, by name; costs are measured anew by each."""
    return {key: value for key, value in run.keys(DATA).items() if key != "costs"}


Trained = tuple[TaskConfig, TrainConfig, Mapping[str, Any]]
"""What decides of what a score is: task, recipe, and what was recorded of the data."""


def unlike(first: Trained, second: Trained) -> list[str]:
    """Says where two trainings differ in task, network, budget or data, wherever the data lie."""
    return [
        *differences(_nowhere(first[0]), _nowhere(second[0]), "task"),
        *differences(first[1], second[1], "train"),
        *differences(dict(first[2]), dict(second[2]), "data"),
    ]


def _nowhere(task: Any) -> Any:
    """The task without where its data lie: what they hold is compared by what was recorded of them."""
    data: Any = getattr(task, "data", None)
    return replace(task, data=replace(data, root=None)) if hasattr(data, "root") else task


def differences(first: Any, second: Any, name: str = "") -> Iterator[str]:
    """Says where two settings differ, by their names."""
    if is_dataclass(first) and type(first) is type(second):
        for field in fields(first):
            yield from differences(
                getattr(first, field.name), getattr(second, field.name), f"{name}.{field.name}".lstrip(".")
            )
    elif isinstance(first, dict) and isinstance(second, dict):
        for key in {**first, **second}:
            yield from differences(first.get(key), second.get(key), f"{name}.{key}".lstrip("."))
    elif first != second:
        yield f"{name} {_short(second)}, not {_short(first)}"


def _short(value: Any) -> str:
    text = str(getattr(value, "name", value))
    return text if len(text) <= 40 else f"{text[:37]}..."
