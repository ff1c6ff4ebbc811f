"""Code in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def alone(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs code from the project's root.

    torch.compile does not trace the checks of shapes that tests put around functions, and modules that other
    tests have imported are not there.
    """
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
