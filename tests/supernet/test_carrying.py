"""Placements in networks: attached, read back, and carried over to another depth or width."""

import logging

import pytest
import torch
from torch import nn

from foundation.errors import InputError
from supernet.attach import attach, attached
from supernet.backbones import build_backbone
from supernet.carrying import carried, placement_of

FOUND = {"layer1.0.bn2": "se", "layer2.2.bn2": "coordinate", "layer3.1.bn2": "se+hoga"}


def resnet(depth=20, width=8):
    return build_backbone(f"cifar_resnet{depth}", num_classes=10, in_channels=3, width=width)


def standing(model):
    return {place.place: place.attention for place in attached(model)}


def test_what_is_attached_is_what_is_read_back():
    placement = placement_of(resnet(), FOUND)
    model = attach(resnet(), placement)
    assert standing(model) == FOUND
    assert placement_of(model) == placement
    assert len(placement.standings) == 9
    assert [each.stage for each in placement.standings] == ["1"] * 3 + ["2"] * 3 + ["3"] * 3


def test_a_wider_network_of_the_same_depth_takes_it_as_it_is():
    placement = placement_of(resnet(), FOUND)
    assert standing(attach(resnet(width=12), placement)) == FOUND


def test_a_deeper_network_takes_it_by_relative_depth_and_says_what_went_where(caplog):
    caplog.set_level(logging.WARNING)
    model = attach(resnet(56), placement_of(resnet(), FOUND))
    assert standing(model) == {
        **{f"layer1.{block}.bn2": "se" for block in (0, 1, 2)},
        **{f"layer2.{block}.bn2": "coordinate" for block in (6, 7, 8)},
        **{f"layer3.{block}.bn2": "se+hoga" for block in (3, 4, 5)},
    }
    assert "se of layer1.0.bn2 at layer1.0.bn2, layer1.1.bn2, layer1.2.bn2" in caplog.text


def test_there_and_back_is_the_same():
    placement = placement_of(resnet(), FOUND, network="CifarResNet")
    assert carried(carried(placement, resnet(56)), resnet()) == placement


@pytest.mark.parametrize("block", range(9))
def test_no_module_is_lost_in_a_shallower_network(block):
    placement = placement_of(resnet(56), {f"layer2.{block}.bn2": "se"})
    assert standing(attach(resnet(), placement)) == {f"layer2.{block // 3}.bn2": "se"}


def test_a_part_of_the_sites_speaks_of_all_of_them():
    placement = placement_of(resnet(), {"layer1.0.bn2": "se"}, sites=["layer1.0.bn2"])
    assert placement == placement_of(resnet(), {"layer1.0.bn2": "se"})


def test_sites_of_a_users_own_network_are_named():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
    )
    placement = placement_of(net, {"1": "se"}, sites=["1", "4"])
    assert placement.attentions == {"1": "se", "4": "none"}
    attach(net, placement)
    assert net(torch.randn(1, 3, 7, 5)).shape == (1, 4, 3, 1)


def test_other_networks_and_missing_stages_are_refused_by_name():
    with pytest.raises(InputError, match=r"MobileNet.* has neither its sites nor such blocks"):
        attach(
            build_backbone("mobilenet_v1", num_classes=10, in_channels=3, width=None),
            placement_of(resnet(), FOUND),
        )
    four = build_backbone("cifar_resnet34", num_classes=10, in_channels=3, width=8)
    with pytest.raises(InputError, match=r"se stands in stage 4 of CifarResNet, and CifarResNet has no such"):
        attach(resnet(), placement_of(four, {"layer4.0.bn2": "se"}))


def test_sites_are_not_chosen_twice():
    with pytest.raises(InputError, match="says itself where it stands"):
        attach(resnet(), placement_of(resnet(), FOUND), sites=["layer1.0.bn2"])
    with pytest.raises(InputError, match="unknown site 'layer9'"):
        placement_of(resnet(), {"layer9": "se"})
