"""One operator an edge: the same in both forms, the same as a one-hot mixture, and nothing else computed."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import count_calls
from search_space.space import HOGA, Space
from supernet.backbones import build_backbone
from supernet.grouped import to_plain, to_stacked
from supernet.supernet import Supernet, one_hot
from tests.equality import assert_equal

UNGROUPED = Space(name="own", primitives=("none", "triplet", "ga:0010", "SE"), num_nodes=2)


def both_forms(space: Space, parts: int = 1) -> tuple[Supernet, Supernet]:
    torch.manual_seed(0)
    plain, grouped = (
        Supernet(build_backbone("cifar_resnet8"), space, form, parts=parts).double()
        for form in ("plain", "grouped")
    )
    grouped.load_state_dict(to_stacked(plain.state_dict(), grouped))
    return plain, grouped


def step(supernet: Supernet, weights: Tensor, chosen: list[int] | None) -> dict[str, Tensor]:
    images = torch.randn(3, 3, 9, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    logits = supernet(images, weights, chosen)
    parameters = dict(supernet.named_parameters())
    gradients = torch.autograd.grad(
        F.cross_entropy(logits, torch.arange(3)), [weights, *parameters.values()], materialize_grads=True
    )
    values = to_plain(dict(zip(parameters, gradients[1:])), supernet)
    states = {f"state {name}": value for name, value in to_plain(supernet.state_dict(), supernet).items()}
    return {"logits": logits, "weights": gradients[0]} | values | states


@pytest.mark.parametrize(("space", "parts", "seed"), [(HOGA, 1, 0), (HOGA, 4, 1), (UNGROUPED, 1, 2)])
def test_the_forms_agree(space: Space, parts: int, seed: int) -> None:
    plain, grouped = both_forms(space, parts)
    weights = one_hot(space, space.sample(random.Random(seed))).double()
    weights[-1] = F.one_hot(torch.tensor(0), len(space.primitives))  # none
    chosen = weights.argmax(1).tolist()
    weights = (weights * 0.7).requires_grad_()
    expected, ours = step(plain, weights, chosen), step(grouped, weights, chosen)
    assert_equal(ours, expected, through=plain)


@pytest.mark.parametrize("form", [0, 1])
def test_it_is_the_mixture_of_one_hot_weights(form: int) -> None:
    supernet = both_forms(HOGA)[form]
    weights = one_hot(HOGA, HOGA.sample(random.Random(0))).double().requires_grad_()
    chosen = weights.argmax(1).tolist()
    rows = list(range(len(chosen)))
    alone, mixed = step(supernet, weights, chosen), step(supernet, weights, None)
    assert_equal(alone["logits"], mixed["logits"], through=supernet)
    assert_equal(alone["weights"][rows, chosen], mixed["weights"][rows, chosen], through=supernet)
    assert alone["weights"].count_nonzero() <= len(rows)


def test_only_statistics_of_what_was_chosen_move() -> None:
    _, grouped = both_forms(HOGA)
    column = HOGA.primitives.index("sep_conv_3x3")
    weights = F.one_hot(torch.full((10,), column), 9).double()
    weights[0] = F.one_hot(torch.tensor(1), 9)
    chosen = weights.argmax(1).tolist()
    grouped(torch.randn(2, 3, 8, 8, dtype=torch.float64), weights, chosen)
    counts = {
        name: int(value)
        for name, value in to_plain(grouped.state_dict(), grouped).items()
        if name.endswith("num_batches_tracked") and ".edges." in name
    }
    moved = {name for name, value in counts.items() if value}
    assert moved == {name for name in counts if f".{column}.norm" in name and "x1_h1" not in name}
    assert {counts[name] for name in moved} == {1}


def test_the_forms_skip_what_is_not_chosen() -> None:
    for supernet in both_forms(HOGA):
        images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
        weights = one_hot(HOGA, HOGA.sample(random.Random(0))).double()
        chosen = weights.argmax(1).tolist()
        one = count_calls(lambda: supernet(images, weights, chosen))["convolution"]  # noqa: B023
        every = count_calls(lambda: supernet(images, weights))["convolution"]  # noqa: B023
        assert one < every / 2
