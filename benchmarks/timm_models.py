"""Where attention goes in every model that timm lists: sites found, or the reason why there are none.

    python -m benchmarks.timm_models

Each model is made without memory (PyTorch's meta device), so all of them take some minutes. The smallest
model of each file of timm in which sites are found is then made with random weights: `se` starts as the
identity, the outputs have to be those of the plain network to the bit, and again after `autola.detach`.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import tyro
from timm.models import model_entrypoint
from torch import nn

import autola
from foundation.files import write_text
from supernet.sites import find_sites

HEAD = """# timm's models

Written by `python -m benchmarks.timm_models` from [timm.json](../outputs/published/timm.json): do not edit
it. Tried with timm {timm} and torch {torch}, each of its {count} models: in {found} of them sites are found,
{refused} are refused with a reason, and {failed} cannot be made without memory and were not tried.

What is refused lacks residual blocks of convolutions on maps of (b, c, h, w): name sites in it. The last
column is the smallest model of the file, made with random weights: with `se` that starts as the identity it
gives the plain network's outputs to the last bit, and so it does after `autola.detach`.

| timm.models | models | with sites | sites | tried |
|---|---|---|---|---|
{rows}

## Reasons

| models | reason |
|---|---|
{reasons}
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the command."""

    out: Path = Path("outputs/published/timm.json")
    """File of the answers; what it has is not tried again."""
    page: Path | None = Path("docs/timm-models.md")
    """Page that the table is written to; none where it is left out."""
    only: tuple[str, ...] = ()
    """Names of the models; all if left out."""


def sites_of(name: str) -> dict[str, Any]:
    """How many sites a model has for attention on maps, or why none."""
    with torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            model: nn.Module = timm.create_model(name)
        except Exception as error:  # whatever a constructor does that needs numbers
            return {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"}
        params = sum(weight.numel() for weight in model.parameters())
        try:
            return {"params": params, "sites": len(find_sites(model, "inner"))}
        except autola.InputError as error:
            return {"params": params, "refused": str(error).partition(";")[0]}


def tried(name: str) -> str:
    """Whether a model keeps its outputs with attention that starts as the identity, and without it again."""
    torch.manual_seed(0)
    model: Any = timm.create_model(name).eval()
    size = model.pretrained_cfg.get("input_size", (3, 224, 224))
    images = torch.randn(2, *size)
    with torch.no_grad():
        plain = model(images)
        autola.attach(model, "se", identity=True, input_shape=size)
        count = len(autola.attached(model))
        attended = model(images)
        bare = autola.detach(model)(images)
    same = torch.equal(plain, attended) and torch.equal(plain, bare)
    return f"{name}: {count} sites, the same bits" if same else f"{name}: wrong"


def measure(options: Options) -> dict[str, Any]:
    """The answers of all models, kept after each one."""
    out = options.out
    found: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {"models": {}, "tried": {}}
    found |= {"timm": timm.__version__, "torch": torch.__version__.partition("+")[0]}
    for name in options.only or timm.list_models():
        if name not in found["models"]:
            file = model_entrypoint(name).__module__.rpartition(".")[2]
            found["models"][name] = {"file": file} | sites_of(name)
            write_text(out, json.dumps(found) + "\n")
    smallest = dict[str, str]()
    models = found["models"]
    for name in sorted(models, key=lambda name: models[name].get("params", 0)):
        if "sites" in models[name]:
            smallest.setdefault(models[name]["file"], name)
    for file, name in smallest.items():
        if file not in found["tried"]:
            found["tried"][file] = tried(name)
            print(found["tried"][file], file=sys.stderr, flush=True)
            write_text(out, json.dumps(found) + "\n")
    return found


def page(found: dict[str, Any]) -> str:
    """The page in Markdown."""
    models: dict[str, dict[str, Any]] = found["models"]
    by_file = defaultdict[str, list[dict[str, Any]]](list)
    for answer in models.values():
        by_file[answer["file"]].append(answer)
    rows = list[str]()
    for file, answers in sorted(by_file.items()):
        counts = sorted(answer["sites"] for answer in answers if "sites" in answer)
        sites = (
            "" if not counts else str(counts[0]) if len({*counts}) == 1 else f"{counts[0]} to {counts[-1]}"
        )
        rows.append(f"| {file} | {len(answers)} | {len(counts)} | {sites} | {found['tried'].get(file, '')} |")
    reasons = Counter(
        answer.get("refused") or answer.get("failed") for answer in models.values() if "sites" not in answer
    )
    return HEAD.format(
        timm=found["timm"],
        torch=found["torch"],
        count=len(models),
        found=sum("sites" in answer for answer in models.values()),
        refused=sum("refused" in answer for answer in models.values()),
        failed=sum("failed" in answer for answer in models.values()),
        rows="\n".join(rows),
        reasons="\n".join(f"| {count} | {reason} |" for reason, count in reasons.most_common()),
    )


def main() -> None:
    """Tries what is not tried yet, and writes the page."""
    options = tyro.cli(Options, description=__doc__)
    logging.getLogger("supernet.sites").setLevel(logging.ERROR)  # it reports what it finds in each
    found = measure(options)
    if options.page is not None:
        write_text(options.page, page(found))
    wrong = [said for said in found["tried"].values() if "same bits" not in said]
    print("\n".join(wrong) or "none wrong")
    if wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
