"""Many trainings as a list of items in a folder, which anyone who sees the folder can take up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from autola.cli import IMPORTED
from autola.configs import AnySearch, DeviceConfig, RetrainConfig
from autola.group import misfit
from foundation.errors import InputError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from autola.executors import Executor


def check_devices(executor: Executor | None, config: DeviceConfig) -> None:
    """Checks that workers, each of them one process, can do what is asked for.

    Raises:
        InputError: If a training is to use several devices itself.
    """
    if executor is None or misfit() is not None:
        return
    from autola.runtime import started_processes  # slow: Fabric

    each, machines = config.devices, config.machines
    if (each, machines) == (1, 1):
        each, machines = started_processes(1, 1)
    if each * machines > 1:
        raise InputError(
            f"workers are one process each, and {each * machines} processes share each training here; choose "
            "--on and --jobs, or several devices (--devices, torchrun, Slurm)"
        )


@contextmanager
def ready(executor: Executor | None, fabric: Fabric) -> Iterator[None]:
    """Has workers ready to be started before anything is written, and ended whatever happens.

    Args:
        executor: What starts them; None for none.
        fabric: Device and processes of this one.

    Raises:
        InputError: If nothing can run there.
    """
    if executor is None:
        yield
        return
    import torch  # slow

    executor.open(gpus=fabric.device.type == "cuda", threads=torch.get_num_threads())
    try:
        yield
    finally:
        executor.close()


def modules_for(executor: Executor | None, *configs: RetrainConfig | AnySearch) -> tuple[str, ...]:
    """Modules of the user's that whoever does a part of these imports first.

    Raises:
        InputError: If workers are to do it, and something was registered where they cannot import it.
    """
    from autola.extensions import modules_of  # slow: looks into every registry

    modules = list(IMPORTED)
    try:
        for config in configs:
            modules = modules_of(config, modules, "--on and --jobs")
    except InputError:
        if executor is not None:
            raise
    return tuple(modules)
