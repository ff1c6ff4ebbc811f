"""`autola cost`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import tyro

from autola.arguments import out_of_terminal, print_json, read_arguments
from autola.tables import mega
from foundation.errors import InputError
from search_space.term import short_label
from supernet.networks.translator import TRANSFORMERS

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
    json: bool = False
    """Print one JSON object and nothing else: params, macs, activation_bytes, latency_ms; under "costs" a
    list of them for several attentions."""


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
    if given.backbone in TRANSFORMERS:
        _say(_of_sentences(given), given)
        return
    if given.tokens is not None:
        raise InputError(f"{given.backbone} takes images; --tokens is for {', '.join(TRANSFORMERS)}")
    from evaluators.cost import measure  # slow: PyTorch
    from supernet.backbones import usual_images

    shape = given.input or usual_images(given.backbone)[0]
    costs = [
        {"attention": attention, "backbone": given.backbone, "input": list(shape)}
        | asdict(
            measure(
                given.backbone,
                attention,
                input_shape=shape,
                width=given.width,
                num_classes=given.num_classes,
                latency=given.latency,
                activation=given.latency,
            )
        )
        for attention in given.attentions or USUAL
    ]
    if given.controls:
        costs = [row for cost in costs for row in (cost, *_controls(cost, given))]
    _say(costs, given)


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
        out_of_terminal(f"latency: one {example}, evaluation mode, {first['device']}{threads}")
