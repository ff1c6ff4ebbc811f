"""What a job uses of the caller's own: the modules that its other processes have to import."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from itertools import chain

from autola.configs import AnySearch, RetrainConfig, SearchConfig, TaskSearch
from evaluators.data.reader import READERS
from evaluators.tasks import TASKS, TaskConfig
from foundation.errors import InputError
from foundation.registry import Registry
from outputs.trackers import TRACKERS, wanted
from search_space.grammar import flat, parse_attention
from search_space.operator import OPERATORS
from search_space.space import SPACES
from searchers import SEARCHERS
from supernet.backbones import BACKBONES

OURS = ("autola", "foundation", "search_space", "supernet", "evaluators", "searchers", "outputs")


def modules_of(
    config: AnySearch | RetrainConfig, imported: Sequence[str], asked: str = "--engine nni"
) -> list[str]:
    """Modules that registered what a search or retraining uses, in the order to import them.

    Args:
        config: The search, or the retraining.
        imported: Modules that were imported for the user already; they come first.
        asked: The option that asks for other processes, for the message.

    Raises:
        InputError: If something was registered where no other process can import it: in the script that
            runs, in a notebook, or in a function called by one.
    """
    modules = list(imported)
    used = _of_search(config) if isinstance(config, AnySearch) else _of_retraining(config)
    trackers = ((TRACKERS, name) for name in wanted(config.tracker))
    for registry, name in chain[tuple[Registry, str]](used, trackers):
        kind, module = registry.kind, registry.home(name)
        if module.partition(".")[0] in OURS or module in modules:
            continue
        if not _importable(module):
            raise InputError(
                f"{kind} {name!r} was registered in {module}, which the processes of {asked} cannot "
                "import; put it into a module and import that (on the command line: --import MODULE)"
            )
        modules.append(module)
    return modules


def _of_search(config: AnySearch) -> Iterator[tuple[Registry, str]]:
    """What a search looks up by name."""
    yield SEARCHERS, config.searcher.name
    if isinstance(config, SearchConfig):
        family, colon, _ = config.backbone.partition(":")
        yield READERS, config.data.name
        yield BACKBONES, family + colon
    elif isinstance(config, TaskSearch):
        yield from _of_task(config.task)
    if config.of_places:
        terms = (term for name in config.candidates() for term in parse_attention(name))
        primitives = (term.name for term in terms)
    else:
        yield SPACES, config.space
        primitives = (name.partition(":")[0] for name in config.resolved_space().candidates)
    yield from ((OPERATORS, name) for name in primitives if name in OPERATORS)


def _of_task(task: TaskConfig) -> Iterator[tuple[Registry, str]]:
    """What a task looks up by name."""
    yield TASKS, task.name
    reader = getattr(getattr(task, "data", None), "name", None)
    if isinstance(reader, str) and reader in READERS:
        yield READERS, reader
    family, colon, _ = str(getattr(task, "backbone", "")).partition(":")
    if family + colon in BACKBONES:
        yield BACKBONES, family + colon


def _of_retraining(config: RetrainConfig) -> Iterator[tuple[Registry, str]]:
    """What a retraining looks up by name, as far as it is known by then."""
    yield from _of_task(config.task)
    for term in (term for attention in config.attentions for term in flat(attention)):
        names = [term.name]
        if term.genotype:
            edges = (edge for node in term.genotype.nodes for edge in node.edges)
            names = [edge.operator.partition(":")[0] for edge in edges]
        yield from ((OPERATORS, name) for name in names if name in OPERATORS)


def _importable(module: str) -> bool:
    """Whether another process finds a module under its name: `__main__` there is another program."""
    if module == "__main__" or module not in sys.modules:
        return False
    spec = getattr(sys.modules[module], "__spec__", None)
    try:
        return spec is not None and importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
