"""What has to happen before the rooms are imported."""

import os

import jaxtyping
from hypothesis import settings

# Many small tensors in several workers: threads only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Shapes in signatures are checked while testing.
jaxtyping.install_import_hook(["search_space", "supernet", "evaluators", "searchers"], "beartype.beartype")
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
