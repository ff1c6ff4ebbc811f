"""Whether this is one of several processes, and which; who starts them says it in variables that agree."""

from __future__ import annotations

import os
from collections.abc import Mapping

TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR")
"""What torchrun sets; RANK is the process, WORLD_SIZE their number."""

SLURM = ("SLURM_PROCID", "SLURM_NTASKS")
"""What Slurm sets in each task, likewise."""

BY_HAND = ("LOCAL_RANK", "NODE_RANK")
"""What Fabric numbers the processes of a machine by, and a user the machines; MASTER_ADDR goes with it."""

SIZES = ("LOCAL_WORLD_SIZE", "SLURM_NTASKS_PER_NODE")
"""Processes of a machine, in the words of torchrun and Slurm."""

INTERACTIVE = ("bash", "interactive")
"""Names of Slurm jobs in which Fabric starts the processes itself."""


def rank() -> int:
    """The number of this process (or its machine), 0 for the first and for one that is alone.

    Variables that do not agree make no group: see `misfit`.
    """
    wanted = _wanted(os.environ)
    if not wanted or misfit() is not None:
        return 0
    names = BY_HAND if wanted == ("MASTER_ADDR",) else wanted[:1]
    return max(int(os.environ.get(name) or 0) for name in names)


def in_slurm() -> bool:
    """Whether Slurm starts the processes."""
    return "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in INTERACTIVE


def misfit() -> str | None:
    """Which variable of a group of processes is missing or makes no sense, in a line; None if all agree."""
    known = os.environ
    wanted = _wanted(known)
    if not wanted:
        return None
    known_names = ("TORCHELASTIC_RUN_ID", *TORCHRUN, *SLURM, *BY_HAND)
    present = " and ".join(dict.fromkeys(name for name in known_names if known.get(name)))
    for name in wanted:
        if not known.get(name):
            return (
                f"{present} without {name}: no group of processes has only a part of them; unset what is left"
            )
    numbers = {*wanted, *BY_HAND, *SIZES, "MASTER_PORT"} - {"MASTER_ADDR"}
    for name in sorted(numbers):
        value = known.get(name)
        if value and not (value.isascii() and value.isdecimal() and int(value) >= (name in SIZES)):
            return f"{name}={value!r} is no number of processes or of one; unset it, or mend who sets it"
    if len(wanted) > 1 and int(known[wanted[0]]) >= int(known[wanted[1]]):
        return f"{wanted[0]}={known[wanted[0]]} is not below {wanted[1]}={known[wanted[1]]}; unset both"
    return None


def _wanted(known: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that belong together where one of them is set."""
    if "TORCHELASTIC_RUN_ID" in known or all(known.get(name) for name in TORCHRUN):
        return TORCHRUN
    if in_slurm():
        return SLURM
    if known.get("RANK"):
        return TORCHRUN
    return ("MASTER_ADDR",) if any(known.get(name) for name in BY_HAND) else ()
