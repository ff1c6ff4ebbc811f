"""Begins a search of placements in every network of the matrix, with all candidates at all of its sites.

    python -m benchmarks.models.searched

Before the first step the output has to be that of the plain network to the bit, in evaluation and in training
mode; then two steps are done; and of a placement that is drawn the derived network has to be the searched one
that mixes nothing else, in float64 to 1e-10 of the largest output. Answers are kept after every network: a
run that was cut off goes on where it was.
"""

from __future__ import annotations

import json
import logging
import random
import sys
import warnings
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import autola
from benchmarks.answer import answer
from benchmarks.measure import surroundings
from benchmarks.models.networks import NETWORKS, Network
from benchmarks.models.trial import WrongError, difference, line, must_equal, outputs, tensors
from foundation.errors import InputError
from foundation.files import write_text
from supernet.supernet import one_hot

CANDIDATES = ("none", "se", "eca", "cbam", "coordinate", "simam", "gc", "hoga")
"""The usual ones, and a cell."""
CLOSE = 1e-10
"""Largest difference of equal outputs in float64."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to try, and where the answers go."""

    networks: tuple[str, ...] = tuple(NETWORKS)
    """Names of the networks, as "timm resnet10t"."""
    results: Path = Path("outputs/published/models_searched.json")
    """File of the answers; what it has is not tried again."""
    json: bool = False
    """Prints one JSON object alone."""


def searched(network: Network) -> dict[str, Any]:
    """Sites of a search in a network, and what came of it."""
    try:
        return _begun(network, outputs(network.plain(), network.images()))
    except InputError as error:
        return {"said": f"refused: {line(error)}"}
    except WrongError as error:
        return {"said": f"wrong: {error}"}


def _begun(network: Network, plain: list[Tensor]) -> dict[str, Any]:
    images, model = network.images(), network.plain()
    search = autola.searching(model, steps=4, space=CANDIDATES, sites=network.sites)
    must_equal(outputs(search.model, images), plain, "the output before the first step")
    trains = _in_training(network.plain(), images)
    if trains is not None:
        twin = network.plain()
        autola.searching(twin, steps=4, space=CANDIDATES, sites=network.sites)
        must_equal(_in_training(twin, images) or [], trains, "the output in training mode")
    search.model.eval()
    for _ in range(2):
        search.step(_size, images, images)
    far = _derived(search, images.double())
    return {
        "sites": len(search.space.rows),
        "said": "pass",
        "training_mode": trains is not None,
        "derived": far,
    }


def _derived(search: autola.Searching, images: Tensor) -> float:
    """Difference of a derived network and the searched one, relative to the largest output."""
    supernet, drawn = search._supernet, search.space.sample(random.Random(0))
    supernet.begin_step(1.0)
    supernet.network.double()
    supernet.rest(one_hot(search.space, drawn))
    far = difference(_said(supernet.derived(drawn).eval(), images), _said(search.model, images))
    if not far <= CLOSE:
        raise WrongError(f"the derived network differs by {far:.2g} of the largest output")
    return far


def _said(model: nn.Module, images: Tensor) -> list[Tensor]:
    """What a network gives; of a detector what its head does, as rounding orders boxes of equal score."""
    if not hasattr(model, "postprocess_detections"):
        return outputs(model, images)
    said = list[Tensor]()
    hook = model.get_submodule("head").register_forward_hook(
        lambda _, args, output: said.extend(tensors(output))
    )
    outputs(model, images)
    hook.remove()
    return said


def _size(model: nn.Module, images: Tensor) -> Tensor:
    """A loss that every output has."""
    floats = [part for part in tensors(model(images)) if part.is_floating_point() and part.requires_grad]
    return torch.stack([part.square().mean() for part in floats]).sum() if floats else torch.zeros(())


def _in_training(model: nn.Module, images: Tensor) -> list[Tensor] | None:
    """What a network gives in training mode; None where it takes more than images then."""
    torch.manual_seed(4)
    try:
        return outputs(model.train(), images)
    except (ValueError, AssertionError):  # detectors want targets, batch norms more than one value
        return None


def measure(options: Options) -> dict[str, Any]:
    """The answers of all networks."""
    file = options.results
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    networks: dict[str, Any] = found.setdefault("networks", {})
    for name in options.networks:
        if name not in networks:
            here = NETWORKS[name].is_here
            networks[name] = searched(NETWORKS[name]) if here else {"said": "refused: not installed"}
            print(f"{name}: {networks[name]}", file=sys.stderr, flush=True)
            found["surroundings"] = surroundings()
            write_text(file, json.dumps(found, indent=1) + "\n")
    return found


def show(figures: dict[str, Any]) -> None:
    """Prints how many passed."""
    for kind, number in Counter(
        cell["said"].partition(":")[0] for cell in figures["networks"].values()
    ).items():
        print(f"{kind}: {number}")


def main() -> None:
    """Prints the figures."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
