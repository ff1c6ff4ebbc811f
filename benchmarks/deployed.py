"""Inference of deployed networks: how many times as long as the plain network's, eager and in runtimes.

One process, one thread, CPU seconds, single precision. Networks take turns, in this order and the other, and
the median of the ratios of a turn counts. `plain` is the network without attention as it is; in the runtimes
these fold its norms themselves. `plain_folded` is the same with its norms folded as `deploy` folds them.
`deployed` is in stock operators alone, `native` with the operator in C++, whose library ONNX Runtime
registers. A runtime that is not installed is skipped, and said. With `--folder` the figures of every net,
batch and runtime are kept in a file of their own, and those that are there are not measured again.
"""

from __future__ import annotations

import copy
import importlib.util
import json
import logging
import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.answer import answer
from benchmarks.measure import count_calls, surroundings
from evaluators.counting import macs
from evaluators.deploying import NATIVE_TARGETS, deploy
from evaluators.runtimes import NEEDED, Target, onnx_bytes, runner
from supernet.attach import attach
from supernet.backbones import build_backbone
from supernet.deploying import fold_backbone

OURS = ("deployed", "native")
"""Deployed in stock operators alone, and with the operator in C++ where it is faster."""

CASES = (("cifar_resnet20", 32, 1), ("cifar_resnet20", 32, 64), ("resnet50", 224, 1))
"""Backbones, the height and width of their images, and how many at a time."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Times inference of deployed networks relative to the plain ones."""

    targets: tuple[Target, ...] = ("eager", "onnxruntime", "openvino")
    """What runs the networks."""
    nets: tuple[str, ...] = ("cifar_resnet20", "resnet50")
    """Backbones."""
    batches: tuple[int, ...] = (1, 64)
    """Images at a time."""
    turns: int = 40
    """Turns at batch 1 of a small network; an eighth of them elsewhere."""
    folder: Path | None = None
    """Where to keep the figures, a file for each net, batch and runtime."""
    json: bool = False
    """Print one JSON object alone."""


def measure(options: Options) -> dict[str, Any]:
    """All figures."""
    torch.set_num_threads(1)
    cases = list[dict[str, Any]]()
    skipped = dict[str, str]()
    for net, side, batch in CASES:
        for target in options.targets:
            if net not in options.nets or batch not in options.batches:
                continue
            missing = [name for name in NEEDED[target][0] if importlib.util.find_spec(name) is None]
            if missing:
                skipped[target] = (
                    f"{target} skipped: {', '.join(missing)} not installed ({NEEDED[target][1]})"
                )
                continue
            turns = options.turns if side < 64 and batch == 1 else max(3, options.turns // 8)
            kept = options.folder / f"{net}-{batch}-{target}.json" if options.folder else None
            if kept is not None and kept.exists():
                cases.append(json.loads(kept.read_text()))
                continue
            cases.append(measure_case(net, side, batch, target, turns))
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                kept.write_text(json.dumps(cases[-1], indent=1) + "\n")
    return {"cases": cases, "skipped": list(skipped.values())}


def measure_case(net: str, side: int, batch: int, target: Target, turns: int) -> dict[str, Any]:
    """One net, batch and runtime."""
    networks, how = build_networks(net, side, batch, target)
    images = torch.randn(batch, 3, side, side, generator=torch.Generator().manual_seed(0))
    logging.disable(logging.INFO)  # of the exporters, about themselves
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        runs = {name: runner(network, images, target) for name, network in networks.items()}
        ratios, seconds = in_turns(runs, turns)
        expected = networks["hoga"](images)
        off = {
            name: float((runs[name]() - expected).abs().max() / expected.abs().max())
            for name in ("hoga", *OURS)
            if name in networks
        }
        figures = {
            name: {
                "ratio": round(statistics.median(ratios[name]), 2),
                "spread": [round(value, 2) for value in statistics.quantiles(ratios[name], n=4)[::2]],
                "milliseconds": round(1e3 * statistics.median(seconds[name]), 3),
                "operators": count_operators(network, images, target),
                "million_macs": round(macs(network, (3, side, side)) / 1e6, 1),
            }
            for name, network in networks.items()
            if name in runs
        }
    return {
        "net": net,
        "side": side,
        "batch": batch,
        "target": target,
        "turns": turns,
        "chosen": how,
        "networks": figures,
        "difference_to_eager": off,
        **surroundings(),
    }


def build_networks(net: str, side: int, batch: int, target: Target) -> tuple[dict[str, nn.Module], str]:
    """The plain network, with attention as trained, and deployed."""
    torch.manual_seed(0)
    plain = build_backbone(net).eval()
    folded = copy.deepcopy(plain)
    fold_backbone(folded)
    hoga = attach(build_backbone(net), "hoga").eval()
    made = deploy(hoga, (3, side, side), target=target, batch=batch, native=False)
    networks = {
        "plain": plain,
        "plain_folded": folded,
        "se": attach(build_backbone(net), "se").eval(),
        "cbam": attach(build_backbone(net), "cbam").eval(),
        "hoga": hoga,
        "deployed": made,
    }
    if target in NATIVE_TARGETS:
        networks["native"] = deploy(hoga, (3, side, side), target=target, batch=batch, native=True)
    return networks, "; ".join(f"{name}: {networks[name].deployment}" for name in OURS if name in networks)


def in_turns(
    runs: Mapping[str, Callable[[], Tensor]], turns: int
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """For every network the ratios to the plain one, turn by turn, and CPU seconds."""
    ratios: dict[str, list[float]] = {name: [] for name in runs}
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(-2, turns):
        order = list(runs)[:: 1 if turn % 2 else -1]
        found = dict[str, float]()
        for name in order:
            start = time.process_time()
            runs[name]()
            found[name] = time.process_time() - start
        if turn >= 0:
            for name, value in found.items():
                seconds[name].append(value)
                ratios[name].append(value / found["plain"])
    return ratios, seconds


def count_operators(network: nn.Module, images: Tensor, target: Target) -> int:
    """Operator calls of a pass in PyTorch, or nodes of the ONNX model."""
    if target in ("eager", "inductor"):
        return count_calls(lambda: network(images)).total()
    import onnx

    return len(onnx.load_from_string(onnx_bytes(network, images)).graph.node)


def show(figures: dict[str, Any]) -> None:
    """Prints the figures for a person."""
    for case in figures["cases"]:
        what = f"{case['net']}, {case['side']} px, batch {case['batch']}, {case['target']}"
        print(f"{what}, {case['processor']}, one thread, torch {case['torch']}")
        columns = list(next(iter(case["networks"].values())))
        print(f"{'':14}" + "".join(f"{column:>16}" for column in columns))
        for name, values in case["networks"].items():
            print(f"{name:14}" + "".join(f"{value!s:>16}" for value in values.values()))
        print(
            f"  {case['chosen']}; off by at most {max(case['difference_to_eager'].values()):.1e} of the "
            f"largest output"
        )
    for line in figures["skipped"]:
        print(line)


def main() -> None:
    """Prints the figures."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
