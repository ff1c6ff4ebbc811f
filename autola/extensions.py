"""What a search uses of the caller's own: the modules that its other processes have to import."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence

from autola.configs import SearchConfig
from evaluators.data.reader import READERS
from search_space.errors import InputError
from search_space.operator import OPERATORS
from search_space.registry import Registry
from search_space.space import SPACES
from searchers import SEARCHERS
from supernet.backbones import BACKBONES

OURS = ("autola", "search_space", "supernet", "evaluators", "searchers", "outputs")


def modules_of(config: SearchConfig, imported: Sequence[str]) -> list[str]:
    """Modules that registered what a search uses, in the order to import them.

    Args:
        config: The search.
        imported: Modules that were imported for the user already; they come first.

    Raises:
        InputError: If something was registered where no other process can import it: in the script that
            runs, in a notebook, or in a function called by one.
    """
    modules = list(imported)
    for kind, name, module in _registered(config):
        if module.partition(".")[0] in OURS or module in modules:
            continue
        if not _importable(module):
            raise InputError(
                f"{kind} {name!r} was registered in {module}, which the processes of --engine nni cannot "
                "import; put it into a module and import that (on the command line: --import MODULE)"
            )
        modules.append(module)
    return modules


def _registered(config: SearchConfig) -> Iterator[tuple[str, str, str]]:
    """What a search looks up by name: kind, name, module."""
    family, colon, _ = config.backbone.partition(":")
    used: list[tuple[Registry, str]] = [
        (SEARCHERS, config.searcher.name),
        (READERS, config.data.name),
        (BACKBONES, family + colon),
        (SPACES, config.space),
    ]
    primitives = (name.partition(":")[0] for name in config.resolved_space().candidates)
    used += [(OPERATORS, name) for name in primitives if name in OPERATORS]
    for registry, name in used:
        yield registry.kind, name, registry.home(name)


def _importable(module: str) -> bool:
    """Whether another process finds a module under its name: `__main__` there is another program."""
    if module == "__main__" or module not in sys.modules:
        return False
    spec = getattr(sys.modules[module], "__spec__", None)
    try:
        return spec is not None and importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False
