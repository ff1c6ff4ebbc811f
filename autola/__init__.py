"""Automatic search of attention modules: search, inspect, retrain.

    import autola

    found = autola.search("digits")
    table = autola.retrain("none", "se", found)
    model = autola.attach(torchvision.models.resnet50(), found)
    autola.cost(model, input_shape=(3, 224, 224))

Names are imported when they are first used, so that `import autola` is light.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autola.advising import Advice, advise
    from autola.analyzing import run_analysis as analyze
    from autola.api import compare, estimate, load, resume, retrain, search
    from autola.ejecting import eject
    from autola.reporting import write_report as report
    from autola.sharing import from_pretrained, push_to_hub, save_pretrained
    from evaluators.controls import controls
    from evaluators.cost import measure as cost
    from evaluators.deploying import deploy
    from foundation.errors import InputError
    from outputs.tabular import read_tabular as benchmark
    from search_space.attention import Attention
    from search_space.genotype import PUBLISHED, Genotype
    from search_space.native.operator import load_cell_operator
    from search_space.operator import OPERATORS, Gate, Operator, operator
    from search_space.placement import Placement
    from search_space.space import SPACES, Space
    from searchers.searches.own_loop import Searching, searching
    from supernet.attach import attach, attached, convert_norms, detach
    from supernet.backbones import build_backbone
    from supernet.carrying import placement_of
    from supernet.families import register_blocks
    from supernet.groups import parameter_groups
    from supernet.supernet import Supernet

HOMES = {
    "advise": "autola.advising",
    "Advice": "autola.advising",
    "search": "autola.api",
    "searching": "searchers.searches.own_loop",
    "Searching": "searchers.searches.own_loop",
    "retrain": "autola.api",
    "compare": "autola.api",
    "resume": "autola.api",
    "estimate": "autola.api",
    "analyze": "autola.analyzing:run_analysis",
    "load": "autola.api",
    "eject": "autola.ejecting",
    "report": "autola.reporting:write_report",
    "from_pretrained": "autola.sharing",
    "push_to_hub": "autola.sharing",
    "save_pretrained": "autola.sharing",
    "benchmark": "outputs.tabular:read_tabular",
    "controls": "evaluators.controls",
    "cost": "evaluators.cost:measure",
    "deploy": "evaluators.deploying",
    "load_cell_operator": "search_space.native.operator",
    "InputError": "foundation.errors",
    "PUBLISHED": "search_space.genotype",
    "Genotype": "search_space.genotype",
    "Attention": "search_space.attention",
    "Gate": "search_space.operator",
    "Operator": "search_space.operator",
    "OPERATORS": "search_space.operator",
    "operator": "search_space.operator",
    "Placement": "search_space.placement",
    "SPACES": "search_space.space",
    "Space": "search_space.space",
    "attach": "supernet.attach",
    "attached": "supernet.attach",
    "convert_norms": "supernet.attach",
    "detach": "supernet.attach",
    "placement_of": "supernet.carrying",
    "register_blocks": "supernet.families",
    "parameter_groups": "supernet.groups",
    "build_backbone": "supernet.backbones",
    "Supernet": "supernet.supernet",
}

__all__ = [
    "OPERATORS",
    "PUBLISHED",
    "SPACES",
    "Advice",
    "Attention",
    "Gate",
    "Genotype",
    "InputError",
    "Operator",
    "Placement",
    "Searching",
    "Space",
    "Supernet",
    "advise",
    "analyze",
    "attach",
    "attached",
    "benchmark",
    "build_backbone",
    "compare",
    "controls",
    "convert_norms",
    "cost",
    "deploy",
    "detach",
    "eject",
    "estimate",
    "from_pretrained",
    "load",
    "load_cell_operator",
    "operator",
    "parameter_groups",
    "placement_of",
    "push_to_hub",
    "register_blocks",
    "report",
    "resume",
    "retrain",
    "save_pretrained",
    "search",
    "searching",
]

ROOMS = ("foundation", "search_space", "supernet", "evaluators", "searchers", "outputs")


def __getattr__(name: str) -> Any:
    if name not in HOMES:
        raise AttributeError(f"module 'autola' has no attribute {name!r}")
    home, _, original = HOMES[name].partition(":")
    value = getattr(importlib.import_module(home), original or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


def _check_rooms() -> None:
    """The rooms have generic names: says so if a file of the user's hides one of them."""
    ours = Path(__file__).resolve().parents[1]
    for room in ROOMS:
        spec = importlib.util.find_spec(room)
        found = Path(spec.origin).resolve() if spec is not None and spec.origin else None
        if found is None or found.parents[1] != ours:
            raise ImportError(
                f"autola needs its own package {room!r}, but {found or 'nothing'} is found under that name; "
                f"rename it or start Python elsewhere"
            )


_check_rooms()
