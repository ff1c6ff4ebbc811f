"""Segmentation networks against torchvision's own."""

import pytest
import torch
from torchvision.models import segmentation

from foundation.errors import InputError
from supernet.attach import attach
from supernet.networks.segmentation import build_segmentation
from supernet.sites import find_sites


@pytest.mark.parametrize("auxiliary", [True, False])
@pytest.mark.parametrize(
    ("head", "backbone"), [("fcn", "resnet50"), ("deeplabv3", "resnet50"), ("fcn", "resnet101")]
)
def test_the_plain_network_is_torchvisions(head, backbone, auxiliary):
    torch.manual_seed(0)
    build = getattr(segmentation, f"{head}_{backbone}")
    theirs = build(weights=None, weights_backbone=None, num_classes=5, aux_loss=auxiliary).eval()
    ours = build_segmentation(head, backbone, 5, auxiliary=auxiliary).eval()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(1, 3, 33, 47)
    with torch.inference_mode():
        got, expected = ours(images), theirs(images)
    assert got.keys() == expected.keys()
    for name, logits in expected.items():
        torch.testing.assert_close(got[name], logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("backbone", "channels"), [("resnet18", 512), ("resnet50", 2048)])
def test_stages_three_and_four_keep_the_size_of_the_map(backbone, channels):
    network = build_segmentation("fcn", backbone, 3).to("meta").eval()
    maps = network.get_submodule("backbone")(torch.empty(1, 3, 65, 49, device="meta"))
    assert maps["out"].shape == (1, channels, 9, 7)
    assert maps["aux"].shape == (1, channels // 2, 9, 7)
    assert network(torch.empty(1, 3, 65, 49, device="meta"))["out"].shape == (1, 3, 65, 49)


def test_attention_goes_into_the_blocks_of_the_backbone_alone():
    network = build_segmentation("fcn", "resnet18", 3)
    plain = network.state_dict()
    assert {site.name.split(".")[0] for site in find_sites(network, "block")} == {"backbone"}
    attach(network, "se")
    assert plain.keys() < network.state_dict().keys()
    assert network(torch.randn(2, 3, 32, 32))["out"].shape == (2, 3, 32, 32)


def test_a_backbone_without_such_stages_is_refused():
    with pytest.raises(InputError, match="'mobilenet_v1' is no torchvision ResNet; choose one"):
        build_segmentation("fcn", "mobilenet_v1", 3)
