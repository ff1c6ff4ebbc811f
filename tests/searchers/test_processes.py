"""Two processes that share every batch do what one process does with the whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.equality import assert_equal

ROOT = Path(__file__).parents[2]

# Norms use their running statistics: with those of a batch, each process would use its own share's.
SEARCH = """
import sys
import torch
from lightning.fabric import Fabric
from searchers.darts import Darts
from search_space.space import HOGA
from tests.searchers.problems import small_problem

processes, place = int(sys.argv[1]), sys.argv[2]
fabric = Fabric(accelerator="cpu", devices=processes, precision="64-true")
fabric.launch()
problem = small_problem(form="grouped", space=HOGA, augment=None, fabric=fabric)
search = Darts(epochs=2, batch_size=10).start(problem)
search.supernet.eval()
search.supernet.train = lambda mode=True: search.supernet
assert fabric.world_size == processes
assert len(search.weight_batches.batch(0, 0)[0]) == 10 // processes
while search.step < search.total_steps:
    search.advance()
figures = search.report()
if fabric.is_global_zero:
    torch.save({"supernet": search.supernet.state_dict(), "figures": figures}, place)
"""


def run(folder: Path, *launcher: str, processes: int) -> dict:
    script, place = folder / "search.py", folder / f"{processes}.pt"
    script.write_text(SEARCH)
    subprocess.run(
        [sys.executable, *launcher, str(script), str(processes), str(place)],
        check=True,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
    )
    return torch.load(place, weights_only=True)


@pytest.mark.slow
def test_two_processes_find_the_alphas_and_weights_of_one(tmp_path):
    one = run(tmp_path, processes=1)
    two = run(tmp_path, "-m", "torch.distributed.run", "--nproc-per-node=2", processes=2)
    moved = one["supernet"]["alphas"].std()
    assert moved > 3e-3  # they start at 1e-3
    assert_equal(two["supernet"], one["supernet"])
    for name, value in one["figures"].items():
        assert two["figures"][name] == pytest.approx(value, rel=1e-10)
