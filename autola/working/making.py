"""Makes items and their list, by the process that has the whole run locked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric

from autola.configs import AnySearch, RetrainConfig
from autola.working.items import Item, Listed, write_item, write_list
from autola.working.worklist import WorkList
from foundation.config import digest, to_json
from outputs.environment import environment
from outputs.records import CONFIG, RESULT
from outputs.run_directory import RunDirectory
from outputs.settings_record import ROOT
from search_space.genotype import Genotype

DECISIVE = ("autola", "torch", "torchvision")
"""Packages whose versions all workers have to share."""


def make_item(
    whole: RunDirectory,
    name: str,
    config: RetrainConfig | AnySearch,
    seed: int,
    data: Callable[[], Mapping[str, Any]],
    *,
    device: torch.device,
    modules: Sequence[str] = (),
    judged: Sequence[Genotype] | None = None,
    trial: int | None = None,
    candidate: str = "",
) -> None:
    """Makes the run folder of an item, if it is not there, and makes an older one an item.

    Args:
        whole: The run that it is a part of, locked by this process.
        name: Its folder.
        config: Enough to repeat it alone.
        seed: Its seed.
        data: Returns what has to be known of its data.
        device: Where it is expected to run.
        modules: Modules of the user's that whoever does it imports.
        judged: See `Item`.
        trial: Likewise.
        candidate: Likewise.
    """
    folder, text = whole.path / name, to_json(config)
    if not folder.exists():
        whole.create_member(name, text, environment(device, seed), data())
    elif (folder / RESULT).exists():
        RunDirectory(folder).drop_checkpoints()  # whoever did it may have been killed before that
    else:
        _follow(RunDirectory.open(folder), text)
    known = None if judged is None else tuple(judged)
    write_item(folder, Item(modules=tuple(modules), judged=known, trial=trial, candidate=candidate))


def _follow(run: RunDirectory, text: str) -> None:
    """Has an item read its data where those of the whole run have moved to."""
    stored = run.text(CONFIG)
    if stored == text:
        return
    try:
        same = digest(stored, ROOT) == digest(text, ROOT)
    except json.JSONDecodeError:
        return  # whoever does it says so
    if same:
        run.write_text(CONFIG, text)


def make_list(
    whole: Path,
    names: Sequence[str],
    *,
    command: str,
    epochs: int,
    modules: Sequence[str],
    fabric: Fabric,
    more: int = 0,
) -> WorkList:
    """Writes the list of a run, whose items are there.

    Args:
        whole: The run.
        names: Folders of its items, in the order in which they are worth having.
        command: What makes and concludes the list.
        epochs: Epochs of each.
        modules: Modules of the user's that workers import.
        fabric: Device and processes of this one.
        more: Items that are only known once these are done.
    """
    listed = Listed(
        command=command,
        items=tuple(names),
        epochs=epochs,
        more=more,
        modules=tuple(modules),
        versions=versions(),
        processor=processor(fabric.device),
    )
    write_list(whole, listed)
    return WorkList(whole, listed)


def versions() -> dict[str, str]:
    """Versions of what decides the numbers, here."""
    return {name: metadata.version(name) for name in DECISIVE}


def processor(device: torch.device) -> str:
    """Instructions that this process computes by, or its GPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return torch.backends.cpu.get_cpu_capability() if device.type == "cpu" else str(device)
