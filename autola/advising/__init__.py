"""One answer for somebody in a hurry: which module, where, and does it pay for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from autola.advice_config import AdviceConfig
from autola.advising.conclude import Advice
from autola.advising.own import Loss, held, subject_of
from autola.advising.running import run_advice
from evaluators.recipe import TrainConfig
from foundation.errors import InputError
from search_space.attention import Attention
from search_space.places import CANDIDATES

__all__ = ["RECIPE", "Advice", "advise", "run_advice"]

RECIPE = TrainConfig(
    epochs=50,
    optimizer="adamw",
    learning_rate=1e-3,
    weight_decay=0.01,
    validation_fraction=0.0,
    select="last",
)
"""How a network of a user's own is trained if nothing else is said; fewer epochs where the time is short."""


def advise(
    model: nn.Module,
    train: Any,
    valid: Iterable[Any],
    loss: Loss,
    *,
    target: str | None = None,
    minutes: float = 10.0,
    space: Sequence[Attention] = CANDIDATES,
    sites: Sequence[str] | None = None,
    score: Callable[[nn.Module], float] | None = None,
    recipe: TrainConfig = RECIPE,
    input_shape: Sequence[int] | None = None,
    out: str | Path | None = None,
    seed: int = 0,
) -> Advice:
    """Searches which attention pays for itself at which site, trains it beside controls, and says what holds.

    A search on two halves of the training data, then a comparison, as `autola compare` makes it: from the
    weights that the model has, with several seeds each, what was found, its strongest site alone, random
    placements of the same cost, one module everywhere, and the plain model. Time is planned beforehand. The
    same call with the same `out` goes on where it was stopped; with more minutes it adds seeds.

    Args:
        model: A network whose blocks are found, or any with `sites`; it stays as it is.
        train: A DataLoader over a data set with a length, read in this process, or a list of batches. The
            search learns on two halves of it.
        valid: Batches that are not trained on: trained networks are judged on them.
        loss: From the model and a batch to the loss, one number.
        target: The most that the network may cost, as "latency<=1.1x,params<=1.05x".
        minutes: Time for all.
        space: What may stand at each site, "none" among them, in the grammar.
        sites: Names of modules that attention may follow; those of the known families if left out.
        score: How good a trained model is; higher is better. Minus the mean loss of `valid`, in evaluation
            mode, if left out.
        recipe: How each network is trained, as in retraining; its batch size is that of `train`, its epochs
            are the most.
        input_shape: (channels, height, width) of an image; as in the first batch if left out.
        out: Folder of the records; a new one under ./outputs/runs if left out.
        seed: Seed of the search, the random placements and the trainings.

    Raises:
        InputError: If the model has no sites, the data cannot be halved, nothing keeps the target, the time
            is too short, `out` holds something else, or another process is advising there.
    """
    subject = subject_of(model, train, valid, loss, score=score, input_shape=input_shape)
    names = [name for name in space if isinstance(name, str)]
    if len(names) < len(space):
        raise InputError("candidates of advice are named in the grammar: none se eca hoga:PATH")
    device = next(iter(model.parameters()), torch.zeros(())).device.type
    with held(subject) as task:
        config = AdviceConfig(
            task=task,
            train=recipe,
            target=target,
            primitives=tuple(names),
            sites=None if sites is None else tuple(sites),
            seed=seed,
            device={"cuda": "gpu", "mps": "mps"}.get(device, "cpu"),  # pyright: ignore[reportArgumentType]
        )
        return run_advice(config, None if out is None else Path(out), minutes=minutes)
