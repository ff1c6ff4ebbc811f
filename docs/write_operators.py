"""Writes docs/operators.md from the code: formulas and cost laws, sizes at one width, the papers' tables.

The laws are expressions that a test evaluates against the modules; the sizes and tables are counted.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "operators.md"
CHANNELS, SIDE = 64, 16
"""The numbers that the sizes of all operators are given for."""

HEAD = """\
# Operators

Written from the code by `make docs`; edits belong in `docs/write_operators.py` and the operators' docstrings.

Every operator is a module of (b, c, h, w) in and out, usable alone (`autola.OPERATORS["se"].build(64)`), in the grammar
(`autola cost 'aw+se'`), and, where it keeps channels and map, as a primitive of a search space
(`autola search --primitives none skip_connect se eca`). Options and defaults are in the docstrings of
`search_space/operators/`.

Four places: *block*: after the last norm of a block, before the addition; *inner* (the cell): in a bottleneck after the
norm of the 3x3 convolution; *activation*: after the ReLU that follows it; *conv*: instead of a convolution, whose weight
keeps its key. `[stages=34]` chooses stages, `[stages=fpn]` a feature pyramid's convolutions.
"""

PUBLIC = """\
## Public implementations, compared

What was found by running them against the equations (the papers' facts, and what each gets wrong):

| operator | where | state |
| --- | --- | --- |
| cell | `btma48/AutoLA` | the gate of the sum is a constant 0.5 at 16 channels (a hidden layer of 0 units); here at least one unit. Search and evaluation have other SE reductions; here one. Its scripts no longer run |
| `aw` | none by the authors | the printed 44.95 M of AW-ResNet101 is not reachable by any plain reading |
| `aa` | `kamenbliznashki/chexpert` | right |
| `aa` | `LegenDong/attention-augmented.pytorch` | right without gradients; cannot train (an in-place product on a view) |
| `aa` | `leaderj1001/Attention-Augmented-Conv2d` | wrong by 0.49: output reshaped without transposing; square maps only |
| `aa` | `MartinGer/Attention-Augmented-Convolutional-Networks` | wrong by 0.47: heads are summed; square maps only |
| `ga` | mmcv `GeneralizedAttention` | `0100`, `0110`, `1100`, `1110`: an error on maps that are not square, silently wrong on those that are; `spatial_range` for 256 or 512 channels only |
| `cbam` | `Jongchan/attention-module` | the spatial gate's norm starts at weight 0, so at a gate of 0.5 |
| `ge` | timm 1.0 | `use_mlp` and `extra_params` fail to build; the former is put in place here, the latter is missing |
"""


@dataclass(frozen=True, kw_only=True)
class Law:
    """What an operator computes and costs.

    In the laws C is the number of channels (in and out), H and W the sides of the map, N = H W, h the hidden
    units; they hold for the defaults, at 32 channels or more.
    """

    name: str
    formula: str
    params: str
    macs: str
    where: dict[str, str] | None = None
    """Further letters of the laws, as expressions of C, H and W."""


SEPARABLE = "x σ(BN(P D relu(BN(P D x)))), D depthwise 3x3, P 1x1"
LAWS = (
    Law(name="none", formula="0", params="0", macs="0"),
    Law(name="skip_connect", formula="x", params="0", macs="0"),
    Law(name="sep_conv_3x3", formula=SEPARABLE, params="2*C**2 + 22*C", macs="2*N*(C**2 + 9*C)"),
    Law(
        name="dil_conv_3x3",
        formula="x σ(BN(P D x)), D depthwise 3x3 of dilation 2",
        params="C**2 + 11*C",
        macs="N*(C**2 + 9*C)",
    ),
    Law(
        name="sep_conv_3x3_spatial",
        formula="the same gate of [max; mean] over the channels, one factor a position",
        params="48",
        macs="42*N",
    ),
    Law(
        name="dil_conv_3x3_spatial",
        formula="x σ(BN(a K [max; mean])), K 3x3 of dilation 2, a a scalar",
        params="21",
        macs="19*N",
    ),
    Law(name="SE", formula="x σ(W2 relu(W1 mean x))", params="2*C*h", macs="2*C*h", where={"h": "C//4"}),
    Law(
        name="SE_A_M",
        formula="x σ(MLP(mean x) + MLP(max x))",
        params="2*C*h",
        macs="4*C*h",
        where={"h": "C//4"},
    ),
    Law(
        name="CBAM",
        formula="as `cbam`, reduction 4",
        params="2*C*h + h + C + 100",
        macs="4*C*h + 98*N",
        where={"h": "C//4"},
    ),
    Law(
        name="se",
        formula="x σ(W2 relu(W1 mean x + b1) + b2)",
        params="2*C*h + h + C",
        macs="2*C*h",
        where={"h": "C//16"},
    ),
    Law(
        name="cbam",
        formula="y = x σ(MLP(mean x) + MLP(max x)); y σ(BN(K [max y; mean y])), K 7x7",
        params="2*C*h + h + C + 100",
        macs="4*C*h + 98*N",
        where={"h": "C//16"},
    ),
    Law(
        name="aw",
        formula="conv(x, K + A K), A = σ(BN(W2 relu(BN(W1 pool x)))), a factor an output channel and tap",
        params="9*C**2 + 2*C*h + 2*(h + C)",
        macs="9*C**2*N + 9*C**2 + 18*C*h",
        where={"h": "C//16"},
    ),
    Law(
        name="aa",
        formula="[conv(x); W softmax((q k + q r_W[dx] + q r_H[dy]) / sqrt(d)) v], heads side by side",
        params="9*C*(C - v) + C*(2*k + v) + v**2 + 2*(H + W - 1)*k//m",
        macs="N*(9*C*(C - v) + C*(2*k + v) + v**2) + N*k*(N + 2*(H + W - 1)) + N*N*v",
        where={"m": "min(8, C//10)", "k": "m*max(20, C//5//m)", "v": "m*(C//10//m)"},
    ),
    Law(
        name="ga",
        formula="x + γ(b + Σ_m P softmax(z U V x + z U W R + u V x + v W R) V' x), the terms whose bit is 1",
        params="5*C**2 + 3*C + 1",
        macs="C**2*(2*N + 2*n) + C*(2*N*n + N*(i + j) + n) + (C**2//2 + C)*(H*i + W*j)",
        where={"i": "(H + 1)//2", "j": "(W + 1)//2", "n": "i*j"},
    ),
    Law(
        name="ga:0010",
        formula="x + γ(b + P Σ softmax(u V x) V' x): one map an image",
        params="3*C**2 + 2*C + 1",
        macs="C**2*(2*n + 1) + 2*C*n",
        where={"n": "((H + 1)//2)*((W + 1)//2)"},
    ),
    Law(
        name="dcn",
        formula="Σ_t K[t] x(p + t + o[t, p]), o a 3x3 convolution of x",
        params="9*C**2 + 162*C + 18",
        macs="N*(9*C**2 + 162*C)",
    ),
    Law(
        name="dynamic",
        formula="x + γ Σ_p softmax(W x)[p] x[q + p], 3x3 taps, m heads",
        params="9*m*C + 1",
        macs="9*N*C*(m + 1)",
        where={"m": "8"},
    ),
    Law(
        name="coordinate",
        formula="x σ(F_h f)[i] σ(F_w f)[j], f = hardswish(BN(F [mean over columns; mean over rows]))",
        params="3*C*h + 3*h + 2*C",
        macs="2*C*h*(H + W)",
        where={"h": "max(8, C//32)"},
    ),
    Law(name="simam", formula="x σ((x - mean)² / (4 (variance + λ)) + 1/2)", params="0", macs="0"),
    Law(
        name="triplet",
        formula="mean of three maps, each gated by σ(BN(K [max; mean])) over one plane, K 7x7",
        params="300",
        macs="98*(C*H + C*W + H*W)",
    ),
    Law(
        name="eca",
        formula="x σ(K mean x), K one-dimensional over the channels",
        params="k",
        macs="k*C",
        where={"t": "int((log2(C) + 1)/2)", "k": "max(3, t if t % 2 else t + 1)"},
    ),
    Law(name="ese", formula="x hardsigmoid(W mean x + b)", params="C**2 + C", macs="C**2"),
)


def evaluate(law: Law, channels: int, height: int, width: int) -> tuple[int, int]:
    """Parameters and multiply-accumulates by the laws."""
    letters: dict[str, object] = {"C": channels, "H": height, "W": width, "N": height * width}
    letters |= {"min": min, "max": max, "int": int, "log2": math.log2}
    for letter, expression in (law.where or {}).items():
        letters[letter] = eval(expression, {"__builtins__": {}}, letters)
    params, macs = (eval(text, {"__builtins__": {}}, letters) for text in (law.params, law.macs))
    return params, macs


def measured(name: str, channels: int, height: int, width: int) -> tuple[int, int]:
    """Parameters and multiply-accumulates of the module."""
    from evaluators.cost import macs, params
    from search_space.operator import OPERATORS

    recipe = OPERATORS[name]
    sized = {"size": (height, width)} if getattr(recipe.module, "sized", False) else {}
    module = recipe.build(channels, **sized).eval()
    return params(module), macs(module, (channels, height, width))


def operators() -> str:
    """The text of the page."""
    return "\n".join((HEAD, _laws(), _sizes(), _printed(), PUBLIC)).rstrip() + "\n"


def _laws() -> str:
    lines = [
        "## Formulas and cost laws\n",
        "C channels in and out, a map of H x W, N = H W; σ the sigmoid. Parameters and multiply-accumulates (MACs) of the",
        "definition at the default options, from 32 channels up; those of *conv* include the 3x3 convolution itself. A test",
        "evaluates each law against the module.\n",
        "| operator | formula | parameters | MACs | with |",
        "| --- | --- | --- | --- | --- |",
    ]
    for law in LAWS:
        letters = ", ".join(f"{letter} = {text}" for letter, text in (law.where or {}).items())
        cells = (f"`{law.name}`", law.formula, f"`{law.params}`", f"`{law.macs}`", letters and f"`{letters}`")
        lines.append(f"| {' | '.join(cell.replace('**2', '²').replace('*', ' ') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _sizes() -> str:
    from search_space.operator import OPERATORS

    lines = [
        f"## All operators, at {CHANNELS} channels and a map of {SIDE} x {SIDE}\n",
        "| operator | place | parameters | MACs | what | source |",
        "| --- | --- | ---: | ---: | --- | --- |",
    ]
    for name, recipe in OPERATORS.items():
        count, cost = measured(name, CHANNELS, SIDE, SIDE)
        where = f"{recipe.place}, last {recipe.last_stages} stages" if recipe.last_stages else recipe.place
        lines.append(
            f"| `{name}` | {where} | {count:,} | {cost:,} | {recipe.summary} | {_source(recipe.module)} |"
        )
    return "\n".join(lines) + "\n"


def _source(module: type) -> str:
    """What a docstring, or its file's, names as the source."""
    for text in (module.__doc__ or "", sys.modules[module.__module__].__doc__ or ""):
        for paragraph in text.replace("\n        ", "\n    ").split("\n\n"):
            words = " ".join(paragraph.split())
            if words.startswith("Source: "):
                return (
                    words.removeprefix("Source: ")
                    .partition(" Differs from")[0]
                    .rstrip(".")
                    .replace("|", "\\|")
                )
    raise ValueError(f"{module.__name__} names no source")


def _printed() -> str:
    from evaluators.published import PUBLIC_MODULE_SIZES, PUBLISHED_SIZES

    lines = [
        "## The papers' tables\n",
        "Printed sizes and ours (`evaluators/published.py`; a test holds every row). G: operations in units of 10⁹, which",
        "the AW paper counts once and the AA paper twice a multiply-accumulate. Differences in bold.\n",
        "| paper | network | `--backbone` | attention | printed M | ours | printed G | ours | note |",
        "| --- | --- | --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in PUBLISHED_SIZES:
        giga = f"{row.macs_each * row.macs / 1e9:.3f}"
        cells = (
            row.paper,
            row.row,
            f"`{row.backbone}`",
            f"`{row.attention}`",
            row.million_params or "unknown",
            f"{row.params:,}" if row.same_params else f"**{row.params:,}**",
            row.giga or "unknown",
            giga if row.same_giga else f"**{giga}**",
            row.note,
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("\nModules alone, with as many parameters as mmcv's `GeneralizedAttention`:\n")
    lines += ["| operator | channels | parameters |", "| --- | ---: | ---: |"]
    lines += [f"| `{name}` | {width} | {size:,} |" for (name, width), size in PUBLIC_MODULE_SIZES.items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Writes the page."""
    PAGE.write_text(operators(), encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
