"""Two processes train a detector as one does, and score the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.equality import assert_equal
from tests.evaluators.coco_squares import write_squares

ROOT = Path(__file__).parents[3]

# RetinaNet's loss is a mean over images. Norms are frozen: statistics would be of each process's share. All
# pictures have one size: a process pads its own to the largest of them.
SCRIPT = """
import sys
import torch
from lightning.fabric import Fabric

from evaluators.data.coco import CocoData
from evaluators.recipe import TrainConfig
from evaluators.tasks import new_network
from evaluators.tasks.coco_detection import CocoDetection
from evaluators.train import Training
from search_space.grammar import parse_attention
from supernet.networks.config import DetectorConfig

root, out, processes = sys.argv[1], sys.argv[2], int(sys.argv[3])
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
fabric = Fabric(accelerator="cpu", devices=processes, precision="64-true")
fabric.launch()
detector = DetectorConfig(name="retinanet", backbone="resnet18", min_sizes=(64,), max_size=64)
task = CocoDetection(data=CocoData(root=root), detector=detector, changes="none", workers=0)
recipe = TrainConfig(
    epochs=2, batch_size=4, learning_rate=1e-3, norm="frozen", validation_fraction=0.0, warmup_steps=2
)
setting = task.read(recipe, fabric)
network = new_network(task, setting.describe(), parse_attention("se"), 0)
torch.nn.init.zeros_(network.head.classification_head.cls_logits.bias)  # so that something is found at once
job = Training(setting.start(network, 0), recipe, fabric, 0)
while job.step < job.total_steps:
    job.advance()
metrics = job.result()
if fabric.global_rank == 0:
    torch.save({"weights": job.task.model.state_dict(), "metrics": metrics, "steps": job.step}, out)
"""


def trained(folder: Path, root: Path, processes: int) -> dict[str, Any]:
    script, out = folder / "train.py", folder / f"{processes}.pt"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(root), str(out), str(processes)]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=env, cwd=folder, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    return torch.load(out, weights_only=False)


@pytest.mark.slow
def test_two_processes_train_and_score_as_one(tmp_path: Path) -> None:
    root = write_squares(tmp_path, num_train=9, num_test=5, side=64)
    one, two = (trained(tmp_path, root, processes) for processes in (1, 2))
    assert one["steps"] == two["steps"] == 4
    assert one["metrics"]["test_AR100"] > 0, "something is found"
    assert_equal(two["weights"], one["weights"])
    assert two["metrics"] == pytest.approx(one["metrics"], rel=0, abs=1e-12)
