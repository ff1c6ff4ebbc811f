"""Trained weights for dense networks and detectors: of a classifier, of the whole, or refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from evaluators.tasks import TaskConfig, new_network
from evaluators.tasks.coco_detection import CocoDetection
from evaluators.tasks.keypoints import Keypoints
from evaluators.tasks.segmentation import Segmentation
from foundation.errors import InputError
from search_space.grammar import parse_attention
from supernet.attach import CHILD, attach
from supernet.networks.config import DetectorConfig
from supernet.networks.detectors import DETECTORS

SHAPE = [3, 64, 64]
DATA = {"input_shape": SHAPE, "classes": ["a", "b"], "category_ids": [1, 2], "keypoints": ["c", "d"]}
TASKS: dict[str, TaskConfig] = {
    "keypoints": Keypoints(backbone="resnet18"),
    "segmentation": Segmentation(backbone="resnet18"),
    **{name: CocoDetection(detector=DetectorConfig(name=name, backbone="resnet18")) for name in DETECTORS},
}
BODY = {"keypoints": "backbone.", "segmentation": "backbone."}


def network(task: TaskConfig, attention: str = "none", seed: int = 0, **changes: Any) -> Any:
    return new_network(replace(task, **changes), DATA, parse_attention(attention), seed)


@pytest.mark.parametrize("attention", ["none", "se"])
@pytest.mark.parametrize("name", TASKS)
def test_the_weights_of_a_classifier_start_the_backbone_alone(tmp_path, name, attention):
    torch.manual_seed(1)
    classifier = models.resnet18(num_classes=7)
    torch.save({"model": classifier.state_dict()}, tmp_path / "resnet18.pth")
    state, body = classifier.state_dict(), BODY.get(name, "backbone.body.")
    before = network(TASKS[name], attention).state_dict()
    after = network(TASKS[name], attention, weights=str(tmp_path / "resnet18.pth")).state_dict()
    taken = 0
    for key, value in after.items():
        trained = state.get(key.removeprefix(body)) if key.startswith(body) and CHILD not in key else None
        assert torch.equal(value, before[key] if trained is None else trained), key
        taken += trained is not None
    assert taken > 50


def test_the_attention_of_a_classifier_comes_along(tmp_path):
    classifier = attach(models.resnet18(num_classes=7), "se").state_dict()
    torch.save(classifier, tmp_path / "se.pth")
    found = network(TASKS["retinanet"], "se", weights=str(tmp_path / "se.pth"))
    for key, value in found.backbone.body.state_dict().items():
        assert torch.equal(value, classifier[key]), key
    for attention in ("none", "cbam"):
        with pytest.raises(InputError, match=r"se.pth do not fit the network: it .* \(another attention\?\)"):
            network(TASKS["retinanet"], attention, weights=str(tmp_path / "se.pth"))


@pytest.mark.parametrize("name", TASKS)
def test_as_the_identity_a_trained_network_works_as_before(tmp_path, name):
    plain = network(TASKS[name], seed=3).eval()
    save_file(plain.state_dict(), tmp_path / "whole.safetensors")
    found = network(TASKS[name], "aw+hoga", weights=str(tmp_path / "whole.safetensors"), identity=True).eval()
    x = torch.rand(1, 3, *((300, 300) if name == "ssd300" else (64, 64)))
    with torch.no_grad():
        one, other = (net.backbone(x) for net in (found, plain))
    pairs = [(one, other)] if isinstance(one, torch.Tensor) else list(zip(one.values(), other.values()))
    for mine, theirs in pairs:
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    shared = found.state_dict()
    assert all(torch.equal(value, shared[key]) for key, value in plain.state_dict().items())


def test_what_does_not_fit_is_one_line(tmp_path):
    torch.save(models.resnet34().state_dict(), tmp_path / "resnet34.pth")
    for weights, message in (
        (str(tmp_path / "resnet34.pth"), "do not fit the network"),
        (str(tmp_path / "gone.pth"), "no weights at"),
        ("IMAGENET1K_V9", "unknown weights 'IMAGENET1K_V9'; did you mean IMAGENET1K_V1"),
    ):
        for task in TASKS.values():
            with pytest.raises(InputError, match=message) as raised:
                network(task, weights=weights)
            assert "\n" not in str(raised.value)


def test_torchvisions_whole_networks_are_known_by_name():
    assert Segmentation(head="fcn", backbone="resnet50").published() == ("fcn_resnet50", "resnet50")
    detector = CocoDetection(detector=DetectorConfig(name="retinanet"))
    assert detector.published() == ("retinanet_resnet50_fpn", "resnet50")
    assert CocoDetection(detector=DetectorConfig(name="ssd300")).published() == ("resnet50",)
