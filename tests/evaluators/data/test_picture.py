"""One way in for pictures: a file of each mode, its pixels the same for every task."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from evaluators.data import picture
from evaluators.data.decode import pixels_of
from evaluators.data.picture import open_rgb
from evaluators.data.pictures import open_picture
from evaluators.tasks.coco_detection.detections import draw
from foundation.errors import InputError

GREYS = np.array([[0, 1, 128, 255], [7, 90, 200, 254]], dtype=np.uint8)
WIDE = GREYS.astype(np.uint16) * 257

BITS = np.where(GREYS > 100, 255, 0).astype(np.uint8)

WAYS: dict[str, Callable[[Path], Any]] = {
    "classification of small images": lambda path: pixels_of(path, None),
    "classification of packed images": lambda path: pixels_of(path.read_bytes(), None),
    "imagenet and predict": lambda path: np.asarray(open_picture(path)),
    "detection, keypoints and segmentation": lambda path: np.asarray(open_rgb(path)),
}


def _palette() -> Image.Image:
    image = Image.fromarray(GREYS.astype(np.uint8) % 3).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    return image


def _with_alpha(mode: str) -> Image.Image:
    image = Image.fromarray(GREYS).convert(mode)
    image.putalpha(Image.fromarray(255 - GREYS))
    return image


def _grey(levels: np.ndarray) -> np.ndarray:
    return np.repeat(levels[..., None], 3, axis=2)


def _pgm(path: Path) -> None:
    path.write_bytes(b"P5\n4 2\n65535\n" + struct.pack(">8H", *WIDE.ravel().tolist()))


PALETTE = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], dtype=np.uint8)[GREYS % 3]

KINDS: dict[str, tuple[str, Callable[[Path], Any], np.ndarray]] = {
    "1 bit": ("png", lambda path: Image.fromarray(BITS).convert("1").save(path), _grey(BITS)),
    "8-bit grey": ("png", lambda path: Image.fromarray(GREYS).save(path), _grey(GREYS)),
    "16-bit grey PNG": ("png", lambda path: Image.fromarray(WIDE).save(path), _grey(GREYS)),
    "16-bit grey TIFF": ("tif", lambda path: Image.fromarray(WIDE).save(path), _grey(GREYS)),
    "16-bit grey PGM": ("pgm", _pgm, _grey(GREYS)),
    "palette": ("png", lambda path: _palette().save(path), PALETTE),
    "palette, some of it clear": (
        "png",
        lambda path: _palette().save(path, transparency=b"\x00\x80\xff"),
        PALETTE,
    ),
    "grey with alpha": ("png", lambda path: _with_alpha("LA").save(path), _grey(GREYS)),
    "colour with alpha": ("png", lambda path: _with_alpha("RGBA").save(path), _grey(GREYS)),
    "CMYK": (
        "tif",
        lambda path: Image.merge(
            "CMYK", [Image.fromarray(255 - GREYS), *[Image.new("L", (4, 2))] * 3]
        ).save(path),
        np.stack((GREYS, np.full_like(GREYS, 255), np.full_like(GREYS, 255)), -1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_the_same_on_every_way_in(tmp_path: Path, kind: str, way: str) -> None:
    ending, write, expected = KINDS[kind]
    path = tmp_path / f"x.{ending}"
    write(path)
    np.testing.assert_array_equal(WAYS[way](path), expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_of_unknown_range_are_refused(tmp_path: Path, dtype: Any, way: str) -> None:
    path = tmp_path / "x.tif"
    Image.fromarray(WIDE.astype(dtype)).save(path)
    with pytest.raises((InputError, ValueError), match="32 bits of unknown range; store it with 8") as raised:
        WAYS[way](path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ending", ["png", "tif", "pgm"])
def test_levels_of_8_bits_in_a_file_of_16_are_refused(tmp_path: Path, ending: str, way: str) -> None:
    path = tmp_path / f"x.{ending}"
    if ending == "pgm":
        path.write_bytes(b"P5\n4 2\n65535\n" + struct.pack(">8H", *GREYS.ravel().tolist()))
    else:
        Image.fromarray(GREYS.astype(np.uint16)).save(path)
    with pytest.raises((InputError, ValueError), match=r"16 bits, but no level above 255.*store it with 8"):
        WAYS[way](path)


@pytest.mark.parametrize("way", WAYS)
def test_levels_of_12_bits_in_a_file_of_16_are_warned_of_once(
    tmp_path: Path, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    picture._warn_of_dark.cache_clear()
    path = tmp_path / "x.png"
    Image.fromarray(GREYS.astype(np.uint16) * 16).save(path)
    for _ in range(2):
        np.testing.assert_array_equal(WAYS[way](path), _grey(GREYS // 16))
    assert caplog.text.count("if yours hold 12 bits, scale them to 16") == 1


def test_a_black_picture_of_16_bits_is_black(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((2, 4), np.uint16)).save(tmp_path / "x.png")
    assert not np.asarray(open_rgb(tmp_path / "x.png")).any()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_stand_upright_unless_annotations_are_made_for_the_stored_pixels(
    tmp_path: Path, turn: int, way: str
) -> None:
    path, exif = tmp_path / "x.png", Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(GREYS).save(path, exif=exif)
    # EXIF 2.32, 4.6.5: where the first row and the first column of the stored pixels are seen.
    seen = {
        1: GREYS,
        2: GREYS[:, ::-1],
        3: GREYS[::-1, ::-1],
        4: GREYS[::-1],
        5: GREYS.T,
        6: GREYS[::-1].T,
        7: GREYS[::-1, ::-1].T,
        8: GREYS.T[::-1],
    }[turn]
    expected = GREYS if way.startswith("detection") else seen
    np.testing.assert_array_equal(WAYS[way](path), _grey(expected))


def test_a_picture_of_a_callers_own_is_drawn_in_its_right_greys() -> None:
    drawn = draw(Image.fromarray(WIDE), [], ["cat"])
    np.testing.assert_array_equal(np.asarray(drawn), _grey(GREYS))
