"""Narrow strided 1x1 convolutions are computed plane by plane, and give the same numbers."""

import copy
import subprocess
import sys
import textwrap

import pytest
import torch
from torch import nn

from supernet.backbones import build_backbone
from supernet.narrow_strides import BLOCK, in_planes_where_narrow
from tests.equality import assert_equal


class _Seen(nn.Conv2d):
    """Notes how its maps lie in memory."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        self.planes = input.is_contiguous()
        return super().forward(input)


@pytest.mark.parametrize("channels", [1, 3, BLOCK - 1, BLOCK])
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (1, 2), (3, 2)])
def test_maps_are_planes_only_where_the_library_would_write_past_its_memory(channels, kernel, stride):
    conv = _Seen(channels, 5, kernel, stride)
    x = torch.randn(2, channels, 5, 7).to(memory_format=torch.channels_last)
    in_planes_where_narrow(conv)(x)
    narrow = kernel == 1 and stride > 1 and channels < BLOCK
    assert conv.planes == (narrow or channels == 1)  # one channel lies the same either way


def test_numbers_and_gradients_stay_the_same():
    plain = nn.Sequential(nn.Conv2d(3, 5, 3), nn.Conv2d(5, 6, 1, 2), nn.BatchNorm2d(6)).double()
    kept = in_planes_where_narrow(copy.deepcopy(plain))
    x = torch.randn(1, 3, 5, 7, dtype=torch.float64)
    results = list[tuple[torch.Tensor, ...]]()
    for network, images in ((kept, x.to(memory_format=torch.channels_last)), (plain, x)):
        y = network(images)
        results.append((y, *torch.autograd.grad(y.square().sum(), tuple(network.parameters()))))
    assert_equal(*results)


def test_narrow_backbones_train_on_maps_with_their_channels_last():
    """In a process of its own: the library's defect kills it, or leaves its memory in disorder."""
    code = """
        import torch
        from supernet.backbones import build_backbone
        torch.set_num_threads(1)
        for width in (1, 3, 4, 7):
            network = build_backbone("cifar_resnet8", width=width)
            for step in range(12):
                images = torch.randn(10, 3, 8, 8).to(memory_format=torch.channels_last)
                network(images).square().mean().backward()
            assert all(p.grad.isfinite().all() for p in network.parameters())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]


def test_every_backbone_that_is_built_is_kept_from_it():
    narrow = [
        module
        for module in build_backbone("cifar_resnet8", width=4).modules()
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2) and module.kernel_size == (1, 1)
    ]
    for module in narrow:
        in_planes_where_narrow(module)  # a second time changes nothing
    assert [len(module._forward_pre_hooks) for module in narrow] == [1, 1]
