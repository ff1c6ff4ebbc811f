"""Real pictures of ten ImageNet classes: learnt by heart, killed and gone on with, shown and exported."""

import json
import os
import random
import tarfile
from pathlib import Path

import pytest

import autola
from evaluators.data.pictures import list_pictures
from evaluators.tasks.imagenet import ImageNetData
from tests.autola.runs import records
from tests.autola.test_slow import KILLED, start

ROOT = Path(__file__).parents[2]
IMAGENETTE = Path(os.environ.get("AUTOLA_TEST_DATA", ROOT.parent / "shared" / "data")) / "imagenette"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not IMAGENETTE.is_dir(), reason="no Imagenette at hand; AUTOLA_TEST_DATA names its parent"
    ),
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """All pictures, unpacked."""
    root = tmp_path_factory.mktemp("imagenette")
    for part in ("train", "val"):
        with tarfile.open(IMAGENETTE / f"{part}.tar") as archive:
            archive.extractall(root / part, filter="data")
    return root


@pytest.fixture(scope="module")
def handful(pictures, tmp_path_factory):
    """Two pictures of each class, to train on and to be tested on."""
    root = tmp_path_factory.mktemp("handful")
    for number, file in enumerate(list_pictures(pictures / "train").files):
        if number % 250 < 2:
            for part in ("train", "val"):
                folder = root / part / Path(file).parent.name
                folder.mkdir(parents=True, exist_ok=True)
                (folder / Path(file).name).symlink_to(file)
    return root


def test_a_handful_of_pictures_is_learnt_by_heart(handful, own_folder):
    table = autola.retrain(
        *("none", "se", "hoga"),
        preset="imagenet",
        out="run",
        data=ImageNetData(root=str(handful)),
        backbone="resnet18",
        image_size=64,
        resize=72,
        augment=False,
        workers=0,
        train={
            "epochs": 30,
            "batch_size": 20,
            "learning_rate": 0.02,
            "schedule": "cosine",
            "milestones": [],
            "warmup_epochs": 3,
        },
        threads=1,
    )
    assert {row.attention: row.mean for row in table.rows} == {"none": 1.0, "se": 1.0, "hoga": 1.0}


COMMAND = (
    "retrain none se --preset imagenet --backbone resnet18 --image-size 32 --resize 36 "
    "--workers 1 --data.limit 24 --mixup 0.2 --train.ema 0.9 --train.epochs 3 --train.batch-size 8 "
    "--threads 1 --device cpu"
)


@pytest.fixture(scope="module")
def whole(pictures, tmp_path_factory):
    """A retraining that was never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    told = start(f"{COMMAND} --data.root {pictures} --out run", folder)
    assert told.returncode == 0, told.stderr
    return folder / "run"


@pytest.mark.parametrize(("where", "most"), [("step", 17), ("inside a file", 16)])
@pytest.mark.parametrize("often", ["often", "seldom"])
def test_a_training_that_is_killed_goes_on_to_the_same_end(pictures, whole, own_folder, where, most, often):
    count = random.Random(f"{where} {often}").randint(5, most)
    program = ("-c", KILLED, where, str(count), often)
    told = start(f"{COMMAND} --data.root {pictures} --out run", own_folder, program=program)
    assert told.returncode == -9, told.stderr
    again = start("retrain --resume run", own_folder)
    assert again.returncode == 0, again.stderr
    assert records(own_folder / "run") == records(whole)


def test_what_is_trained_is_shown_and_exported(pictures, whole, own_folder):
    files = list_pictures(pictures / "val").spread(3).files
    told = start(f"predict {whole}/se-seed0 {' '.join(files)} --json --out drawn", own_folder)
    assert told.returncode == 0, told.stderr
    assert [len(entry["found"]) for entry in json.loads(told.stdout)] == [5, 5, 5]
    assert len(list((own_folder / "drawn").iterdir())) == 3
    told = start(f"export {whole}/se-seed0 --onnx net.onnx --program net.pt2", own_folder)
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("on 4 test image(s)") == 2
