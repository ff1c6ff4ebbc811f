"""Two processes train to the weights of one and score the same: poses and segmentation."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.equality import assert_equal
from tests.evaluators.dense import write_people, write_scenes

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]

# Norms are frozen, nothing is augmented, everything is float64: what is left to differ is the order of sums.
# Untrained networks score nothing, so poses are compared by what is handed to COCO's evaluation.
PROGRAM = """
import json, sys
import torch
from lightning.fabric import Fabric
from evaluators.data.coco import CocoData
from evaluators.tasks.segmentation.data import SceneData
from evaluators.recipe import TrainConfig
from evaluators.tasks import new_network
from evaluators.tasks.keypoints import Keypoints, training
from evaluators.tasks.segmentation import Segmentation
from evaluators.train import Training
from search_space.grammar import parse_attention

def told(truth, results, kind):
    return {"AP": len(results), "sum": sum(sum(each["keypoints"]) + each["score"] for each in results)}

training.coco_metrics = told
task, root, out, devices = *sys.argv[1:4], int(sys.argv[4])
torch.set_default_dtype(torch.float64)  # Fabric hands outputs on in the default type
torch.set_num_threads(1)
if task == "keypoints":
    data = CocoData(root=root, train="few", test="few")
    config = Keypoints(
        data=data, backbone="resnet18", image_size=(64, 32), scale=0, turned=0, flip=False, workers=0
    )
else:
    data = SceneData(root=root, train="few", test="few", num_classes=3, image_size=(40, 40))
    config = Segmentation(data=data, backbone="resnet18", crop=40, scales=(1.0, 1.0), flip=False, workers=0)
recipe = TrainConfig(
    epochs=2, batch_size=4, accumulate=2, learning_rate=0.01, norm="frozen", validation_fraction=0.0
)
fabric = Fabric(accelerator="cpu", devices=devices, precision="64-true")
fabric.launch()
setting = config.read(recipe, fabric)
network = new_network(config, setting.describe(), parse_attention("se"), 0)
for module in network.modules():  # dropout draws differently in each process
    if isinstance(module, torch.nn.Dropout):
        module.p = 0.0
job = Training(setting.start(network, 0), recipe, fabric, 0)
while job.step < job.total_steps:
    job.advance()
reported, scores = job.report(), job.result()
if fabric.is_global_zero:
    torch.save(job.task.model.state_dict(), f"{out}/weights.pt")
    open(f"{out}/scores.json", "w").write(json.dumps([reported, scores]))
"""


@pytest.mark.parametrize("task", ["keypoints", "segmentation"])
def test_two_processes_are_one(tmp_path, task):
    (write_people if task == "keypoints" else write_scenes)(tmp_path)
    (tmp_path / "program.py").write_text(PROGRAM)
    weights, scores = [], []
    for devices in (1, 2):
        out = tmp_path / str(devices)
        out.mkdir()
        done = subprocess.run(
            [sys.executable, "program.py", task, str(tmp_path), str(out), str(devices)],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        weights.append(torch.load(out / "weights.pt", weights_only=True))
        scores.append(json.loads((out / "scores.json").read_text()))
    one, two = weights
    assert_equal(two, one)
    assert scores[1][0] == pytest.approx(scores[0][0], abs=1e-10)
    assert scores[1][1] == pytest.approx(scores[0][1], rel=1e-9)
    assert scores[0][1]["test_AP" if task == "keypoints" else "test_mIoU"] > 0
