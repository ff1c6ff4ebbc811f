"""`autola cost`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from autola.arguments import out_of_terminal, print_json, read_arguments
from autola.configs import DeviceKind
from autola.tables import mega
from foundation.errors import InputError
from search_space.genotype import Fuse
from search_space.term import short_label
from supernet.networks.translator import TRANSFORMERS

if TYPE_CHECKING:
    from evaluators.device_table import DeviceTable

Runtime = Literal["eager", "inductor", "onnxruntime", "openvino"]

USUAL = ("none", "se", "cbam", "hoga")
"""Attentions that are counted where none is named."""


TOKENS = (30, 30)
"""Tokens of a sentence and its translation where none are given."""

WORDS = 37_000
"""Sub-words of the vocabulary where none are given: as many as the Transformer's paper has."""


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Counts what an attention costs in a backbone."""

    attentions: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[ATTENTION ...]")
    ] = ()
    """Attentions whose cost is counted: none, se, cbam, hoga:RUN, se[reduction=8]+hoga ...; none se cbam hoga
    if left out."""
    backbone: str = "cifar_resnet20"
    """Name of the network that attention is attached to; `autola list` names them. Or of one that translates:
    transformer_tiny, transformer_small or transformer_base, whose cost is that of a sentence."""
    input: tuple[int, int, int] | None = None
    """Channels, height and width in pixels of the image that costs are counted for. If left out, what the
    backbone was made for: 3 32 32 for the networks of CIFAR, 3 224 224 for others."""
    width: int | None = None
    """Channels of the backbone's first stage, which scale those of the others: more cost more. Its own if
    left out."""
    num_classes: int | None = None
    """Number of classes, which are the classifier's outputs. If left out, 10 for the networks of CIFAR and
    1000 for others; of sub-words where the network translates, 37000 if left out."""
    tokens: tuple[int, int] | None = None
    """Tokens of a sentence and of its translation, for networks that translate; 30 30 if left out."""
    latency: bool = True
    """Measure latency and activation memory as well, on the CPU, which takes seconds; --no-latency only
    counts."""
    controls: bool = False
    """Also look for the plain network that is as slow as each attention, wider and deeper: what it has to be
    compared with."""
    deploy: bool = False
    """Measure latency of the networks as they are used: deployed, by --runtime, all of them taking turns."""
    device_table: Path | None = None
    """File to write: what each operator of a search space takes on this device, for searches elsewhere
    (`autola search --latency-table`)."""
    space: str | None = None
    """Search space of the device table: hoga, places ...; hoga if left out."""
    primitives: tuple[str, ...] | None = None
    """What competes in the device table, as in `autola search`; the space's own if left out."""
    num_nodes: int | None = None
    """Nodes of the cells of the device table; the space's own number if left out."""
    fuse: Fuse | None = None
    """Fuse of the cells of the device table; the space's own if left out."""
    runtime: Runtime | None = None
    """What runs deployed networks, or that of the device table: eager PyTorch (if left out), inductor,
    onnxruntime or openvino."""
    native: bool = True
    """Have cells of deployed networks, and of the device table, run by the native operator where there is a
    compiler and the runtime knows it; --no-native is for devices that do not have it."""
    device: DeviceKind | None = None
    """Kind of device that PyTorch runs the network of the device table on; the CPU if left out."""
    threads: int | None = None
    """CPU threads that deployed networks and the device table are measured with; 1 if left out."""
    json: bool = False
    """Print one JSON object and nothing else: params, macs, activation_bytes, latency_ms; under "costs" a
    list of them for several attentions."""


OF_DEPLOYED = ("runtime", "native", "threads")
"""Options of deployed networks and the device table."""

OF_TABLE = ("space", "primitives", "num_nodes", "fuse", "runtime", "native", "device", "threads")
"""Options of the device table."""

COLUMNS = {
    "params": ("params", lambda params: f"{params:,}"),
    "macs": ("MACs", lambda macs: mega(macs)),
    "activation_bytes": ("memory", lambda size: f"{size / 1e6:.2f} MB"),
    "latency_ms": ("latency", lambda milliseconds: f"{milliseconds:.2f} ms"),
}
"""Key of a cost to the title of its column and its form."""


