"""Plans of searches: all that is to be done, checked before anything is written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from autola.configs import AnySearch

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from autola.executors import Executor
    from autola.found import Found
    from outputs.run_directory import RunDirectory


class Plan(ABC):
    """A search that is ready to run.

    Args:
        config: What to search, on what, how.
        fabric: Device and processes.
        costs: What operators cost by metric, as a run that goes on has stored it; measured if left out.

    Attributes:
        data: What has to be known of the images, and what operators cost: data.json.

    Raises:
        InputError: If the config or the data is wrong, or nothing keeps the limits.
    """

    kind: ClassVar[str]
    """Begins the names of run folders."""

    many: ClassVar[bool] = False
    """Whether it is many searches, which workers can do (`on`)."""

    data: dict[str, Any]
    on: Executor | None = None
    """What starts workers; None to do all in this process."""

    @abstractmethod
    def __init__(self, config: AnySearch, fabric: Fabric, costs: Mapping[str, Any] | None = None) -> None: ...

    @staticmethod  # noqa: B027  (a plan for all searchers has nothing to check)
    def check(config: AnySearch) -> None:
        """Raises an InputError for what is wrong whatever the data hold, before any of it is read."""

    @abstractmethod
    def run(self, config: AnySearch, run: RunDirectory) -> Found:
        """Searches from where the records end, and concludes.

        Args:
            config: What was planned, its files and folders named from the top.
            run: The run folder, locked by this process.
        """


def plan_of(config: AnySearch, *, workers: bool = False) -> type[Plan]:
    """How a search is planned: as trials (by NNI, or a list of work), for each of several targets, or as one.

    Args:
        config: The search.
        workers: Whether workers are to do it, as far as there is something for them.
    """
    if config.engine == "nni":
        home = "experiment:Experiments"  # slow: NNI
    elif len(config.target) > 1:
        home = "front:TargetSearches"
    elif workers and has_trials(config):
        home = "trials:Trials"
    else:
        home = "single:SingleSearch"
    module, _, name = home.partition(":")
    return getattr(import_module(f"autola.plans.{module}"), name)


def has_trials(config: AnySearch) -> bool:
    """Whether a search is of candidates that are each trained apart."""
    from searchers.blackbox import BlackBox

    searcher = config.searcher
    return (
        isinstance(searcher, BlackBox)
        and not searcher.shared
        and type(searcher).start is BlackBox.start
        and config.engine == "process"
        and len(config.target) <= 1
    )
