"""All that only a GPU can tell, in eight minutes of one: each part apart, kept as it ends.

    python -m benchmarks.gpu --root FOLDER --folder outputs/published/gpu

Parts: a search step in every way in which it can be run; a whole search on CIFAR-10, its time extrapolated
from some hundred steps; the training step of networks with attention; inference of deployed networks, as
recorded CUDA graphs too; several seeds trained as one program. A part whose file is there is not measured
again, and none begins when the minutes are over: the same command goes on. `--tiny` runs everything small, on
a CPU too, to see that it works; such figures say so.
"""

from __future__ import annotations

import json
import statistics
import time
import traceback
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import full_search
from benchmarks.answer import answer
from benchmarks.measure import surroundings
from benchmarks.search_step import Step
from evaluators.deploying import deploy
from foundation.files import write_text
from search_space.space import SPACES
from supernet.attach import attach
from supernet.backbones import build_backbone
from supernet.supernet import Form, Supernet


@dataclass(frozen=True, kw_only=True)
class Options:
    """Measures on a GPU what a CPU cannot tell."""

    root: str | None = None
    """CIFAR-10, for the whole search; digits if left out."""
    folder: Path = Path("outputs/runs/gpu")
    """Where each part keeps its figures."""
    minutes: float = 8.0
    """No part, and no case of a part, begins after so many."""
    parts: tuple[str, ...] = ()
    """Names of the parts to measure; all if left out."""
    batch: int = 128
    """Images of a step."""
    repeats: int = 20
    """Timed turns; the median counts."""
    seeds: int = 8
    """Networks that are trained as one program."""
    search_steps: int = 200
    """Steps of the whole search that are run; its time is extrapolated."""
    tiny: bool = False
    """Small networks and few turns, to see that all parts run."""
    json: bool = False
    """Print one JSON object alone."""


@dataclass(frozen=True)
class Work:
    """What a part is measured with."""

    options: Options
    device: torch.device
    until: float

    @property
    def net(self) -> str:
        return "cifar_resnet8" if self.options.tiny else "cifar_resnet20"

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    def images(self, batch: int, side: int = 32) -> Tensor:
        """Random images on the device, channels last."""
        images = torch.randn(batch, 3, side, side, device=self.device)
        return images.contiguous(memory_format=torch.channels_last)

    def median_ms(self, run: Callable[[], object]) -> float:
        """Median milliseconds of a call, the device waited for."""
        for _ in range(0 if self.options.tiny else 5):
            run()
        found = list[float]()
        for _ in range(self.options.repeats):
            self.wait()
            began = time.perf_counter()
            run()
            self.wait()
            found.append(1e3 * (time.perf_counter() - began))
        return float(f"{statistics.median(found):.4g}")

    def wait(self) -> None:
        if self.on_gpu:
            torch.cuda.synchronize()

    def cases(self, cases: dict[str, Callable[[], Any]]) -> dict[str, Any]:
        """What each case gives, or why it gives nothing."""
        found = dict[str, Any]()
        for name, run in cases.items():
            if time.monotonic() > self.until:
                found[name] = "not measured: the minutes were over"
                continue
            try:
                found[name] = run()
            except Exception as error:  # one way that fails must not cost the other figures
                found[name] = f"failed: {traceback.format_exception_only(error)[-1].strip()[:300]}"
            if self.on_gpu:
                torch.cuda.empty_cache()
        return found


def search_step(work: Work) -> dict[str, Any]:
    """Milliseconds of a first-order search step: plain and grouped, float32 and bfloat16."""

    def case(form: Form, half: bool) -> float:
        batch = work.options.batch
        with torch.device(work.device):
            supernet = Supernet(build_backbone(work.net), SPACES["hoga"], form)
            labels = torch.randint(10, (2, batch))
        images = [work.images(batch) for _ in range(2)]
        step = Step(supernet, ((images[0], labels[0]), (images[1], labels[1])))

        def run() -> None:
            with torch.autocast(work.device.type, torch.bfloat16, enabled=half):
                step()

        return work.median_ms(run)

    return work.cases(
        {
            f"{form}, {'bfloat16' if half else 'float32'}": lambda form=form, half=half: case(form, half)
            for form in ("plain", "grouped")
            for half in (False, True)
        }
    )


def whole_search(work: Work) -> dict[str, Any]:
    """A search of the `cifar10` preset in the ways in which it can be run: seconds of a step and of all."""
    options = full_search.Options(
        root=work.options.root,
        max_steps=work.options.search_steps,
        part_steps=1 if work.options.tiny else 10,
        batch=8 if work.options.tiny else None,
        limit=80 if work.options.tiny else None,
        device="gpu" if work.on_gpu else "cpu",
    )
    ways: dict[str, dict[str, Any]] = {"eager": {}}
    if work.on_gpu:
        ways |= {
            "recorded": {"cuda_graph": True},
            "recorded, bfloat16": {"cuda_graph": True, "precision": "bf16-mixed"},
            "compiled": {"compile": True},
        }
    return work.cases(
        {
            name: lambda changes=changes: full_search.measure(replace(options, **changes))
            for name, changes in ways.items()
        }
    )


