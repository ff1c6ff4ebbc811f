from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from evaluators.data import DataConfig, decode, read
from evaluators.data.archive import Archive
from evaluators.data.decode import pixels_of
from evaluators.data.directory import Directory
from foundation.errors import InputError

MakeFolder = Callable[..., Path]
Pack = Callable[..., Path]


def saved(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


HELD = {
    "PNG": ("RGB", "L", "1", "P", "RGBA", "LA"),
    "JPEG": ("RGB", "L", "1", "CMYK"),
    "BMP": ("RGB", "L", "1", "P", "RGBA"),
    "GIF": ("RGB", "L", "1", "P", "RGBA", "LA"),
    "TIFF": ("RGB", "L", "1", "P", "CMYK", "RGBA", "LA"),
    "WEBP": ("RGB", "L", "RGBA"),
    "PPM": ("RGB", "L", "1"),
}


@pytest.mark.parametrize(("kind", "mode"), [(kind, mode) for kind, modes in HELD.items() for mode in modes])
def test_every_kind_and_mode_becomes_rgb(kind: str, mode: str) -> None:
    grey = Image.fromarray(np.linspace(0, 255, 120, dtype=np.uint8).reshape(10, 12)).convert("RGB")
    image = grey.quantize() if mode == "P" else grey.convert(mode)
    pixels = pixels_of(saved(image, kind), None)
    assert pixels.shape == (10, 12, 3)
    assert pixels.dtype == np.uint8
    expected = np.asarray(image.convert("RGB")).astype(int)
    # JPEG and WEBP lose some of it, GIF has fewer levels.
    assert np.abs(pixels - expected).mean() < 12
    assert len(np.unique(pixels)) > (1 if mode == "1" else 10)


def test_palettes_with_transparency_decode_without_warning() -> None:
    image = Image.new("P", (4, 4))
    image.putpalette([10, 20, 30, 40, 50, 60])
    file = saved(image, "PNG", transparency=b"\x00\xff")
    assert pixels_of(file, None)[0, 0].tolist() == [10, 20, 30]


def test_sixteen_bits_keep_their_upper_byte() -> None:
    levels = np.array([[0, 256, 32768, 65535]], dtype=np.uint16)
    assert pixels_of(saved(Image.fromarray(levels), "PNG"), None)[0, :, 0].tolist() == [0, 1, 128, 255]


def test_levels_of_unknown_range_are_refused(make_folder: MakeFolder) -> None:
    folder = make_folder()
    Image.fromarray(np.ones((6, 6), dtype=np.float32)).save(folder / "a" / "depth.tiff")
    with pytest.raises(InputError, match=r"cannot decode a/depth\.tiff .*32 bits"):
        read(DataConfig(name="folder", root=str(folder)))


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
@pytest.mark.parametrize("threads", [False, True])
def test_an_image_that_does_not_decode_is_named(
    make_folder: MakeFolder,
    pack: Pack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: str,
    packed: bool,
    threads: bool,
) -> None:
    monkeypatch.setattr(decode, "_SMALL", 0 if threads else 10**9)
    folder = make_folder()
    bad = folder / "b" / "3.png"
    content = bad.read_bytes()
    bad.write_bytes({"cut": content[: len(content) // 2], "noise": b"\x07" * 90, "empty": b""}[damage])
    root = pack(folder, tmp_path / "set.tar.gz") if packed else folder
    with pytest.raises(InputError, match=rf"cannot decode b/3\.png in {re.escape(str(root))}"):
        read(DataConfig(name="folder", root=str(root)))


def test_threads_change_nothing(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Directory(make_folder(each=300))
    index = source.index()
    found = []
    for small in (0, 10**9):
        monkeypatch.setattr(decode, "_SMALL", small)
        found.append(decode.decode(source, index, None))
    assert found[0].equal(found[1])


def test_a_set_that_changes_meanwhile(make_folder: MakeFolder, pack: Pack, tmp_path: Path) -> None:
    folder = make_folder()
    archive = Archive(pack(folder, tmp_path / "set.tar"))
    index = archive.index()
    (folder / "a" / "0.png").rename(folder / "a" / "new.png")
    pack(folder, tmp_path / "set.tar")
    with pytest.raises(InputError, match="changed while it was read"):
        decode.decode(archive, index, None)
