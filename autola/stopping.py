"""Ctrl-C and `kill`, politely: the first asks what runs to write a checkpoint and stop, a second ends it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, current_thread, main_thread
from typing import Any

_asked = Event()


def ask() -> None:
    """Asks whatever runs in this process to stop where it can go on from."""
    _asked.set()


def asked() -> bool:
    """Whether somebody asked."""
    return _asked.is_set()


@contextmanager
def polite(*kinds: signal.Signals, say: Callable[[], object] = lambda: None) -> Iterator[None]:
    """Takes the first signal for a question (`asked`), and the second for the interrupt that it is.

    Within another such block, and outside of the main thread, nothing changes.

    Args:
        kinds: Signals; those of Ctrl-C and `kill` if left out.
        say: Called at the first one.
    """
    kinds = kinds or (signal.SIGINT, signal.SIGTERM)
    if current_thread() is not main_thread() or getattr(signal.getsignal(kinds[0]), "polite", False):
        yield
        return

    def handle(number: int, frame: Any) -> None:
        if _asked.is_set():
            raise KeyboardInterrupt
        _asked.set()
        say()

    handle.polite = True  # pyright: ignore[reportFunctionMemberAccess]
    before = {kind: signal.signal(kind, handle) for kind in kinds}
    try:
        yield
    finally:
        for kind, handler in before.items():
            signal.signal(kind, handler)
        _asked.clear()
