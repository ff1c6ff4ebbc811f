"""What the help of a search needs, the configs of all searchers, loads nothing that searches."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"torch", "torchvision", "lightning", "nni", "timm", "tensorboard", "numpy"}
LOADED = """
import json, sys
from searchers import SEARCHERS
from searchers.settings import Differentiable
assert len([SEARCHERS[name] for name in SEARCHERS]) > 10
print(json.dumps([name for name in sys.modules if "." not in name]))
"""


def test_configs_of_all_searchers_load_no_torch():
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert "searchers" in loaded
    assert not HEAVY & loaded
