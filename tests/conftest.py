"""What every test stands on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import jaxtyping
import pytest
from hypothesis import settings

# Many small tensors in several workers: threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The native operator is built once for all runs.
os.environ.setdefault("TORCH_EXTENSIONS_DIR", os.path.expanduser("~/.cache/torch_extensions"))
# Shapes in signatures are checked while testing; the hook has to be there before the rooms are imported.
jaxtyping.install_import_hook(["search_space", "supernet", "evaluators.data.batches"], "beartype.beartype")
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded images are kept in a folder of this test run, never in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTOLA_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
