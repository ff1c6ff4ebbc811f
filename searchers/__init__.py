"""How to look: one searcher a file, a frozen config and a resumable search; found by itself."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from evaluators.job import Job
from foundation.config import config
from foundation.errors import InputError
from foundation.registry import Registry

if TYPE_CHECKING:
    from search_space.searchable import Searchable
    from searchers.searches.problem import Problem

Shares = Mapping[Any, Mapping[str, float]]
"""Share of each primitive on every edge (node, state), or of each candidate at every site."""

ADAM_BETAS = 0.9, 0.98
"""Decay rates of Adam's averages where it moves the weights, as in Vaswani et al. (arXiv:1706.03762)."""


class Search(Job, Protocol):
    """A search under way. Stop it at any step: there is an answer."""

    def genotype(self) -> Any:
        """The best genotype, or placement, so far."""
        ...

    def shares(self) -> Shares | None:
        """How the primitives compete on every edge; None for searchers that do not weigh them."""
        ...

    def weights(self) -> dict[str, Any]:
        """What to keep at the end, by name: tensors."""
        ...


@runtime_checkable
class Guarded(Protocol):
    """A search that may end before its last step."""

    @property
    def stopped(self) -> str | None:
        """Why it ended early, in a sentence; None where it did not."""
        ...


@config
class SearcherConfig:
    """Hyper-parameters of a searcher; `start` begins a search."""

    name: ClassVar[str]
    search: ClassVar[str]
    """What `start` calls: "module:function", imported then, for it loads PyTorch, which no help page does."""

    @property
    def recordable(self) -> bool:
        """Whether all steps do the same on the host, so that one can be recorded as a CUDA graph."""
        return False

    @property
    def all_epochs(self) -> int:
        """Epochs with those of finals, as far as no guard and no lack of finalists ends them sooner."""
        finals = getattr(self, "finals", None)
        return getattr(self, "epochs", 1) + (0 if finals is None else finals.all_epochs)

    def check(self, problem: Problem) -> None:
        """Raises an InputError where this searcher, as it is set, cannot search a problem."""

    def check_budget(self, space: Searchable) -> None:
        """Raises an InputError where a new search would not be the search that it is named after."""
        if space.size == 1:
            raise InputError(
                f"one operator in all {len(space.rows)} rows of {space.name!r} leaves nothing to search; "
                "name two primitives or more besides none"
            )

    def start(self, problem: Problem) -> Search:
        """A new search at step 0."""
        if not hasattr(self, "search"):
            raise NotImplementedError(f"{type(self).__name__} has to define search or start")
        module, _, name = self.search.partition(":")
        return getattr(import_module(module), name)(self, problem)


SEARCHERS: Registry[type[SearcherConfig]] = Registry("searcher", "searchers")

searcher = SEARCHERS.named
"""Decorator that registers a config class as the searcher of a name."""
