"""Two processes that search in a user's own loop, under DistributedDataParallel, do what one does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.equality import assert_equal

ROOT = Path(__file__).parents[2]

# Norms use their running statistics: with those of a batch, each process would use its own share's.
LOOP = """
import os, sys
import torch
import autola
from tests.searchers.test_own_loop import batches, cross_entropy, net

torch.set_num_threads(1)
processes = int(os.environ.get("WORLD_SIZE", "1"))
rank = int(os.environ.get("RANK", "0"))
model = net().double().eval()
if processes > 1:
    torch.distributed.init_process_group("gloo")
search = autola.searching(model, steps=8, space=("none", "se", "coordinate"))
whole = model if processes == 1 else torch.nn.parallel.DistributedDataParallel(model)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)


def part(batch):
    images, labels = batch
    return images.double()[rank::processes], labels[rank::processes]


for train, held in zip(batches(8), batches(8, seed=1)):
    search.choose(cross_entropy, part(held))
    optimizer.zero_grad()
    cross_entropy(whole, part(train)).backward()
    optimizer.step()
if rank == 0:
    torch.save({"alphas": search._supernet.alphas.detach(), "model": model.state_dict()}, sys.argv[1])
"""


def run(folder: Path, *launcher: str, processes: int) -> dict[str, Any]:
    script, place = folder / "loop.py", folder / f"{processes}.pt"
    script.write_text(LOOP)
    subprocess.run(
        [sys.executable, *launcher, str(script), str(place)],
        check=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    return torch.load(place, weights_only=True)


@pytest.mark.slow
def test_two_processes_find_the_alphas_and_weights_of_one(tmp_path: Path) -> None:
    one = run(tmp_path, processes=1)
    two = run(tmp_path, "-m", "torch.distributed.run", "--nproc-per-node=2", processes=2)
    assert one["alphas"].std() > 3e-3  # they start at 1e-3
    assert_equal(two["alphas"], one["alphas"])
    assert_equal(two["model"], one["model"])
