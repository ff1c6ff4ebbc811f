"""`autola predict`: pictures with what a trained network finds, whole or not at all."""

import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

import autola
from autola import predicting
from evaluators.tasks.classification.pictures import SMALLEST


@pytest.fixture
def pictures(own_folder):
    """Two pictures of one name in two folders, grey and RGB."""
    for folder, mode in (("one", "L"), ("two", "RGB")):
        (own_folder / folder).mkdir()
        pixels = np.arange(40 * 50 * 3, dtype=np.uint32).reshape(40, 50, 3) % 251
        Image.fromarray(pixels.astype(np.uint8)).convert(mode).save(own_folder / folder / "x.png")
    return own_folder


def test_the_likeliest_classes_are_written_onto_the_pictures(call, trained, pictures):
    told = call(f"predict {trained}/none-seed0 one/x.png two/x.png --out drawn")
    assert told.code == 0
    assert told.out.splitlines()[0] == "one/x.png"
    assert told.out.splitlines()[-1] == "pictures  drawn"
    assert sorted(path.name for path in (pictures / "drawn").iterdir()) == ["x-2.png", "x.png"]
    with Image.open(pictures / "drawn" / "x.png") as drawn:
        assert drawn.mode == "RGB"
        assert min(drawn.size) == SMALLEST


def test_folders_that_nobody_names_are_numbered(call, trained, pictures):
    for number in (1, 2):
        told = call(f"predict {trained}/none-seed0 one/x.png")
        assert told.out.splitlines()[-1] == f"pictures  outputs/runs/predict-{number}"
        assert (pictures / f"outputs/runs/predict-{number}/x.png").is_file()
    (pictures / "named").mkdir()
    told = call(f"predict {trained}/none-seed0 one/x.png --out named")
    assert (told.code, told.err) == (2, "autola: named exists already; choose another --out\n")


def test_json_tells_all_and_draws_where_it_is_asked_to(call, trained, pictures):
    told = call(f"predict {trained}/hoga-seed0 two/x.png --json")
    (entry,) = json.loads(told.out)
    assert entry["image"] == "two/x.png"
    scores = [found["score"] for found in entry["found"]]
    assert scores == sorted(scores, reverse=True)
    assert 0 < sum(scores) <= 1 + 1e-4
    assert {found["class"] for found in entry["found"]} <= set("0123456789")
    assert "picture" not in entry
    assert not (pictures / "outputs").exists()
    (entry,) = json.loads(call(f"predict {trained}/hoga-seed0 two/x.png --json --out drawn").out)
    assert (pictures / entry["picture"]).is_file()


def test_the_scores_are_the_networks_own(trained, call, own_folder):
    from sklearn.datasets import load_digits

    digits: Any = load_digits()
    pixels = digits.images[3]
    image = (pixels / 16 * 255).round().astype(np.uint8)
    Image.fromarray(image).save(own_folder / "digit.png")
    (entry,) = json.loads(call(f"predict {trained}/none-seed0 digit.png --json").out)
    network = autola.load(trained / "none-seed0")
    known = json.loads((trained / "none-seed0" / "data.json").read_text())
    import torch

    x = (torch.tensor(image)[None, None] / 255 - known["mean"][0]) / known["std"][0]
    scores = network(x)[0].softmax(0)
    assert entry["found"][0]["class"] == known["classes"][int(scores.argmax())]
    assert entry["found"][0]["score"] == pytest.approx(scores.max().item(), abs=1e-5)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("{run} missing.png", "no image at missing.png"),
        ("{run} one/x.png text.png", "cannot read text.png (no image that Pillow knows)"),
        ("{run} one/x.png cut.png", "cannot read cut.png"),
        ("{run}", "name at least one image"),
        ("{run} one/x.png --out one", "one exists already; choose another --out"),
        ("{run}/.. one/x.png", "holds several trainings; load one of the folders in it"),
        ("nowhere one/x.png", "nowhere is not a run folder"),
    ],
)
def test_bad_input_leaves_nothing(refused, trained, pictures, words, problem):
    (pictures / "text.png").write_text("no picture")
    (pictures / "cut.png").write_bytes((pictures / "two" / "x.png").read_bytes()[:-300])
    assert problem in refused("predict " + words.format(run=trained / "none-seed0"))


def test_a_training_that_has_not_ended_is_refused(refused, trained, pictures):
    (trained / "none-seed0" / "weights.safetensors").unlink()
    assert "no weights at" in refused(f"predict {trained}/none-seed0 one/x.png")


def test_a_search_is_refused(refused, found, pictures):
    assert "is a search, not a retraining" in refused(f"predict {found} one/x.png")


def test_what_fails_half_way_leaves_nothing(call, monkeypatch, trained, pictures):
    def fails(*given):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(predicting, "_free", fails)
        assert call(f"predict {trained}/none-seed0 one/x.png --out drawn").code == 130
    assert not [path for path in pictures.iterdir() if "drawn" in path.name]
