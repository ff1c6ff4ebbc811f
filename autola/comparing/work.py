"""Makes the single searches and trainings of a comparison."""

from __future__ import annotations

from typing import Any

from lightning.fabric import Fabric

from autola.comparing.config import CompareConfig
from autola.comparing.items import Item, drawn_for, searches_of
from autola.data_record import COSTS, described
from autola.member import Member, make_member
from autola.problem import search_problem
from autola.working.making import make_item
from autola.working.settings import Settings
from evaluators.recipe import TrainConfig
from evaluators.tasks import Setting
from outputs.records import DATA
from outputs.run_directory import RunDirectory


class Work:
    """What single searches and trainings of a comparison need, read once.

    Args:
        config: The comparison, with what was added, and its data where they are now.
        fabric: Device and processes.
        read: What was read for the comparison before something was added, if it was.
        modules: Modules of the user's that whoever does a part imports.
    """

    def __init__(
        self,
        config: CompareConfig,
        fabric: Fabric,
        read: Work | None = None,
        modules: tuple[str, ...] = (),
    ) -> None:
        self.config, self.fabric, self.modules = config, fabric, modules
        self.settings = Settings(fabric) if read is None else read.settings

    def setting(self, train: TrainConfig) -> Setting:
        """The task with its data read, under a recipe; all its networks see the same."""
        return self.settings.of(self.config.task, train)

    def describe(self) -> dict[str, Any]:
        """What is known of the images."""
        plain = self.config.training(self.config.task, self.config.train, (), 0)
        return described(plain, self.setting(self.config.train))

    def make_searches(self, whole: RunDirectory) -> None:
        """Makes the items of the searches, which judge the random cells at their end."""
        searches, costs = searches_of(self.config), whole.keys(DATA).get(COSTS, {})
        drawn, known = drawn_for(self.config, costs), dict[str, Any]()

        def data() -> dict[str, Any]:
            if not known:  # read once: searches differ in their seeds alone
                known.update(search_problem(next(iter(searches.values())), self.fabric, costs)[1])
            return known

        for name, config in searches.items():
            kept: Any = {"device": self.fabric.device, "modules": self.modules, "judged": drawn}
            make_item(whole, name, config, config.seed, data, **kept)

    def make_trainings(self, items: list[Item], whole: RunDirectory) -> None:
        """Makes the items of trainings."""
        for item in items:
            single = item.config
            assert single is not None, "trainings begin when all searches have ended"
            member = Member(number=0, seed=single.seeds[0], name=item.name)
            setting = self.setting(single.train)
            make_member(single, member, setting, whole, self.fabric, self.modules)
