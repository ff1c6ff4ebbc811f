"""Attention on maps with channels last and on tokens."""

from __future__ import annotations

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from foundation.errors import InputError
from search_space.operator import OPERATORS, Operator
from supernet.attach import attach, attached, detach
from tests.equality import assert_equal

CHANNELS = 8


class Last(nn.Module):
    """A block whose inside has its channels last, as ConvNeXt's and Swin's have."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(CHANNELS)
        self.mlp = nn.Linear(CHANNELS, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.norm(x))


def blocks() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(Last(), Last()).double()


def values(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@pytest.mark.parametrize("attention", ["se", "cbam", "simam", "eca", "coordinate", "hoga", "se+cbam"])
def test_channels_last_are_what_the_same_map_with_channels_first_gives(attention: str) -> None:
    model = attach(blocks(), attention, sites=["0.norm"]).eval()
    (place,) = attached(model)
    x = values(1, 5, 7, CHANNELS).requires_grad_()
    given: Any = model.get_submodule("0.norm")
    hook_free = nn.functional.layer_norm(x, (CHANNELS,), given.weight, given.bias)
    wanted = place.module(hook_free.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert torch.equal(given(x), wanted)
    gradient = torch.autograd.grad(model(x).square().sum(), x)
    assert gradient[0].shape == x.shape


@pytest.mark.parametrize("attention", ["se", "eca", "simam", "gc", "ese"])
@pytest.mark.parametrize("identity", [False, True])
def test_tokens_are_a_map_of_one_column(attention: str, identity: bool) -> None:
    plain = blocks().eval()
    model = attach(copy.deepcopy(plain), attention, sites={"0": CHANNELS}, identity=identity).eval()
    tokens = values(1, 11, CHANNELS)
    (place,) = attached(model)
    inside = plain[0](tokens)
    column = inside.transpose(1, 2)[..., None]
    assert torch.equal(model(tokens), plain[1](place.module(column)[..., 0].transpose(1, 2)))
    assert torch.equal(model(tokens), plain(tokens)) is identity
    assert torch.equal(detach(model)(tokens), plain(tokens))


def test_se_on_tokens_is_their_mean_that_gates() -> None:
    model = attach(blocks(), "se", sites=["0.norm"])
    (place,) = attached(model)
    tokens = values(3, 5, CHANNELS)
    normed = nn.functional.layer_norm(tokens, (CHANNELS,))
    se: Any = place.module
    rows = [row * torch.sigmoid(se.excite(se.squeeze(sum(row) / len(row)).relu())) for row in normed.unbind()]
    assert_equal(model.get_submodule("0.norm")(tokens), torch.stack(rows))


NO_ORDER = sorted(
    name for name, recipe in OPERATORS.items() if getattr(recipe.module, "ignores_order", False)
)


@pytest.mark.parametrize("name", NO_ORDER)
def test_what_says_that_it_ignores_order_does(name: str) -> None:
    torch.manual_seed(0)
    operator = OPERATORS[name].build(16).double().eval()
    for weight in operator.parameters():
        nn.init.normal_(weight, std=0.5)
    x, order = values(2, 16, 7, 5), torch.randperm(35)
    mixed = x.flatten(2)[:, :, order].unflatten(2, (7, 5))
    assert_equal(operator(mixed), operator(x).flatten(2)[:, :, order].unflatten(2, (7, 5)))


def test_the_operators_that_ignore_order_are_known() -> None:
    assert {"se", "SE", "eca", "simam", "gc", "nl"} <= {*NO_ORDER}
    assert not {"cbam", "hoga", "triplet", "sk"} & {*NO_ORDER}
    assert not Operator.ignores_order


@pytest.mark.parametrize("attention", ["cbam", "hoga", "triplet", "se+cbam"])
def test_what_reads_neighbours_is_refused_on_tokens_by_name(attention: str) -> None:
    for identity in (False, True):
        model = attach(blocks(), attention, sites=["0.norm"], identity=identity)
        name = attention.replace("+", r"\+")
        with pytest.raises(InputError, match=rf"'0.norm' gives tokens, .*{name} reads neighbours"):
            model(values(2, 9, CHANNELS))


def test_a_shape_without_the_channels_is_refused() -> None:
    model = attach(blocks(), "se", sites={"0": CHANNELS + 1})
    with pytest.raises(InputError, match=r"'0' gives \(2, 5, 7, 8\): no batch of maps \(b, 9, h, w\)"):
        model(values(2, 5, 7, CHANNELS))
    with pytest.raises(InputError, match=r"gives \(5, 8\)"):
        attach(blocks(), "se", sites=["0.norm"])(values(5, CHANNELS))


def test_a_map_that_may_be_either_is_refused_unless_one_that_is_not_came_before() -> None:
    square = values(1, CHANNELS, 5, CHANNELS)
    model = attach(blocks(), "se", sites=["0.norm"]).eval()
    with pytest.raises(InputError, match="may be first or last"):
        model(square)
    model(values(1, 5, 7, CHANNELS))
    for twin in (model, copy.deepcopy(model), _pickled(model)):
        assert torch.equal(twin(square), model(square))
    (place,) = attached(model)
    inside = nn.functional.layer_norm(square, (CHANNELS,))
    assert torch.equal(
        model.get_submodule("0.norm")(square), place.module(inside.movedim(3, 1)).movedim(1, 3)
    )


def test_maps_of_convolutions_have_channels_first_whatever_their_size() -> None:
    model = attach(nn.Sequential(nn.Conv2d(3, CHANNELS, 1), nn.BatchNorm2d(CHANNELS)), "se", sites=["1"])
    images = torch.randn(2, 3, CHANNELS, CHANNELS)
    (place,) = attached(model)
    plain = nn.Sequential(model[0], nn.BatchNorm2d(CHANNELS))
    assert torch.equal(model(images), place.module(plain(images)))


def test_programs_of_free_size_keep_the_layout() -> None:
    model = attach(blocks(), "se", sites=["0.norm"]).eval()
    free = {0: torch.export.Dim("b"), 1: torch.export.Dim("h"), 2: torch.export.Dim("w")}
    program = torch.export.export(model, (values(2, 5, 7, CHANNELS),), dynamic_shapes=(free,)).module()
    for shape in ((1, 9, 6), (3, 4, CHANNELS)):
        x = values(*shape, CHANNELS)
        assert_equal(program(x), model(x))


def _pickled(model: nn.Module) -> nn.Module:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    return torch.load(file, weights_only=False)
