"""Every registered operator keeps the contract; those of the public space equal their formulas."""

from __future__ import annotations

import copy
from typing import get_args

import pytest
import torch
from torch import nn

from foundation.errors import InputError
from search_space.norm import OperatorNorm
from search_space.operator import OPERATORS, Gate, Operator, Place, hidden_units, read
from search_space.space import HOGA
from search_space.state import State
from tests.equality import assert_equal
from tests.modules import image, num_parameters, scrambled
from tests.search_space import literal

NAMES = list(OPERATORS)
MODES = [pytest.param(False, id="eval"), pytest.param(True, id="train")]


SEARCHED = [name for name in NAMES if getattr(OPERATORS[name].module, "search_options", {})]
"""Those that stand in a supernet in another form."""


@pytest.fixture(params=[*NAMES, *(f"{name} in search" for name in SEARCHED)])
def operator(request: pytest.FixtureRequest) -> nn.Module:
    """Each registered operator at 8 channels, as it is found and as it stands in a supernet."""
    name, _, searched = str(request.param).partition(" ")
    torch.manual_seed(0)
    recipe = OPERATORS[name]
    return scrambled(recipe.build_for_search(8) if searched else recipe.build(8))


@pytest.mark.parametrize(("batch", "training"), [(1, False), (2, True)])
@pytest.mark.parametrize("size", [(5, 7), (1, 3)])
def test_keeps_shape_and_kind(operator: nn.Module, batch: int, training: bool, size: tuple[int, int]) -> None:
    x = image(batch, 8, *size)
    y = operator.train(training)(x)
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert y.isfinite().all()


