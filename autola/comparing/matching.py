"""The plain network made wider and deeper until it costs what a network with attention does."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from autola.comparing.config import CompareConfig
from autola.comparing.rows import SIZED, Block, Row, sizes_of
from evaluators.controls import controls
from evaluators.cost import macs
from evaluators.rebuilding import rebuilding
from foundation.errors import InputError
from search_space.grammar import Term

log = logging.getLogger(__name__)


def matched_sizes(
    config: CompareConfig, block: Block, rows: Sequence[Row], data: Mapping[str, Any], device: torch.device
) -> dict[str, int | float]:
    """Width and depth of the plain networks made larger; a line says which control cannot be had.

    Args:
        config: The comparison.
        block: Where.
        rows: Its rows, with what was found.
        data: What is known of the images.
        device: Where time is measured.
    """
    wanted = [control for control in SIZED if control in config.beside]
    subject = _subject(block, rows, data)
    if not wanted or subject is None:
        return {}
    try:
        lacking = [control for control in wanted if control not in sizes_of(block.task)]
        if lacking == wanted:
            raise InputError(f"the task {block.task.name} has no width or depth to choose")
        with torch.device("meta"):
            build = rebuilding(block.task.network(data, ()))
        shape = tuple(data["input_shape"])
        ratio = partial(_macs_ratio, shape) if config.match == "macs" else None
        found = controls(build, subject, input_shape=shape, device=device, ratio=ratio)
    except InputError as error:
        log.warning("no network is made wider or deeper as a control: %s", error)
        return {}
    sizes, own = dict[str, int | float](), inspect.signature(build).parameters
    for control in wanted:
        if control not in found:
            log.warning("no network is made %s: its kind has no %s to choose", control, SIZED[control])
            continue
        ((setting, value),) = found[control].setting.items()
        if value == own[setting].default:
            log.warning("no network is made %s: the plain one itself comes nearest in cost", control)
            continue
        sizes[control] = value
        log.info("%s: %s=%s, %.2f times the cost", control, setting, value, found[control].latency_ratio)
    return sizes


def _subject(block: Block, rows: Sequence[Row], data: Mapping[str, Any]) -> tuple[Term, ...] | None:
    """The attention whose cost is matched: of the first row that has one, the cell of middle cost."""
    for row in rows:
        cells = [cell for cell in row.cells if cell]
        if cells:

            def cost(cell: tuple[Term, ...]) -> int:
                with torch.device("meta"):
                    network = block.task.network(data, cell)
                return macs(network, data["input_shape"])

            return sorted(cells, key=cost)[len(cells) // 2]
    return None


def _macs_ratio(shape: tuple[int, ...], model: nn.Module, other: nn.Module) -> float:
    return macs(model, shape) / macs(other, shape)
