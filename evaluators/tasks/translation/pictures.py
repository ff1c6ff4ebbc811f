"""Pictures of what a network that translates looks at: its weights, and each term of its energies."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from evaluators.evaluating import modes_kept
from search_space.sequence import Look, SequenceOperator
from supernet.networks.transformer import Layer, Transformer

if TYPE_CHECKING:
    from PIL.Image import Image

WEIGHTS = "weights"
"""What a row of panels shows where it is not a term."""

INCHES = 0.16
"""Size of a word in a panel."""

SITES = ("encoder.self", "decoder.self", "decoder.cross")


def looks_of(network: Transformer, source: Tensor, target: Tensor) -> dict[tuple[str, int], Look]:
    """What each attention looks at, by its name and the number of its layer from 1.

    Args:
        network: A trained network.
        source: Words of one sentence (1, n).
        target: Those of its translation (1, m).
    """
    found = dict[tuple[str, int], Look]()
    hooks: list[Any] = []

    def hang(name: str, number: int, operator: nn.Module | None) -> None:
        if not isinstance(operator, SequenceOperator):
            return

        def seen(module: nn.Module, given: Any) -> None:
            x, memory, padding, *_ = given
            if (look := operator.look(x, memory, padding)) is not None:
                found[name, number] = look

        hooks.append(operator.register_forward_pre_hook(seen))

    for half, layers in (("encoder", network.encoder), ("decoder", network.decoder)):
        for number, layer in enumerate(layers, 1):
            assert isinstance(layer, Layer)
            hang(f"{half}.self", number, layer.self_attention)
            hang(f"{half}.cross", number, layer.cross_attention)
    try:
        with modes_kept(network), torch.no_grad():
            network.eval()(source, target)
    finally:
        for hook in hooks:
            hook.remove()
    return found


def attention_picture(
    looks: dict[tuple[str, int], Look], source: Sequence[str], target: Sequence[str]
) -> Image:
    """Panels of queries (downwards) and keys: a column a layer, a row for each site and what it shows.

    All are means over the heads. Weights go from 0 (white) to 1 (dark); the colours of a term go from its
    lowest (blue) to its highest energy (red) around its mean over the keys of a query, which the softmax
    takes away.

    Args:
        looks: Of `looks_of`.
        source: The words of the sentence.
        target: Those that the decoder has read.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    rows, columns = _rows(looks), max(number for _, number in looks)
    words = {
        "encoder.self": (source, source),
        "decoder.self": (target, target),
        "decoder.cross": (target, source),
    }
    margin = 0.75
    width = columns * (INCHES * max(len(source), len(target)) + margin) + margin
    heights = [INCHES * len(words[site][0]) + margin + 0.2 for site, _ in rows]
    figure = Figure(figsize=(width, sum(heights)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False, height_ratios=heights)
    for row, (site, what) in enumerate(rows):
        queries, keys = words[site]
        for column in range(columns):
            axes, look = grid[row, column], looks.get((site, column + 1))
            panel = None if look is None else look.weights if what == WEIGHTS else look.terms.get(what)
            if panel is None:
                axes.set_axis_off()
                continue
            _draw(axes, panel[0].mean(0), weights=what == WEIGHTS, causal=site == "decoder.self")
            axes.set_title(f"{site} {column + 1}: {what}", fontsize=7)
            axes.set_xticks(range(len(keys)), keys, rotation=90, fontsize=6)
            axes.set_yticks(range(len(queries)), queries, fontsize=6)
    written = io.BytesIO()
    figure.savefig(written, format="png", dpi=110)
    return Image.open(written).convert("RGB")


def _rows(looks: dict[tuple[str, int], Look]) -> list[tuple[str, str]]:
    """Sites and what of them is shown: a single term says what its weights do, so it has no row."""
    rows = list[tuple[str, str]]()
    for site in SITES:
        own = [look for (name, _), look in looks.items() if name == site]
        if own:
            rows.append((site, WEIGHTS))
        terms = dict.fromkeys(term for look in own if len(look.terms) > 1 for term in look.terms)
        rows += [(site, term) for term in terms]
    return rows


def _draw(axes: Any, panel: Tensor, *, weights: bool, causal: bool) -> None:
    """One panel: queries downwards, keys to the right."""
    values = panel.double()
    if weights:
        axes.imshow(values.numpy(), cmap="Greys", vmin=0, vmax=1, aspect="auto")
        return
    there = torch.ones_like(values, dtype=torch.bool)
    if causal:
        there = there.tril()
    means = values.masked_fill(~there, 0).sum(1, keepdim=True) / there.sum(1, keepdim=True)
    values = (values - means).masked_fill(~there, float("nan"))
    most = max(float(values.nan_to_num(0).abs().max()), 1e-6)
    axes.imshow(values.numpy(), cmap="RdBu_r", vmin=-most, vmax=most, aspect="auto")
