"""What a user does next, in the words of the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from autola.cli import command_line
from autola.comparing.config import OF_CELLS, CompareConfig
from autola.comparing.presets import COMPARE_PRESETS, usual_comparison
from autola.configs import RetrainConfig, SearchConfig, TaskSearch
from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS, search_preset
from autola.runs import stored_search
from evaluators.tasks import TaskConfig, as_task, reads_text
from evaluators.tasks.classification import Classification
from foundation.errors import InputError
from outputs.run_directory import RunDirectory
from search_space.placement import is_placement
from search_space.term import label
from searchers.blackbox import BlackBox

FLAT = ("task", "experiment")
"""Groups of settings whose names stand alone on the command line."""


def next_retraining(run: RunDirectory, members: Sequence[str] = ()) -> str:
    """The command that retrains what a search found beside plain, SE and CBAM networks.

    On the search's images and in its backbone, said where they differ from the preset's.

    Args:
        run: Run folder of the search.
        members: Folders in it to retrain instead of the run itself: those on its front.
    """
    config = stored_search(run)
    found = [run.path / name for name in members] or [run.path]
    if isinstance(config, TaskSearch):
        return _next_of_task(config, found)
    preset = config.data.name if config.data.name in RETRAIN_PRESETS else "cifar10"
    usual, recipe = RETRAIN_PRESETS[preset].task, RETRAIN_PRESETS[preset].train
    assert isinstance(usual, Classification)
    words = ["retrain", "none", "se", "cbam"]
    words += [f"{'places' if is_placement(path) else 'hoga'}:{path}" for path in found]
    words += ["--preset", preset]
    for name in ("backbone", "width"):
        words += _option(name, getattr(config, name), getattr(usual, name))
    if config.weights is not None:
        words += ["--weights", config.weights, "--identity"]
    for field in fields(config.data):
        words += _option(
            f"data.{field.name}", getattr(config.data, field.name), getattr(usual.data, field.name)
        )
    limit, batch = config.data.limit, getattr(config.searcher, "batch_size", None)
    if limit is not None and (1 - recipe.validation_fraction) * limit < recipe.batch_size:
        words += _option("train.batch-size", batch, None)
    return command_line(words)


def _next_of_task(config: TaskSearch, found: Sequence[Path]) -> str:
    of_text = reads_text(config.task)  # what stands there is the network, and no identity
    beside = [label(config.task.unsearched())] if of_text else ["none", "se"]
    start = ["retrain", *beside, *(f"places:{path}" for path in found), "--preset"]
    weights = ["--identity"] if config.task.weights and not config.task.identity and not of_text else []
    commands = [
        [*start, name, *_differences(config.task, preset.task), *weights]
        for name, preset in RETRAIN_PRESETS.items()
        if type(preset.task) is type(config.task)
    ]
    return command_line(min(commands, key=len) if commands else ["retrain", "--help"])


def command_of(
    config: SearchConfig | TaskSearch | RetrainConfig | CompareConfig, attentions: Sequence[str] | None = None
) -> str | None:
    """The command that does the same again: a preset, and what differs from it; None where none comes near.

    Args:
        config: The settings.
        attentions: How those of a retraining are named. If left out, genotypes are named by where they came
            from; config.json has them in full.
    """
    commands = list[list[str]]()
    if isinstance(config, SearchConfig | TaskSearch):
        for name, preset in _searches(config):
            words, kind = ["search", name], type(config.searcher)
            if kind is not type(preset.searcher):
                words += ["--searcher", kind.name]
                usual = kind()
                if config.engine == "nni" and issubclass(kind, BlackBox):
                    usual = kind.of_trainings()
                preset = preset.with_searcher(usual)
            commands.append(words + _differences(config, preset))
    elif isinstance(config, RetrainConfig):
        for name, preset in RETRAIN_PRESETS.items():
            named = map(label, config.attentions) if attentions is None else attentions
            words = ["retrain", *named, "--preset", name]
            if type(config.task) is not type(preset.task):
                words += ["--task", config.task.name]
                preset = _of_task(preset, config.task)
            if preset is not None:
                commands.append(words + _differences(config, preset))
    elif isinstance(config, CompareConfig):
        commands += [_comparing(config, name) for name in COMPARE_PRESETS]
    return command_line(min(commands, key=len)) if commands else None


def _searches(config: SearchConfig | TaskSearch) -> Iterator[tuple[str, SearchConfig | TaskSearch]]:
    """Presets of searches that one may start from: of the same task, if it is of one."""
    if isinstance(config, SearchConfig):
        yield from SEARCH_PRESETS.items()
        return
    for name, preset in RETRAIN_PRESETS.items():
        if type(preset.task) is type(config.task) and not isinstance(preset.task, Classification):
            yield name, search_preset(name)


def _comparing(config: CompareConfig, preset: str) -> list[str]:
    """The words of a comparison that starts from a preset."""
    words, start = (
        ["compare", *map(label, config.attentions), "--preset", preset],
        COMPARE_PRESETS[preset],
    )
    searcher = None if config.search is None else config.search.searcher.name
    usual = usual_comparison(preset, config.task.name, searcher)
    if config.task.name != start.task.name:
        words += ["--task", config.task.name]
    if config.search is None:
        words += ["--search-nothing"]
        unused = {name: getattr(config, name) for name in OF_CELLS}
        usual = replace(usual, search=None, attentions=config.attentions, **unused)
    elif start.search is None or searcher != start.search.searcher.name:
        words += ["--searcher", config.search.searcher.name]
    return words + _differences(config, usual)


def _of_task(preset: RetrainConfig, given: TaskConfig) -> RetrainConfig | None:
    """A preset as the command line starts from it, with another task; None where its data differ in kind."""
    if type(getattr(preset.task, "data", None)) is not type(getattr(given, "data", None)):
        return None
    try:
        return replace(preset, task=as_task(type(given), preset.task))
    except (InputError, TypeError):  # settings of one name, of other kinds
        return None


def _differences(config: Any, usual: Any, prefix: str = "") -> list[str]:
    """The words that set what is not as usual."""
    words = list[str]()
    for field in fields(config):
        value, before = getattr(config, field.name), getattr(usual, field.name)
        if is_dataclass(value):
            words += _differences(value, before, "" if field.name in FLAT else f"{prefix}{field.name}.")
        elif field.name != "attentions":
            words += _option(f"{prefix}{field.name}", value, before)
    return words


def _option(name: str, value: Any, usual: Any) -> list[str]:
    """The words that set an option, if it is not what it is anyway."""
    if value == usual:
        return []
    group, dot, key = name.replace("_", "-").rpartition(".")
    if isinstance(value, bool):
        return [f"--{group}{dot}{'' if value else 'no-'}{key}"]
    values = value if isinstance(value, tuple) else (value,)
    return [f"--{group}{dot}{key}", *map(str, values)]
