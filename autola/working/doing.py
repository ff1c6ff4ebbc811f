"""Does one item: the training or search that its folder says, from where its records end."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from autola.configs import DeviceConfig, RetrainConfig, SearchConfig
from autola.data_record import COSTS, check_data
from autola.member import train_member
from autola.plans.single import carry_out
from autola.problem import search_problem
from autola.runs import UnfitError, fitting, is_search, stored_config, stored_search
from autola.runtime import in_first, make_fabric, own_state
from autola.scoring import scored
from autola.working.attempt import NewerError
from autola.working.items import LIST, Item, read_item
from autola.working.settings import Settings
from autola.working.trying import Problems, try_candidate
from foundation.errors import InputError
from outputs.records import DATA
from outputs.run_directory import RunDirectory

Report = Callable[[dict[str, Any]], None]


class NotHereError(InputError):
    """This machine cannot do an item that others may."""


class Doer:
    """Does items, one after another: their data are read once, by one process each.

    Args:
        settings: What reads data, with device and processes; made for the first item if left out.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._given = settings is not None
        self._settings = settings
        self._problems: Problems | None = None

    def do(self, folder: Path, report: Report = lambda record: None) -> None:
        """Does an item that this process has taken up.

        Args:
            folder: Its folder.
            report: Called with the record of each epoch.

        Raises:
            NotHereError: If its data cannot be read here, or are not those that it began with, or if a newer
                autola made it.
            UnfitError: If its records do not fit.
            InputError: If it fails.
        """
        item = _item(folder)
        run = RunDirectory.open(folder)
        config = stored_search(run) if is_search(run) else stored_config(run, RetrainConfig)
        alone = replace(config, devices=1, machines=1)
        with nullcontext() if self._given else own_state(alone, resumed=run):
            settings = self._ready(alone)
            if not isinstance(config, RetrainConfig):
                self._search(folder, item, settings.fabric, report)
                return
            whole = folder.absolute().parent
            if not self._given and (whole / LIST).is_file():
                self._check(config, whole, settings)
            train_member(folder, settings, report)

    def _search(self, folder: Path, item: Item, fabric: Fabric, report: Report) -> None:
        if item.trial is None:
            search_member(folder, fabric, report)
            return
        if self._problems is None or self._problems.fabric is not fabric:
            self._problems = Problems(fabric)
        try_candidate(folder, item, self._problems, report)

    def _ready(self, config: DeviceConfig) -> Settings:
        if self._settings is None:
            try:
                self._settings = Settings(make_fabric(config))
            except InputError as error:
                raise NotHereError(str(error)) from None
        return self._settings

    @property
    def fabric(self) -> Fabric | None:
        """Device and processes, once they are known."""
        return self._settings and self._settings.fabric

    def _check(self, config: RetrainConfig, whole: Path, settings: Settings) -> None:
        try:
            settings.checked(config, whole)
        except InputError as error:
            raise NotHereError(str(error)) from None


def _item(folder: Path) -> Item:
    try:
        return read_item(folder)
    except NewerError as error:
        raise NotHereError(str(error)) from None
    except InputError as error:
        raise UnfitError(str(error)) from None


def search_member(folder: Path, fabric: Fabric, report: Report = lambda record: None) -> None:
    """Does one search from where its records end; only what is not done yet.

    Args:
        folder: Its run folder.
        fabric: Device and processes.
        report: Called with the record of each epoch.

    Raises:
        InputError: If the images are not those that it began with, or what `drive` says.
    """
    config, judged = stored_config(RunDirectory.open(folder), SearchConfig), read_item(folder).judged
    with RunDirectory.open(folder) as run:
        in_first(fabric, run.lock)
        if run.complete():
            run.drop_checkpoints()
            return
        with fitting():
            problem, data = search_problem(config, fabric, run.keys(DATA).get(COSTS, {}))
            in_first(fabric, lambda: check_data(run, data))
            job = config.searcher.start(problem)
        carry_out(
            job,
            config,
            run,
            fabric,
            name=folder.name,
            conclude=lambda: scored(job, problem, judged),
            report=report,
        )
