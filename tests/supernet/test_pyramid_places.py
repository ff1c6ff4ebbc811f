"""Attention in a feature pyramid: right before its convolutions, or in their place."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.ops import FeaturePyramidNetwork

from foundation.errors import InputError
from search_space.operators.squeeze_excite import SqueezeExcite
from supernet.attach import INPUT_CHILD, attach
from supernet.sites import find_sites
from tests.equality import assert_equal
from tests.modules import image, num_parameters, scrambled

NAMES = [f"{kind}.{level}.0" for kind in ("inner_blocks", "layer_blocks") for level in range(2)]


def pyramid() -> FeaturePyramidNetwork:
    return FeaturePyramidNetwork([8, 16], 32)


def maps() -> dict[str, torch.Tensor]:
    return {"0": image(2, 8, 10, 14), "1": image(2, 16, 5, 7, seed=1)}


def test_gates_stand_right_before_the_convolutions() -> None:
    plain = scrambled(pyramid())
    attended = attach(pyramid(), "se[reduction=4]")
    gated = [name for name, module in attended.named_modules() if isinstance(module, SqueezeExcite)]
    assert gated == [f"{name.replace('.', '_')}_{INPUT_CHILD}" for name in NAMES]
    scrambled(attended).load_state_dict(plain.state_dict(), strict=False)
    gates = {name: attended.get_submodule(f"{name.replace('.', '_')}_{INPUT_CHILD}") for name in NAMES}
    widths = [gate.squeeze.in_features for gate in gates.values() if isinstance(gate, SqueezeExcite)]
    assert widths == [8, 16, 32, 32]

    def lateral(level: int, x: torch.Tensor) -> torch.Tensor:
        return plain.inner_blocks[level](gates[f"inner_blocks.{level}.0"](x))

    def output(level: int, x: torch.Tensor) -> torch.Tensor:
        return plain.layer_blocks[level](gates[f"layer_blocks.{level}.0"](x))

    x = maps()
    top = lateral(1, x["1"])
    below = lateral(0, x["0"]) + nn.functional.interpolate(top, size=(10, 14), mode="nearest")
    found = attended(x)
    assert_equal(found["1"], output(1, top))
    assert_equal(found["0"], output(0, below))


@pytest.mark.parametrize("gate", ["se", "cbam"])
def test_gates_join_convolutions_with_kernels_of_their_own(gate: str) -> None:
    alone = num_parameters(attach(pyramid(), f"{gate}[stages=fpn]")) + num_parameters(attach(pyramid(), "aw"))
    both = attach(pyramid(), f"aw[stages=fpn]+{gate}[stages=fpn]").double()
    assert num_parameters(both) == alone - num_parameters(pyramid())
    torch.stack([y.sum() for y in both(maps()).values()]).sum().backward()
    assert all(parameter.grad is not None for parameter in both.parameters())


def test_a_backbone_keeps_the_pyramid_out_unless_asked() -> None:
    with torch.device("meta"):
        model = resnet_fpn_backbone(backbone_name="resnet18", weights=None)
    assert not [site.name for site in find_sites(model, "block") if "fpn" in site.name]
    found = find_sites(model, "block", stages="fpn")
    assert len(found) == 8
    assert [site.channels for site in found] == [64, 128, 256, 512, 256, 256, 256, 256]
    assert all(site.before for site in found)


def test_places_that_a_pyramid_lacks_are_named() -> None:
    with torch.device("meta"):
        model = resnet_fpn_backbone(backbone_name="resnet18", weights=None)
    with pytest.raises(InputError, match="BackboneWithFPN has no stage fpn to attach to; it has: 1, 2, 3, 4"):
        find_sites(model, "activation", stages="fpn")
