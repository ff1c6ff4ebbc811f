"""`autola analyze`: numbers that follow from the networks, and a folder that is whole or not there."""

import csv
import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from lightning.fabric import Fabric
from PIL import Image

import autola
from autola.analyzing import folder
from autola.configs import RetrainConfig
from autola.runs import stored_config
from autola.trained import open_trained
from evaluators.analysis.edges import cell_edges, without_edge
from outputs.run_directory import RunDirectory
from tests.autola.conftest import everything
from tests.autola.test_report import Page

pytest.importorskip("captum")


@pytest.fixture(scope="module")
def analyzed(finished, tmp_path_factory) -> Path:
    """An analysis of a retraining, in a copy of it."""
    run = Path(shutil.copytree(finished[1], tmp_path_factory.mktemp("analyzed") / "run"))
    autola.analyze([run])
    return run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def test_scores_and_drops_are_those_of_the_runs_own_metric(analyzed):
    found = json.loads((analyzed / "analysis/analysis.json").read_text())
    config = stored_config(RunDirectory.open(analyzed / "hoga-seed0"), RetrainConfig)
    network = open_trained(analyzed / "hoga-seed0").network
    task = config.task.read(config.train, Fabric(accelerator="cpu")).start(network, 0)
    assert (found["split"], found["score"]) == ("validation", "accuracy")
    score = task.evaluate(network, "validation")["accuracy"]
    scores = {each["name"]: each["score"] for each in found["networks"]}
    assert scores["hoga-seed0"] == pytest.approx(score, abs=1e-12)
    assert len(found["edges"]) == 10
    for edge, row in zip(cell_edges(network), found["edges"]):
        with without_edge(network, edge):
            less = task.evaluate(network, "validation")["accuracy"]
        assert row["edge"] == edge.name
        assert row["drop"] == pytest.approx(score - less, abs=1e-12)
        assert row["over"] == "images"
        assert row["low"] <= row["drop"] <= row["high"]
    genotype = open_trained(analyzed / "hoga-seed0")
    assert genotype.task.name == found["task"]
    assert {row["operator"] for row in found["edges"]} <= set(autola.OPERATORS)
    assert [row["drop"] for row in found["edges"]] == [
        float(r["drop"]) for r in rows(analyzed / "analysis/edges.csv")
    ]


def test_everything_is_there_as_pictures_and_as_data(analyzed):
    made = analyzed / "analysis"
    found = json.loads((made / "analysis.json").read_text())
    files = {path.name for path in made.iterdir()}
    pictures = {picture["file"] for picture in found["pictures"]}
    tables = {"selectivity.csv", "edges.csv", "features.csv", "gates.csv"}
    assert files == pictures | tables | {"analysis.json", "maps.npz"}
    assert {"selectivity.png", "edges.png", "features.png"} < pictures
    for name in pictures:
        with Image.open(made / name) as picture:
            colors = np.asarray(picture.convert("RGB")).reshape(-1, 3)
            assert len(np.unique(colors, axis=0)) > 20, name
    channels = rows(made / "selectivity.csv")
    for row in found["selectivity"]:
        own = [
            r["selectivity"] for r in channels if (r["network"], r["stage"]) == (row["network"], row["stage"])
        ]
        known = [float(value) for value in own if value]
        assert len(known) == row["channels"]
        assert np.mean(known) == pytest.approx(row["mean"])
        assert min(known) >= 0
        assert max(known) <= 1
    with np.load(made / "maps.npz") as maps:
        assert maps["example 1|none-seed0|grad_cam"].shape == (2, 2)
        assert maps["example 1|hoga-seed0|guided_backpropagation"].shape == (1, 8, 8)
        for row in found["gates"]:
            factors = maps[f"{row['image']}|{row['network']}|{row['site']}|{row['gate']}"]
            assert factors.mean() == pytest.approx(row["mean"], abs=1e-6)
    assert {row["network"] for row in found["gates"]} == {"hoga-seed0"}
    assert len({r["image"] for r in rows(made / "features.csv")}) == found["num_images"]


def test_the_report_takes_it_up(analyzed):
    page = Page(autola.report([analyzed], analyzed.parent / "report.html").read_text())
    found = json.loads((analyzed / "analysis/analysis.json").read_text())
    assert len(page.images) == len(found["pictures"])
    assert all(image["src"].startswith("data:image/png;base64,") and image["alt"] for image in page.images)
    assert "Class selectivity (Morcos et al. 2018)" in page.text
    assert f"{100 * found['edges'][0]['drop']:+.2f}" in page.text


