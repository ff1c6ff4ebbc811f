"""What every test stands on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded images are kept in a folder of this test run, never in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOLA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
