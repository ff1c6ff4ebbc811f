"""Problems whose answer is planted: which module stands where in a teacher.

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
"""

from __future__ import annotations

import copy
import random
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from lightning.fabric import Fabric
from torch import Tensor, nn

from evaluators.place_costs import PlaceTable, place_table
from foundation.seeds import seed_of
from search_space.space import NONE
from searchers.limits import Limit, Limits
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
