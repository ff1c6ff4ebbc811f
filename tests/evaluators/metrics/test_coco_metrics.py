"""AP and OKS AP are those of pycocotools on real annotations.

Their precisions are tp / (tp + fp + 2.2e-16), ours tp / (tp + fp): figures may differ in the sixteenth digit.
"""

from __future__ import annotations

import contextlib
import io
import random
import sys
from typing import Any

import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from evaluators.data.coco import CocoData, Kind, read_coco
from evaluators.metrics.coco import NAMES, IouType, coco_metrics
from foundation.errors import InputError
from tests.real_data import real_data


def official(truth: dict[str, Any], detections: list[dict[str, Any]], iou: IouType) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        references: Any = COCO()
        references.dataset = truth
        references.createIndex()
        evaluation = COCOeval(references, references.loadRes(detections), iou)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return list(evaluation.stats)


def real_truth(kind: Kind) -> dict[str, Any]:
    data = CocoData(root=str(real_data("coco")))
    return read_coco(data, kind, "val2017").truth()


def perturbed(truth: dict[str, Any], iou: IouType, seed: int, noise: float) -> list[dict[str, Any]]:
    """Each object found up to three times, moved, sometimes as something else; many scores are equal."""
    rng = random.Random(seed)
    categories = [category["id"] for category in truth["categories"]]
    found = list[dict[str, Any]]()
    for annotation in truth["annotations"]:
        x, y, w, h = annotation["bbox"]
        for _ in range(rng.randrange(4)):
            wrong = rng.random() < 0.1
            detection: dict[str, Any] = {
                "image_id": annotation["image_id"],
                "category_id": rng.choice(categories) if wrong else annotation["category_id"],
                "score": round(rng.random(), 1),
            }
            if iou == "bbox":
                sides = zip((x, y, w, h), (w, h, w, h))
                detection["bbox"] = [max(0.0, value + noise * rng.gauss(0, side)) for value, side in sides]
            else:
                detection["keypoints"] = [
                    value + noise * rng.gauss(0, (w, h, 0)[place % 3])
                    for place, value in enumerate(annotation["keypoints"])
                ]
            found.append(detection)
    return found


@pytest.mark.parametrize(("seed", "noise"), [(0, 0.02), (1, 0.1), (2, 0.4)])
@pytest.mark.parametrize(("kind", "iou"), [("instances", "bbox"), ("person_keypoints", "keypoints")])
def test_equals_the_official_tools(kind: Kind, iou: IouType, seed: int, noise: float) -> None:
    truth = real_truth(kind)
    found = perturbed(truth, iou, seed, noise)
    ours = coco_metrics(truth, found, iou)
    assert list(ours) == list(NAMES[iou])
    assert list(ours.values()) == pytest.approx(official(truth, found, iou), rel=0, abs=1e-15)
    assert 0 < ours["AP"] < 1, "neither nothing nor all is found"


def drawn_truth(iou: IouType, seed: int) -> dict[str, Any]:
    """Objects of all sizes in six images, two of them empty; every fifth is a crowd or cannot be scored."""
    rng = random.Random(seed)
    category: dict[str, Any] = {"id": 1, "name": "person"}
    if iou == "keypoints":
        category |= {"keypoints": [f"point{number}" for number in range(17)], "skeleton": []}
    categories = [category, *({"id": name, "name": f"class{name}"} for name in (4, 9) if iou == "bbox")]
    annotations = list[dict[str, Any]]()
    for number in range(40):
        side = 2 ** rng.uniform(2, 8)
        x, y, w, h = rng.uniform(0, 300), rng.uniform(0, 300), side, side * rng.uniform(0.3, 3)
        crowd = number % 5 == 0
        annotation: dict[str, Any] = {
            "id": number + 1,
            "image_id": rng.choice([10, 20, 30, 40]),
            "category_id": rng.choice(categories)["id"],
            "bbox": [x, y, w, h],
            "area": w * h * rng.uniform(0.4, 1),
            "iscrowd": int(crowd and number % 10 == 0),
        }
        if iou == "keypoints":
            points = [
                value
                for _ in range(17)
                for value in (x + rng.random() * w, y + rng.random() * h, 0 if crowd else rng.randrange(3))
            ]
            seen = sum(value > 0 for value in points[2::3])
            annotation |= {"keypoints": points, "num_keypoints": seen}
        annotations.append(annotation)
    images = [{"id": number, "width": 640, "height": 640} for number in (10, 20, 30, 40, 50, 60)]
    return {"images": images, "categories": categories, "annotations": annotations}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("iou", ["bbox", "keypoints"])
def test_equals_the_official_tools_with_crowds_and_empty_images(iou: IouType, seed: int) -> None:
    truth = drawn_truth(iou, seed)
    found = perturbed(truth, iou, seed, 0.05)
    for detection in found[::7]:
        detection["image_id"] = 50  # an image without any object
    ours = coco_metrics(truth, found, iou)
    assert list(ours.values()) == pytest.approx(official(truth, found, iou), rel=0, abs=1e-15)
    assert 0 < ours["AP"] < 1, "neither nothing nor all is found"


def small_truth() -> dict[str, Any]:
    return {
        "images": [{"id": 5, "width": 100, "height": 100}, {"id": 6, "width": 100, "height": 100}],
        "categories": [{"id": 3, "name": "cat"}],
        "annotations": [
            {
                "id": 1,
                "image_id": 5,
                "category_id": 3,
                "bbox": [10, 10, 50, 50],
                "area": 2500,
                "iscrowd": 0,
            }
        ],
    }


def test_the_truth_found_is_one_and_nothing_found_is_zero() -> None:
    truth = small_truth()
    right = {"image_id": 5, "category_id": 3, "bbox": [10, 10, 50, 50], "score": 0.5}
    found = coco_metrics(truth, [right], "bbox")
    assert {found[name] for name in ("AP", "AP50", "AP75", "APm", "AR1", "AR100")} == {1.0}
    assert found["APs"] == found["APl"] == -1, "no object is small or large"
    assert coco_metrics(truth, [], "bbox")["AP"] == 0


def test_without_the_evaluation_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(InputError, match=r"pip install 'autola\[coco\]'"):
        coco_metrics(small_truth(), [], "bbox")
