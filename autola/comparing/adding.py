"""What is added to a comparison after it began."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from autola.comparing.config import Addition, Additions
from autola.comparing.items import ADDED, additions_of, items_of, left_of, planned_rows, recorded_items
from autola.comparing.rows import Row
from autola.comparing.work import Work
from autola.data_record import COSTS
from autola.member import first_step
from foundation.config import to_json
from foundation.errors import InputError
from foundation.words import counted
from outputs.comparison import FOUND, RANDOM
from outputs.records import DATA
from outputs.run_directory import RunDirectory
from search_space.term import label

log = logging.getLogger(__name__)


def added(addition: Addition, before: Work, run: RunDirectory) -> Work:
    """Records an addition that changes something, once it is known to fit.

    Args:
        addition: What is to be added.
        before: The comparison without it.
        run: Its folder, locked.

    Returns:
        The comparison with it.

    Raises:
        InputError: If it does not fit, adds nothing, or is there already.
    """
    config, fabric = before.config, before.fabric
    if addition.search_seeds and not config.searches:
        raise InputError("this comparison searches nothing, so no searches are added")
    larger = addition.to(config)
    if larger == config:
        raise InputError(f"{run.path} has all that already; leave it out to go on")
    work, known = Work(larger, fabric, before, before.modules), set(config.attentions)
    costs = run.keys(DATA).get(COSTS, {})
    planned = planned_rows(larger, run, costs)
    check_applies(addition, planned_rows(config, run, costs)[0][1], planned[0][1])
    for attention in larger.attentions:
        if attention not in known:
            for block, _ in planned:
                single = larger.training(block.task, block.train, attention, 0)
                first_step(single, work.setting(block.train), attention, 0, fabric)
    items = recorded_items(config, run)
    addition = replace(addition, after=len(items) - len(left_of(items, run)))
    additions = Additions(additions=(*additions_of(run).additions, addition))
    run.write_text(ADDED, to_json(additions))
    more = len(items_of(larger, planned)) - len(items)
    log.info("%s: %s more", run.path, counted(more, "training"))
    return work


def check_applies(addition: Addition, before: Sequence[Row], after: Sequence[Row]) -> None:
    """Refuses what would add nothing, and yet be recorded as added after results could be seen.

    Args:
        addition: What is to be added.
        before: Rows of a block without it.
        after: The same with it.
    """
    names = {row.name for row in after}
    rows = {
        "random_cells": names & {RANDOM},
        "random_seeds": names & {RANDOM},
        "seeds": names & {FOUND},
        "control_seeds": names - {FOUND, RANDOM},
    }
    what = {"seeds": "cells that were found", "control_seeds": "module and no control"}
    for option, theirs in rows.items():
        if getattr(addition, option) and not theirs:
            lacking = what.get(option, "random cells")
            raise InputError(
                f"{option}: this comparison has no {lacking}, so that adds nothing; leave it out"
            )
    there = {row.cells[0]: row.name for row in before if not (row.setting or row.design.of_cells)}
    for attention in addition.attentions:
        if attention in there:
            raise InputError(
                f"{label(attention)} is there already, as the row {there[attention]}; leave it out"
            )
