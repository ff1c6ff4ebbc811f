"""Whether searchers find which module stands where, where that is known.

A teacher is a network with one module of random weights at one site; it labels random smooth images, and the
search starts from the teacher's plain weights, all frozen, and regresses on its logits, so that this module
at this site helps and nothing else does. The network is a ResNet-14 of 8 channels with random weights, its
norms with the statistics of the images: six sites. Five candidates: nothing, a channel gate, a gate of
positions, context from afar that is added, and `coordinate`, which holds a channel gate and costs more. Cost
is limited to that of the planted module, or of the cheapest `se` where that is more, so that nothing can be
added to the answer. In the null problem the teacher is the plain network, nothing helps anywhere, and the
limit is the dearest candidate at one site.

A teacher is drawn anew until the answer can be told: its module, trained alone at its site, learns the
teacher; no other candidate that keeps the limit does so there, nor the same module at another site.
Random gates of positions act much like one factor for all of them, context acts alike at neighbours: without
this the truth is not the best answer. It is settled before, and without, any search.

A control, `drawn`, searches nothing: its finals begin with placements that are drawn. What it finds, finals
find by themselves.

Every result is kept as it comes: the same command goes on where it was stopped.
"""

from __future__ import annotations

import copy
import json
import platform
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, cast

import torch
import tyro
from lightning.fabric import Fabric
from torch import Tensor, nn

from evaluators.place_costs import PlaceTable, place_table
from foundation.files import write_text
from foundation.seeds import seed_of
from search_space.placement import Placement
from search_space.space import NONE
from searchers.candidates import Candidates
from searchers.darts import Darts
from searchers.drnas import DrNas
from searchers.evolution import Evolution
from searchers.finals import Finals
from searchers.gdas import Gdas
from searchers.limits import Limit, Limits
from searchers.random_ws import RandomWS
from searchers.searches.finals import FinalSearch
from searchers.searches.problem import Problem
from supernet.attach import attach, attached
from supernet.backbones import build_backbone
from supernet.placing import PlacesSupernet, places_of

CANDIDATES = (NONE, "se", "dil_conv_3x3_spatial", "gca", "coordinate")
KINDS = {"channel gate": "se", "gate of positions": "dil_conv_3x3_spatial", "context": "gca", "null": NONE}
"""What is planted, by what it is."""
ATTEMPTS, ALONE_STEPS, REACHABLE, DISTINCT = 60, 160, 0.1, 0.2
"""A teacher is drawn anew until its module, trained alone at its site for so many steps, leaves less than the
first share of the error, and no other placement of one module that was tried less than the second."""
SHAPE = (3, 16, 16)
IMAGES = 512
"""Images of each half."""
COST_WEIGHT = 1.0
"""Weight of the cost in the loss of the choice, in which the plain network's error counts as 1."""

FINALS = Finals(count=5, neighbours=12, epochs=8, learning_rate=0.1)
OF_WEIGHTS: dict[str, Any] = {
    "epochs": 8, "batch_size": 32, "learning_rate": 0.3, "min_learning_rate": 0.03, "weight_decay": 0.0,
    "finals": FINALS,
}  # fmt: skip
OF_ALPHAS: dict[str, Any] = {"alpha_learning_rate": 0.05, "alpha_weight_decay": 0.0}
SEARCHERS: dict[str, Any] = {
    "darts": Darts(**OF_WEIGHTS, **OF_ALPHAS),
    "gdas": Gdas(**OF_WEIGHTS, **OF_ALPHAS),
    "drnas": DrNas(keep=1.0, alpha_warmup=0.0, **OF_WEIGHTS, **OF_ALPHAS),
    "evolution": Evolution(trials=60, population=30, **OF_WEIGHTS),
    "random_ws": RandomWS(trials=60, **OF_WEIGHTS),
}


