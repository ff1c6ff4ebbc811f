from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluators.data.archive import Archive
from evaluators.data.folder import look
from foundation.errors import InputError

MakeFolder = Callable[..., Path]
Pack = Callable[..., Path]


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.9])
def test_a_tar_that_is_cut_short(
    make_folder: MakeFolder, pack: Pack, tmp_path: Path, ending: str, share: float
) -> None:
    path = pack(make_folder(), tmp_path / f"set.{ending}")
    content = path.read_bytes()
    # The last tenth of an uncompressed tar is padding, which may be missing.
    content = content.rstrip(b"\0") if ending == "tar" else content
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match="is broken or cut short"):
        Archive(path).index()


def test_a_tar_that_is_cut_between_two_images(make_folder: MakeFolder, pack: Pack, tmp_path: Path) -> None:
    path = pack(make_folder(), tmp_path / "set.tar")
    with tarfile.open(path) as archive:
        offsets = [member.offset for member in archive]
    content = path.read_bytes()
    for offset in offsets[1:]:
        path.write_bytes(content[:offset])
        with pytest.raises(InputError, match="is broken or cut short"):
            Archive(path).index()
    path.write_bytes(content[: offsets[-1]] + b"\x07" * 512 + content[offsets[-1] + 512 :])
    with pytest.raises(InputError, match="is broken or cut short"):
        Archive(path).index()


def test_noise_is_no_tar(tmp_path: Path) -> None:
    (tmp_path / "set.tar").write_bytes(b"\x07" * 5000)
    with pytest.raises(InputError, match="is broken or cut short"):
        Archive(tmp_path / "set.tar").index()


def test_links_are_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "set.tar", "w") as archive:
        member = tarfile.TarInfo("a/0.png")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(InputError, match=r"a/0\.png in .* is a link"):
        Archive(tmp_path / "set.tar").index()


def test_the_fingerprint_sees_what_changed_in_place(tmp_path: Path) -> None:
    prints = []
    for content in (b"one", b"two"):
        with tarfile.open(tmp_path / "set.tar", "w") as archive:
            member = tarfile.TarInfo("a/0.png")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        os.utime(tmp_path / "set.tar", (0, 0))
        prints.append(Archive(tmp_path / "set.tar").fingerprint())
    assert prints[0] != prints[1]


@pytest.mark.parametrize("ending", ["tar", "tar.gz"])
def test_a_look_at_the_first_members(
    make_folder: MakeFolder, pack: Pack, tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pack(make_folder(classes="abc"), tmp_path / f"set.{ending}", wrapper="wrapper")
    assert look(path).startswith("a tar, 3 classes, a fifth of each")
    assert Archive(path).look(most=5) == (1, False)
    monkeypatch.setattr("evaluators.data.archive.MOST_UNPACKED", 8000)
    assert Archive(path).look(most=100) == ((3, True) if ending == "tar" else (1, False))


def test_a_tar_of_parts_or_of_one_class_is_not_said_to_hold_classes(
    make_folder: MakeFolder, pack: Pack, tmp_path: Path
) -> None:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    for name in ("train", "trainannot", "val", "valannot"):
        (make_folder(name, classes="a") / "a").rename(scenes / name)
    with pytest.raises(InputError, match="holds train and val instead of classes"):
        look(pack(scenes, tmp_path / "scenes.tar"))
    with pytest.raises(InputError, match="has 1 class"):
        look(pack(make_folder("one", classes="a"), tmp_path / "one.tar"))
    parts = tmp_path / "parts"
    parts.mkdir()
    for name in ("train", "val"):
        pack(make_folder(f"flat {name}", classes="a") / "a", parts / f"{name}.tar")
    with pytest.raises(InputError, match="has no classes with images"):
        look(parts)
