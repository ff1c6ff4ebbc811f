"""`autola analyze`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from autola.arguments import option, out_of_terminal, print_json, read_arguments, without
from foundation.errors import InputError

if TYPE_CHECKING:
    from outputs.analysis import Analysis


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Looks at trained networks: selectivity of their stages, Grad-CAM, t-SNE, gates, what each edge does."""

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN ...")] = ()
    """Folders of retrainings, for all trainings in them, or of single ones, as RUN/se-seed0. Numbers are of
    all of them; pictures show the first training of each attention."""
    images: tuple[Path, ...] = ()
    """Image files that the pictures are of; four test images of the data if left out."""
    parts: tuple[Literal["selectivity", "saliency", "features", "gates", "edges"], ...] = ()
    """What to do: class selectivity of the stages; Grad-CAM and guided backpropagation (saliency); t-SNE of
    last-stage features; maps of the gates; the loss without each edge of the cell. All that make sense if
    left out."""
    split: Literal["validation", "test"] | None = None
    """Part of the data that numbers are of; the validation part, where the runs held out one, if left
    out."""
    target: str | None = None
    """Class whose evidence is shown; each network's own likeliest one if left out."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Path of a new folder for pictures and figures; analysis in the folder of the first run, where `autola
    report` looks for it, if left out."""
    json: bool = False
    """Print analysis.json and nothing else."""


def run(arguments: list[str]) -> None:
    """Analyzes, and prints the figures."""
    root, arguments = option(arguments, "data.root"), without(arguments, "data.root")
    given = read_arguments(Arguments, arguments, command="analyze")
    if not given.runs:
        raise InputError("name at least one run: the folder of a retraining, or of one training in it")
    from autola.analyzing import run_analysis  # slow: torch

    analysis = run_analysis(
        given.runs,
        images=given.images,
        out=given.out,
        parts=given.parts,
        split=given.split,
        target=given.target,
        root=root,
    )
    if given.json:
        print_json(asdict(analysis))
        return
    show(analysis)
    if given.out is None:
        out_of_terminal(f"next      autola report {given.runs[0]}")


def show(analysis: Analysis) -> None:
    """Prints the figures, what was left out, and where the pictures are."""
    if analysis.selectivity:
        _show_selectivity(analysis)
    if analysis.edges:
        _show_edges(analysis)
    for line in analysis.left_out:
        out_of_terminal(line)
    count = len(analysis.pictures)
    out_of_terminal(f"analysis  {analysis.folder}  {count} picture{'' if count == 1 else 's'}")


def _show_selectivity(analysis: Analysis) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    networks = list(dict.fromkeys(row.network for row in analysis.selectivity))
    rows = {name: [row for row in analysis.selectivity if row.network == name] for name in networks}
    scores = {network.name: network.score for network in analysis.networks}
    view = Table(box=None, header_style="bold", pad_edge=False)
    view.add_column("class selectivity", overflow="fold")
    view.add_column(f"{analysis.score} %", justify="right")
    for row in max(rows.values(), key=len):
        view.add_column(row.stage, justify="right")
    for name, stages in rows.items():
        score = scores[name]
        cells = ["silent" if row.mean is None else f"{row.mean:.3f}" for row in stages]
        view.add_row(Text(name), "" if score is None else f"{100 * score:.2f}", *cells)
    Console().print(view)
    images = f", {analysis.num_images:,} images" if analysis.num_images else ""
    out_of_terminal(
        f"mean over channels; 0 alike for all classes, 1 for one alone; {analysis.split}{images}\n"
    )


def _show_edges(analysis: Analysis) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    several = len({row.attention for row in analysis.edges}) > 1
    view = Table(box=None, header_style="bold", pad_edge=False)
    for column in (*(["attention"] if several else []), "edge", "operator"):
        view.add_column(column, overflow="fold")
    view.add_column(f"{analysis.score} lost without it", justify="right")
    view.add_column("95 %", justify="right")
    for row in analysis.edges:
        ends = "" if row.low is None or row.high is None else f"[{100 * row.low:+.2f}, {100 * row.high:+.2f}]"
        first = [Text(row.attention)] if several else []
        view.add_row(*first, row.edge, row.operator, f"{100 * row.drop:+.2f}", Text(ends))
    Console().print(view)
    over = {row.over for row in analysis.edges}
    said = {
        "trainings": "95 % intervals over trainings, of each edge alone",
        "images": "95 % intervals over the images, of one training and each edge alone",
        None: "one training, and a score that is no mean over images: nobody knows how sure these are",
    }
    out_of_terminal("; ".join(said[each] for each in said if each in over) + "\n")
