"""Label pictures of every depth and mode give the numbers that their files store."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluators.data.label_picture import read_numbers
from evaluators.tasks.segmentation.scenes import IGNORED, SceneData, read_scenes
from foundation.errors import InputError


def write_png(path: Path, numbers: np.ndarray, bits: int, *, palette: bool = False) -> None:
    """A PNG of one channel, written byte for byte: Pillow writes no grey of few bits."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = b""
    for row in numbers:
        ones = "".join(f"{number:0{bits}b}" for number in row.tolist())
        ones += "0" * (-len(ones) % 8)
        rows += b"\0" + int(ones, 2).to_bytes(len(ones) // 8, "big")
    head = struct.pack(">IIBBBBB", numbers.shape[1], numbers.shape[0], bits, 3 if palette else 0, 0, 0, 0)
    colours = chunk(b"PLTE", bytes(range(200, 200 - 2**bits * 3, -1))) if palette else b""
    data = chunk(b"IHDR", head) + colours + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + data)


@pytest.mark.parametrize(
    ("bits", "palette"), [(1, False), (2, False), (4, False), (8, False), (16, False), (1, True), (4, True)]
)
def test_pngs_of_every_depth(bits: int, palette: bool, tmp_path: Path) -> None:
    numbers = np.random.default_rng(bits).integers(0, 2**bits, (5, 7))
    write_png(tmp_path / "x.png", numbers, bits, palette=palette)
    np.testing.assert_array_equal(read_numbers(tmp_path / "x.png"), numbers)


@pytest.mark.parametrize("inverted", [False, True])
@pytest.mark.parametrize("mode", ["1", "L"])
def test_tiffs_whose_zero_is_white_give_what_is_stored(mode: str, inverted: bool, tmp_path: Path) -> None:
    numbers = np.random.default_rng(0).integers(0, 2 if mode == "1" else 256, (5, 8)).astype(np.uint8)
    image = Image.fromarray(numbers * (255 if mode == "1" else 1)).convert(mode)
    image.save(tmp_path / "x.tif", tiffinfo={262: 1})
    if inverted:  # the same bytes, said to be the other way round
        content = (tmp_path / "x.tif").read_bytes()
        entry = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
        assert content.count(entry) == 1
        (tmp_path / "x.tif").write_bytes(content.replace(entry, struct.pack("<HHIHH", 262, 3, 1, 0, 0)))
    np.testing.assert_array_equal(read_numbers(tmp_path / "x.tif"), numbers)


@pytest.mark.parametrize("mode", ["RGB", "LA", "CMYK", "F"])
def test_other_modes_are_refused(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (4, 4)).save(tmp_path / "x.tif")
    with pytest.raises(InputError, match=f"is {mode}, but labels have one channel"):
        read_numbers(tmp_path / "x.tif")


@pytest.mark.parametrize("largest", [1, 2, 20, 255, 1000, 65535])
@pytest.mark.parametrize("plain", [False, True])
def test_pgms_are_not_stretched_to_their_largest_value(largest: int, plain: bool, tmp_path: Path) -> None:
    numbers = np.random.default_rng(largest).integers(0, largest, (5, 8), endpoint=True)
    stored = " ".join(map(str, numbers.flatten())).encode()
    if not plain:
        stored = numbers.astype(">u2" if largest > 255 else "u1").tobytes()
    (tmp_path / "x.pgm").write_bytes(b"P%d 8 5 %d\n" % (2 if plain else 5, largest) + stored)
    np.testing.assert_array_equal(read_numbers(tmp_path / "x.pgm"), numbers)


def test_formats_that_change_numbers_are_refused(tmp_path: Path) -> None:
    labels = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    labels.save(tmp_path / "x.jpg")
    with pytest.raises(InputError, match="stored as JPEG, which changes numbers; store labels as PNG"):
        read_numbers(tmp_path / "x.jpg")
    labels.save(tmp_path / "x.tif", save_all=True, append_images=[labels])
    with pytest.raises(InputError, match="has 2 pages or frames, and labels have one"):
        read_numbers(tmp_path / "x.tif")


def masks(root: Path, *numbers: Any, **settings: Any) -> SceneData:
    for folder in ("train", "trainannot"):
        (root / folder).mkdir()
    for place, each in enumerate(numbers):
        Image.new("RGB", (4, 3)).save(root / "train" / f"{place:02}.png")
        Image.fromarray(np.array(each, np.uint8).reshape(3, 4)).save(root / "trainannot" / f"{place:02}.png")
    return SceneData(root=str(root), **settings)


BINARY = [0, 0, 255, 255] * 3


@pytest.mark.parametrize("values", [BINARY, [0] * 11 + [255], [255] * 12, [1, 255] * 6])
def test_masks_whose_foreground_would_be_ignored_are_refused(values: list[int], tmp_path: Path) -> None:
    data = masks(tmp_path, values, values, num_classes=2)
    with pytest.raises(InputError, match=r"one class at most, .* \(value 255\).* --data\.values ") as raised:
        read_scenes(data, "train")
    assert "\n" not in str(raised.value)


def test_the_value_of_each_class_can_be_given(tmp_path: Path) -> None:
    scenes = read_scenes(masks(tmp_path, BINARY, values=(0, 255)), "train")
    assert scenes.classes == ("0", "1")
    np.testing.assert_array_equal(np.asarray(scenes.labels(0)), np.array([[0, 0, 1, 1]] * 3))
    other = SceneData(root=str(tmp_path), values=(255, 7), ignore=0)
    assert np.asarray(read_scenes_of(other)).tolist() == [[IGNORED, IGNORED, 0, 0]] * 3


def read_scenes_of(data: SceneData) -> Image.Image:
    label = Path(data.root or "") / "trainannot" / "01.png"
    picture = label.parents[1] / "train" / "01.png"
    Image.fromarray(np.array([[0, 7, 7, 7]] * 3, np.uint8)).save(label)
    Image.new("RGB", (4, 3)).save(picture)
    return read_scenes(data, "train").labels(0)


def test_another_class_far_back_in_the_part_is_found(tmp_path: Path) -> None:
    background, object = [0] * 11 + [255], [0, 1] * 6
    data = masks(tmp_path, *[background] * 19, object, num_classes=2)
    assert len(read_scenes(data, "train")) == 20


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"values": (0, 0)}, "one for each of 2 classes, all different"),
        ({"values": (0, 1, 2), "num_classes": 2}, "one for each of 2 classes"),
        ({"values": (0, -1)}, "numbers from 0 to 65535"),
        ({"values": (0, 1), "layout": "cityscapes"}, "Cityscapes has its own classes"),
    ],
)
def test_values_that_cannot_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SceneData(**settings)


def test_a_value_that_is_none_names_those_that_are(tmp_path: Path) -> None:
    data = masks(tmp_path, [0, 255, 3, 3] * 3, values=(0, 255))
    with pytest.raises(
        InputError, match=r"has the value 3, .* 2 classes \(0 255\) .*set num_classes, values"
    ):
        read_scenes(data, "train")