def run(arguments: list[str]) -> None:
    """Prints the costs."""
    if any(word.partition("=")[0] == "--attention" for word in arguments):
        raise InputError("attentions are named without --attention: autola cost se hoga")
    given = read_arguments(Arguments, arguments, command="cost")
    if given.controls and not given.latency:
        raise InputError("--controls are networks of equal latency; leave --no-latency out")
    if given.device_table is not None:
        _make_table(given, given.device_table)
        return
    for name in OF_TABLE:
        if _is_given(given, name) and not (given.deploy and name in OF_DEPLOYED):
            deployed = ", or --deploy" if name in OF_DEPLOYED else ""
            raise InputError(
                f"--{name.replace('_', '-')} is of a device table; add --device-table FILE{deployed}"
            )
    if given.deploy:
        for name in ("tokens", "controls"):
            if getattr(given, name):
                raise InputError(f"--deploy is for networks of images alone; leave out --{name}")
        if not given.latency or given.backbone in TRANSFORMERS:
            raise InputError("--deploy measures latencies of networks of images; leave --no-latency out")
    if given.backbone in TRANSFORMERS:
        _say(_of_sentences(given), given)
        return
    if given.tokens is not None:
        raise InputError(f"{given.backbone} takes images; --tokens is for {', '.join(TRANSFORMERS)}")
    from evaluators.cost import measure  # slow: PyTorch
    from supernet.backbones import usual_images

    shape = given.input or usual_images(given.backbone)[0]
    attentions = given.attentions or USUAL
    network: Any = {"input_shape": shape, "width": given.width, "num_classes": given.num_classes}
    if given.deploy:
        from evaluators.used_cost import measure_used

        own = {name: getattr(given, name) for name in OF_DEPLOYED if _is_given(given, name)}
        found = measure_used(given.backbone, attentions, **network, **own)
    else:
        both: Any = {"latency": given.latency, "activation": given.latency}
        found = [measure(given.backbone, attention, **network, **both) for attention in attentions]
    about = {"backbone": given.backbone, "input": list(shape)}
    costs = [
        {"attention": attention, **about, **asdict(cost)}
        | ({"runtime": given.runtime or "eager"} if given.deploy else {})
        for attention, cost in zip(attentions, found)
    ]
    if given.controls:
        costs = [row for cost in costs for row in (cost, *_controls(cost, given))]
    _say(costs, given)


def _is_given(given: Arguments, name: str) -> bool:
    return getattr(given, name) != getattr(Arguments(), name)


def _make_table(given: Arguments, path: Path) -> None:
    """Measures what a search may put into a network, and writes it."""
    for name in ("attentions", "tokens", "controls", "deploy"):
        if getattr(given, name):
            raise InputError(f"a device table is of a search space; leave out {name}")
    if given.backbone in TRANSFORMERS:
        raise InputError(f"a device table is for images; {given.backbone} translates")
    from autola.device_tables import make_table  # slow: PyTorch

    own = {name: getattr(given, name) for name in OF_TABLE if _is_given(given, name)}
    table = make_table(
        path,
        backbone=given.backbone,
        input_shape=given.input,
        width=given.width,
        num_classes=given.num_classes,
        **own,
    )
    if given.json:
        print_json(asdict(table))
        return
    show_table(table)
    out_of_terminal(f"wrote {path}; elsewhere: autola search --target 'latency<=1.5x' --latency-table {path}")


