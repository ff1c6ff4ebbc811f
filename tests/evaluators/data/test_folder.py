from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from evaluators.data import DataConfig, ImageSet, Splits, read
from foundation.errors import InputError

MakeFolder = Callable[..., Path]
Pack = Callable[..., Path]


def load(root: Path, **more) -> Splits:
    return read(DataConfig(name="folder", root=str(root), padding=0, **more))


def same(one: ImageSet, other: ImageSet) -> bool:
    equal = torch.equal(one.images, other.images) and torch.equal(one.labels, other.labels)
    return equal and one.classes == other.classes


def test_a_lone_set_is_split(make_folder: MakeFolder) -> None:
    splits = load(make_folder(classes="cab", each=10))
    assert splits.train.classes == ("a", "b", "c")
    assert torch.bincount(splits.train.labels).tolist() == [8, 8, 8]
    assert torch.bincount(splits.test.labels).tolist() == [2, 2, 2]
    assert splits.validation is None
    again = load(make_folder("other", classes="ab", each=10))
    assert len(again.test) == 4


def test_pixels_and_labels_are_those_of_the_files(make_folder: MakeFolder, tmp_path: Path) -> None:
    make_folder("train", classes="ba", each=3)
    make_folder("test", classes="ab", each=2)
    splits = load(tmp_path)
    files = sorted((tmp_path / "train").rglob("*.png"))
    assert len(splits.train) == len(files) == 6
    for place, file in enumerate(files):
        np.testing.assert_array_equal(splits.train.images[place].numpy(), np.asarray(Image.open(file)))
        assert splits.train.classes[splits.train.labels[place]] == file.parent.name


@pytest.mark.parametrize("wrapper", [".", "wrapped", "wrapped/twice"])
@pytest.mark.parametrize("ending", ["tar", "tar.gz", "tgz"])
def test_a_tar_equals_its_folder(
    make_folder: MakeFolder, pack: Pack, tmp_path: Path, ending: str, wrapper: str
) -> None:
    folder = make_folder(classes="abc")
    archive = pack(folder, tmp_path / f"packed.{ending}", wrapper=wrapper)
    one, other = load(folder), load(archive)
    assert same(one.train, other.train)
    assert same(one.test, other.test)


@pytest.mark.parametrize("packed", [False, True])
def test_parts_of_their_own(make_folder: MakeFolder, pack: Pack, tmp_path: Path, packed: bool) -> None:
    for name, each in [("train", 4), ("val", 3), ("test", 2)]:
        folder = make_folder(f"root/{name}", each=each)
        if packed:
            pack(folder, folder.with_name(f"{name}.tar.gz"))
            shutil.rmtree(folder)
    splits = load(tmp_path / "root")
    assert splits.validation is not None
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [8, 6, 4]


def test_a_lone_val_is_the_test_set(make_folder: MakeFolder, tmp_path: Path) -> None:
    make_folder("root/train", each=4)
    make_folder("root/val", each=3)
    splits = load(tmp_path / "root")
    assert len(splits.test) == 6
    assert splits.validation is None


def test_a_class_may_be_called_train(make_folder: MakeFolder, tmp_path: Path) -> None:
    make_folder("root", classes=["bus", "train"])  # type: ignore[arg-type]
    assert load(tmp_path / "root").train.classes == ("bus", "train")


def test_test_may_lack_classes_and_labels_stay_right(make_folder: MakeFolder, tmp_path: Path) -> None:
    make_folder("root/train", classes="abcd")
    make_folder("root/test", classes="bd", each=3)
    splits = load(tmp_path / "root")
    assert splits.test.classes == splits.train.classes
    assert splits.test.labels.tolist() == [1, 1, 1, 3, 3, 3]


def test_what_systems_leave_behind_is_passed_over(
    make_folder: MakeFolder, pack: Pack, tmp_path: Path
) -> None:
    clean = load(make_folder())
    folder = tmp_path / "set"
    (folder / "a" / ".DS_Store").write_bytes(b"x")
    (folder / "a" / "._0.png").write_bytes(b"x")
    (folder / "a" / "readme.txt").write_bytes(b"x")
    (folder / "__MACOSX").mkdir()
    for root in (folder, pack(folder, tmp_path / "set.tar")):
        assert same(load(root).train, clean.train)


