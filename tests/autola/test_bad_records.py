"""Records of another shape, or of another run, are named in a line; a complete run is shown anywhere."""

from __future__ import annotations

import json
import shutil

import pytest
from filelock import FileLock
from safetensors.torch import load_file, save_file

from tests.autola.test_bad_input import stopped


@pytest.mark.parametrize("kind", ["search", "retrain"])
def test_a_complete_run_is_shown_without_its_lock(call, finished, own_folder, kind):
    """As on a disk that cannot be written, or while another process looks at it."""
    run = shutil.copytree(finished[kind == "retrain"], own_folder / "run")
    with FileLock(run / ".lock"):
        assert call(f"{kind} --resume run").code == 0


def test_metrics_of_another_run(call, monkeypatch, own_folder, refused):
    stopped(call, monkeypatch, own_folder, "retrain", 4)
    path = own_folder / "run" / "none-seed0" / "metrics.jsonl"
    line = json.loads(path.read_text().splitlines()[0])
    for step in (99, 0, "x"):
        path.write_text(json.dumps(line | {"step": step}) + "\n")
        refusal = refused("retrain --resume run")
        assert f"metrics.jsonl: line 1 is of step {step!r}, after 0, and the newest checkpoint of" in refusal


def test_records_of_another_shape_are_named(call, monkeypatch, own_folder, refused):
    stopped(call, monkeypatch, own_folder, "retrain", 4)
    path = own_folder / "run" / "data.json"
    known = json.loads(path.read_text())
    for parts in (None, [], {"train": None}, {"train": {"counts": {"a": "many"}, "digests": {}}}):
        path.write_text(json.dumps(known | {"parts": parts}))
        assert "run/data.json: parts" in refused("retrain --resume run")


def test_a_training_whose_config_names_no_attention(trained, refused):
    path = trained / "none-seed0" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"attentions": []}))
    (trained / "x.png").touch()
    assert "does not name one attention and one seed" in refused(f"predict {trained}/none-seed0 x.png")


@pytest.mark.parametrize(
    ("factor", "told"), [(float("nan"), "holds infinity or NaN in "), (None, "do not fit its")]
)
def test_weights_that_are_no_numbers(trained, refused, factor, told):
    path = trained / "none-seed0" / "weights.safetensors"
    tensors = load_file(path)
    changed = {
        name: tensor.int() if factor is None else tensor * factor if tensor.is_floating_point() else tensor
        for name, tensor in tensors.items()
    }
    save_file(changed, path)
    assert told in refused(f"predict {trained}/none-seed0 x.png")
    assert told in refused(f"export {trained}/none-seed0 --program x.pt2")


@pytest.mark.parametrize(
    ("key", "value"),
    [("classes", None), ("classes", ["a"]), ("mean", ["x"]), ("input_shape", [1, 0, 8]), ("std", "")],
)
def test_facts_of_another_shape(trained, refused, key, value):
    path = trained / "none-seed0" / "data.json"
    known = json.loads(path.read_text())
    path.write_text(json.dumps({name: one for name, one in known.items() if name != key}))
    assert f"data.json has no {key}; was it edited?" in refused(f"predict {trained}/none-seed0 x.png")
    path.write_text(json.dumps(known | {key: value}))
    assert "none-seed0/data.json" in refused(f"predict {trained}/none-seed0 x.png")


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("mean", [0.3, 0.3, 0.3], "mean has 3 numbers for 1 channels"),
        ("std", [], "std has 0 numbers for 1 channels"),
        ("input_shape", [3, 8, 8], "mean has 1 numbers for 3 channels"),
        ("std", [0.0], "std has a number that is not positive"),
    ],
)
def test_a_mean_and_deviation_for_other_channels(trained, refused, key, value, told):
    path = trained / "none-seed0" / "data.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    for words in ("predict {} x.png", "export {} --program x.pt2"):
        assert f"data.json: {told}" in refused(words.format(trained / "none-seed0"))
