"""The trained networks of an analysis, read from their runs and checked to be comparable."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from autola.comparing.settings import MOST_NAMED, differences
from autola.configs import RetrainConfig
from autola.member import members_of
from autola.runs import is_comparison, is_search, refuse_twice, stored_config
from autola.tables import TABLE
from autola.trained import Trained, open_trained
from foundation.errors import InputError, listed
from foundation.words import typed
from outputs.records import DATA, WEIGHTS
from outputs.run_directory import RunDirectory
from search_space.term import label


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """One training.

    Attributes:
        name: Name of its folder; with that of the folder around it where two would have one name.
        attention: Its attention in the grammar.
        run: Its folder.
        config: Its settings.
        trained: The network and what it was trained for.
        is_first: Whether it is the first training of its attention: pictures show that one.
    """

    name: str
    attention: str
    run: RunDirectory
    config: RetrainConfig
    trained: Trained
    is_first: bool

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.config.seeds[0]


def open_subjects(paths: Sequence[str | Path]) -> list[Subject]:
    """The trainings in runs.

    Args:
        paths: Folders of single trainings, or of retrainings, which stand for all that are in them.

    Raises:
        InputError: If one is no such run, has not ended, is named twice, or they are of different data.
    """
    if not paths:
        raise InputError("name at least one run: the folder of a retraining, or of one training in it")
    folders = [folder for path in paths for folder in _trainings(Path(path))]
    refuse_twice(folders)
    runs = [RunDirectory.open(folder) for folder in folders]
    configs = [stored_config(run, RetrainConfig) for run in runs]
    for run, config in zip(runs, configs):
        _refuse_others(runs[0], configs[0], run, config)
    short = [folder.resolve().name for folder in folders]
    known, subjects = set[tuple[str, str]](), list[Subject]()
    for folder, run, config, name in zip(folders, runs, configs, short):
        attention = label(config.attentions[0])
        network = (attention, str(getattr(config.task, "backbone", "")))
        subjects.append(
            Subject(
                name=name if short.count(name) == 1 else f"{folder.resolve().parent.name}/{name}",
                attention=attention,
                run=run,
                config=config,
                trained=open_trained(folder),
                is_first=network not in known,
            )
        )
        known.add(network)
    return subjects


def _trainings(path: Path) -> list[Path]:
    """The trainings that a folder stands for.

    Raises:
        InputError: If it is of another kind, or one of them has not ended.
    """
    run = RunDirectory.open(path)
    if is_search(run):
        raise InputError(
            f"{path} is a search; analyze looks at trained networks: autola retrain {typed(f'hoga:{path}')}"
        )
    if is_comparison(run):
        raise InputError(f"{path} is a comparison; name trainings in it: {path}/plain-seed0 ...")
    config = stored_config(run, RetrainConfig)
    if len(config.attentions) * len(config.seeds) == 1 and (run.has(WEIGHTS) or not _holds(path, config)):
        if not run.complete():
            raise InputError(f"{path} has not ended; autola retrain --resume {typed(path.parent)} goes on")
        return [path]
    if not run.has(TABLE):
        raise InputError(f"{path} has not ended; autola retrain --resume {typed(path)} goes on")
    return [path / member.name for member in members_of(config)]


def _holds(path: Path, config: RetrainConfig) -> bool:
    return any((path / member.name).is_dir() for member in members_of(config))


def _refuse_others(
    first: RunDirectory, known: RetrainConfig, run: RunDirectory, config: RetrainConfig
) -> None:
    """Refuses a run of another task or other data than the first's."""
    if config.task.name != known.task.name:
        raise InputError(
            f"{run.path} is of the task {config.task.name}, {first.path} of {known.task.name}; "
            "analyze runs of one task together"
        )
    held = [each.train.validation_fraction for each in (known, config)]
    found = list(differences(first.keys(DATA), run.keys(DATA)))
    if held[0] != held[1]:
        found.append(f"validation_fraction {held[1]}, not {held[0]}")
    if found:
        raise InputError(
            f"{run.path} and {first.path} are of different data: {listed(found, MOST_NAMED, '; ')}; "
            "analyze runs of the same data together"
        )
