"""Which of several processes speaks, and whose lines are ours."""

from __future__ import annotations

import sys
from typing import Any

from autola.group import rank

REPORTED = "autola/errors"
"""Key of the shared count of errors."""

ROOMS = ("autola", "searchers", "evaluators", "supernet", "search_space", "outputs")
"""Packages whose lines of the log are for the user."""


def follows() -> bool:
    """Whether this is one of several processes, and not the one that speaks."""
    return rank() > 0


def reports() -> bool:
    """Whether this process is to report its error: of those that fail, the first does, and it alone.

    An error that all processes meet before they know each other is reported by the first process.
    """
    store = _store()
    if store is None:
        return not follows()
    try:
        return store.add(REPORTED, 1) == 1
    except Exception:  # the process that held the store has gone
        return False


def another_failed() -> bool:
    """Whether a broken connection is due to an error that another process has reported."""
    store = _store()
    if store is None:
        return False
    try:
        return store.add(REPORTED, 0) > 0
    except Exception:  # likewise
        return True


def _store() -> Any:
    """What the processes share, once they know each other."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed.distributed_c10d._get_default_store()