@pytest.mark.parametrize("training", MODES)
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_right(name: str, training: bool) -> None:
    module = scrambled(OPERATORS[name].build(4), seed=3).train(training)
    names, values = zip(*module.named_parameters()) if num_parameters(module) else ((), ())

    def run(x: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(module, dict(zip(names, weights)), (x,))

    x = image(2, 4, 3, 4).requires_grad_()
    many = num_parameters(module) > 200  # then along random directions, not entry by entry
    assert torch.autograd.gradcheck(run, (x, *values), fast_mode=many)


def test_trains_every_weight(operator: nn.Module) -> None:
    x = image(2, 8, 5, 7).requires_grad_()
    (operator(x) * image(2, 8, 5, 7, seed=1)).sum().backward()
    for name, parameter in operator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("training", MODES)
def test_forward_reads_a_state(operator: nn.Module, training: bool) -> None:
    x = image(2, 8, 5, 7)
    operator.train(training)
    assert torch.equal(operator(x), read(operator, State(x)))


@pytest.mark.parametrize("training", MODES)
def test_reads_a_state_whose_statistics_are_there(operator: nn.Module, training: bool) -> None:
    x = image(2, 8, 5, 7)
    state = State(x)
    operator.train(training)
    first = read(operator, state)
    assert torch.equal(first, read(operator, state))
    assert torch.equal(state.x, image(2, 8, 5, 7)), "an operator changed the state it read"


def test_gates_multiply(operator: nn.Module) -> None:
    if not isinstance(operator, Gate):
        assert not hasattr(operator, "gate")
        return
    x = image(2, 8, 5, 7)
    gate = operator.gate(State(x))
    assert all(size in (1, full) for size, full in zip(gate.shape, x.shape, strict=True))
    assert_equal(operator(x), x * gate)


@pytest.mark.parametrize("training", MODES)
def test_memory_formats_agree(operator: nn.Module, training: bool) -> None:
    x = image(2, 8, 5, 7)
    operator.train(training)
    expected = operator(x)
    operator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    got = operator(x.contiguous(memory_format=torch.channels_last))
    assert_equal(got, expected)


def test_samples_do_not_mix_in_evaluation(operator: nn.Module) -> None:
    x = image(3, 8, 5, 7)
    operator.eval()
    apart = torch.cat([operator(sample) for sample in x.split(1)])
    assert_equal(operator(x), apart)


@pytest.mark.parametrize("name", NAMES)
def test_state_dict_round_trips(name: str) -> None:
    first, second = scrambled(OPERATORS[name].build(8)), scrambled(OPERATORS[name].build(8), seed=1)
    second.load_state_dict(first.state_dict())
    x = image(1, 8, 5, 7)
    assert torch.equal(first.eval()(x), second.eval()(x))


def test_copies_are_independent(operator: nn.Module) -> None:
    x = image(1, 8, 5, 7)
    operator.eval()
    before = operator(x)
    twin = copy.deepcopy(operator)
    assert torch.equal(twin(x), before)
    scrambled(twin, seed=5)
    assert torch.equal(operator(x), before)
    if num_parameters(operator):
        assert not torch.equal(twin(x), before)


def test_runs_under_autocast(operator: nn.Module) -> None:
    x = image(2, 8, 5, 7)
    with torch.no_grad():
        for parameter in operator.parameters():
            parameter /= 2  # of a size as in use: a softmax of wild energies turns rounding into jumps
    expected = operator.eval()(x)
    operator.float()
    for given in (x.float(), x.bfloat16()):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = operator(given)
        torch.testing.assert_close(y.double(), expected, rtol=0.1, atol=0.3)


@pytest.mark.parametrize("name", NAMES)
def test_recipe_tells_what_a_reader_needs(name: str) -> None:
    recipe = OPERATORS[name]
    assert recipe.name == name
    assert recipe.place in get_args(Place)
    assert recipe.summary.endswith(".")
    assert issubclass(recipe.module, Operator)
    assert set(recipe.options) <= set(recipe.known_options)
    assert set(recipe.module.search_options) <= set(recipe.known_options)


@pytest.mark.parametrize("name", NAMES)
def test_refuses_unknown_options(name: str) -> None:
    with pytest.raises(InputError, match=f"{name}: unknown option 'reductoin'"):
        OPERATORS[name].build(8, reductoin=4)


# The public space against its formulas.


def test_every_primitive_has_a_literal_formula() -> None:
    assert set(literal.OPERATORS) >= {*HOGA.primitives, "se", "cbam"}


@pytest.mark.parametrize("training", MODES)
@pytest.mark.parametrize("channels", [3, 16])
@pytest.mark.parametrize("searched", [False, True], ids=["found", "searched"])
@pytest.mark.parametrize("name", literal.OPERATORS)
def test_equals_the_formula(name: str, searched: bool, channels: int, training: bool) -> None:
    recipe = OPERATORS[name]
    built = recipe.build_for_search(channels) if searched else recipe.build(channels)
    module = scrambled(built).train(training)
    x = image(2, channels, 5, 7)
    expected = literal.OPERATORS[name](module, x)
    assert_equal(module(x), expected)


@pytest.mark.parametrize(("name", "momentum"), [("sep_conv_3x3", 0.1), ("CBAM", 0.01), ("cbam", 0.01)])
def test_norms_follow_with_their_momentum(name: str, momentum: float) -> None:
    module = scrambled(OPERATORS[name].build(4))
    seen = list[torch.Tensor]()
    norm = next(child for child in module.modules() if isinstance(child, OperatorNorm))
    norm.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    assert norm.running_mean is not None
    before = norm.running_mean.clone()
    module.train()(image(2, 4, 5, 7))
    expected = (1 - momentum) * before + momentum * seen[0].mean((0, 2, 3))
    assert_equal(norm.running_mean, expected)


@pytest.mark.parametrize(
    ("name", "at_4", "at_16", "searched_at_4", "searched_at_16"),
    [
        ("none", 0, 0, 0, 0),
        ("skip_connect", 0, 0, 0, 0),
        ("sep_conv_3x3", 120, 864, 104, 800),
        ("dil_conv_3x3", 60, 432, 52, 400),
        ("sep_conv_3x3_spatial", 48, 48, 42, 42),
        ("dil_conv_3x3_spatial", 21, 21, 19, 19),
        ("SE", 8, 128, 8, 128),
        ("SE_A_M", 8, 128, 8, 128),
        ("CBAM", 113, 248, 113, 248),
    ],
)
def test_has_the_parameters_of_the_public_code(
    name: str, at_4: int, at_16: int, searched_at_4: int, searched_at_16: int
) -> None:
    recipe = OPERATORS[name]
    assert num_parameters(recipe.build(4)) == at_4
    assert num_parameters(recipe.build(16)) == at_16
    assert num_parameters(recipe.build_for_search(4)) == searched_at_4
    assert num_parameters(recipe.build_for_search(16)) == searched_at_16


def test_a_gate_has_a_hidden_unit() -> None:
    assert [hidden_units(channels, 8) for channels in (1, 7, 8, 15, 16)] == [1, 1, 1, 1, 2]
    with pytest.raises(InputError, match="reduction=0 is not positive"):
        OPERATORS["se"].build(8, reduction=0)


def test_a_plain_module_reads_the_tensor() -> None:
    x = image(1, 2, 3, 3)
    assert torch.equal(read(nn.ReLU(), State(x)), x.relu())


@pytest.mark.parametrize("name", [name for name in OPERATORS if name != "none"])
def test_an_empty_batch_passes(name: str) -> None:
    module, x = OPERATORS[name].build(16), torch.ones(0, 16, 5, 7)
    for training in (True, False):
        assert module.train(training)(x).shape == x.shape


@pytest.mark.parametrize("name", ["sk", "nl", "cbam", "sep_conv_3x3", "triplet"])
def test_one_value_for_a_norm_is_one_line(name: str) -> None:
    module = OPERATORS[name].build(16)
    with pytest.raises(InputError, match="at batch 1: one of its batch norms sees one value a channel"):
        module(torch.ones(1, 16, 1, 1))
    module.eval()(torch.ones(1, 16, 1, 1))
