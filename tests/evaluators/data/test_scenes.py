"""Pictures with labels: what is read, what is refused in one line, and how they are cropped."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from evaluators.tasks.segmentation.data import IGNORED, SceneData
from evaluators.tasks.segmentation.scene_crops import FILL, Crops, Uncut, collate_scenes
from evaluators.tasks.segmentation.scenes import read_scenes
from foundation.errors import InputError

NUM_CLASSES, VOID = 4, 11


def write(root, part="train", names=("a", "b", "c"), size=(13, 10), suffix=".png"):
    """Pictures whose red channel is 20 times the class, 200 where there is none."""
    for number, name in enumerate(names):
        random = np.random.default_rng(number)
        labels = random.integers(0, NUM_CLASSES, (size[1], size[0])).astype(np.uint8)
        labels[0] = VOID
        pixels = np.zeros((size[1], size[0], 3), np.uint8)
        pixels[..., 0] = np.where(labels == VOID, 200, 20 * labels)
        for folder, image, ending in ((part, pixels, suffix), (f"{part}annot", labels, ".png")):
            path = root / folder / f"{name}{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return SceneData(root=str(root), num_classes=NUM_CLASSES, ignore=VOID)


def classes_of(picture):
    """What the picture itself says of the classes, by `write`."""
    red = np.asarray(picture)[..., 0].astype(int)
    return np.where(red == 200, IGNORED, red // 20)


def test_labels_belong_to_their_pictures(tmp_path):
    data = write(tmp_path, names=("b", "deeper/a", "c"))
    scenes = read_scenes(data, "train")
    assert [picture.stem for picture, _ in scenes.pairs] == ["b", "c", "a"]
    for index in range(3):
        labels = np.asarray(scenes.labels(index))
        np.testing.assert_array_equal(labels, classes_of(scenes.picture(index)))
        assert (labels[0] == IGNORED).all()
    assert scenes.classes == ("0", "1", "2", "3")


def test_whole_pictures_are_samples(tmp_path):
    scenes = read_scenes(write(tmp_path), "train")
    picture, labels = Uncut(scenes).sample(1, 0)
    assert (picture.shape, picture.dtype) == ((3, 10, 13), torch.uint8)
    assert (labels.shape, labels.dtype) == ((10, 13), torch.int64)
    np.testing.assert_array_equal(labels, classes_of(picture.permute(1, 2, 0)))
    stacked = collate_scenes([Uncut(scenes).sample(index, 0) for index in range(3)])
    assert stacked.picture.shape == (3, 3, 10, 13)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("size", [4, 10, 17])
def test_unscaled_crops_are_pieces_of_picture_and_labels_alike(tmp_path, size, flip):
    scenes = read_scenes(write(tmp_path), "train")
    crops = Crops(scenes, size, (1.0, 1.0), flip)
    whole = Uncut(scenes).sample(0, 0)
    height, width = min(size, 10), min(size, 13)
    pieces = {
        (mirrored, top, left): (image.flip(-1) if mirrored else image)
        for mirrored in (False, True)
        for top in range(10 - height + 1)
        for left in range(13 - width + 1)
        for image in [whole.picture[:, top : top + height, left : left + width]]
    }
    found = set()
    for seed in range(30):
        picture, labels = crops.sample(0, seed)
        assert picture.shape == (3, size, size)
        places = [place for place, piece in pieces.items() if torch.equal(picture[:, :height, :width], piece)]
        assert places, "no piece of the picture"
        found |= set(places)
        kept = labels[:height, :width]
        np.testing.assert_array_equal(kept, classes_of(picture[:, :height, :width].permute(1, 2, 0)))
        assert (labels[height:] == IGNORED).all()
        assert (labels[:, width:] == IGNORED).all()
        assert (picture[:, height:] == torch.tensor(FILL)[:, None, None]).all()
    assert {mirrored for mirrored, _, _ in found} == ({False, True} if flip else {False})
    assert len(found) > 1 or (size == 17 and not flip)


def test_scaled_labels_stay_on_their_pixels(tmp_path):
    # Four patches of one class each: wherever the crop is, colour and label agree but at the edges.
    labels = np.kron(np.arange(4).reshape(2, 2), np.ones((20, 30))).astype(np.uint8)
    pixels = np.repeat(20 * labels[..., None], 3, -1)
    for folder, image in (("train", pixels), ("trainannot", labels)):
        (tmp_path / folder).mkdir()
        Image.fromarray(image).save(tmp_path / folder / "a.png")
    scenes = read_scenes(SceneData(root=str(tmp_path), num_classes=4), "train")
    for seed in range(20):
        picture, found = Crops(scenes, 24, (0.7, 2.0), True).sample(0, seed)
        agree = ((picture[0] + 10) // 20 == found) | (found == IGNORED)
        assert agree.double().mean() > 0.85
    one, again, other = (Crops(scenes, 24, (0.7, 2.0), True).sample(0, seed) for seed in (1, 1, 2))
    assert torch.equal(one.picture, again.picture)
    assert not torch.equal(one.picture, other.picture)


def test_resized_labels_keep_their_values(tmp_path):
    data = write(tmp_path)
    scenes = read_scenes(SceneData(root=data.root, num_classes=4, ignore=VOID, image_size=(5, 7)), "train")
    assert scenes.picture(0).size == scenes.labels(0).size == (7, 5)
    assert set(np.unique(np.asarray(scenes.labels(0)))) <= {0, 1, 2, 3, IGNORED}


def test_a_limit_takes_pictures_at_even_steps(tmp_path):
    data = write(tmp_path, names="abcdef")
    scenes = read_scenes(SceneData(root=data.root, num_classes=4, ignore=VOID, limit=2), "train")
    assert [picture.stem for picture, _ in scenes.pairs] == ["a", "d"]


def test_cityscapes_layout(tmp_path):
    for city, name in (("bonn", "bonn_000000_000019"), ("ulm", "ulm_000001_000019")):
        labels = np.array(
            [[7, 26, 0], [33, 4, 11]], np.uint8
        )  # road, car, unlabelled; bicycle, static, building
        for kind, ending, image in (
            ("leftImg8bit", "leftImg8bit", np.zeros((2, 3, 3), np.uint8)),
            ("gtFine", "gtFine_labelIds", labels),
            ("gtFine", "gtFine_color", np.zeros((2, 3, 4), np.uint8)),
        ):
            (tmp_path / kind / "train" / city).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_path / kind / "train" / city / f"{name}_{ending}.png")
    scenes = read_scenes(SceneData(root=str(tmp_path), layout="cityscapes"), "train")
    assert len(scenes) == 2
    assert len(scenes.classes) == 19
    assert [scenes.classes[k] for k in (0, 13, 18, 2)] == ["road", "car", "bicycle", "building"]
    assert np.asarray(scenes.labels(1)).tolist() == [[0, 13, IGNORED], [18, IGNORED, 2]]


def test_labels_of_sixteen_bits_are_read(tmp_path):
    data = write(tmp_path)
    labels = np.asarray(Image.open(tmp_path / "trainannot" / "a.png")).astype(np.uint16)
    Image.fromarray(labels).save(tmp_path / "trainannot" / "a.png")
    scenes = read_scenes(data, "train")
    np.testing.assert_array_equal(np.asarray(scenes.labels(0)), classes_of(scenes.picture(0)))


def spoil_label(root, image):
    Image.fromarray(image).save(root / "trainannot" / "b.png")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "train").rename(root / "t"), "no folder of images at .*train"),
        (lambda root: (root / "trainannot").rename(root / "t"), "no folder of labels at .*trainannot"),
        (lambda root: [p.unlink() for p in (root / "train").iterdir()], "no images in .*train"),
        (
            lambda root: [(root / "trainannot" / f"{name}.png").unlink() for name in "ac"],
            r"2 of 3 images of 'train' have no labels: a\.png, c\.png; add the labels",
        ),
        (
            lambda root: spoil_label(root, np.zeros((5, 6), np.uint8)),
            r"1 of 3 images of 'train' differ in size from their labels: b\.png is 13x10 pixels, .* 6x5",
        ),
        (
            lambda root: spoil_label(root, np.full((10, 13), 7, np.uint8)),
            r"b\.png has the value 7, which is neither one of the 4 classes \(0 to 3\) nor ignored; set",
        ),
        (
            lambda root: spoil_label(root, np.full((10, 13), 200, np.uint8)),
            r"b\.png has the value 200, which is neither",
        ),
        (
            lambda root: spoil_label(root, np.zeros((10, 13, 3), np.uint8)),
            r"b\.png is RGB, but labels have one channel",
        ),
        (
            lambda root: (root / "trainannot" / "b.png").write_bytes(b"no picture"),
            r"cannot decode .*b\.png .*replace or remove it",
        ),
        (
            lambda root: (root / "train" / "b.jpg").write_bytes((root / "train" / "b.png").read_bytes()),
            r"b\.\w+ and .*b\.\w+ are two images of one name; remove one",
        ),
    ],
)
def test_what_is_wrong_with_the_files_is_one_line(tmp_path, spoil, message):
    data = write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=message) as raised:
        read_scenes(data, "train")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"num_classes": 0}, "num_classes=0 is not positive"),
        ({"limit": -1}, "limit=-1 is not positive"),
        ({"image_size": (0, 5)}, r"image_size is \(0, 5\)"),
        ({"num_classes": 3, "classes": ("a", "b")}, "num_classes is 3, but 2 classes are named"),
        ({"layout": "cityscapes", "num_classes": 3}, "Cityscapes has its own classes"),
        ({"images": "pictures"}, "images is 'pictures'; it has to contain {part}"),
        ({"num_classes": 3, "ignore": 2}, "ignore=2 is the value of a class"),
    ],
)
def test_senseless_settings_are_refused(given, message):
    with pytest.raises(InputError, match=message):
        SceneData(**given)


def test_root_and_classes_have_to_be_given(tmp_path):
    with pytest.raises(InputError, match=r"give data\.root"):
        read_scenes(SceneData(num_classes=2), "train")
    data = write(tmp_path)
    with pytest.raises(InputError, match=r"give data\.num_classes"):
        read_scenes(SceneData(root=data.root), "train")
