"""Checkpoints survive damage and never run code."""

import logging
import pickle
import zipfile

import pytest
import torch

from foundation.errors import InputError
from outputs import checkpoint


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def states(folder, *steps):
    for step in steps:
        checkpoint.save(folder, {"step": step, "weights": torch.full((3,), float(step))}, step)


def test_the_newest_two_are_kept_and_the_newest_is_loaded(tmp_path):
    folder = tmp_path / "checkpoints"
    states(folder, 9, 10, 1000)
    assert sorted(path.name for path in folder.iterdir()) == ["step-000000010.pt", "step-000001000.pt"]
    state = checkpoint.load(folder)
    assert state is not None
    assert state["step"] == 1000
    assert torch.equal(state["weights"], torch.full((3,), 1000.0))


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert checkpoint.load(tmp_path / "checkpoints") is None


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_checkpoint_cut_short_gives_way_to_the_one_before(tmp_path, caplog, share):
    states(tmp_path, 1, 2)
    newest = tmp_path / "step-000000002.pt"
    content = newest.read_bytes()
    newest.write_bytes(content[: int(len(content) * share)])
    with caplog.at_level(logging.WARNING):
        state = checkpoint.load(tmp_path)
    assert state is not None
    assert state["step"] == 1
    assert "step-000000002.pt is cut short; using the checkpoint before it" in caplog.text


def test_a_flipped_byte_is_noticed(tmp_path, caplog):
    states(tmp_path, 1, 2)
    newest = tmp_path / "step-000000002.pt"
    content = bytearray(newest.read_bytes())
    with zipfile.ZipFile(newest) as archive:
        data = next(info for info in archive.infolist() if info.filename.endswith("data/0"))
    at = content.index(torch.full((3,), 2.0).numpy().tobytes(), data.header_offset)
    content[at] ^= 0xFF
    newest.write_bytes(content)
    state = checkpoint.load(tmp_path)
    assert state is not None
    assert state["step"] == 1
    assert "damaged" in caplog.text


@pytest.mark.parametrize("form", ["torch", "pickle"])
def test_a_checkpoint_that_carries_code_is_refused_and_the_code_is_not_run(tmp_path, form):
    states(tmp_path, 1)
    target = tmp_path / "ran"
    path = tmp_path / "step-000000002.pt"
    if form == "torch":
        torch.save({"job": Bomb(target)}, path)
    else:
        path.write_bytes(pickle.dumps(Bomb(target)))
    with pytest.raises(InputError, match="code"):
        checkpoint.load(tmp_path)
    assert not target.exists()


def test_damage_anywhere_falls_back_or_does_not_matter(tmp_path, caplog):
    states(tmp_path, 1, 2)
    newest = tmp_path / "step-000000002.pt"
    content = newest.read_bytes()
    for at in range(2, len(content), 5):
        damaged = bytearray(content)
        damaged[at] ^= 1 << at % 8
        newest.write_bytes(damaged)
        try:
            state = checkpoint.load(tmp_path)
        except InputError:  # it looks as if it carried code
            continue
        assert state is not None
        assert torch.equal(state["weights"], torch.full((3,), float(state["step"]))), at


def test_where_no_checkpoint_is_whole_that_is_said(tmp_path):
    states(tmp_path, 1, 2)
    for path in tmp_path.iterdir():
        path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(
        InputError, match=r"step-000000001\.pt is cut short, like the one after it, .*at step 0"
    ):
        checkpoint.load(tmp_path)


def test_a_folder_in_the_place_of_a_checkpoint_is_one_line(tmp_path):
    (tmp_path / "step-000000002.pt").mkdir()
    with pytest.raises(InputError, match=r"cannot read .*Is a directory"):
        checkpoint.load(tmp_path)
