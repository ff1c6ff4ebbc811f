"""The commands as functions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from torch import nn

from autola.comparing.config import Addition, CompareConfig
from autola.comparing.presets import COMPARE_PRESETS
from autola.comparing.settings import followed, with_found
from autola.configs import AnySearch, AnyTask, RetrainConfig, SearchConfig, TaskSearch
from autola.executors import executor_of
from autola.found import Found
from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS, search_preset
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

if TYPE_CHECKING:
    from autola.estimating import Estimate

C = TypeVar("C", bound=AnySearch | RetrainConfig | CompareConfig)
S = TypeVar("S", bound=AnySearch)


def search(
    preset: str | SearchConfig | TaskSearch = "digits",
    *,
    out: str | Path | None = None,
    on: str = "here",
    **changes: Any,
) -> Found:
    """Searches an attention module.

    Args:
        preset: Name of a preset, of trainings too for a search of placements in the network of a task; or a
            whole config.
        out: The run folder to make; None for a new one under ./outputs/runs.
        on: Where the searches for several targets run: "here", "here:4", "ray", "ray://HOST:PORT", "slurm".
        **changes: Settings that differ from the preset, in its own names: `seed=1`,
            `data={"root": "images"}`, `searcher={"epochs": 5}` (of the preset's searcher),
            `searcher="random"`, `searcher={"name": "random", "trials": 5}`.

    Raises:
        InputError: If something given is wrong; nothing is written then.
    """
    config = search_preset(preset) if isinstance(preset, str) else preset
    config = changed(config, changes)
    return run_search(config, None if out is None else Path(out), on=executor_of(on))


def retrain(
    *attentions: Attention,
    preset: str | RetrainConfig = "digits",
    out: str | Path | None = None,
    jobs: int | None = None,
    on: str = "here",
    **changes: Any,
) -> Table:
    """Trains networks with attention modules under one recipe.

    Args:
        *attentions: In the grammar ("none", "se", "hoga:RUN" ...), genotypes, or what searches gave back.
        preset: Name of a preset, or a whole config.
        out: The run folder to make; None for a new one under ./outputs/runs.
        jobs: Trainings side by side, short for `on="here:JOBS"`.
        on: Where they run: "here", "here:4", "ray", "ray://HOST:PORT", "slurm"; changes no result.
        **changes: Settings that differ from the preset: `seeds=(0, 1, 2)`, `train={"epochs": 10}`; those of
            the task under their own names: `data={"root": "images"}`, `backbone="cifar_resnet56"`.

    Raises:
        InputError: If something given is wrong; nothing is written then.
    """
    config = RETRAIN_PRESETS[preset] if isinstance(preset, str) else preset
    if attentions:
        changes["attentions"] = tuple(as_terms(attention) for attention in attentions)
    where = executor_of(on, jobs)
    return run_retraining(changed(config, changes), None if out is None else Path(out), on=where)


def estimate(
    what: Literal["search", "retrain"],
    *attentions: Attention,
    preset: str | SearchConfig | RetrainConfig = "digits",
    out: str | Path | None = None,
    jobs: int = 1,
    seconds: float = 10.0,
    **changes: Any,
) -> Estimate:
    """What `search` or `retrain` would take on this machine, with the same arguments; nothing is kept.

    Time begins with the call; memory is that of this process, with all that it holds besides.

    Args:
        what: Which of the two.
        *attentions: As `retrain` takes them.
        preset: Name of a preset, or a whole config.
        out: The run folder that would be made: its disk is looked at.
        jobs: Trainings side by side, of a retraining.
        seconds: Seconds of steps to time, for each attention and each kind of step.
        **changes: Settings that differ from the preset.

    Raises:
        InputError: If something given is wrong.
    """
    from autola.estimating import Way, estimate_retraining, estimate_search

    way = Way(out=None if out is None else Path(out), jobs=jobs, budget=seconds)
    if what == "search":
        config = SEARCH_PRESETS[preset] if isinstance(preset, str) else preset
        if not isinstance(config, SearchConfig) or attentions:
            raise InputError("a search takes a preset of searches, and no attentions")
        return estimate_search(changed(config, changes), way)
    config = RETRAIN_PRESETS[preset] if isinstance(preset, str) else preset
    if not isinstance(config, RetrainConfig):
        raise InputError("a retraining takes a preset of retrainings")
    if attentions:
        changes["attentions"] = tuple(as_terms(attention) for attention in attentions)
    return estimate_retraining(changed(config, changes), way)


def compare(
    *attentions: Attention,
    preset: str | CompareConfig = "digits",
    found: Sequence[str | Path] = (),
    out: str | Path | None = None,
    jobs: int | None = None,
    on: str = "here",
    minutes: float | None = None,
    **changes: Any,
) -> Comparison:
    """Searches, trains and compares: found cells against random ones, and controls of equal cost.

    Args:
        *attentions: Modules that are compared besides; see `retrain`.
        preset: Name of a preset, or a whole config.
        found: Run folders of searches that have ended, in place of searching.
        out: The run folder to make; None for a new one under ./outputs/runs.
        jobs: Searches or trainings side by side, short for `on="here:JOBS"`.
        on: Where they run: "here", "here:4", "ray", "ray://HOST:PORT", "slurm"; changes no result.
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
    where = executor_of(on, jobs)
    return run_comparison(config, None if out is None else Path(out), on=where, minutes=minutes)


def resume(
    run: str | Path,
    *,
    jobs: int | None = None,
    on: str = "here",
    root: str | Path | None = None,
    minutes: float | None = None,
    add: Addition | None = None,
) -> Found | Table | Comparison:
    """Goes on with a search, retraining or comparison that was stopped.

    Args:
        run: Its folder.
        jobs: Trainings of a retraining or comparison side by side, short for `on="here:JOBS"`.
        on: Where its parts run; see `retrain`.
        root: The folder of the data, where that moved; it has to hold the same names and sizes.
        minutes: No part of a comparison begins after so many.
        add: Seeds, cells and modules that a comparison gets more.

    Raises:
        InputError: If the folder is no run, its data changed, or another process is writing to it.
    """
    directory, data_root = RunDirectory.open(run), None if root is None else str(root)
    where = executor_of(on, jobs)
    if is_comparison(directory):
        from autola.comparing.running import resume_comparison

        return resume_comparison(directory, on=where, minutes=minutes, root=data_root, addition=add)
    if add is not None or minutes is not None:
        raise InputError(f"{directory.path} is no comparison; leave out add and minutes")
    if is_search(directory):
        return resume_search(directory, data_root, on=where)
    return resume_retraining(directory, on=where, root=data_root)


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
    if isinstance(config, AnySearch):
        config, changes = _of_searcher(config, changes)
    values = adapter(type(config)).dump_python(config, mode="json")
    task = values.get("task", {})
    for name, value in changes.items():
        if name == "task" and isinstance(value, str) and isinstance(config, RetrainConfig | CompareConfig):
            values[name] = adapter(AnyTask).dump_python(as_task(TASKS[value], config.task), mode="json")
        elif name == "task" and isinstance(value, dict):
            known = values[name]
            given: dict[str, Any] = dict(value)  # pyright: ignore[reportUnknownArgumentType]
            same = given.get("name", known["name"]) == known["name"]  # the keys of another are not this one's
            values[name] = _merged(known, given) if same else given
        elif name not in values and name in task:
            values["task"] = _merged(values["task"], {name: value})
        else:
            values = _merged(values, {name: value})
    return parse(type(config), values, "settings")


def _of_searcher(config: S, changes: dict[str, Any]) -> tuple[S, dict[str, Any]]:
    """The config with the searcher that changes name, and the changes that are left."""
    given = changes.get("searcher")
    if not isinstance(given, str | dict):
        return config, changes
    keys = cast(dict[str, Any], {"name": given} if isinstance(given, str) else given)
    name = keys.get("name", config.searcher.name)
    if name != config.searcher.name:
        config = config.with_searcher(SEARCHERS[name]())
    return config, changes | {"searcher": keys}


def _merged(values: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Values with some changed, nested ones key by key."""
    merged = dict(values)
    for name, value in changes.items():
        before = merged.get(name)
        if isinstance(value, dict) and isinstance(before, dict):
            value = _merged(cast(dict[str, Any], before), cast(dict[str, Any], value))
        merged[name] = value
    return merged


__all__ = ["TASKS", "InputError", "changed", "compare", "estimate", "load", "resume", "retrain", "search"]
