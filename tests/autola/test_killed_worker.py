"""A worker that is killed amid its work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autola.working.worklist import WorkList
from tests.autola.runs import RETRAIN, records

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_worker_that_is_killed_loses_nothing(own_folder, call, finished):
    known = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [*f"retrain none se cbam hoga {RETRAIN} --train.epochs 6".split(), "--out"]
    assert call(*command, "whole").code == 0
    words = [sys.executable, "-m", "autola", *command, "run", "--on", "here:2"]
    with subprocess.Popen(words, env=known, stderr=subprocess.PIPE, text=True) as process:
        killed = 0
        while not killed:
            assert process.poll() is None
            path = own_folder / "run" / "work.json"
            for seen in WorkList(own_folder / "run").open() if path.is_file() else ():
                if seen.state == "running" and seen.attempt is not None and 1 <= seen.attempt.epoch < 5:
                    os.kill(seen.attempt.process, signal.SIGKILL)
                    killed = seen.attempt.process
                    break
            time.sleep(0.05)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait() == 0
    assert "a worker has ended (signal 9" in said
    assert records(own_folder / "run") == records(own_folder / "whole")