DRAWN = "drawn"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Searches planted problems."""

    out: Path = Path("outputs/published/planted_places.json")
    """File of the results; what it holds is not done again."""
    searchers: tuple[str, ...] = ("darts", "evolution", "random_ws", DRAWN)
    """Which searchers; drawn is the control."""
    kinds: tuple[str, ...] = tuple(KINDS)
    """What is planted."""
    seeds: int = 10
    """Problems of each kind, each with its own network, module, site and images."""


class Batches:
    """Images and what the teacher says of them."""

    def __init__(self, images: Tensor, logits: Tensor, size: int, seed: int) -> None:
        self.images, self.logits, self.size, self.seed = images, logits, size, seed

    def __len__(self) -> int:
        return len(self.images) // self.size

    def batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        """A batch of an epoch, whose order is its own."""
        generator = torch.Generator().manual_seed(seed_of(self.seed, "order", epoch))
        order = torch.randperm(len(self.images), generator=generator)
        chosen = order[index * self.size : (index + 1) * self.size]
        return self.images[chosen], self.logits[chosen]


@dataclass(frozen=True, kw_only=True)
class Planted(Problem):
    """Regression on a teacher's logits, from its plain network, frozen.

    Attributes:
        unit: Squared error that counts as one.
    """

    unit: float

    @property
    def figure(self) -> str:
        return "fit"

    def loss(self, network: Any, *batch: Any) -> tuple[Tensor, Tensor]:
        images, logits = batch
        error = (network(images) - logits).square().mean() / self.unit
        return error, -error.detach()

    def batches(self, half: int, batch_size: int, *, training: bool = True) -> Any:
        images, logits = cast(Any, self.halves[half])
        return Batches(images, logits, batch_size, self.seed + half)

    @torch.no_grad()
    def judge(self, network: nn.Module, batches: Any) -> float:
        return self.loss(network, batches.images, batches.logits)[1].item()

    def supernet(self, *, parts: int = 1) -> PlacesSupernet:
        torch.manual_seed(seed_of(self.seed, "supernet"))
        return PlacesSupernet(self.backbone(), self.space, keeps_modes=True)  # pyright: ignore[reportArgumentType]


class Drawn:
    """A search of no steps, which ranks placements as they are drawn.

    Args:
        problem: Whose placements.
    """

    step = total_steps = 0
    steps_per_epoch = IMAGES // OF_WEIGHTS["batch_size"]

    def __init__(self, problem: Planted) -> None:
        self.candidates = Candidates(space=problem.space, limits=problem.limits, seed=problem.seed)

    def ranked(self) -> Iterator[Placement]:
        """Placements without end."""
        rng = self.candidates.rng("drawn", ())
        while True:
            yield self.candidates.sample(rng)

    def genotype(self) -> Placement:
        """The first of them."""
        return next(self.ranked())


def search_of(searcher: str, given: Planted) -> Any:
    """A search at step 0, with its finals."""
    if searcher == DRAWN:
        first: Any = Drawn(given)
        return FinalSearch(first, FINALS, SEARCHERS["random_ws"].recipe(), given)
    return SEARCHERS[searcher].start(given)


def images_of(seed: int, count: int) -> Tensor:
    """Smooth random images with a little noise."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 6, 6, generator=generator)
    smooth = nn.functional.interpolate(coarse, size=SHAPE[1:], mode="bilinear")
    return smooth + 0.3 * torch.randn(count, *SHAPE, generator=generator)


class StillNorm(nn.BatchNorm2d):
    """A batch norm that keeps its statistics, whoever trains the network."""

    def train(self, mode: bool = True) -> StillNorm:
        return super().train(False)


def plain_network(seed: int) -> nn.Module:
    """A frozen network of random weights, its norms with the statistics of images."""
    torch.manual_seed(seed_of(seed, "plain"))
    network = build_backbone("cifar_resnet14", num_classes=10, in_channels=3, width=8)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    with torch.no_grad():
        network.train()(images_of(seed_of(seed, "statistics"), 256))
    for norm in norms:
        norm.__class__ = StillNorm
    return network.requires_grad_(False).eval()


