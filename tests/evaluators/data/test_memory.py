from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from evaluators.data import DataConfig, memory, read
from foundation.errors import InputError

MakeFolder = Callable[..., Path]


def test_more_than_memory_holds(make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda: 1000)
    with pytest.raises(InputError, match=r"10 images of 6x6x3 in .* more than 60% .* smaller image_size"):
        read(DataConfig(name="folder", root=str(make_folder())))


def test_available_memory_is_plausible() -> None:
    available = memory.available_bytes()
    assert available is None or 2**20 < available < 2**50
