"""What `autola inspect` shows of a genotype, and of a placement."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autola.configs import TaskSearch
from autola.runs import stored_search
from evaluators.cost import measure
from foundation.config import config, parse
from foundation.errors import InputError
from outputs import draw, placement_diagram
from outputs.finals import Final, finals_of
from outputs.records import CONFIG, DATA, SHARES
from outputs.run_directory import RunDirectory
from search_space.genotype import PUBLISHED, Genotype
from search_space.grammar import genotype_at, placement_at
from search_space.graph import facts
from search_space.placement import Placement, is_placement
from search_space.term import Term, attention_of
from supernet.backbones import BACKBONES, usual_images


@config
class _Images:
    """The images and classes that a network has to fit."""

    input_shape: tuple[int, int, int]
    num_classes: int


@dataclass(frozen=True, kw_only=True)
class Inspected:
    """A genotype or placement with all that is shown of it.

    Attributes:
        name: Its name in the grammar.
        run: The run folder that it is of, if it is of one.
        setting: The network that costs are counted in; empty where nobody knows one.
        beside: What costs are shown of, by name: others, and itself.
        known: What is said of it as JSON values.
        drawing: Makes what is drawn on a terminal.
        summary: A line about it.
        save: Draws it into a file.
    """

    name: str
    run: RunDirectory | None
    setting: dict[str, Any]
    beside: Sequence[tuple[str, Any]]
    known: dict[str, Any]
    drawing: Callable[[], Any]
    summary: str
    save: Callable[[Path], object]

    def costs(self, latency: bool) -> list[dict[str, Any]]:
        """What the network costs with each attention.

        Args:
            latency: Whether to measure time and memory too.
        """
        return [
            {"attention": name}
            | asdict(measure(attention=attention, latency=latency, activation=latency, **self.setting))
            for name, attention in (self.beside if self.setting else ())
        ]

    @property
    def finals(self) -> list[Final]:
        """What the search trained at its end, best first."""
        return [] if self.run is None else finals_of(self.run)

    @property
    def following(self) -> str:
        """The command that retrains it beside others."""
        from autola.cli import command_line
        from autola.describe import next_retraining

        if self.run is not None:
            return next_retraining(self.run)
        others = (name for name, _ in self.beside if name != self.name)
        return command_line(["retrain", *others, self.name])


def inspected(target: str) -> Inspected:
    """What a run folder, a file, or `hoga` holds.

    Raises:
        InputError: If there is none, or it is damaged.
    """
    path = Path(target)
    run = RunDirectory.open(path) if (path / CONFIG).is_file() else None
    return _placement(target, run) if is_placement(path) else _genotype(target, run)


def _genotype(target: str, run: RunDirectory | None) -> Inspected:
    setting = _setting_of(run) if run else _USUAL
    genotype = PUBLISHED if target == "hoga" else genotype_at(target)
    shares = _edge_shares(run, genotype) if run else None
    name = "hoga" if target == "hoga" else f"hoga:{target}"
    found = (Term(name="hoga", argument=target, genotype=genotype),)
    is_full = all(len(node.edges) == i for i, node in enumerate(genotype.nodes, 1))
    return Inspected(
        name=name,
        run=run,
        setting=setting,
        beside=[("none", "none"), ("se", "se"), ("cbam", "cbam"), (name, found)],
        known={
            "genotype": json.loads(genotype.to_json()),
            "literal": genotype.to_literal() if is_full else None,
            "edges": _edges(genotype, shares),
            "graph": asdict(facts(genotype)),
        },
        drawing=lambda: draw.terminal(genotype, shares),
        summary=f"graph  {facts(genotype)}",
        save=lambda path: draw.save(genotype, path, shares),
    )


def _placement(target: str, run: RunDirectory | None) -> Inspected:
    placement = placement_at(Path(target))
    shares = run.site_shares() if run else None
    name = f"places:{target}"
    found = Term(name="places", argument=target, placement=placement)
    beside = [("none", "none"), ("se", "se"), (name, found)]
    if attention_of(placement.standings[0].site) is not None:  # a Transformer's, which have no se
        beside.pop(1)
    return Inspected(
        name=name,
        run=run,
        setting=_setting_of(run) if run else _usual_of(placement),
        beside=beside,
        known={"placement": json.loads(placement.to_json()), "sites": _sites(placement, shares)},
        drawing=lambda: placement_diagram.terminal(placement, shares),
        summary=f"sites  {len(list(placement.taken()))} of {len(placement.standings)} are taken",
        save=lambda path: placement_diagram.save(placement, path, shares),
    )


_USUAL = {"backbone": "cifar_resnet20", "input_shape": (3, 32, 32), "width": None, "num_classes": 10}
"""The network that costs of a genotype are counted in where no run says it."""


def _setting_of(run: RunDirectory) -> dict[str, Any]:
    """The classifier that a run searched in; none for the network of a task."""
    stored = stored_search(run)
    if isinstance(stored, TaskSearch):
        return {}
    data = run.keys(DATA, "input_shape", "num_classes")
    images = {name: data[name] for name in ("input_shape", "num_classes")}
    known = parse(_Images, images, str(run.path / DATA))
    return {"backbone": stored.backbone, "width": stored.width} | asdict(known)


def _usual_of(placement: Placement) -> dict[str, Any]:
    """The network that a placement speaks of; none for a network of a user's own."""
    if placement.network not in BACKBONES:
        return {}
    shape, classes = usual_images(placement.network)
    return {"backbone": placement.network, "input_shape": shape, "width": None, "num_classes": classes}


def _edge_shares(run: RunDirectory, genotype: Genotype) -> Any:
    shares = run.shares()
    for node, edge in genotype.edges():
        if shares is not None and edge.operator not in shares.get((node, edge.index), {}):
            raise InputError(f"{run.path / SHARES} has no {edge.operator} of {edge.source} -> h{node}")
    return shares


def _edges(genotype: Genotype, shares: Any) -> list[dict[str, Any]]:
    rows = list[dict[str, Any]]()
    for node, edge in genotype.edges():
        row: dict[str, Any] = {"node": f"h{node}", "source": edge.source, "operator": edge.operator}
        if shares:
            row |= {
                "share": shares[node, edge.index][edge.operator],
                "margin": draw.margin(shares[node, edge.index]),
            }
        rows.append(row)
    return rows


def _sites(placement: Placement, shares: Any) -> list[dict[str, Any]]:
    rows = list[dict[str, Any]]()
    for standing in placement.standings:
        row: dict[str, Any] = {
            "site": standing.site,
            "stage": standing.stage,
            "attention": standing.attention,
        }
        if (known := placement_diagram.contest(standing, shares)) is not None:
            row |= {"share": known[0], "margin": known[1], "runner_up": known[2]}
        rows.append(row)
    return rows
