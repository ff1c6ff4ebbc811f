"""The commands as functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from torch import nn

from autola.comparing.config import Addition, CompareConfig
from autola.comparing.presets import COMPARE_PRESETS
from autola.comparing.settings import followed, with_found
from autola.configs import AnyTask, RetrainConfig, SearchConfig
from autola.found import Found
from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
from autola.retraining import resume_retraining, run_retraining
from autola.run_search import resume_search, run_search
from autola.runs import is_comparison, is_search
from autola.tables import Table
from autola.trained import open_trained
from evaluators.tasks import TASKS, as_task
from foundation.config import adapter, parse
from foundation.errors import InputError
from outputs.comparison import Comparison
from outputs.run_directory import RunDirectory
from search_space.attention import Attention, as_terms
from searchers import SEARCHERS

C = TypeVar("C", SearchConfig, RetrainConfig, CompareConfig)


def search(preset: str | SearchConfig = "digits", *, out: str | Path | None = None, **changes: Any) -> Found:
    """Searches an attention module.

    Args:
        preset: Name of a preset, or a whole config.
        out: The run folder to make; None for a new one under ./outputs/runs.
        **changes: Settings that differ from the preset, in its own names: `seed=1`,
            `data={"root": "images"}`, `searcher={"epochs": 5}` (of the preset's searcher),
            `searcher="random"`, `searcher={"name": "random", "trials": 5}`.

    Raises:
        InputError: If something given is wrong; nothing is written then.
    """
    config = SEARCH_PRESETS[preset] if isinstance(preset, str) else preset
    return run_search(changed(config, changes), None if out is None else Path(out))


def retrain(
    *attentions: Attention,
    preset: str | RetrainConfig = "digits",
    out: str | Path | None = None,
    jobs: int = 1,
    **changes: Any,
) -> Table:
    """Trains networks with attention modules under one recipe.

    Args:
        *attentions: In the grammar ("none", "se", "hoga:RUN" ...), genotypes, or what searches gave back.
        preset: Name of a preset, or a whole config.
        out: The run folder to make; None for a new one under ./outputs/runs.
        jobs: Trainings side by side, each in a process of its own; changes no result.
        **changes: Settings that differ from the preset: `seeds=(0, 1, 2)`, `train={"epochs": 10}`; those of
            the task under their own names: `data={"root": "images"}`, `backbone="cifar_resnet56"`.

    Raises:
        InputError: If something given is wrong; nothing is written then.
    """
    config = RETRAIN_PRESETS[preset] if isinstance(preset, str) else preset
    if attentions:
        changes["attentions"] = tuple(as_terms(attention) for attention in attentions)
    return run_retraining(changed(config, changes), None if out is None else Path(out), jobs=jobs)


def compare(
    *attentions: Attention,
    preset: str | CompareConfig = "digits",
    found: Sequence[str | Path] = (),
    out: str | Path | None = None,
    jobs: int = 1,
    minutes: float | None = None,
    **changes: Any,
) -> Comparison:
    """Searches, trains and compares: found cells against random ones, and controls of equal cost.

    Args:
        *attentions: Modules that are compared besides; see `retrain`.
        preset: Name of a preset, or a whole config.
        found: Run folders of searches that have ended, in place of searching.
        out: The run folder to make; None for a new one under ./outputs/runs.
        jobs: Searches or trainings side by side, each in a process of its own; changes no result.
        minutes: No search or training begins after so many; `resume` goes on.
        **changes: Settings that differ from the preset: `seeds=(0, 1)`, `beside=("plain", "wider")`,
            `search={"target": ["macs<=1.2x"]}`, `search=None`; those of the task under their own names.

    Raises:
        InputError: If something given is wrong; nothing is written then.
    """
    from autola.comparing.running import run_comparison

    usual = COMPARE_PRESETS[preset] if isinstance(preset, str) else preset
    if attentions:
        changes["attentions"] = tuple(as_terms(attention) for attention in attentions)
    config = followed(changed(usual, changes), usual)
    if found:
        config = with_found(config, [Path(path) for path in found])
    return run_comparison(config, None if out is None else Path(out), jobs=jobs, minutes=minutes)


def resume(
    run: str | Path,
    *,
    jobs: int = 1,
    root: str | Path | None = None,
    minutes: float | None = None,
    add: Addition | None = None,
) -> Found | Table | Comparison:
    """Goes on with a search, retraining or comparison that was stopped.

    Args:
        run: Its folder.
        jobs: Trainings of a retraining or comparison side by side; a search is one job.
        root: The folder of the data, where that moved; it has to hold the same names and sizes.
        minutes: No part of a comparison begins after so many.
        add: Seeds, cells and modules that a comparison gets more.

    Raises:
        InputError: If the folder is no run, its data changed, or another process is writing to it.
    """
    directory, data_root = RunDirectory.open(run), None if root is None else str(root)
    if is_comparison(directory):
        from autola.comparing.running import resume_comparison

        return resume_comparison(directory, jobs=jobs, minutes=minutes, root=data_root, addition=add)
    if add is not None or minutes is not None:
        raise InputError(f"{directory.path} is no comparison; leave out add and minutes")
    if is_search(directory):
        return resume_search(directory, data_root)
    return resume_retraining(directory, jobs=jobs, root=data_root)


def load(run: str | Path) -> nn.Module:
    """The trained network of one training, in eval mode, from its records alone.

    A classifier takes images normalised as data.json says to logits.

    Args:
        run: Folder of one attention and seed, inside a retraining's.

    Raises:
        InputError: If it is no such folder, or its weights are not complete.
    """
    return open_trained(run).network


def changed(config: C, changes: dict[str, Any]) -> C:
    """A config with some settings changed; nested ones as dicts.

    Raises:
        InputError: If a setting is unknown or does not fit.
    """
    values = adapter(type(config)).dump_python(config, mode="json")
    task = values.get("task", {})
    for name, value in changes.items():
        if name == "task" and isinstance(value, str) and isinstance(config, RetrainConfig | CompareConfig):
            values[name] = adapter(AnyTask).dump_python(as_task(TASKS[value], config.task), mode="json")
        elif name == "searcher" and isinstance(value, str):
            values[name] = {"name": SEARCHERS[value].name}
        elif name in ("task", "searcher") and isinstance(value, dict):
            known = values[name]
            given: dict[str, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]
            same = given.get("name", known["name"]) == known["name"]  # the keys of another are not this one's
            values[name] = _merged(known, given) if same else given
        elif name not in values and name in task:
            values["task"] = _merged(values["task"], {name: value})
        else:
            values = _merged(values, {name: value})
    return parse(type(config), values, "settings")


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Values with some changed, nested ones key by key."""
    merged = dict(values)
    for name, value in changes.items():
        before = merged.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            value = _merged(cast(dict[str, Any], before), cast(dict[str, Any], value))
        merged[name] = value
    return merged


__all__ = ["TASKS", "InputError", "changed", "compare", "load", "resume", "retrain", "search"]
