"""`autola list`."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass

from autola.arguments import out_of_terminal, print_json, read_arguments


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Names everything that can be named."""

    json: bool = False
    """Print one JSON object, kind to name to a line on it, and nothing else."""


def run(arguments: list[str]) -> None:
    """Lists names with a line on each."""
    given = read_arguments(Arguments, arguments, command="list")
    listing = everything()
    if given.json:
        print_json(listing)
        return
    for kind, entries in listing.items():
        out_of_terminal(kind.replace("_", " "))
        width = max(map(len, entries))
        for name, summary in entries.items():
            out_of_terminal(f"  {name:<{width}}  {summary}".rstrip())


def everything() -> dict[str, dict[str, str]]:
    """Kind to name to one line."""
    # Each import is slow: PyTorch.
    from autola.comparing.presets import COMPARE_PRESETS
    from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
    from evaluators.data import READERS
    from evaluators.tasks import TASKS
    from outputs.trackers import TRACKERS
    from search_space.operator import OPERATORS
    from search_space.places import PLACES
    from search_space.space import SPACES
    from searchers import SEARCHERS
    from supernet.backbones import BACKBONES

    return {
        "search_presets": {
            name: f"{preset.searcher.name} on {preset.data.name}, {preset.backbone}"
            for name, preset in SEARCH_PRESETS.items()
        },
        "retrain_presets": {
            name: f"{preset.task.summary()}, {preset.train.epochs} epochs"
            for name, preset in RETRAIN_PRESETS.items()
        },
        "compare_presets": {
            name: f"{preset.task.summary()}, {preset.train.epochs} epochs, with searches"
            for name, preset in COMPARE_PRESETS.items()
        },
        "searchers": {name: _summary(entry) for name, entry in SEARCHERS.items()},
        "search_spaces": {
            name: f"{space.num_nodes} nodes, {len(space.primitives)} primitives, {space.size:,} genotypes"
            for name, space in SPACES.items()
        }
        | {PLACES: "which attention stands at which site of the backbone"},
        "attention": {
            "none": "The plain network; on an edge, passes nothing.",
            "hoga": "The published genotype; hoga:PATH: that of a run folder or genotype file.",
            "places": "The placement of a run folder or file, places:PATH: what stands at each site.",
        }
        | {name: recipe.summary for name, recipe in OPERATORS.items() if name != "none"},
        "backbones": {name: _summary(getattr(entry, "func", entry)) for name, entry in BACKBONES.items()},
        "readers": {name: _summary(entry) for name, entry in READERS.items()},
        "tasks": {name: _summary(entry) for name, entry in TASKS.items()},
        "trackers": {name: _summary(entry) for name, entry in TRACKERS.items()},
    }


def _summary(entry: object) -> str:
    if sys.flags.optimize > 1:  # Python left the docstrings out; what dataclasses write instead says nothing
        return ""
    return (inspect.getdoc(entry) or "").partition("\n")[0]
