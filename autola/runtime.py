"""Device, threads and random state of a job."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from lightning.fabric import Fabric

from autola.configs import DeviceConfig
from outputs.run_directory import ENVIRONMENT, RunDirectory
from search_space.errors import InputError

T = TypeVar("T")


def make_fabric(config: DeviceConfig) -> Fabric:
    """Device, precision and processes, launched.

    Raises:
        InputError: If the machine has no such device, or too few of them, or torchrun started another number.
    """
    if config.device == "gpu" and not torch.cuda.is_available():
        raise InputError("no GPU that torch can use; choose --device cpu or auto")
    if config.device == "mps" and not torch.backends.mps.is_available():
        raise InputError("no MPS device; choose --device cpu or auto")
    uses_gpu = config.device in ("auto", "gpu") and torch.cuda.is_available()
    if uses_gpu and config.devices > torch.cuda.device_count():
        raise InputError(f"{config.devices} devices are asked for; there are {torch.cuda.device_count()}")
    devices, machines = config.devices, 1
    if torch.distributed.is_torchelastic_launched():
        devices, machines = _started_by_torchrun(config.devices)
    fabric = Fabric(
        accelerator=config.device, devices=devices, num_nodes=machines, precision=config.precision
    )
    fabric.launch()
    return fabric


def _started_by_torchrun(asked: int) -> tuple[int, int]:
    """Processes of a machine, and machines, as torchrun started them.

    Raises:
        InputError: If another number of devices is asked for.
    """
    here, all_of_them = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
    if asked not in (1, here):
        raise InputError(
            f"torchrun started {here} processes on this machine, and --devices says {asked}; leave it out"
        )
    if all_of_them % here:
        raise InputError(
            f"torchrun started {all_of_them} processes, which is not {here} on every machine; "
            "give all machines one number"
        )
    return here, all_of_them // here


def device_line(fabric: Fabric) -> str:
    """Device, threads and processes in a few words."""
    device = fabric.device
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
    if device.type == "cpu":
        where += f", {torch.get_num_threads()} thread(s)"
    return where + (f", {fabric.world_size} processes" if fabric.world_size > 1 else "")


def in_first(fabric: Fabric, act: Callable[[], T]) -> T | None:
    """Does something in the process that writes, while the others wait; if it fails, all fail alike.

    Raises:
        InputError: As `act` does.
    """
    result, problem = None, None
    if fabric.is_global_zero:
        try:
            result = act()
        except InputError as error:
            problem = str(error)
    problem = fabric.broadcast(problem)
    if problem is not None:
        raise InputError(problem)
    return result


@contextmanager
def own_state(config: DeviceConfig, resumed: RunDirectory | None = None) -> Iterator[None]:
    """Sets the number of threads, and leaves it and torch's random state as they were.

    A run that goes on computes with as many threads as it began with: sums depend on it in their last bits.
    """
    threads = resumed.json(ENVIRONMENT).get("num_threads") if resumed else config.threads
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        torch.set_num_threads(before)
