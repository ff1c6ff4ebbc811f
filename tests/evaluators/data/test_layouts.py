"""Layouts that are nearly right: read as they are meant, or refused with a hint, and never as another."""

from __future__ import annotations

import logging
import shutil
import tarfile
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from evaluators.data import DataConfig, ImageSet, Splits, read
from evaluators.data.pictures import list_pictures
from evaluators.data.walk import walk
from evaluators.tasks.segmentation.data import SceneData
from evaluators.tasks.segmentation.scenes import read_scenes
from foundation.errors import InputError

MakeFolder = Callable[..., Path]
Pack = Callable[..., Path]


def load(root: Path) -> Splits:
    return read(DataConfig(name="folder", root=str(root), padding=0))


def same(one: ImageSet, other: ImageSet) -> bool:
    equal = torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)
    return equal and one.classes == other.classes


@pytest.mark.parametrize("name", ["Overview.png", "aa.png", "zz.JPG", "0.bmp"])
@pytest.mark.parametrize("packed", ["", ".", "wrapped"])
def test_a_loose_picture_is_passed_over_and_said(
    name: str,
    packed: str,
    make_folder: MakeFolder,
    pack: Pack,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    root = make_folder(each=6)
    clean = load(root)
    Image.new("RGB", (6, 6)).save(root / name)
    root = pack(root, tmp_path / "set.tar", wrapper=packed) if packed else root
    with caplog.at_level(logging.INFO):
        found = load(root)
    assert same(found.train, clean.train)
    assert same(found.test, clean.test)
    assert "12 images, 1 left out (1 beside the class folders: " in caplog.text
    assert name in caplog.text


def test_more_than_a_tenth_left_out_is_a_warning(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder(each=6)
    for number in range(2):
        Image.new("RGB", (6, 6)).save(root / f"{number}.png")
    load(root)
    (warning,) = (record for record in caplog.records if record.levelname == "WARNING")
    assert "12 images, 2 left out" in warning.message


def test_a_tar_that_was_updated_holds_the_later_picture(
    make_folder: MakeFolder, pack: Pack, tmp_path: Path
) -> None:
    root = make_folder()
    archive = pack(root, tmp_path / "set.tar")
    Image.new("RGB", (6, 6), "red").save(root / "a" / "0.png")
    with tarfile.open(archive, "a") as file:
        file.add(root / "a" / "0.png", "./a/0.png")
    assert same(load(archive).train, load(root).train)


@pytest.mark.parametrize(
    ("train", "others"),
    [
        ("train", ("valid",)),
        ("Train", ("Test",)),
        ("training", ("dev", "testing")),
        ("TRAIN", ("validation", "test")),
    ],
)
def test_parts_go_by_their_usual_names(
    train: str, others: tuple[str, ...], make_folder: MakeFolder, tmp_path: Path
) -> None:
    make_folder(f"root/{train}", each=4)
    for name in others:
        make_folder(f"root/{name}", each=3)
    splits = load(tmp_path / "root")
    assert splits.train.classes == ("a", "b")
    assert (len(splits.train), len(splits.test)) == (8, 6)
    assert (splits.validation is not None) == (len(others) == 2)


@pytest.mark.parametrize(
    ("folders", "message"),
    [
        (("train", "holdout"), "holds holdout and train instead of classes; .* train beside val or test"),
        (("train2017", "val2017"), "holds train2017 and val2017 instead of classes"),
        (("images_train", "images_eval"), "instead of classes"),
        (("valid", "test"), "holds test and valid instead of classes"),
        (("train", "val", "Validation"), "has Validation and val, which both mean val; keep one"),
    ],
)
def test_other_names_are_refused_with_a_hint(
    folders: tuple[str, ...], message: str, make_folder: MakeFolder, pack: Pack, tmp_path: Path
) -> None:
    for name in folders:
        make_folder(f"root/{name}", each=3)
    with pytest.raises(InputError, match=message):
        load(tmp_path / "root")
    with pytest.raises(InputError, match="instead of classes"):
        load(pack(tmp_path / "root", tmp_path / "packed.tar"))


def test_links_to_what_is_read_already_add_nothing(
    make_folder: MakeFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder(each=10)
    clean = load(root)
    (root / "a" / "self").symlink_to(".")
    (root / "a" / "all").symlink_to("..")
    (root / "a" / "above").symlink_to("../..")
    (root / "A other").symlink_to("b")
    with caplog.at_level(logging.INFO):
        found = load(root)
    assert same(found.train, clean.train)
    assert same(found.test, clean.test)
    listed = walk(root)
    assert len(listed.files) == 20
    assert "passed over: 4 a link to a folder that is read already" in str(listed.tally)


def test_links_to_folders_elsewhere_are_followed_once(make_folder: MakeFolder, tmp_path: Path) -> None:
    elsewhere = make_folder("elsewhere", each=5)
    clean = load(elsewhere)
    (elsewhere / "a" / "back").symlink_to(elsewhere)
    (tmp_path / "set").mkdir()
    for name in "ab":
        (tmp_path / "set" / name).symlink_to(elsewhere / name)
    assert same(load(tmp_path / "set").train, clean.train)


@pytest.mark.parametrize("packed", [False, True])
def test_what_storage_systems_leave_is_neither_class_nor_picture(
    packed: bool, make_folder: MakeFolder, pack: Pack, tmp_path: Path
) -> None:
    root = make_folder()
    clean = load(root)
    for name in ("@eaDir", "a/@eaDir/0.png", "__MACOSX/a", "$RECYCLE.BIN", "#recycle", "lost+found"):
        (root / name).mkdir(parents=True)
        Image.new("RGB", (6, 6)).save(root / name / "SYNOPHOTO_THUMB_M.png")
    for name in ("._0.png", "Thumbs.db", "clip.mpg", "clip.MPEG", "weights.h5"):
        (root / "a" / name).write_bytes(b"x")
    found = load(pack(root, tmp_path / "set.tar") if packed else root)
    assert same(found.train, clean.train)


@pytest.mark.parametrize("packed", [False, True])
def test_an_empty_class_of_a_part_is_as_a_missing_one(
    packed: bool, make_folder: MakeFolder, pack: Pack, tmp_path: Path
) -> None:
    make_folder("root/train", classes="abc")
    val = make_folder("root/val", classes="b", each=3)
    (val / "c").mkdir()
    if packed:
        pack(val, tmp_path / "root" / "val.tar")
        shutil.rmtree(val)
    assert load(tmp_path / "root").test.labels.tolist() == [1, 1, 1]


def test_an_empty_class_of_pictures_read_in_turn(make_folder: MakeFolder) -> None:
    folder = make_folder(each=2)
    (folder / "c").mkdir()
    assert list_pictures(folder, ("a", "b", "c")).labels.tolist() == [0, 0, 1, 1]
    with pytest.raises(InputError, match=r"class 'c' in .* has no images"):
        list_pictures(folder)


def test_accents_written_in_two_ways_are_one_class(make_folder: MakeFolder, tmp_path: Path) -> None:
    two = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    make_folder("root/train", classes=[two[0], "tea"])
    make_folder("root/test", classes=[two[1], "tea"])
    assert load(tmp_path / "root").test.classes == (two[0], "tea")


def test_scenes_know_what_systems_leave_and_both_accents(tmp_path: Path) -> None:
    names = [unicodedata.normalize(form, "straße à.png") for form in ("NFC", "NFD")]
    for folder, name in zip(("val", "valannot"), names):
        (tmp_path / folder / "@eaDir").mkdir(parents=True)
        for path in (tmp_path / folder / name, tmp_path / folder / "@eaDir" / "thumb.png"):
            Image.new("L", (4, 4)).save(path)
        (tmp_path / folder / "around").symlink_to(".")
    data = SceneData(root=str(tmp_path), num_classes=2)
    assert [picture.name for picture, _ in read_scenes(data, "val").pairs] == [names[0]]


@pytest.mark.parametrize(
    "names", [("images", "masks"), ("JPEGImages", "SegmentationClass"), ("img", "gt"), ("labels", "rgb_png")]
)
def test_pictures_and_their_labels_are_no_classes(names: tuple[str, str], make_folder: MakeFolder) -> None:
    root = make_folder()
    for old, new in zip("ab", names):
        (root / old).rename(root / new)
    with pytest.raises(InputError, match=r"images and their labels and no classes"):
        load(root)


@pytest.mark.parametrize(
    "names", [("mask", "no mask"), ("photo", "painting"), ("class1", "class2"), ("raw", "rgb")]
)
def test_classes_may_be_called_nearly_like_that(names: tuple[str, str], make_folder: MakeFolder) -> None:
    root = make_folder()
    for old, new in zip("ab", names):
        (root / old).rename(root / new)
    assert load(root).train.classes == tuple(sorted(names))


def test_pictures_in_deeper_folders_are_told(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("set/first", "set/second"):
        root = make_folder(name).parent
    assert load(root).train.classes == ("first", "second")
    assert "20 images; among them 20 in deeper folders, of the class above them: " in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_what_lies_beside_the_parts_is_told(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("set/train", "set/val", "set/test2017"):
        root = make_folder(name).parent
    (root / "readme.txt").touch()
    load(root)
    assert "beside the parts lie, and are not read: readme.txt, test2017" in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_two_parts_that_are_one_folder_are_refused(make_folder: MakeFolder) -> None:
    root = make_folder("set/train").parent
    (root / "val").symlink_to("train")
    with pytest.raises(InputError, match="are one folder by a link: what is trained on would be tested on"):
        load(root)


@pytest.mark.parametrize("packed", [False, True])
def test_pictures_that_pillow_cannot_read_are_counted(
    packed: bool, make_folder: MakeFolder, pack: Pack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder()
    for number in range(3):
        (root / "a" / f"{number}.png").rename(root / "a" / f"{number}.HEIC")
    load(pack(root, tmp_path / "set.tar") if packed else root)
    assert "7 images, 3 left out (3 of a kind that Pillow cannot read: " in caplog.text
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_classes_that_a_part_lacks_are_told(
    make_folder: MakeFolder, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder("set/train", classes="abc").parent
    make_folder("set/val")
    load(root)
    list_pictures(root / "val", list_pictures(root / "train").classes)
    assert [record.message for record in caplog.records] == [
        f"{root / 'val'}: classes without an image: c"
    ] * 2


def test_labels_without_a_picture_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for folder, names in (("val", "ab"), ("valannot", "abc")):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.new("L", (4, 4)).save(tmp_path / folder / f"{name}.png")
    assert len(read_scenes(SceneData(root=str(tmp_path), num_classes=2), "val")) == 2
    assert "valannot: 2 labels, 1 left out (1 without an image: c.png)" in caplog.text
