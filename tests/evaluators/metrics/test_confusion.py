"""mIoU by the confusion matrix equals an independent count, exactly."""

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import confusion_matrix as sklearn_matrix
from sklearn.metrics import jaccard_score

from evaluators.tasks.segmentation.confusion import confusion_matrix, segmentation_scores
from evaluators.tasks.segmentation.data import SceneData
from evaluators.tasks.segmentation.scenes import read_scenes
from tests.real_data import unpacked


def counted_by_sets(labels, predictions, num_classes):
    """Intersection over union of each class that is there, pixel by pixel."""
    found = {}
    kept = labels < num_classes
    for name in range(num_classes):
        true, told = (
            set(np.flatnonzero((labels == name) & kept)),
            set(np.flatnonzero((predictions == name) & kept)),
        )
        if true | told:
            found[name] = len(true & told) / len(true | told)
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(5, 7), (1, 1), (2, 9, 4)])
def test_equals_an_independent_count(seed, shape):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 6, shape)
    labels[labels == 5] = 255
    predictions = random.integers(0, 4, shape)  # class 4 is never predicted
    matrix = confusion_matrix(torch.from_numpy(labels), torch.from_numpy(predictions), 5)
    kept = labels != 255
    if kept.any():
        expected = sklearn_matrix(labels[kept], predictions[kept], labels=range(5))
        assert matrix.tolist() == expected.tolist()
    iou = counted_by_sets(labels.flatten(), predictions.flatten(), 5)
    scores = segmentation_scores(matrix, [f"c{name}" for name in range(5)])
    assert {name: scores.get(f"IoU_c{name}") for name in iou} == iou
    assert len(scores) == 3 + len(iou)
    if iou:
        assert scores["mIoU"] == pytest.approx(sum(iou.values()) / len(iou), rel=0, abs=1e-15)
        assert scores["accuracy"] == pytest.approx((labels == predictions)[kept].mean(), rel=0, abs=1e-15)


def test_on_real_labels_perturbed(tmp_path):
    root = unpacked("camvid/camvid.tar", tmp_path)
    scenes = read_scenes(SceneData(root=str(root), num_classes=11, ignore=11, limit=2), "val")
    random = np.random.default_rng(0)
    total, true, told = torch.zeros(11, 11, dtype=torch.int64), [], []
    for index in range(len(scenes)):
        labels = np.array(scenes.labels(index), dtype=np.int64)
        height, width = labels.shape
        # Shifted, as a blurred network would have it, and some classes taken for others.
        predictions = np.roll(np.where(labels == 255, 3, labels), (2, 3), (0, 1))
        wrong = random.random(labels.shape) < 0.1
        predictions[wrong] = random.integers(0, 11, wrong.sum())
        total += confusion_matrix(torch.from_numpy(labels), torch.from_numpy(predictions), 11)
        kept = np.asarray(Image.open(scenes.pairs[index][1])) != 11
        true.append(labels[kept])
        told.append(predictions[kept])
        assert kept.sum() < height * width, "nothing is ignored"
    true, told = np.concatenate(true), np.concatenate(told)
    scores = segmentation_scores(total, scenes.classes)
    expected = [float(jaccard_score(true, told, labels=[name], average="macro")) for name in range(11)]
    assert [scores[f"IoU_{name}"] for name in scenes.classes] == expected
    assert scores["mIoU"] == pytest.approx(sum(expected) / 11, rel=0, abs=1e-15)
    assert 0.2 < scores["mIoU"] < 0.95


def test_nothing_labelled_scores_nothing():
    labels = torch.full((4, 4), 255)
    matrix = confusion_matrix(labels, torch.zeros(4, 4, dtype=torch.int64), 3)
    assert matrix.sum() == 0
    assert segmentation_scores(matrix, "abc") == {"mIoU": 0.0, "accuracy": 0.0, "mean_accuracy": 0.0}
