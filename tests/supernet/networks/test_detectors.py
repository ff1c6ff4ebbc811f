"""Detectors are torchvision's own, or counted; attention and trained weights go into them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn, retinanet_resnet50_fpn

from evaluators.cost import macs
from foundation.errors import InputError
from supernet.attach import attach
from supernet.networks.config import DetectorConfig
from supernet.networks.detector_weights import fit_published
from supernet.networks.detectors import DETECTORS
from tests.modules import num_parameters

PLAIN = {"faster_rcnn": fasterrcnn_resnet50_fpn, "retinanet": retinanet_resnet50_fpn}


def build(name: str, num_classes: int = 3, **changes: Any) -> Any:
    torch.manual_seed(0)
    values = {"backbone": "resnet18", "min_sizes": (64,), "max_size": 96} | changes
    return DETECTORS[name].build(DetectorConfig(name=name, **values), num_classes)


def on_meta(name: str, **changes: Any) -> Any:
    with torch.device("meta"):
        return build(name, 80, **{"backbone": "resnet50", **changes})


def images() -> list[torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    return [torch.rand(3, 60, 90, generator=random), torch.rand(3, 70, 50, generator=random)]


def settled(model: nn.Module) -> nn.Module:
    """Norms with other statistics than at first, and scores that are not all alike."""
    random = torch.Generator().manual_seed(2)
    for name, tensor in model.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            tensor.copy_(torch.rand(tensor.shape, generator=random) + 0.5)
        elif "cls_logits.bias" in name or "cls_score.bias" in name:
            tensor.copy_(torch.randn(tensor.shape, generator=random))
    return model.eval()


@pytest.mark.parametrize("name", PLAIN)
def test_plain_networks_are_torchvisions(name: str) -> None:
    ours = DETECTORS[name]
    num_classes = 4 - ours.first_label
    theirs: Any = PLAIN[name](weights=None, weights_backbone=None, num_classes=4, min_size=64, max_size=96)
    model = build(name, num_classes, backbone="resnet50")
    model.load_state_dict(settled(theirs).state_dict(), strict=True)
    with torch.no_grad():
        found, wanted = model.eval()(images()), theirs(images())
    assert any(len(each["boxes"]) for each in wanted)
    for mine, other in zip(found, wanted, strict=True):
        for key in ("boxes", "labels", "scores"):
            torch.testing.assert_close(mine[key], other[key], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "backbone", "attention", "count"),
    [
        ("faster_rcnn", "resnet50", "none", 41_757_156),
        ("faster_rcnn", "resnet101", "none", 60_749_284),
        ("faster_rcnn", "resnet101", "aw[stages=fpn]", 60_749_284 + 114_944),
        ("faster_rcnn", "resnet50", "se", 44_288_148),
        ("faster_rcnn", "resnet50", "hoga", 45_779_216),
        ("retinanet", "resnet50", "none", 33_839_924),
        ("ssd300", "resnet50", "none", 22_894_902),
        ("ssd300", "resnet50", "hoga", 24_426_566),
    ],
)
def test_counts(name: str, backbone: str, attention: str, count: int) -> None:
    model = on_meta(name, backbone=backbone)
    attach(model.backbone, attention)
    assert num_parameters(model) == count


def test_ssd_is_made_as_the_supplement_says() -> None:
    model = build("ssd300", backbone="resnet18").eval()
    assert not hasattr(model.backbone.body, "layer4")
    strides = {m.stride for m in model.backbone.body.layer3.modules() if isinstance(m, nn.Conv2d)}
    assert strides == {(1, 1)}
    for block in model.backbone.extra:
        assert [type(layer) for layer in block] == 2 * [nn.Conv2d, nn.BatchNorm2d, nn.ReLU]
    with torch.no_grad():
        maps = model.backbone(torch.zeros(1, 3, 300, 300))
    assert [tuple(level.shape[2:]) for level in maps.values()] == [(s, s) for s in (38, 19, 10, 5, 3, 1)]
    boxes = sum(s * s * n for s, n in zip((38, 19, 10, 5, 3, 1), (4, 6, 6, 6, 4, 4)))
    assert boxes == 8732, "as in the SSD paper"
    with torch.no_grad():
        assert model.raw(torch.zeros(1, 3, 300, 300))["cls_logits"].shape == (1, 8732, 4)


@pytest.mark.parametrize("name", DETECTORS)
def test_costs_are_counted_without_choosing_boxes(name: str) -> None:
    model = on_meta(name)
    shape = (3, *(DETECTORS[name].size or (128, 160)))
    plain = macs(model, shape)
    attach(model.backbone, "se+hoga")
    assert macs(model, shape) > plain > 1e9


@pytest.mark.parametrize("name", DETECTORS)
def test_losses_have_the_names_that_are_told(name: str) -> None:
    targets = [
        {
            "boxes": torch.tensor([[5.0, 6.0, 40.0, 50.0]]),
            "labels": torch.tensor([DETECTORS[name].first_label]),
        },
        {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)},
    ]
    losses = build(name).train()(images(), targets)
    assert set(losses) == set(DETECTORS[name].losses)
    assert all(loss.isfinite() for loss in losses.values())


@pytest.mark.parametrize("name", PLAIN)
def test_torchvisions_classes_become_those_at_hand(name: str) -> None:
    """Its detectors have 91 classes, by COCO's ids, and norms that add nothing to the variance."""
    whole: Any = settled(PLAIN[name](weights=None, weights_backbone=None, min_size=64, max_size=96))
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.0
    state = {key: value for key, value in whole.state_dict().items() if "num_batches" not in key}
    ids = [1, 17, 90]
    model = build(name, 3, backbone="resnet50").eval()
    model.load_state_dict(dict(fit_published(state, DetectorConfig(name=name), model, ids)), strict=False)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        if name == "retinanet":
            wanted = whole.head(list(whole.backbone(x).values()))["cls_logits"][..., ids]
            torch.testing.assert_close(model.raw(x)["cls_logits"], wanted, rtol=0, atol=1e-4)
        else:
            regions = torch.rand(5, 256, 7, 7)
            scores, boxes = whole.roi_heads.box_predictor(whole.roi_heads.box_head(regions))
            mine = model.roi_heads.box_predictor(model.roi_heads.box_head(regions))
            torch.testing.assert_close(mine[0], scores[:, [0, *ids]], rtol=0, atol=1e-5)
            torch.testing.assert_close(
                mine[1], boxes.view(5, 91, 4)[:, [0, *ids]].flatten(1), rtol=0, atol=1e-5
            )
            maps = model.backbone(x)
            for level, value in whole.backbone(x).items():
                torch.testing.assert_close(maps[level], value, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"backbone": "resnet51"}, "unknown backbone of a detector 'resnet51'; did you mean resnet50"),
        ({"trainable_stages": 6}, r"trainable_stages=6 is not in 0 ... 5"),
        ({"min_sizes": ()}, "min_sizes none and max_size 1333"),
        ({"min_sizes": (800,), "max_size": 600}, "the longest side not below"),
    ],
)
def test_detectors_that_cannot_be_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        DetectorConfig(**values)


def test_ssd_has_no_part_that_stays() -> None:
    with pytest.raises(InputError, match="ssd300 trains its whole backbone"):
        build("ssd300", trainable_stages=3)