def train_step(work: Work) -> dict[str, Any]:
    """Milliseconds of a training step of networks with attention, eager and as one recorded graph."""

    def case(attention: str, recorded: bool) -> float:
        model = attach(build_backbone(work.net), attention)
        model = model.to(work.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        images = work.images(work.options.batch)
        labels = torch.randint(10, (len(images),), device=work.device)
        optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)

        def run() -> None:
            optimizer.zero_grad(set_to_none=not recorded)
            F.cross_entropy(model(images), labels).backward()
            optimizer.step()

        return work.median_ms(recording(run) if recorded else run)

    ways = {"": False} | ({", recorded": True} if work.on_gpu else {})
    return work.cases(
        {
            attention + way: lambda attention=attention, recorded=recorded: case(attention, recorded)
            for way, recorded in ways.items()
            for attention in ("none", "se", "cbam", "hoga")
        }
    )


def deployed(work: Work) -> dict[str, Any]:
    """Milliseconds of inference: plain, with a cell, and that cell deployed; eager, compiled and recorded."""

    def case(which: str, batch: int, way: str) -> float:
        model = build_backbone(work.net).eval()
        if which != "plain":
            model = attach(model, "hoga").eval()
        if which == "deployed":
            model = deploy(model)
        model = model.to(work.device).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        images = work.images(batch)
        called: Callable[[Tensor], Any] = model
        if way == "compiled":
            called = torch.compile(model, mode="reduce-overhead" if work.on_gpu else "default")

        def run() -> None:
            with torch.no_grad():
                called(images)

        return work.median_ms(recording(run) if way == "recorded" else run)

    ways = ("eager", "recorded", "compiled") if work.on_gpu else ("eager",)
    return work.cases(
        {
            f"{which}, batch {batch}, {way}": lambda which=which, batch=batch, way=way: case(
                which, batch, way
            )
            for way in ways
            for batch in ((1,) if work.options.tiny else (1, 64))
            for which in ("plain", "hoga", "deployed")
        }
    )


def stacked_seeds(work: Work) -> dict[str, Any]:
    """Milliseconds of a step of several seeds: one after another, and stacked by `torch.func`."""
    seeds = work.options.seeds
    images = work.images(work.options.batch)
    labels = torch.randint(10, (len(images),), device=work.device)

    def models(attention: str) -> list[nn.Module]:
        found = list[nn.Module]()
        for seed in range(seeds):
            torch.manual_seed(seed)
            found.append(attach(build_backbone(work.net), attention).to(work.device).train())
        return found

    def apart(attention: str) -> float:
        networks = models(attention)

        def run() -> None:
            for network in networks:
                network.zero_grad()
                F.cross_entropy(network(images), labels).backward()

        return work.median_ms(run)

    def stacked(attention: str) -> float:
        networks = models(attention)
        params, buffers = torch.func.stack_module_state(networks)
        base = deepcopy(networks[0]).to("meta")

        def loss(params: dict[str, Tensor], buffers: dict[str, Tensor]) -> Tensor:
            return F.cross_entropy(torch.func.functional_call(base, (params, buffers), (images,)), labels)

        step = torch.func.vmap(torch.func.grad(loss))
        return work.median_ms(lambda: step(params, buffers))

    ways = {"one after another": apart, "stacked": stacked}
    return work.cases(
        {
            f"{attention}, {seeds} seeds, {name}": lambda attention=attention, way=way: way(attention)
            for attention in ("none", "se", "hoga")
            for name, way in ways.items()
        }
    )


def recording(run: Callable[[], None]) -> Callable[[], None]:
    """Records what a function does on the GPU as a CUDA graph; calling the result replays it."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return graph.replay


PARTS: dict[str, Callable[[Work], dict[str, Any]]] = {
    "search_step": search_step,
    "whole_search": whole_search,
    "train_step": train_step,
    "deployed": deployed,
    "stacked_seeds": stacked_seeds,
}


def measure(options: Options) -> dict[str, Any]:
    """The figures of all parts, kept as they end."""
    if unknown := set(options.parts) - set(PARTS):
        raise SystemExit(f"no part {min(unknown)}; there are {', '.join(PARTS)}")
    if options.tiny:
        options = replace(options, batch=4, repeats=1, seeds=2, search_steps=2)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    work = Work(options, device, time.monotonic() + 60 * options.minutes)
    found = dict[str, Any]()
    for name in options.parts or PARTS:
        file = options.folder / f"{name}.json"
        if file.exists():
            found[name] = json.loads(file.read_text())
        elif time.monotonic() < work.until:
            began = time.monotonic()
            figures = PARTS[name](work)
            found[name] = {
                "seconds": round(time.monotonic() - began, 1),
                "batch": options.batch,
                "tiny": options.tiny,
                "figures": figures,
                **surroundings(),
            }
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(found[name], indent=1) + "\n")
    return found


def show(found: dict[str, Any]) -> None:
    """Prints the figures for a person: milliseconds, and of a whole search seconds."""
    for name, part in found.items():
        where = part.get("gpu", f"{part['processor']}, no GPU")
        small = ", tiny: these figures say nothing" if part["tiny"] else ""
        print(f"{name} ({where}, torch {part['torch']}, {part['seconds']} s{small})")
        for case, value in part["figures"].items():
            if isinstance(value, dict):
                whole = "extrapolated" if value["extrapolated"] else "measured"
                value = f"{1e3 * value['step_s']:.4g} ms a step, {value['search_s']:.0f} s in all ({whole})"
            print(f"  {case:40}{value}")


def main() -> None:
    """Measures what is not measured yet, and prints all."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
