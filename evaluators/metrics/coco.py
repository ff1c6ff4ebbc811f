"""COCO's average precision and recall, of boxes and of keypoints.

Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014 (arXiv:1405.0312), as its own tools
compute it; here by faster-coco-eval, which gives the figures of pycocotools in a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from foundation.errors import InputError

IouType = Literal["bbox", "keypoints"]

NAMES: dict[IouType, tuple[str, ...]] = {
    "bbox": ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl"),
    "keypoints": ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl"),
}
"""The official figures in their order: precision over IoU (or OKS) 0.50 to 0.95, at 0.50 and 0.75, of small,
medium and large objects; recall with at most 1, 10 and 100 detections an image, or the same as precision."""


def need_coco() -> None:
    """Checks that boxes and keypoints can be scored, before hours of training.

    Raises:
        InputError: If faster-coco-eval is not installed.
    """
    try:
        import faster_coco_eval  # noqa: F401
    except ImportError:
        raise InputError("COCO's evaluation is not installed; pip install 'autola[coco]'") from None


def coco_metrics(
    truth: dict[str, Any], detections: Sequence[dict[str, Any]], iou: IouType
) -> dict[str, float]:
    """All official figures by name, shares in 0 to 1; -1 where no object has such a size, as COCO has it.

    Args:
        truth: Images, categories and annotations, as in COCO's files.
        detections: As in COCO's result files: image_id, category_id, score, and bbox (left, top, width,
            height) or keypoints (x, y, score of each).
        iou: How a detection is compared with the truth.

    Raises:
        InputError: If faster-coco-eval is not installed, or no object counts: then there is nothing to score.
    """
    need_coco()
    counted = "num_keypoints" if iou == "keypoints" else "id"
    if not any(one[counted] and not one.get("iscrowd") for one in truth["annotations"]):
        what = "labelled keypoint" if iou == "keypoints" else "object"
        raise InputError(f"nothing to score: no annotation of the {len(truth['images'])} images is a {what}")
    from faster_coco_eval import COCO, COCOeval_faster

    references = COCO(truth)
    found = references.loadRes([dict(detection) for detection in detections])
    evaluation = COCOeval_faster(references, found, iou)
    evaluation.run()
    figures = np.asarray(evaluation.all_stats, dtype=np.float64)
    return dict(zip(NAMES[iou], figures.tolist()))
