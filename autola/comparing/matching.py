"""The plain network made wider or deeper, or trained longer, until it costs what one with attention does."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from autola.comparing.config import CompareConfig
from autola.comparing.costs import step_ratio
from autola.comparing.rows import LONGER, SIZED, Block, Row, matchable
from autola.comparing.showing import in_words
from autola.comparing.work import Work
from evaluators.controls import controls
from evaluators.cost import macs
from evaluators.deploying import as_used
from evaluators.latency import latency_ratio
from evaluators.rebuilding import rebuilding
from evaluators.tasks import Setting
from foundation.errors import InputError
from search_space.term import Term

log = logging.getLogger(__name__)


MOST = 16
"""Times its own epochs that the plain network is trained at most."""


def matched_controls(config: CompareConfig, block: Block, rows: Sequence[Row], work: Work) -> dict[str, Any]:
    """Width, depth and epochs of the plain networks of equal cost; a line says which cannot be had.

    Args:
        config: The comparison.
        block: Where.
        rows: Its rows, with what was found.
        work: Reads the data, and knows where time is measured.
    """
    setting = work.setting(block.train)
    data = setting.describe()
    subject = _subject(block, rows, data, setting.input_shape)
    if subject is None:
        return {}
    sizes = dict[str, Any]()
    if any(control in config.beside for control in SIZED):
        sizes |= _sizes(config, block, subject, setting, work.fabric.device)
    if LONGER in config.beside:
        sizes |= _longer(config, block, subject, setting, work)
    return sizes


def _longer(
    config: CompareConfig, block: Block, subject: tuple[Term, ...], setting: Setting, work: Work
) -> dict[str, int]:
    """Epochs that take the plain network as long to train as the network with attention takes."""
    if config.match == "macs":
        with torch.device("meta"):
            networks = [block.task.network(setting.describe(), each) for each in (subject, ())]
        ratio = _macs_ratio(setting.input_shape, *networks)
    else:
        ours, plain = (config.training(block.task, block.train, each, 0) for each in (subject, ()))
        ratio = step_ratio(ours, plain, setting, work.fabric)
    epochs = round(block.train.epochs * min(MOST, ratio))
    if epochs <= block.train.epochs:
        log.warning(
            "no network is trained longer%s: the plain one takes as long as it is", in_words(block.name)
        )
        return {}
    what = f"{LONGER}{in_words(block.name)}"
    log.info("%s: epochs=%d, as a train step takes %.2f times as long", what, epochs, ratio)
    return {LONGER: epochs}


def _sizes(
    config: CompareConfig, block: Block, subject: tuple[Term, ...], setting: Setting, device: torch.device
) -> dict[str, int | float]:
    wanted = [control for control in SIZED if control in config.beside]
    shape, where = setting.input_shape, in_words(block.name)
    try:
        if not [control for control in wanted if control in matchable(block.task)]:
            raise InputError(f"the task {block.task.name} has no width or depth to choose")
        with torch.device("meta"):
            build = rebuilding(block.task.network(setting.describe(), ()))
        ratio = partial(_macs_ratio, shape) if config.match == "macs" else _latency_of(shape, device)
        found = controls(build, subject, input_shape=shape, ratio=ratio)
    except InputError as error:
        log.warning("no network is made wider or deeper as a control%s: %s", where, error)
        return {}
    sizes, own = dict[str, int | float](), inspect.signature(build).parameters
    for control in wanted:
        if control not in found:
            log.warning(
                "no network is made %s%s: its kind has no %s to choose", control, where, SIZED[control]
            )
            continue
        ((name, value),) = found[control].setting.items()
        if value == own[name].default:
            log.warning("no network is made %s%s: the plain one itself comes nearest in cost", control, where)
            continue
        sizes[control] = value
        ratio_found = found[control].latency_ratio
        log.info("%s%s: %s=%s, %.2f times the cost", control, where, name, value, ratio_found)
    return sizes


def _subject(
    block: Block, rows: Sequence[Row], data: Mapping[str, Any], shape: Sequence[int]
) -> tuple[Term, ...] | None:
    """The attention whose cost is matched: of the first row that has one, the cell of middle cost."""
    for row in rows:
        cells = [cell for cell in row.cells if cell]
        if cells:

            def cost(cell: tuple[Term, ...]) -> int:
                with torch.device("meta"):
                    network = block.task.network(data, cell)
                return macs(network, shape)

            return sorted(cells, key=cost)[len(cells) // 2]
    return None


def _latency_of(shape: Sequence[int], device: torch.device) -> Callable[[nn.Module, nn.Module], float]:
    """Measures networks in their deployed form; the second is deployed once, as long as it is the same."""
    known = list[tuple[nn.Module, nn.Module]]()

    def ratio(model: nn.Module, other: nn.Module) -> float:
        if not known or known[0][0] is not other:
            known[:] = [(other, as_used(other.to(device), shape))]
        return latency_ratio(as_used(model.to(device), shape), known[0][1], input_shape=shape, device=device)

    return ratio


def _macs_ratio(shape: Sequence[int], model: nn.Module, other: nn.Module) -> float:
    return macs(model, shape) / macs(other, shape)
