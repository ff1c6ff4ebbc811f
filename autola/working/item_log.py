"""The log of an item: what whoever does it says, read by whoever looks."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from autola.speaking import ROOMS
from autola.working.attempt import LOG, WORK


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Has what is logged written into the log of an item."""
    handler = logging.FileHandler(folder / WORK / LOG, encoding="utf-8", delay=True)
    handler.handleError = lambda record: None  # a full disk ends no training
    handler.setFormatter(logging.Formatter("%(message)s"))
    loggers = [logging.getLogger(room) for room in ROOMS]
    before = [(logger.handlers, logger.propagate, logger.level) for logger in loggers]
    for logger in loggers:
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, (handlers, propagate, level) in zip(loggers, before):
            logger.handlers, logger.propagate = handlers, propagate
            logger.setLevel(level)
        with suppress(OSError):
            handler.close()


def note(folder: Path, text: str) -> None:
    """Adds a text, each line marked: whoever looks is not shown it."""
    with suppress(OSError), (folder / WORK / LOG).open("a", encoding="utf-8") as file:
        file.writelines(f"| {line}\n" for line in text.splitlines())