def show_table(table: DeviceTable) -> None:
    """Prints a device table: times of the network, those of placements site by site."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from evaluators.cost_table import CostTable

    costs = table.costs("table")
    view = Table(box=None, header_style="bold", pad_edge=False)
    view.add_column("" if isinstance(costs, CostTable) else "site")
    if isinstance(costs, CostTable):
        num_nodes = table.num_nodes or 0
        num_edges = num_nodes * (num_nodes + 1) // 2
        view.add_column("latency", justify="right")
        kinds = costs.sums[::-1]  # those in which an operator runs alone on all edges come last, and count
        rows = {
            name: each.fixed + num_edges * cost for each in kinds for name, cost in each.operators.items()
        }
        for name, value in {"none": costs.plain, **rows}.items():
            view.add_row(Text(name), f"{value:.3f} ms (x{value / costs.plain:.2f})")
    else:
        names = list(dict.fromkeys(name for row in costs.sites.values() for name in row))
        for name in names:
            view.add_column(short_label(name), justify="right")
        for site, row in costs.sites.items():
            view.add_row(Text(site), *(f"{row[name]:.3f} ms" if name in row else "" for name in names))
    Console().print(view)
    if not isinstance(costs, CostTable):
        out_of_terminal(f"the network alone: {costs.plain:.3f} ms")
    out_of_terminal(f"one image, deployed: {table}")


def _say(costs: list[dict[str, Any]], given: Arguments) -> None:
    if given.json:
        print_json(costs[0] if len(costs) == 1 else {"costs": costs})
    else:
        show(costs)


def _of_sentences(given: Arguments) -> list[dict[str, Any]]:
    """Costs of a network that translates."""
    for name in ("input", "width"):
        if getattr(given, name) is not None:
            raise InputError(f"{given.backbone} translates and has no {name}; its sentences are --tokens N M")
    if given.controls:
        raise InputError("--controls are for networks of images")
    from evaluators.sentence_cost import measure_sentences  # slow: PyTorch

    tokens = given.tokens or TOKENS
    return [
        {"attention": attention, "backbone": given.backbone, "tokens": list(tokens)}
        | asdict(
            measure_sentences(
                given.backbone,
                attention,
                tokens=tokens,
                num_words=given.num_classes or WORDS,
                latency=given.latency,
                activation=given.latency,
            )
        )
        for attention in given.attentions or ("none",)
    ]


def _controls(cost: dict[str, Any], given: Arguments) -> list[dict[str, Any]]:
    """Costs of the plain networks that are as slow as one with attention."""
    if cost["attention"] == "none":
        return []
    from evaluators.controls import NAMES, controls  # slow: PyTorch
    from evaluators.cost import measure
    from supernet.backbones import build_backbone, usual_images

    shape = tuple(cost["input"])
    classes = usual_images(given.backbone)[1] if given.num_classes is None else given.num_classes
    plain = build_backbone(given.backbone, num_classes=classes, in_channels=shape[0], width=given.width)
    found = controls(plain, cost["attention"], input_shape=shape)
    return [
        {
            "attention": " ".join(["none", *(f"{key} {value}" for key, value in control.setting.items())]),
            "backbone": given.backbone,
            "input": list(shape),
        }
        | asdict(measure(control.model, input_shape=shape))
        | {"control_of": cost["attention"], "latency_ratio": control.latency_ratio, **control.setting}
        for name, control in found.items()
        if name in NAMES.values()
    ]


def show(costs: list[dict[str, Any]]) -> None:
    """Prints costs as a table, ratios to the first row beside the figures."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    view = Table(box=None, header_style="bold", pad_edge=False)
    view.add_column("attention", overflow="fold")
    first = costs[0]
    measured = [(key, *column) for key, column in COLUMNS.items() if first[key] is not None]
    for _, title, _ in measured:
        view.add_column(title, justify="right")
    for cost in costs:
        cells = list[str]()
        for key, _, form in measured:
            ratio = "" if cost is first else f" (x{cost[key] / first[key]:.2f})"
            cells.append(form(cost[key]) + ratio)
        view.add_row(Text(short_label(cost["attention"])), *cells)
    Console().print(view)
    for cost in costs:
        if "control_of" in cost:
            side_by_side = f"x{cost['latency_ratio']:.2f} of {short_label(cost['control_of'])}"
            out_of_terminal(f"{cost['attention']}: {side_by_side}, timed side by side")
    if first["latency_ms"] is not None:
        threads = f", {first['threads']} thread" if first["threads"] else ""
        example = "sentence with its translation" if "tokens" in first else "image"
        out_of_terminal(f"memory: kept for the backward pass, for one {example}")
        how = f"deployed, {first['runtime']}" if "runtime" in first else "evaluation mode"
        out_of_terminal(f"latency: one {example}, {how}, {first['device']}{threads}")
