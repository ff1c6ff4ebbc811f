"""The page of the matrix: what passes, and why the rest does not."""

from __future__ import annotations

import re
from typing import Any

KINDS: tuple[str, ...] = ("pass", "refused", "plain", "wrong")
SAYS = {
    "attach": "attention goes in, and changes the output once opened",
    "identity": "`identity=True` keeps the output to the bit, in evaluation and training",
    "pickle": "`torch.save(model)`, loaded in a fresh process: the same bits",
    "copy": "`copy.deepcopy`: the same bits, weights of its own",
    "state": "state dicts from plain to attended, attended to attended, attended to plain",
    "detach": "`autola.detach`: the plain network's bits and keys",
    "fold": "norms folded by `torch.fx`, `torch.ao`, the network's own `fuse`: the same outputs, or an error",
    "export": "`torch.export`: the same outputs",
    "onnx": "ONNX Runtime: the same outputs",
    "int8": "static quantisation of ONNX Runtime: runs, and loses little beside the plain network",
    "compile": '`torch.compile(fullgraph=True, backend="aot_eager")`: the same outputs',
    "pt2e": "the exported program quantised by torchao (x86): likewise",
}
HEAD = """# The matrix of models

Written by `python -m benchmarks.models` from [models.json](../outputs/published/models.json): do not edit
it. {made}.
Networks have random weights and images of 64 pixels where they take them. [Into your model](models.md) says
how to use them.

Each network with each attention goes through {checks} checks. A check passes; or is
refused by autola in one line; or fails on the plain network as well, and says nothing about attention; or is
wrong. Where attention does not go in, there is nothing else to check. What compiles, exports and quantises
has attention at three of its places at most.

| check | says | pass | refused | plain fails too | wrong |
|---|---|---|---|---|---|
{summary}

## Networks

The first number is that of the places; `all` means that every check was done, `7 of 12` that seven were. They
pass, but for those that are named with the number of their note.

| network | {attentions} |
|---|{rule}
{rows}

## Notes

{notes}
"""


def kind_of(said: str) -> str:
    """Whether an answer is a pass, a refusal, the plain network's own failing, or wrong."""
    return said.partition(":")[0]


def counts(figures: dict[str, Any]) -> dict[str, dict[str, int]]:
    """How often each check gave each kind of answer, over all networks with attention."""
    found = {check: dict.fromkeys(KINDS, 0) for check in SAYS}
    for cells in figures["networks"].values():
        for cell in cells.values():
            for check, said in cell["checks"].items():
                found[check][kind_of(said)] += 1
    return found


def page(figures: dict[str, Any]) -> str:
    """The page in Markdown."""
    summary = [
        f"| `{check}` | {SAYS[check]} | " + " | ".join(str(numbers[kind]) for kind in KINDS) + " |"
        for check, numbers in counts(figures).items()
    ]
    networks = figures["networks"]
    attentions = list(dict.fromkeys(a for cells in networks.values() for a in cells))
    notes = dict[str, int]()
    rows = [
        f"| {name} | " + " | ".join(_cell(cells.get(attention), notes) for attention in attentions) + " |"
        for name, cells in networks.items()
    ]
    made = ", ".join(f"{name} {value}" for name, value in figures["surroundings"].items() if value)
    return HEAD.format(
        made=made[0].upper() + made[1:],
        checks=len(SAYS),
        summary="\n".join(summary),
        attentions=" | ".join(f"`{attention}`" for attention in attentions),
        rule="---|" * len(attentions),
        rows="\n".join(rows),
        notes="\n".join(f"{number}. {_escaped(note)}" for note, number in notes.items()),
    )


def _cell(cell: dict[str, Any] | None, notes: dict[str, int]) -> str:
    if not cell or not cell["checks"]:
        return ""
    checks: dict[str, str] = cell["checks"]
    bad = {check: said for check, said in checks.items() if said != "pass"}
    marks = {check: notes.setdefault(_nameless(said), len(notes) + 1) for check, said in bad.items()}
    if "attach" in bad:
        return f"refused, {marks['attach']}"
    passed = "all" if len(checks) == len(SAYS) else f"{len(checks)} of {len(SAYS)}"
    but = ", but " if marks else ""
    return (
        f"{cell.get('places', '?')}: {passed}{but}{', '.join(f'{check} {n}' for check, n in marks.items())}"
    )


def _nameless(said: str) -> str:
    """An answer without names of modules, so that one note serves for all networks."""
    return re.sub(r"'[\w.]+'", "...", said)


def _escaped(note: str) -> str:
    """A note as Markdown shows it: no part of it is taken for markup."""
    return (
        note.replace("\\", "\\\\")
        .replace("<", "\\<")
        .replace("|", "\\|")
        .replace("*", "\\*")
        .replace("_", "\\_")
    )