def test_a_damaged_analysis_is_not_reported(analyzed, refused, own_folder):
    run = Path(shutil.copytree(analyzed, own_folder / "run"))
    (run / "analysis/edges.png").unlink()
    assert "no picture 'edges.png'" in refused("report run")
    (run / "analysis/analysis.json").write_text("{")
    assert "analysis.json" in refused("report run")


def test_images_and_parts_are_those_that_are_named(call, trained, own_folder):
    Image.fromarray(np.arange(1200, dtype=np.uint8).reshape(30, 40)).save("one.png")
    words = "--images one.png --parts saliency gates --target 7 --out found --json"
    told = call(f"analyze {trained}/hoga-seed0 {trained}/none-seed0 {words}")
    assert told.code == 0, told.err
    found = json.loads(told.out)
    assert [(row["image"], row["network"], row["shown"]) for row in found["explained"]] == [
        ("one.png", "hoga-seed0", "7"),
        ("one.png", "none-seed0", "7"),
    ]
    assert found["selectivity"] == found["edges"] == []
    assert sorted(path.name for path in Path("found").iterdir()) == [
        "analysis.json", "gates-hoga-seed0-one.png", "gates.csv", "maps.npz", "saliency-one.png",
    ]  # fmt: skip
    prediction = json.loads(call(f"predict {trained}/hoga-seed0 one.png --json").out)[0]["found"]
    share = {entry["class"]: entry["score"] for entry in prediction}
    if "7" in share:
        assert found["explained"][0]["probability"] == pytest.approx(share["7"], abs=1e-5)


def test_several_trainings_give_a_spread_over_trainings(call, tmp_path):
    small = "--data.limit 60 --width 8 --train.epochs 1 --train.batch-size 20 --train.warmup-epochs 0"
    assert call(f"retrain hoga {small} --seeds 0 1 --out {tmp_path}/run").code == 0
    found = autola.analyze([tmp_path / "run"], parts=["edges"], split="test")
    assert {row.over for row in found.edges} == {"trainings"}
    assert {row.networks for row in found.edges} == {2}
    singles = [
        autola.analyze([tmp_path / f"run/hoga-seed{seed}"], parts=["edges"], split="test") for seed in (0, 1)
    ]
    for row, one, two in zip(found.edges, singles[0].edges, singles[1].edges):
        assert row.drop == pytest.approx((one.drop + two.drop) / 2)
        assert row.deviation == pytest.approx(abs(one.drop - two.drop) / 2**0.5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "name at least one run"),
        ("nowhere", "is not a run folder"),
        ("{search}", "is a search"),
        ("{run} {run}/none-seed0", "named twice"),
        ("{run} --images nowhere.png", "nowhere.png"),
        ("{run} --images words.txt", "no image that Pillow knows"),
        ("{run} --images one.png one.png", "named twice"),
        ("{run} --images one.png --parts edges", "leave out --images"),
        ("{run}/none-seed0 --parts gates", "no network has attention with gates"),
        ("{run}/none-seed0 --parts edges", "no network has a cell"),
        ("{run} --target cat", "unknown class 'cat'"),
        ("{run} --target 7 --parts edges", "a target is a class for Grad-CAM"),
        ("{run} --out there", "there exists already"),
        ("{run} --data.root there", "reads no folder of data"),
        ("{unfinished}", "has not ended; autola retrain --resume"),
        ("{unfinished}/none-seed0", "has not ended; autola retrain --resume"),
    ],
)
def test_what_cannot_be_analyzed_is_one_line(refused, finished, own_folder, words, said):
    Path("words.txt").write_text("not an image")
    Image.new("L", (8, 8)).save("one.png")
    Path("there").mkdir()
    unfinished = Path(shutil.copytree(finished[1], own_folder / "unfinished"))
    for name in ("table.json", "none-seed0/result.json"):
        (unfinished / name).unlink()
    line = words.format(search=finished[0], run=finished[1], unfinished=unfinished)
    assert said in refused(f"analyze {line}")


def test_runs_of_different_data_are_not_looked_at_together(refused, trained, own_folder):
    other = Path(shutil.copytree(trained, own_folder / "other"))
    for name in ("none-seed0", "hoga-seed0"):
        data = json.loads((other / name / "data.json").read_text())
        data["std"][0] += 0.25
        (other / name / "data.json").write_text(json.dumps(data))
    said = refused(f"analyze {trained} {other}")
    assert "are of different data: std [" in said


@pytest.mark.parametrize("parts", ["selectivity", "saliency"])
def test_a_full_disk_leaves_nothing(trained, monkeypatch, parts):
    def full(*given, **named):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(folder, f"draw_{parts}", full)
    before = everything(trained)
    with pytest.raises(autola.InputError, match=r"[Nn]o space left"):
        autola.analyze([trained], parts=[parts])
    assert everything(trained) == before