def teacher_of(plain: nn.Module, attention: str, site: str, seed: int) -> nn.Module:
    """The network with one module of large random weights, so that what it does depends on the image."""
    torch.manual_seed(seed_of(seed, "teacher"))
    teacher = attach(copy.deepcopy(plain), attention, sites=[site])
    (planted,) = attached(teacher)
    norms = {
        module for module in planted.module.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)
    }
    with torch.no_grad():
        for weight in planted.module.parameters():
            weight.mul_(4) if weight.ndim > 1 else weight.add_(torch.randn_like(weight))
        for norm in norms:
            norm.momentum = None
            norm.weight.fill_(4)
            norm.bias.zero_()
        planted.module.train()
        teacher(images_of(seed_of(seed, "statistics"), 256))
    return teacher.eval()


def problem(kind: str, seed: int, draw: int | None = None) -> tuple[Planted, dict[str, str], int]:
    """A planted problem, its true placement, and the number of its draw: the first that can be told.

    Args:
        kind: What is planted.
        seed: Number of the problem.
        draw: Which draw that is, where it is known.
    """
    for attempt in range(ATTEMPTS) if draw is None else (draw,):
        given, truth = drawn(kind, seed_of("planted places", kind, seed, attempt) % 2**31)
        if draw is not None or kind == "null" or is_told(given, truth):
            return given, truth, attempt
    raise RuntimeError(f"no {kind} of seed {seed} can be told")


def is_told(given: Planted, truth: dict[str, str]) -> bool:
    """Whether the planted module can be learned at its site, and nothing else within the limit does as well.

    Each other candidate is trained alone at that site, and the planted one at each other site.
    """
    ((site, name),) = [(site, name) for site, name in truth.items() if name != NONE]
    if left_alone(given, truth) > REACHABLE:
        return False
    others = [truth | {site: other} for other in CANDIDATES if other not in (NONE, name)]
    others += [truth | {site: NONE, other: name} for other in truth if other != site]
    limits = given.limits
    assert limits is not None
    kept = (each for each in others if limits.allows(given.space.genotype(list(each.values()))))
    return all(left_alone(given, each) > DISTINCT for each in kept)


def drawn(kind: str, seed: int) -> tuple[Planted, dict[str, str]]:
    """A planted problem, whether or not the module can be learned."""
    plain = plain_network(seed)
    space = places_of(plain, CANDIDATES, network="cifar_resnet14")
    site = random.Random(seed).choice(space.rows)
    truth = dict.fromkeys(space.rows, NONE) | {site: KINDS[kind]}
    teacher = plain if kind == "null" else teacher_of(plain, KINDS[kind], site, seed)
    images = images_of(seed_of(seed, "images"), 2 * IMAGES)
    with torch.no_grad():
        logits, before = teacher(images), plain(images)
    unit = before.var(0).mean() / 100 if kind == "null" else (logits - before).square().mean()
    table = place_table("params", space, plain, SHAPE, torch.device("cpu"))
    spent = max(max(costs.values()) for costs in table.sites.values())
    if kind != "null":
        spent = max(table.at(site, KINDS[kind]), min(table.at(row, "se") for row in space.rows))
    limits = Limits(space, (Limit(metric="params", most=table.plain + spent),), {"params": table})
    halves: Any = tuple(zip(images.chunk(2), logits.chunk(2)))
    given = Planted(
        space=space,
        backbone=partial(copy.deepcopy, plain),
        halves=halves,
        mean=(),
        std=(),
        augment=None,
        fabric=Fabric(accelerator="cpu", devices=1),
        seed=seed,
        form="plain",
        limits=limits,
        penalty=limits.penalty(COST_WEIGHT),
        unit=unit.item(),
    )
    return given, truth


