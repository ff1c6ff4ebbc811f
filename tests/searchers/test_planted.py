"""A planted problem: an operator that adds noise has to lose, and one that helps has to win."""

from __future__ import annotations

import pytest
import torch
from lightning.fabric import Fabric
from torch import Tensor

from search_space.operator import OPERATORS, Operator, operator
from search_space.space import Space
from search_space.state import State
from searchers import SEARCHERS
from searchers.settings import Differentiable
from tests.searchers.problems import small_problem

DIFFERENTIABLE = [name for name, config in SEARCHERS.items() if issubclass(config, Differentiable)]
CHANGES = {"fair_darts": {"zero_one": 0.0}}
"""Fair DARTS's own loss makes it decide before it has seen much: docs/differentiable.md has the figures."""


@pytest.fixture
def noise(monkeypatch):
    """Registers the noisy operator for one test."""
    OPERATORS["none"]
    monkeypatch.setattr(OPERATORS, "_entries", dict(OPERATORS._entries))

    @operator("noise")
    class Noise(Operator):
        """Adds three deviations of noise."""

        def __init__(self, channels: int) -> None:
            super().__init__()

        def read(self, state: State) -> Tensor:
            return state.x + 3 * torch.randn_like(state.x)


@pytest.mark.parametrize(
    ("name", "rule"), [*((name, "argmax") for name in DIFFERENTIABLE), ("darts", "perturbation")]
)
def test_noise_loses_on_every_edge(noise, name, rule):
    space = Space(name="own", primitives=("skip_connect", "noise", "SE"), num_nodes=2)
    problem = small_problem(
        space=space, form="grouped", num_images=90, augment=None, fabric=Fabric(accelerator="cpu", devices=1)
    )
    settings = {"epochs": 12, "batch_size": 15, "alpha_learning_rate": 0.03, "learning_rate": 0.05}
    search = SEARCHERS[name](**(settings | CHANGES.get(name, {}) | {"derive": rule})).start(problem)
    while search.step < search.total_steps:
        search.advance()
    assert "noise" not in {edge.operator for _, edge in search.genotype().edges()}
