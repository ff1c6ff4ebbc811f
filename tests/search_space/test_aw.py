"""AW-convolution against its definition: one kernel an image."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from foundation.errors import InputError
from search_space.grammar import parse_attention
from search_space.operator import OPERATORS
from tests.equality import assert_equal
from tests.modules import image, num_parameters, scrambled
from tests.search_space import literal

CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "3x3": {"kernel_size": 3, "padding": 1},
    "stride": {"kernel_size": 3, "padding": 1, "stride": 2},
    "bias": {"kernel_size": 3, "padding": 1, "bias": True},
    "dilated": {"kernel_size": 3, "padding": 2, "dilation": 2},
    "groups": {"kernel_size": 3, "padding": 1, "groups": 2},
    "1x1": {"kernel_size": 1},
    "oblong": {"kernel_size": (1, 3), "stride": (2, 1), "padding": (0, 2)},
    "same": {"kernel_size": (3, 5), "padding": "same", "dilation": 2},
    "valid": {"kernel_size": 3, "padding": "valid"},
    "reflected": {"kernel_size": 3, "padding": 1, "padding_mode": "reflect"},
}


def aw(out: int = 6, **options: Any) -> Any:
    return scrambled(OPERATORS["aw"].build(nn.Conv2d(4, out, **{"bias": False, **options}), reduction=3))


def kernels(m: Any, x: Tensor) -> Tensor:
    """K + A * K for every image: A_0 pooled, A_1, A_2, A expanded over the input channels (eq. 6 to 8)."""
    c2, c1, h, w = m.weight.shape
    height, width = x.shape[2:]
    a0 = torch.stack(
        [
            x[
                :,
                :,
                j * height // h : -(-(j + 1) * height // h),
                k * width // w : -(-(k + 1) * width // w),
            ].mean((2, 3))
            for j in range(h)
            for k in range(w)
        ],
        2,
    ).unflatten(2, (h, w))
    a1 = torch.clamp(
        literal.norm(m.squeeze_norm, torch.einsum("oi,bijk->bojk", m.squeeze.weight[..., 0, 0], a0)), min=0
    )
    a2 = torch.sigmoid(
        literal.norm(m.excite_norm, torch.einsum("oi,bijk->bojk", m.excite.weight[..., 0, 0], a1))
    )
    a = (
        a2.reshape(len(x), c2, 1, h, w)
        .unsqueeze(3)
        .expand(len(x), c2, 1, c1, h, w)
        .reshape(len(x), c2, c1, h, w)
    )
    return m.weight + a * m.weight


def by_images(m: Any, x: Tensor, plain: nn.Conv2d) -> Tensor:
    """One convolution an image, each with its kernel."""
    return torch.cat(
        [
            torch.func.functional_call(plain, {"weight": kernel}, (one[None],))
            for one, kernel in zip(x, kernels(m, x))
        ]
    )


@pytest.mark.parametrize(("batch", "training"), [(1, False), (3, False), (2, True)])
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_equals_a_kernel_an_image(name: str, batch: int, training: bool) -> None:
    m = aw(**CONVOLUTIONS[name]).train(training)
    plain = nn.Conv2d(4, 6, **{"bias": False, **CONVOLUTIONS[name]}).double()
    plain.bias = m.bias
    x = image(batch, 4, 7, 9)
    expected = by_images(m, x, plain)
    got = m(x)
    assert_equal(got, expected)
    weights = [x.requires_grad_(), *m.parameters()]
    cotangent = image(*got.shape, seed=1)
    ours = torch.autograd.grad((m(x) * cotangent).sum(), weights)
    theirs = torch.autograd.grad((by_images(m, x, plain) * cotangent).sum(), weights)
    assert_equal(ours, theirs, through=m)


def test_equals_the_grouped_trick() -> None:
    m = aw(kernel_size=3, padding=1).eval()
    x = image(3, 4, 5, 7)
    kernel = kernels(m, x).flatten(0, 1)
    expected = F.conv2d(x.reshape(1, 12, 5, 7), kernel, padding=1, groups=3).view(3, 6, 5, 7)
    assert_equal(m(x), expected)


def test_kernels_are_between_one_and_two_times_the_plain_one() -> None:
    m = aw(kernel_size=3).eval()
    ratio = kernels(m, image(2, 4, 5, 7)) / m.weight
    assert ((ratio > 1) & (ratio < 2)).all()


@pytest.mark.parametrize("training", [False, True])
def test_gradients_are_right(training: bool) -> None:
    m = aw(out=3, kernel_size=(3, 2), stride=2, padding=1, bias=True).train(training)
    names, values = zip(*m.named_parameters())

    def run(x: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(m, dict(zip(names, weights)), (x,))

    assert torch.autograd.gradcheck(run, (image(2, 4, 3, 5).requires_grad_(), *values))
    assert torch.autograd.gradgradcheck(run, (image(2, 4, 3, 5).requires_grad_(), *values))


@pytest.mark.parametrize(("channels", "added"), [(64, 648), (128, 2320), (256, 8736), (512, 33_856)])
def test_has_the_weights_that_the_paper_counts(channels: int, added: int) -> None:
    with torch.device("meta"):
        conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        assert num_parameters(OPERATORS["aw"].build(conv)) - num_parameters(conv) == added


def test_keeps_the_weight_itself() -> None:
    conv = nn.Conv2d(4, 6, 3)
    m: Any = OPERATORS["aw"].build(conv)
    assert m.weight is conv.weight
    assert m.bias is conv.bias
    assert isinstance(m, nn.Conv2d)
    assert repr(m).startswith("AWConvolution(\n  4, 6, kernel_size=(3, 3)")


def test_costs_what_the_definition_multiplies() -> None:
    m = aw(kernel_size=3, padding=1, stride=2)
    hidden = 2
    branch = 9 * (4 * hidden + hidden * 6)
    assert m.macs(torch.Size((2, 4, 7, 9))) == 2 * (6 * 4 * 9 * 4 * 5 + 6 * 4 * 9 + branch)


def test_keeps_no_kernels_for_the_backward_pass() -> None:
    m = OPERATORS["aw"].build(64).float()
    saved = dict[int, int]()

    def pack(tensor: Tensor) -> Tensor:
        saved[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    x = torch.randn(16, 64, 4, 4)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        m(x).sum()
    assert max(saved.values()) < 16 * 64 * 64 * 9 * 4 / 10


def test_1x1_kernels_cannot_train_at_batch_one() -> None:
    m = aw(kernel_size=1)
    with pytest.raises(InputError, match=r"^aw on a 1x1 convolution cannot train at batch 1: [^\n]*$"):
        m.train()(image(1, 4, 5, 7))
    assert m.eval()(image(1, 4, 5, 7)).shape == (1, 6, 5, 7)


def test_other_convolutions_are_refused() -> None:
    class Scaled(nn.Conv2d):
        """Computes something of its own."""

    with pytest.raises(InputError, match="Scaled is not a plain Conv2d"):
        OPERATORS["aw"].build(Scaled(4, 4, 3))
    with pytest.raises(InputError, match="0 channels: give a positive number"):
        OPERATORS["aw"].build(0)
    with pytest.raises(InputError, match="reduction=0 is not positive"):
        OPERATORS["aw"].build(4, reduction=0)


# The CBAMs that go with it.


@pytest.mark.parametrize("training", [False, True])
def test_cut_down_cbams_equal_their_formulas(training: bool) -> None:
    x = image(2, 8, 5, 7)
    m: Any = scrambled(parse_attention("cbam[maxpool,reduction=2]")[0].build(8)).train(training)
    assert_equal(m(x), literal.se_a_m(m.channel, x))
    m = scrambled(parse_attention("cbam[spatial,reduction=2]")[0].build(8)).train(training)
    y = literal.se(m.channel, x)
    z = literal.norm(m.spatial.norm, F.conv2d(y.mean(1, keepdim=True), m.spatial.conv.weight, padding=3))
    assert_equal(m(x), y * torch.sigmoid(z))
    assert_equal(m(x), x * m.gate(_state(x)))


def _state(x: Tensor) -> Any:
    from search_space.state import State

    return State(x)
