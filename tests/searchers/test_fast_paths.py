"""What makes a search fast on a GPU, as far as a CPU can show that it is right."""

from __future__ import annotations

import pytest
import torch
from lightning.fabric import Fabric

from benchmarks.measure import CountCalls
from evaluators.replay import WARM_UP, Replay
from search_space.space import Space
from searchers.darts import Darts
from searchers.searches.problem import Problem
from tests.equality import assert_equal
from tests.searchers.problems import small_problem

SMALL = Space(name="hoga", primitives=("none", "CBAM", "sep_conv_3x3", "sep_conv_3x3_spatial"), num_nodes=2)
CONFIG = Darts(epochs=2, batch_size=10, learning_rate=0.03125, min_learning_rate=0.03125)


def grouped_problem(**changes) -> Problem:
    return small_problem(form="grouped", space=SMALL, **changes)


class ReplayedProblem(Problem):
    """Records steps as a GPU would: results appear in fixed places, inputs are read from fixed places."""

    def runner(self) -> Replay:
        def record(function):
            results = tuple(torch.full((), torch.nan, dtype=torch.float64) for _ in range(2))

            def replay():
                for place, value in zip(results, function(), strict=True):
                    place.copy_(value.detach())

            return results, replay

        return Replay(record)


def test_a_recorded_search_is_the_ordinary_one():
    plain = CONFIG.start(grouped_problem())
    settings = {name: getattr(plain.problem, name) for name in Problem.__dataclass_fields__}
    settings["cuda_graph"] = True
    recorded = CONFIG.start(ReplayedProblem(**settings))
    assert plain.total_steps > WARM_UP + 1
    for _ in range(plain.total_steps):
        plain.advance()
        recorded.advance()
        assert_equal(recorded.figures.values, plain.figures.values, through=plain.supernet)
    assert_equal(recorded.supernet.state_dict(), plain.supernet.state_dict(), through=plain.supernet)


WAITS = {"_local_scalar_dense", "item", "nonzero", "equal", "is_nonzero", "masked_select"}
"""Operators for whose result the host waits."""


def test_no_step_waits_for_the_device(monkeypatch):
    # Adam's unfused form counts its steps on the host.
    monkeypatch.setattr(Problem, "fused", property(lambda problem: True))
    search = CONFIG.start(grouped_problem())
    with CountCalls() as counter:
        for _ in range(search.steps_per_epoch):
            search.advance()
    assert counter.calls["convolution"] > 100
    assert not WAITS & set(counter.calls)
    with CountCalls() as counter:
        search.report()
    assert WAITS & set(counter.calls)


def test_mixed_precision_keeps_alphas_statistics_and_loss_in_float32():
    fabric = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    search = Darts(epochs=6, batch_size=10).start(small_problem(form="grouped", space=SMALL, fabric=fabric))
    state = {name: value for name, value in search.supernet.state_dict().items() if value.is_floating_point()}
    seen = dict[str, set[torch.dtype]]()
    search.supernet.register_forward_pre_hook(
        lambda module, inputs: seen.setdefault("mixing", set()).add(module.mixing.weights.dtype)
    )
    search.supernet.network.get_submodule("layer1.0.conv2").register_forward_hook(
        lambda module, inputs, output: seen.setdefault("convolution", set()).add(output.dtype)
    )
    losses = []
    for _ in range(search.total_steps):
        search.advance()
        if search.step % search.steps_per_epoch == 0:
            losses.append(search.report()["weight_loss"])
    assert seen == {"mixing": {torch.float32}, "convolution": {torch.bfloat16}}
    loss, _ = search.updates.loss(search.weight_batches.batch(0, 0), search.mixture.draw())
    assert loss.dtype == torch.float32
    assert {value.dtype for value in state.values()} == {torch.float32}
    assert {
        moment.dtype for entry in search.updates.alpha_optimizer.state.values() for moment in entry.values()
    } == {torch.float32}
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("form", ["plain", "grouped"])
def test_recomputing_changes_no_search(form):
    plain, again = (
        Darts(epochs=1, batch_size=10).start(small_problem(form=form, space=SMALL, recompute=recompute))
        for recompute in (False, True)
    )
    for search in (plain, again):
        search.advance()
        search.advance()
    states = again.supernet.state_dict(), plain.supernet.state_dict()
    assert_equal(*(list(state.values()) for state in states), through=plain.supernet)
