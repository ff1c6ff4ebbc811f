"""Real data for tests, where it is at hand."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"


def real_data(name: str) -> Path:
    """A folder of real data; the test is skipped without it."""
    folder = Path(os.environ.get("AUTOLA_TEST_DATA", BESIDE)) / name
    if not folder.is_dir():
        pytest.skip(f"no {name} at hand; AUTOLA_TEST_DATA names the folder that holds it")
    return folder


def unpacked(name: str, folder: Path) -> Path:
    """A tar of real data, unpacked into a folder of the test; skipped without it."""
    inside, _, archive = name.rpartition("/")
    with tarfile.open(real_data(inside) / archive) as tar:
        tar.extractall(folder, filter="data")
    return folder
