from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image

from evaluators.data import DataConfig, ImageSet, cache, folder, read
from foundation.files import cache_folder

MakeFolder = Callable[..., Path]


@pytest.fixture
def decodings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Path]:
    """What was decoded, with an empty cache."""
    calls: list[Path] = []
    decode = folder.decode

    def counted(source, index, image_size):
        calls.append(source.path)
        return decode(source, index, image_size)

    monkeypatch.setattr(folder, "decode", counted)
    monkeypatch.setenv("AUTOLA_CACHE", str(tmp_path / "cache"))
    return calls


def load(root: Path, **more) -> ImageSet:
    return read(DataConfig(name="folder", root=str(root), padding=0, **more)).train


def files() -> list[Path]:
    return sorted((cache_folder() / "images").glob("*.safetensors"))


def test_the_second_time_nothing_is_decoded(make_folder: MakeFolder, decodings: list[Path]) -> None:
    root = make_folder()
    first, second = load(root), load(root)
    assert decodings == [root]
    assert torch.equal(first.images, second.images)
    assert torch.equal(first.labels, second.labels)
    assert first.classes == second.classes
    leftovers = [path for path in (cache_folder() / "images").iterdir() if path.suffix != ".lock"]
    assert leftovers == files()


def test_what_changes_is_decoded_again(make_folder: MakeFolder, decodings: list[Path]) -> None:
    root = make_folder()
    load(root)
    load(root, image_size=4)
    image = root / "a" / "0.png"
    Image.new("RGB", (6, 6), "red").save(image)
    os.utime(image, ns=(1, 1))
    load(root)
    (root / "a" / "1.png").unlink()
    load(root)
    assert len(decodings) == 4


def test_another_place_is_no_change(make_folder: MakeFolder, decodings: list[Path]) -> None:
    root = make_folder()
    load(root)
    load(root.rename(root.with_name("moved")))
    assert len(decodings) == 1


@pytest.mark.parametrize("damage", ["cut", "bit", "noise", "empty"])
def test_a_damaged_file_is_built_again(
    make_folder: MakeFolder, decodings: list[Path], damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_folder()
    first = load(root).images.clone()
    [path] = files()
    content = path.read_bytes()
    path.write_bytes(
        {
            "cut": content[:-20],
            "bit": content[:-5] + bytes([content[-5] ^ 1]) + content[-4:],
            "noise": b"\x07" * 999,
            "empty": b"",
        }[damage]
    )
    assert torch.equal(load(root).images, first)
    assert "is damaged" in caplog.text
    assert len(decodings) == 2
    assert path.read_bytes() == content
    load(root)
    assert len(decodings) == 2


def test_without_a_place_to_write_it_goes_on(
    make_folder: MakeFolder,
    decodings: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("AUTOLA_CACHE", str(tmp_path / "file" / "cache"))
    root = make_folder()
    load(root)
    assert "decoded images are not kept" in caplog.text


def test_a_full_disk_leaves_nothing_behind(
    make_folder: MakeFolder,
    decodings: list[Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def full(tensors, path, metadata):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache, "save_file", full)
    load(make_folder())
    assert "no space left" in caplog.text
    assert {path.suffix for path in (cache_folder() / "images").iterdir()} <= {".lock"}


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOLA_CACHE", "/one")
    monkeypatch.setenv("XDG_CACHE_HOME", "/two")
    assert cache_folder() == Path("/one")
    monkeypatch.delenv("AUTOLA_CACHE")
    assert cache_folder() == Path("/two/autola")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "autola"