def test_deeper_folders_belong_to_their_class(make_folder: MakeFolder) -> None:
    folder = make_folder()
    flat = load(folder)
    (folder / "a" / "images").mkdir()
    (folder / "a" / "4.png").rename(folder / "a" / "images" / "4.png")
    assert same(load(folder).train, flat.train)


def test_image_size_resizes_the_short_side_and_crops(make_folder: MakeFolder) -> None:
    folder = make_folder(each=1)
    wide = np.zeros((10, 30, 3), dtype=np.uint8)
    wide[:, 10:20] = 200
    for index in range(4):
        Image.fromarray(wide).save(folder / "a" / f"wide{index}.png")
        Image.fromarray(wide.transpose(1, 0, 2)).save(folder / "b" / f"tall{index}.png")
    splits = load(folder, image_size=5)
    assert splits.image_size == (5, 5)
    middle = splits.train.images[:, 1:4, 1:4]
    assert (middle.amin((1, 2, 3)) > 190).sum() >= 6


@pytest.mark.parametrize(
    ("given", "message"),
    [("a", "has 1 class with images, two are needed"), ("", "is empty")],
)
def test_too_few_classes(make_folder: MakeFolder, tmp_path: Path, given: str, message: str) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(InputError, match=message):
        load(make_folder(classes=given) if given else tmp_path / "set")


def test_a_file_that_is_no_tar(tmp_path: Path) -> None:
    (tmp_path / "images.zip").write_bytes(b"x")
    with pytest.raises(InputError, match="neither a folder nor a tar"):
        load(tmp_path / "images.zip")


def test_images_without_classes(make_folder: MakeFolder) -> None:
    with pytest.raises(InputError, match=r"has no classes with images.*expected <class>/<image>"):
        load(make_folder() / "a")


@pytest.mark.parametrize("packed", [False, True])
def test_a_class_without_images(make_folder: MakeFolder, pack: Pack, tmp_path: Path, packed: bool) -> None:
    folder = make_folder()
    (folder / "c").mkdir()
    (folder / "c" / "notes.txt").write_text("none yet")
    root = pack(folder, tmp_path / "set.tar") if packed else folder
    with pytest.raises(InputError, match=r"class 'c' in .* has no images"):
        load(root)


def test_a_link_that_leads_nowhere(make_folder: MakeFolder) -> None:
    folder = make_folder()
    (folder / "a" / "lost.png").symlink_to(folder / "gone.png")
    with pytest.raises(InputError, match=r"cannot read .*lost\.png"):
        load(folder)


def test_sizes_that_differ_name_two_files(make_folder: MakeFolder) -> None:
    folder = make_folder()
    Image.new("RGB", (8, 4)).save(folder / "b" / "9.png")
    with pytest.raises(InputError, match=r"a/0\.png is 6x6, b/9\.png 4x8; give image_size"):
        load(folder)


def test_parts_whose_sizes_differ(make_folder: MakeFolder, tmp_path: Path) -> None:
    make_folder("root/train", size=6)
    make_folder("root/test", size=7)
    with pytest.raises(InputError, match="training images are 6x6, test images 7x7; give image_size"):
        load(tmp_path / "root")
    assert load(tmp_path / "root", image_size=5).image_size == (5, 5)


def test_classes_that_training_lacks(make_folder: MakeFolder, tmp_path: Path) -> None:
    make_folder("root/train", classes="ab")
    make_folder("root/test", classes="abz")
    with pytest.raises(InputError, match="test has classes that the training set lacks: z"):
        load(tmp_path / "root")


def test_a_train_tar_alone(make_folder: MakeFolder, pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    pack(make_folder(), tmp_path / "root" / "train.tar")
    with pytest.raises(InputError, match=r"has train\.tar but no test or val"):
        load(tmp_path / "root")


def test_parts_inside_one_tar(make_folder: MakeFolder, pack: Pack, tmp_path: Path) -> None:
    make_folder("root/train")
    make_folder("root/test")
    with pytest.raises(InputError, match="holds test and train instead of classes"):
        load(pack(tmp_path / "root", tmp_path / "all.tar"))


def test_download_is_for_others(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no use for download"):
        load(tmp_path, download=True)
