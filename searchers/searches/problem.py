"""What every searcher is given: a space, a backbone, two halves of a training set, a device."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from evaluators.data import Augment, Batches, ImageSet
from evaluators.precision import real_dtype
from evaluators.replay import Replay, Runner, run
from evaluators.tasks.classification.loss import accuracy, cross_entropy
from evaluators.tasks.classification.training import ClassificationTask, evaluate
from foundation.errors import InputError
from foundation.seeds import seed_of
from search_space.placement import Placement
from search_space.places import Places
from search_space.rows import Rows
from search_space.searchable import Searchable
from search_space.space import Space
from searchers.candidates import Candidates
from searchers.limits import Limits
from supernet.attach import attach
from supernet.blocks import speed_up
from supernet.explicit import SearchedNetwork
from supernet.instead import Instead
from supernet.mixed_network import MixedNetwork
from supernet.networks.transformer import Transformer
from supernet.placing import PlacesSupernet
from supernet.sequence_supernet import SequenceSupernet
from supernet.supernet import Form, Supernet, one_hot

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from evaluators.tasks import Task


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A search problem.

    Attributes:
        space: What is searched.
        backbone: Builds a plain network, with random weights.
        halves: Two halves of the training set: for the weights, and for the choice.
        mean, std: Mean and standard deviation of each channel, to normalise with.
        augment: Augmentation of training images; None for none.
        fabric: Device, precision and processes.
        seed: Seed of the search.
        form: How the supernet is computed.
        limits: What every genotype that is returned keeps; None for no limits.
        compile: Whether to compile networks block by block.
        recompute: Whether to compute blocks again in the backward pass.
        cuda_graph: Whether to record steps as CUDA graphs.
        penalty: A term of the alphas' loss: from what the alphas stand for, of every edge a distribution over
            the primitives (edges, primitives), to a number, differentiable; None for none.
    """

    space: Searchable
    backbone: Callable[[], nn.Module]
    halves: tuple[ImageSet, ImageSet]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    augment: Augment | None
    fabric: Fabric
    seed: int
    form: Form
    limits: Limits | None = None
    compile: bool = False
    recompute: bool = False
    cuda_graph: bool = False
    penalty: Callable[[Tensor], Tensor] | None = None

    @property
    def candidates(self) -> Candidates:
        """What may be drawn: the genotypes that keep the limits."""
        return Candidates(space=self.space, limits=self.limits, seed=self.seed)

    @property
    def figure(self) -> str:
        """What `loss` gives besides the loss."""
        return "accuracy"

    @property
    def score(self) -> str:
        """What candidates are judged by."""
        return self.figure

    def kept(self, genotype: Any, strengths: Sequence[Sequence[float]]) -> Any:
        """What a derivation rule gave, or, where that is beyond the limits, the likeliest that keeps them.

        Args:
            genotype: As derived.
            strengths: Strength of each primitive on every edge (edges, primitives); their product over a
                genotype's edges is its likelihood.
        """
        return genotype if self.limits is None else self.limits.keep(genotype, strengths)

    def price(self, genotype: Any) -> float:
        """What a placement has to gain in the score to pay for itself, within limits; 0 for anything else.

        The same as in the loss of a differentiable search: what stands at a site and helps nobody goes.
        """
        if self.penalty is None or not isinstance(self.space, Rows):
            return 0.0
        return float(self.penalty(one_hot(self.space, genotype)))

    def loss(self, network: Callable[..., Any], *batch: Any) -> tuple[Tensor, Tensor]:
        """The loss of a batch, and a figure of it.

        Args:
            network: From images to logits.
            *batch: Normalised images and their classes.
        """
        images, labels = batch
        logits = network(images)
        return cross_entropy(logits, labels), accuracy(logits, labels)

    def judge(self, network: nn.Module, batches: Batches) -> float:
        """How good a network is on batches; higher is better."""
        return evaluate(network, batches, self.fabric)[self.figure]

    def task(self, network: nn.Module, batches: Batches) -> Task:
        """What trains a network on batches."""
        return ClassificationTask(network, batches, self.fabric)

    def batches(self, half: int, batch_size: int, *, training: bool = True) -> Batches:
        """Batches of a half: shuffled and augmented for training, all images in order otherwise.

        Raises:
            InputError: If the half has fewer images than a training batch.
        """
        return Batches(
            self.halves[half],
            batch_size,
            device=self.fabric.device,
            mean=self.mean,
            std=self.std,
            augment=self.augment if training else None,
            seed=self.seed,
            stream=f"half{half}",
            dtype=real_dtype(self.fabric),
            shuffle=training,
            drop_last=training,
            rank=self.fabric.global_rank,
            world_size=self.fabric.world_size,
        )

    @property
    def fused(self) -> bool:
        """Whether optimizers update all weights in one kernel: on a GPU, where launches cost most."""
        return self.fabric.device.type == "cuda"

    def runner(self) -> Runner:
        """What runs the parts of a step."""
        return Replay() if self.cuda_graph else run

    def supernet(self, *, parts: int = 1) -> SearchedNetwork:
        """A new supernet on the device; one part in `parts` of the channels goes through its mixtures."""
        torch.manual_seed(seed_of(self.seed, "supernet"))
        if isinstance(self.space, Space):
            network = Supernet(self.backbone(), self.space, self.form, parts=parts)
        else:
            network = mixed_network(self.space, self.backbone(), parts=parts)
        speed_up(network, compile=self.compile, recompute=self.recompute)
        return network.to(self.fabric.device, real_dtype(self.fabric))

    def found(self, genotype: Any, *purpose: int | str) -> nn.Module:
        """The backbone with a genotype or placement attached, its weights a function of seed and purpose.

        What a placement attaches starts as the identity, as in the supernet.
        """
        torch.manual_seed(seed_of(self.seed, "found", *purpose))
        network = self.placed(genotype)
        speed_up(network, compile=self.compile, recompute=self.recompute)
        return network.to(self.fabric.device, real_dtype(self.fabric))

    def placed(self, genotype: Any) -> nn.Module:
        """A new backbone with what was found in it."""
        if isinstance(self.space, Instead):
            return self.space.found(self.backbone(), genotype)
        return attach(self.backbone(), genotype, identity=isinstance(genotype, Placement))


def mixed_network(
    space: Searchable, network: nn.Module, *, parts: int = 1, keeps_modes: bool = False
) -> MixedNetwork:
    """A network with mixtures of a space's candidates, in place; see `MixedNetwork`.

    Raises:
        InputError: If a part of the channels alone is to go through them.
    """
    if parts > 1:
        raise InputError("the mixtures of sites take all channels; choose a searcher without parts")
    if isinstance(network, Transformer):
        return SequenceSupernet(network, cast(Places, space))
    if isinstance(space, Places):
        return PlacesSupernet(network, space, keeps_modes=keeps_modes)
    assert isinstance(space, Instead), "a space is of cells, of places, or of modules that stand for others"
    return space.supernet(network, keeps_modes=keeps_modes)
