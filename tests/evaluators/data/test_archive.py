from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from evaluators.data.archive import Archive
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
