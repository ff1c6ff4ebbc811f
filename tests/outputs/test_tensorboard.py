"""TensorBoard's events, as TensorBoard reads them."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from outputs import tensorboard
from outputs.tensorboard import TensorBoardLog


@pytest.mark.parametrize("owner", ["1", "99999"])
def test_a_job_that_goes_on_within_the_same_second_keeps_its_points(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str
) -> None:
    """Files of one second are read in the order of processes, which says nothing of which came first."""
    monkeypatch.setattr(tensorboard.time, "time", lambda: 1000.0)
    for process, step in (("5000", 1), (owner, 2)):
        monkeypatch.setattr(tensorboard.os, "getpid", lambda process=process: process)
        log = TensorBoardLog(tmp_path, step - 1)
        log.log(step, {"loss": float(step)})
        log.close()
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert [event.step for event in read.Scalars("loss")] == [1, 2]
