"""Latencies that were measured on another device: a file that a search on this one takes for its limits."""

from __future__ import annotations

import math
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evaluators.cost_table import CostTable
from evaluators.cost_tables import AnyTable, read_table
from evaluators.runtimes import NEEDED, Target
from foundation.config import config, parse_versioned, read_text
from foundation.errors import InputError, listed
from search_space.genotype import Fuse
from search_space.searchable import Searchable
from search_space.space import Space

if TYPE_CHECKING:
    import torch
    from torch import nn

VERSION = 1
"""Of the file's form."""

WHAT = "table of latencies"


@config
class DeviceTable:
    """Milliseconds of one image in a network, by what a search may put into it, on one device."""

    version: int = VERSION
    """Version of this form."""
    device: str
    """Name of the processor or GPU."""
    threads: int | None = None
    """CPU threads; None on a GPU."""
    runtime: str
    """What ran the network: eager, inductor, onnxruntime, openvino, or the name of another one."""
    versions: dict[str, str]
    """Versions of what ran it."""
    cells: str | None = None
    """How cells ran: "native", as one operator in C++, or "stock", by the runtime's own; None: not known."""
    backbone: str
    """Registered name of the network."""
    width: int | None = None
    """Its width where that is not its own."""
    input: tuple[int, int, int]
    """Channels, height and width of the image."""
    num_nodes: int | None = None
    """Channel groups of a cell; None for placements."""
    fuse: Fuse | None = None
    """Fuse of a cell; None for placements."""
    table: dict[str, Any]
    """Milliseconds: of cells "plain", "fixed" and "operators", of placements "plain" and "sites"."""

    def __str__(self) -> str:
        threads = "" if self.threads is None else f", {self.threads} thread{'s' * (self.threads > 1)}"
        versions = "".join(
            f", {name} {version}" for name, version in self.versions.items() if name != "autola"
        )
        cells = "" if self.cells is None else f", {self.cells} cells"
        return f"{self.device}{threads}, {self.runtime}{versions}{cells}"

    def costs(self, where: str) -> AnyTable:
        """The table of what competes.

        Raises:
            InputError: If it is none; starts with `where`.
        """
        return read_table(self.table, where)


def measured_table(
    space: Searchable,
    build: Callable[[], nn.Module],
    device: torch.device,
    *,
    runtime: Target,
    native: bool | None = None,
    backbone: str,
    width: int | None,
    input_shape: Sequence[int],
) -> DeviceTable:
    """Measures on this device what a search may put into a network.

    Args:
        space: What competes.
        build: Builds the plain network.
        device: Where it is measured.
        runtime: What runs it.
        native: Whether cells run by the native operator; where it is to be had if left out.
        backbone: Registered name of the network.
        width: Its width where that is not its own.
        input_shape: (channels, height, width) of the image.

    Raises:
        InputError: If the runtime is not installed, or refuses the network.
    """
    import torch

    from evaluators.candidate_costs import table_of
    from evaluators.latency import device_name
    from evaluators.used_latency import runs_native

    native = runs_native(device, runtime) if native is None else native
    table = table_of("latency", space, build, input_shape, device, runtime, native)
    packages = ("autola", "torch", *NEEDED[runtime][0][-1:])
    return DeviceTable(
        device=processor() if device.type == "cpu" else device_name(device),
        threads=torch.get_num_threads() if device.type == "cpu" else None,
        runtime=runtime,
        versions={package: metadata.version(package) for package in packages},
        cells="native" if native else "stock",
        table=asdict(table),
        **_subject(space, backbone, width, input_shape),
    )


def _subject(
    space: Searchable, backbone: str, width: int | None, input_shape: Sequence[int]
) -> dict[str, Any]:
    """What a table speaks of."""
    cells = space if isinstance(space, Space) else None
    return {
        "backbone": backbone,
        "width": width,
        "input": tuple(input_shape),
        "num_nodes": cells and cells.num_nodes,
        "fuse": cells and cells.fuse,
    }


def _said(value: object) -> str:
    if value is None:
        return "its own"
    return " x ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "Model"))]
    return names[0] if names and names[0] else platform.processor() or platform.machine()


def read_device_table(path: Path) -> DeviceTable:
    """A table from its file.

    Raises:
        InputError: If there is no such file, it is of another version, damaged, or holds what is no time.
    """
    table = parse_versioned(DeviceTable, read_text(path, WHAT), str(path), WHAT, VERSION)
    costs = table.costs(str(path))
    if isinstance(costs, CostTable):
        times = {"plain": costs.plain, "fixed": costs.fixed, **costs.operators}
        if costs.native is not None:
            if others := sorted(costs.native.operators.keys() - costs.operators.keys()):
                raise InputError(f"{path}: native has {listed(others)}, which operators has not")
            own = {"fixed": costs.native.fixed, **costs.native.operators}
            times |= {f"native {name}": value for name, value in own.items()}
    else:
        of_sites = {
            f"{name} at {site}": value for site, row in costs.sites.items() for name, value in row.items()
        }
        times = {"plain": costs.plain, **of_sites}
    for name, value in times.items():
        if not math.isfinite(value) or value < 0 or (name == "plain" and value == 0):
            raise InputError(f"{path}: {name} is {value}, which is no time in milliseconds")
    return table


def check_fits(
    table: DeviceTable,
    path: Path,
    space: Searchable,
    *,
    backbone: str,
    width: int | None,
    input_shape: Sequence[int],
) -> None:
    """Checks that a table speaks of what is searched.

    Raises:
        InputError: If it is of another network, image, cell, or lacks a candidate; names the difference.
    """
    costs = table.costs(str(path))
    kinds = ("placements", "cells")
    of_cells, cells_searched = isinstance(costs, CostTable), isinstance(space, Space)
    if of_cells != cells_searched:
        raise InputError(f"{path} is of {kinds[of_cells]}, and {kinds[cells_searched]} are searched here")
    ours = _subject(space, backbone, width, input_shape)
    differ = [
        f"{key} {_said(theirs)} (here {_said(value)})"
        for key, value in ours.items()
        if (theirs := getattr(table, key)) != value
    ]
    if differ:
        raise InputError(f"{path} was measured for {listed(differ)}; make one of what is searched here")
    if isinstance(costs, CostTable):
        lacking = [name for name in getattr(space, "candidates", ()) if name not in costs.operators]
    else:
        wanted = [(row, space.primitives[column]) for row in space.rows for column in space.columns_at(row)]
        lacking = [f"{name} at {row}" for row, name in wanted if name not in costs.sites.get(row, {})]
    if lacking:
        raise InputError(f"{path} has no latency of {listed(lacking)}")
