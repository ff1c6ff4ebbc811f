"""`autola inspect` of a placement."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from autola.arguments import out_of_terminal, print_json
from autola.commands.cost import show
from search_space.grammar import Term, placement_at
from search_space.placement import Placement
from supernet.backbones import BACKBONES

if TYPE_CHECKING:
    from autola.commands.inspect import Arguments


def show_placement(given: Arguments) -> None:
    """Shows which attention stands at which site, what the network costs with it, and what to do next."""
    # Each import is slow: PyTorch.
    from rich.console import Console

    from autola.commands.inspect import setting_of
    from autola.describe import next_retraining
    from evaluators.cost import measure
    from outputs.placement_diagram import save, terminal
    from outputs.records import CONFIG
    from outputs.run_directory import RunDirectory

    path = Path(given.target)
    run = RunDirectory.open(path) if (path / CONFIG).is_file() else None
    placement = placement_at(path)
    shares = run.site_shares() if run else None
    setting = setting_of(run) if run else _usual(placement)
    name = f"places:{given.target}"
    beside: list[tuple[str, Any]] = [("none", "none"), ("se", "se")]
    beside.append((name, Term(name="places", argument=given.target, placement=placement)))
    costs = [
        {"attention": attention}
        | asdict(measure(attention=what, latency=given.latency, activation=given.latency, **setting))
        for attention, what in (beside if setting else ())
    ]
    following = next_retraining(run) if run else f"autola retrain none se {shlex.quote(name)}"
    for target in (given.svg, given.png):
        if target is not None:
            save(placement, target, shares)
    if given.json:
        found = {
            "placement": json.loads(placement.to_json()),
            "sites": _sites(placement, shares),
            "setting": setting,
            "costs": costs,
            "next": following,
        }
        print_json(found)
        return
    Console().print(terminal(placement, shares))
    out_of_terminal(f"\nsites  {len(list(placement.taken()))} of {len(placement.standings)} are taken\n")
    if setting:
        show(costs)
        sides = " x ".join(map(str, setting["input_shape"]))
        out_of_terminal(f"\nin {setting['backbone']}, images of {sides}")
    out_of_terminal(f"next   {following}")


def _usual(placement: Placement) -> dict[str, Any]:
    """The network that costs are counted in where no run says it; none for a network of a user's own."""
    from supernet.backbones import usual_images

    if placement.network not in BACKBONES:
        return {}
    shape, classes = usual_images(placement.network)
    return {"backbone": placement.network, "input_shape": shape, "width": None, "num_classes": classes}


def _sites(placement: Placement, shares: Any) -> list[dict[str, Any]]:
    from outputs.placement_diagram import contest

    rows = list[dict[str, Any]]()
    for standing in placement.standings:
        row: dict[str, Any] = {
            "site": standing.site,
            "stage": standing.stage,
            "attention": standing.attention,
        }
        if (known := contest(standing, shares)) is not None:
            row |= {"share": known[0], "margin": known[1], "runner_up": known[2]}
        rows.append(row)
    return rows
