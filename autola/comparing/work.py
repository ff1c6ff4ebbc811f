"""Does single searches and trainings of a comparison, in the process that runs it or in one beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lightning.fabric import Fabric

from autola.comparing.config import CompareConfig
from autola.comparing.items import Item, drawn_for, recorded_items, searches_of
from autola.comparing.searches import carry_out_search, make_search
from autola.configs import RetrainConfig
from autola.data_record import COSTS, described
from autola.member import Member, make_member, train_member
from autola.problem import search_problem
from evaluators.recipe import TrainConfig
from evaluators.tasks import Setting
from foundation.config import to_json
from outputs.records import DATA
from outputs.run_directory import RunDirectory


class Work:
    """What single searches and trainings of a comparison need, read once.

    Args:
        config: The comparison, with what was added, and its data where they are now.
        fabric: Device and processes.
        read: What was read for the comparison before something was added, if it was.
    """

    def __init__(self, config: CompareConfig, fabric: Fabric, read: Work | None = None) -> None:
        self.config, self.fabric = config, fabric
        self._settings: dict[str, Setting] = {} if read is None else read._settings
        self._searched: dict[str, Any] | None = None
        self._items = dict[str, Item]()

    def setting(self, train: TrainConfig) -> Setting:
        """The task with its data read, under a recipe; all its networks see the same."""
        rest = {"epochs": 1, "schedule": "cosine", "milestones": (), "warmup_epochs": 0.0, "average": 0}
        key = to_json(replace(train, **rest))  # how long it takes does not concern the data
        if key not in self._settings:
            self._settings[key] = self.config.task.read(train, self.fabric)
        return self._settings[key]

    def describe(self) -> dict[str, Any]:
        """What is known of the images."""
        plain = self.config.training(self.config.task, self.config.train, (), 0)
        return described(plain, self.setting(self.config.train))

    def make(self, name: str, whole: RunDirectory) -> None:
        """Makes the folder of a search or training, if it is not there."""
        if (whole.path / name).exists():
            return
        searches = searches_of(self.config)
        if name in searches:
            if self._searched is None:  # read once: they differ in their seeds alone
                costs = whole.keys(DATA).get(COSTS, {})
                _, self._searched = search_problem(searches[name], self.fabric, costs)
            make_search(name, searches[name], self._searched, whole, self.fabric)
        else:
            single = self._training(name, whole)
            setting = self.setting(single.train)
            make_member(single, _member(name, single), setting, whole, self.fabric)

    def do(
        self,
        name: str,
        whole: RunDirectory,
        after_epoch: Callable[[dict[str, Any]], None] = lambda record: None,
    ) -> None:
        """Does a search or a training; only what is not done yet.

        Args:
            name: Its folder.
            whole: The comparison.
            after_epoch: Called with the record of each epoch of a training.
        """
        searches = searches_of(self.config)
        if name in searches:
            self.make(name, whole)
            drawn = drawn_for(self.config, whole.keys(DATA).get(COSTS, {}))
            carry_out_search(name, searches[name], whole, self.fabric, drawn)
        else:
            single = self._training(name, whole)
            setting = self.setting(single.train)
            train_member(single, _member(name, single), setting, whole, self.fabric, after_epoch)

    def _training(self, name: str, whole: RunDirectory) -> RetrainConfig:
        if name not in self._items:  # what was found since is known now
            self._items = {item.name: item for item in recorded_items(self.config, whole)}
        single = self._items[name].config
        assert single is not None, "trainings begin when all searches have ended"
        return single


def _member(name: str, single: RetrainConfig) -> Member:
    return Member(number=0, seed=single.seeds[0], name=name)