def left_alone(given: Planted, standing: dict[str, str]) -> float:
    """The error that is left on the other half when a placement is trained alone from new weights."""
    torch.manual_seed(seed_of(given.seed, "alone"))
    network = attach(given.backbone(), given.space.genotype(list(standing.values())))
    learning = [weight for weight in network.parameters() if weight.requires_grad]
    optimizer = torch.optim.SGD(learning, lr=0.1, momentum=0.9)
    batches = given.batches(0, 32)
    for step in range(ALONE_STEPS):
        loss, _ = given.loss(network, *batches.batch(*divmod(step, len(batches))))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return -given.judge(network, given.batches(1, 32))


def within_limit(given: Planted) -> int:
    """How many placements keep the limit; one of them is the true one."""
    limits = given.limits
    assert limits is not None
    sums = dict[float, int]({0.0: 1})
    table = cast("PlaceTable", limits.tables["params"])
    for costs in table.sites.values():
        grown = dict[float, int]()
        for before, number in sums.items():
            for cost in costs.values():
                grown[before + cost] = grown.get(before + cost, 0) + number
        sums = grown
    most = limits.most(limits.limits[0]) - table.plain
    return sum(number for cost, number in sums.items() if cost <= most)


def found_in(searcher: str, kind: str, seed: int, draw: int | None = None) -> dict[str, Any]:
    """What a searcher finds in a planted problem, and what it would have answered without its finals."""
    torch.set_num_threads(1)
    given, truth, attempt = problem(kind, seed, draw)
    started = time.process_time()
    search = search_of(searcher, given)
    while search.step < search.total_steps:
        search.advance()
    taken, before = _taken(search.genotype()), _taken(search.search.genotype())
    wanted = {site: name for site, name in truth.items() if name != NONE}
    return {
        "planted": wanted,
        "found": taken,
        "before_finals": before,
        "finalists": [[_taken(trial.genotype), trial.score] for trial in search.history],
        "site_right": taken.keys() == wanted.keys(),
        "all_right": taken == wanted,
        "placements_within_limit": within_limit(given),
        "draw": attempt,
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def _taken(placement: Placement) -> dict[str, str]:
    return {site: name for site, name in placement.attentions.items() if name != NONE}


def summary(results: dict[str, dict[str, Any]]) -> dict[str, str]:
    """How often the site, and the site and the module, were right, for each searcher and kind."""
    rows = dict[str, str]()
    for key in dict.fromkeys(key.rpartition("/")[0] for key in results):
        those = [result for name, result in results.items() if name.rpartition("/")[0] == key]
        sites = sum(result["site_right"] for result in those)
        whole = sum(result["all_right"] for result in those)
        before = sum(result["before_finals"] == result["planted"] for result in those)
        rows[key] = (
            f"sites {sites} of {len(those)}, sites and modules {whole} of {len(those)}; "
            f"{before} before finals"
        )
    return rows


def main() -> None:
    """Searches what is not searched yet, and writes what was found after every search."""
    options = tyro.cli(Options, description=__doc__)
    results: dict[str, dict[str, Any]] = {}
    draws: dict[str, int] = {}
    if options.out.exists():
        known = json.loads(options.out.read_text())
        results, draws = known["results"], known["draws"]
    of_kind = list(product(options.kinds, options.searchers))
    for seed, (kind, searcher) in product(range(options.seeds), of_kind):
        key = f"{searcher}/{kind}/{seed}"
        if key in results:
            continue
        results[key] = found_in(searcher, kind, seed, draws.get(f"{kind}/{seed}"))
        draws[f"{kind}/{seed}"] = results[key]["draw"]
        print(key, results[key], flush=True)
        limits = [each["placements_within_limit"] for each in results.values() if each["planted"]]
        figures = {
            "problem": "one module at one of six sites of a ResNet-14: benchmarks/planted_places.py",
            "candidates": CANDIDATES,
            "chance": f"1 in {min(limits)} to {max(limits)} of the placements that keep the limit"
            if limits
            else None,
            "torch": torch.__version__,
            "machine": platform.machine(),
            "summary": summary(results),
            "draws": draws,
            "results": results,
        }
        write_text(options.out, json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
