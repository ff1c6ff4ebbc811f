"""Files that have no end, or too much of it, are not read."""

import os
from pathlib import Path

import pytest

from foundation.errors import InputError
from foundation.reading import check_regular, read_bytes


def test_a_file_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")
    assert read_bytes(tmp_path / "file", "record", 3) == b"abc"
    assert check_regular(tmp_path / "file", "record") == 3


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(1 << 40)  # of holes
    with pytest.raises(InputError, match="1,099,511,627,776 bytes, too many for a record"):
        read_bytes(tmp_path / "file", "record")


def test_what_has_no_end_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    for name in ("pipe", "device"):
        with pytest.raises(InputError, match="a pipe, device or socket"):
            read_bytes(tmp_path / name, "record")
    with pytest.raises(InputError, match="Is a directory"):
        read_bytes(tmp_path, "record")
    for missing in (tmp_path / "no", tmp_path / "no" / "thing", Path("a\0b")):
        with pytest.raises(InputError, match="no record at"):
            read_bytes(missing, "record")
