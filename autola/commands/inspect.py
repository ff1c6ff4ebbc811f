"""`autola inspect`."""

from __future__ import annotations

import json
import shlex
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from autola.arguments import out_of_terminal, print_json, read_arguments
from autola.commands.cost import show
from foundation.config import config, parse
from foundation.errors import InputError
from search_space.genotype import PUBLISHED, Genotype
from search_space.grammar import Term, genotype_at
from search_space.placement import is_placement

if TYPE_CHECKING:
    from outputs.run_directory import RunDirectory


@config
class _Images:
    """The images and classes that a network has to fit."""

    input_shape: tuple[int, int, int]
    num_classes: int


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Shows a genotype or a placement: edges or sites with share and margin, a drawing, its cost."""

    target: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="TARGET")]
    """Run folder of a search, genotype or placement file, or "hoga" for the published genotype."""
    svg: Path | None = None
    """Path of an SVG file to draw the cell into."""
    png: Path | None = None
    """Path of a PNG file to draw the cell into."""
    latency: bool = True
    """Measure latency and activation memory as well, on the CPU, which takes seconds; --no-latency only
    counts."""
    json: bool = False
    """Print one JSON object with all that is shown, and nothing else."""


def run(arguments: list[str]) -> None:
    """Shows what was found."""
    given = read_arguments(Arguments, arguments, command="inspect")
    for target, suffix in ((given.svg, ".svg"), (given.png, ".png")):
        if target is not None and target.suffix != suffix:
            raise InputError(f"{target} does not end in {suffix}")
        if target is not None and target.is_dir():
            raise InputError(f"{target} is a folder; name a file to draw into")
    # Each import is slow: PyTorch.
    from autola.commands.inspect_placement import show_placement
    from autola.describe import next_retraining
    from evaluators.cost import measure
    from outputs.draw import save, terminal
    from outputs.records import CONFIG
    from outputs.run_directory import RunDirectory
    from search_space.graph import facts

    path = Path(given.target)
    if is_placement(path):
        show_placement(given)
        return
    is_run = (path / CONFIG).is_file()
    run = RunDirectory.open(path) if is_run else None
    setting = setting_of(run)
    genotype = PUBLISHED if given.target == "hoga" else genotype_at(given.target)
    shares = _shares(run, genotype) if run else None
    costs = [
        {"attention": name}
        | asdict(measure(attention=attention, latency=given.latency, activation=given.latency, **setting))
        for name, attention in _beside(given.target, genotype)
    ]
    following = (
        next_retraining(run) if run else f"autola retrain none se cbam {shlex.quote(_name(given.target))}"
    )
    for target in (given.svg, given.png):
        if target is not None:
            save(genotype, target, shares)
    if given.json:
        found = {
            "genotype": json.loads(genotype.to_json()),
            "literal": genotype.to_literal() if _is_full(genotype) else None,
            "edges": _edges(genotype, shares),
            "graph": asdict(facts(genotype)),
            "setting": setting,
            "costs": costs,
            "next": following,
        }
        print_json(found)
        return
    from rich.console import Console

    Console().print(terminal(genotype, shares))
    out_of_terminal(f"\ngraph  {facts(genotype)}\n")
    show(costs)
    out_of_terminal(f"\nin {setting['backbone']}, images of {' x '.join(map(str, setting['input_shape']))}")
    out_of_terminal(f"next   {following}")


def _name(target: str) -> str:
    return "hoga" if target == "hoga" else f"hoga:{target}"


def _beside(target: str, genotype: Genotype) -> list[tuple[str, Any]]:
    found = (Term(name="hoga", argument=target, genotype=genotype),)
    return [("none", "none"), ("se", "se"), ("cbam", "cbam"), (_name(target), found)]


def setting_of(run: RunDirectory | None) -> dict[str, Any]:
    """The network that costs are counted in: the run's, or ResNet-20 on CIFAR-10."""
    if run is None:
        return {"backbone": "cifar_resnet20", "input_shape": (3, 32, 32), "width": None, "num_classes": 10}
    from autola.configs import SearchConfig
    from autola.runs import stored_config
    from outputs.records import DATA

    stored, data = stored_config(run, SearchConfig), run.keys(DATA, "input_shape", "num_classes")
    images = {name: data[name] for name in ("input_shape", "num_classes")}
    known = parse(_Images, images, str(run.path / DATA))
    return {"backbone": stored.backbone, "width": stored.width} | asdict(known)


def _shares(run: RunDirectory, genotype: Genotype) -> Any:
    from outputs.records import SHARES

    shares = run.shares()
    for node, edge in genotype.edges():
        if shares is not None and edge.operator not in shares.get((node, edge.index), {}):
            raise InputError(f"{run.path / SHARES} has no {edge.operator} of {edge.source} -> h{node}")
    return shares


def _is_full(genotype: Genotype) -> bool:
    return all(len(node.edges) == i for i, node in enumerate(genotype.nodes, 1))


def _edges(genotype: Genotype, shares: Any) -> list[dict[str, Any]]:
    from outputs.draw import margin

    rows = list[dict[str, Any]]()
    for node, edge in genotype.edges():
        row: dict[str, Any] = {"node": f"h{node}", "source": edge.source, "operator": edge.operator}
        if shares:
            row |= {
                "share": shares[node, edge.index][edge.operator],
                "margin": margin(shares[node, edge.index]),
            }
        rows.append(row)
    return rows
