"""Device, threads and random state of a job."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from lightning.fabric import Fabric

from autola.configs import DeviceConfig
from autola.executors import Executor, share_of
from autola.group import in_slurm, misfit
from foundation.cores import usable_cores
from foundation.errors import InputError, shown
from outputs.records import ENVIRONMENT
from outputs.run_directory import RunDirectory

T = TypeVar("T")

STARTERS = {
    "torchrun": ("LOCAL_WORLD_SIZE", "WORLD_SIZE"),
    "Slurm": ("SLURM_NTASKS_PER_NODE", "SLURM_NTASKS"),
}
"""Where they say how many processes there are, on this machine and in all."""

MEETING = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")
"""Where processes of several machines meet, and the number of this machine, if nobody else starts them."""

MOST_THREADS = 4096
"""Threads that a run may ask for: beyond any machine of today."""


def make_fabric(config: DeviceConfig, *, resumed: bool = False) -> Fabric:
    """Device, precision and processes, launched.

    Args:
        config: What is asked for.
        resumed: Whether the run began elsewhere: torchrun and Slurm may then start another number.

    Raises:
        InputError: If the machine has no such device, or too few of them, or torchrun or Slurm started
            another number of processes than is asked for, or what they say of them does not agree.
    """
    if problem := misfit():
        raise InputError(problem)
    if config.device == "gpu" and not torch.cuda.is_available():
        raise InputError("no GPU that torch can use; choose --device cpu or auto")
    if config.device == "mps" and not torch.backends.mps.is_available():
        raise InputError("no MPS device; choose --device cpu or auto")
    asked = (1, 1) if resumed and _started() else (config.devices, config.machines)
    devices, num_nodes = started_processes(*asked)
    uses_gpu = config.device in ("auto", "gpu") and torch.cuda.is_available()
    if uses_gpu and devices > torch.cuda.device_count():
        raise InputError(f"{devices} devices are asked for; there are {torch.cuda.device_count()}")
    cores = usable_cores()
    if not uses_gpu and config.device in ("auto", "cpu") and devices > cores:
        raise InputError(f"{devices} devices are asked for; there are {cores} CPU cores and no GPU in use")
    uses_mps = config.device == "mps" or (config.device == "auto" and torch.backends.mps.is_available())
    if config.precision == "16-mixed" and not uses_gpu and not uses_mps:
        raise InputError("16-mixed needs a GPU; choose --precision bf16-mixed or 32-true for the CPU")
    fabric = Fabric(
        accelerator=config.device, devices=devices, num_nodes=num_nodes, precision=config.precision
    )
    # Gradients of 1x1 convolutions have other strides than their buckets; both are contiguous.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    fabric.launch()
    return fabric


def started_processes(devices: int, num_nodes: int) -> tuple[int, int]:
    """Processes of each machine, and machines, as torchrun or Slurm started them; else as asked for.

    Args:
        devices: Asked for, of each machine; 1 leaves it to whoever starts the processes.
        num_nodes: Machines asked for; 1 likewise.

    Raises:
        InputError: If they started another number than is asked for, or several machines are asked for and
            nobody says where they meet.
    """
    starter = _started()
    if starter is None:
        lacking = [name for name in MEETING if not os.environ.get(name)]
        if num_nodes > 1 and lacking:
            raise InputError(
                f"{num_nodes} machines do not find each other without {', '.join(lacking)}; "
                "start the command with torchrun or Slurm, or set these on every machine"
            )
        return devices, num_nodes
    here, everywhere = STARTERS[starter]
    total = int(os.environ[everywhere])
    if starter == "Slurm" and here not in os.environ and total > 1:
        raise InputError(f"Slurm started {total} tasks; say how many on each machine: --ntasks-per-node")
    each = int(os.environ.get(here, "1"))
    if total % each:
        raise InputError(
            f"{starter} started {total} processes, which is not {each} on every machine; "
            "give all machines one number"
        )
    for name, asked, started in (("devices", devices, each), ("machines", num_nodes, total // each)):
        if asked not in (1, started):
            raise InputError(f"{starter} started {started}, and --{name} says {asked}; leave it out")
    return each, total // each


def _started() -> str | None:
    """Who started this process, if not the user."""
    if torch.distributed.is_torchelastic_launched():
        return "torchrun"
    return "Slurm" if in_slurm() else None


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
    if fabric.world_size == 1:
        return act()
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
def own_state(
    config: DeviceConfig, resumed: RunDirectory | None = None, on: Executor | None = None
) -> Iterator[None]:
    """Sets the number of threads, and leaves it and torch's random state as they were.

    A run that goes on computes with as many threads as it began with: sums depend on it in their last bits.

    Args:
        config: Says how many, or leaves it to torch.
        resumed: A run that goes on.
        on: What starts workers: those of this machine share out its cores, where nothing is said.
    """
    threads = resumed.keys(ENVIRONMENT).get("num_threads") if resumed else config.threads
    if threads is not None and (not isinstance(threads, int) or not 0 < threads <= MOST_THREADS):
        raise InputError(f"num_threads is {shown(threads)}; give a number from 1 to {MOST_THREADS}")
    before = torch.get_num_threads()
    torch.set_num_threads(threads or share_of(on, before))
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        torch.set_num_threads(before)
