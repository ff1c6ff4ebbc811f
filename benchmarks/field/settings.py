"""J and N: settings that make no sense together, and numbers that are none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks.field.cells import tried
from benchmarks.field.jobs import WORDS
from benchmarks.field.work import Work
from benchmarks.field.wrong import expect

SMALL: str = "--data.limit 60 --width 8 --device cpu --threads 1"
LINES: dict[str, dict[str, str]] = {
    "search": {
        "--searcher evolution --searcher.trials 4 --searcher.population 9": "population",
        "--searcher random --searcher.trials 0": "trials",
        "--searcher.epochs 0": "epochs",
        "--searcher.batch-size 99999": "batch",
        "--searcher.learning-rate inf": "learning_rate",
        "--searcher.learning-rate -0.1": "learning_rate",
        "--num-nodes 3 --searcher.batch-size 10": "groups",
        "--width 1000000007 --searcher.batch-size 10": "width",
        "--primitives skip_connect skip_connect": "twice",
        "--primitives none": "primitive",
        "--target macs<=0": "macs",
        "--target macs<=nan": "macs",
        "--target macs<=1k": "macs",
        "--target watts<=3": "watts",
        "--target-weight -1": "target_weight",
        "--threads 99999": "threads",
        "--devices 0": "devices",
        "--data.cutout 99": "cutout",
        "--data.limit 3": "limit",
        "--data.std 0": "std",
        "--data.mean nan": "mean",
        "--jobs 2": "nni",
    },
    "retrain": {
        "se se": "twice",
        "none --seeds 1 1": "twice",
        "none --train.milestones 5 3": "milestones",
        "none --train.learning-rate nan": "learning_rate",
        "none --train.weight-decay -1": "weight_decay",
        "none --train.momentum 1.5": "momentum",
        "none --train.validation-fraction 1": "validation_fraction",
        "none --train.validation-fraction nan": "validation_fraction",
        "none --train.label-smoothing 1": "label_smoothing",
        "none --train.drop-path 1": "drop_path",
        "none --train.epochs 99999999999": "epochs",
        "none --train.batch-size 7 --train.accumulate 2": "batch",
        "none --train.warmup-epochs 500": "warm",
        "none --jobs 0": "jobs",
        "none --width 0": "width",
        "none --preset digits --preset cifar10": "preset",
        "none --weights gone.safetensors": "gone.safetensors",
        "--smoke": "attention",
        "hoga:nowhere": "nowhere",
        "se[reduction=0]": "reduction",
    },
    "cost": {
        "se[reduction=1e9]": "reduction",
        "eca[gamma=inf]": "gamma",
        "simam[regularization=nan]": "regularization",
        "aa[heads=0]": "heads",
        "ga:2222": "ga",
        "dcn[groups=0]": "groups",
        "se --width 99999999999": "width",
        "se --input 0 32 32": "input",
        "se --input 3 -1 32": "input",
        "se --num-classes 0": "num_classes",
        "se+none": "none",
        "se++cbam": "se++cbam",
        "aw+dcn": "convolution",
        "--backbone resnet1 se": "resnet1",
    },
}
"""Command to what is given and what the refusal has to name."""


def _register(command: str, given: str, naming: str) -> None:
    numbers = any(word in given for word in ("nan", "inf", "-1", "99999", "1e9", "-0.1"))

    @tried("N" if numbers else "J", f"{command} {given}", command)
    def _(work: Work, column: str) -> str:
        words = SMALL.split() if command != "cost" else ["--no-latency"]
        for word in (word for word in given.split() if word in words and word.startswith("--")):
            del words[words.index(word) : words.index(word) + 2]
        out = [] if command == "cost" else ["--out", "run"]
        return work.refused(command, *given.split(), *words, *out, naming=naming)


for _command, _lines in LINES.items():
    for _given, _naming in _lines.items():
        _register(_command, _given, _naming)


@tried("N", "weights of NaN, of integers, of another network", "export", "predict", "retrain")
def _(work: Work, column: str) -> str:
    import torch
    from safetensors.torch import load_file, save_file

    run = Path(work.member("classification"))
    file = run / "weights.safetensors"
    tensors = load_file(file)
    picture = str(next(Path("data").rglob("*.png")))
    line = ""
    for change in (
        lambda tensor: tensor * float("nan") if tensor.is_floating_point() else tensor,
        lambda tensor: tensor.round().to(torch.int32),
    ):
        save_file({key: change(tensor) for key, tensor in tensors.items()}, file)
        if column == "export":
            line = work.refused("export", str(run), "--program", "x.pt2")
        elif column == "predict":
            line = work.refused("predict", str(run), picture, "--json")
        else:
            words = [*WORDS["classification"], "--weights", str(file), "--out", "new"]
            line = work.refused(*words)
    return line


@tried("N", "what is printed as JSON is JSON", "inspect", "cost", "list", "predict")
def _(work: Work, column: str) -> str:
    words = {"list": ["list"], "cost": ["cost", "none", "se", "--no-latency"]}.get(column, [])
    if column == "inspect":
        words = ["inspect", str(work.finished("search")), "--no-latency"]
    if column == "predict":
        words = ["predict", work.member("classification"), str(next(Path("data").rglob("*.png")))]
    told = work.done(*words, "--json")

    def none(text: str) -> None:
        raise ValueError(text)

    json.loads(told.out, parse_constant=none)
    expect(told.out.count("\n") == 1, "more than one line")
    return "right"


@tried("J", "the budget is larger than the space", "search")
def _(work: Work, column: str) -> str:
    return work.refused_or_right(
        *("search", "--searcher", "random", "--searcher.trials", "5", "--primitives", "skip_connect", "SE"),
        *("--num-nodes", "1", "--searcher.epochs", "1", "--searcher.batch-size", "10", "--out", "run"),
        *SMALL.split(),
        naming="2",
    )


@tried("J", "one candidate diverges, and the search goes on", "search", "front")
def _(work: Work, column: str) -> str:
    import torch

    from searchers.searches.problem import Problem

    real, calls = Problem.found, list[int]()

    def found(self: Problem, *given: object) -> torch.nn.Module:
        network = real(self, *given)  # type: ignore[arg-type]
        calls.append(1)
        if len(calls) == 2:
            with torch.no_grad():
                next(network.parameters()).fill_(float("nan"))
        return network

    Problem.found = found  # type: ignore[method-assign]
    targets = ["--target", "macs<=2x", "macs<=3x"] if column == "front" else []
    told = work.done(
        *("search", "--searcher", "random", "--searcher.trials", "3", "--num-nodes", "2", *targets),
        *("--searcher.epochs", "1", "--searcher.batch-size", "10", "--out", "run", *SMALL.split()),
    )
    expect("fail" in told.err or "diverge" in told.err, "not said")
    shutil.rmtree("run")
    return "right: named, and passed over"
