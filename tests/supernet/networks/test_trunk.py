"""Trained weights for networks on a trunk: of a classifier, of the whole, or refused in one line."""

from __future__ import annotations

import pytest
import torch
from torchvision import models

from search_space.errors import InputError
from supernet.attach import CHILD, attach
from supernet.networks.pose import SimpleBaseline
from supernet.networks.segmentation import build_segmentation
from supernet.networks.trunk import start_trunk


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    torch.manual_seed(1)
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(models.resnet18(num_classes=7).state_dict(), file)
    return str(file)


@pytest.mark.parametrize("attention", ["none", "se"])
def test_the_weights_of_a_classifier_start_the_backbone_alone(classifier, attention):
    network = attach(SimpleBaseline("resnet18", 2, channels=4), attention)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    start_trunk(network, "resnet18", classifier)
    state = torch.load(classifier, weights_only=True)
    for key, value in network.state_dict().items():
        trained = state.get(key.removeprefix("backbone.")) if CHILD not in key else None
        assert torch.equal(value, before[key] if trained is None else trained), key


def test_the_weights_of_a_network_start_the_whole(tmp_path):
    torch.manual_seed(2)
    trained, network = (attach(SimpleBaseline("resnet18", 2, channels=4), "se") for _ in range(2))
    torch.save(trained.state_dict(), tmp_path / "whole.pth")
    start_trunk(network, "resnet18", str(tmp_path / "whole.pth"))
    assert all(torch.equal(value, network.state_dict()[key]) for key, value in trained.state_dict().items())


def test_what_does_not_fit_is_one_line(classifier, tmp_path):
    torch.save(build_segmentation("fcn", "resnet18", 3).state_dict(), tmp_path / "three.pth")
    torch.save(attach(build_segmentation("fcn", "resnet18", 5), "se").state_dict(), tmp_path / "attended.pth")
    for weights, backbone, message in (
        ("three.pth", "resnet18", "3x128x1x1 there and 5x128x1x1 here|3 there and 5 here"),
        ("attended.pth", "resnet18", "of another attention"),
        (classifier, "resnet34", "of another network"),
        ("gone.pth", "resnet18", "no weights at .*IMAGENET1K_V1$"),
    ):
        network = build_segmentation("fcn", backbone, 5)
        with pytest.raises(InputError, match=message) as raised:
            start_trunk(network, backbone, str(tmp_path / weights), f"fcn_{backbone}")
        assert "\n" not in str(raised.value)


def test_torchvisions_whole_networks_are_known_by_name():
    with pytest.raises(InputError, match="IMAGENET1K_V1, IMAGENET1K_V2, COCO_WITH_VOC_LABELS_V1"):
        start_trunk(build_segmentation("fcn", "resnet50", 21), "resnet50", "gone.pth", "fcn_resnet50")
