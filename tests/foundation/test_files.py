"""Files are whole or not there."""

import errno
import os

import pytest

from foundation.errors import InputError
from foundation.files import write_atomically, write_text


def test_a_file_is_written_with_the_usual_rights_and_nothing_else(tmp_path):
    write_text(tmp_path / "a.json", "one")
    write_text(tmp_path / "a.json", "two")
    assert (tmp_path / "a.json").read_text() == "two"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    (tmp_path / "plain").touch()
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_writer_that_fails_leaves_the_old_file_and_no_temporary(tmp_path):
    write_text(tmp_path / "a.json", "old")

    def half(path):
        path.write_text("ha")
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError, match="the power went"):
        write_atomically(tmp_path / "a.json", half)
    assert (tmp_path / "a.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line_and_the_old_file_stays(tmp_path, monkeypatch, code):
    write_text(tmp_path / "a.json", "old")

    def full(descriptor):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"no space left on the disk for .*a\.json; .*--resume"):
        write_text(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_full_disk_behind_the_error_of_a_library_is_seen(tmp_path):
    def full(path):
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            raise RuntimeError("[enforce fail at inline_container.cc:664] unexpected pos 64 vs 0")

    with pytest.raises(InputError, match="no space left"):
        write_atomically(tmp_path / "a.pt", full)


def test_what_cannot_be_written_is_named_as_it_was_given(tmp_path):
    with pytest.raises(FileNotFoundError) as lacking:
        write_text(tmp_path / "nowhere" / "a.html", "new")
    assert lacking.value.filename == str(tmp_path / "nowhere" / "a.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as taken:
        write_text(tmp_path / "folder", "new")
    assert taken.value.filename == str(tmp_path / "folder")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
