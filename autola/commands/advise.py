"""`autola advise`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from autola.advice_config import AdviceConfig
from autola.arguments import out_of_terminal, read_arguments
from autola.configs import RetrainConfig
from autola.executors import executor_of
from autola.presets import RETRAIN_PRESETS

DEFAULT = "digits"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Says which attention to put where in a network, or that nothing is shown to help.

    Searches, then compares, as `autola compare` does: trains with several seeds what was found, its strongest
    site alone, random placements of the same cost, one module everywhere, and the plain network, all from the
    same weights; ends in a table and one sentence. PRESET is one of `autola retrain`, whose task, data and
    recipe are taken; epochs and seeds are planned by the time. The same command with the same --out goes on
    where it was stopped; with more --minutes it adds seeds.
    """

    preset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[PRESET]")] = DEFAULT
    """Name of the settings to start from; it comes first."""
    target: str | None = None
    """The most that the network may cost: latency<=1.1x, params<=300k, macs<=48M; commas join limits. No
    limit if left out: then nothing asks for less where modules neither help nor harm."""
    minutes: float = 30.0
    """Time for all; more train with more seeds and for longer."""
    primitives: tuple[str, ...] | None = None
    """What may stand at a site, in the grammar, with none if it may stay empty; the usual ones, as of a
    search, if left out."""
    sites: tuple[str, ...] | None = None
    """Names of the modules that attention may follow; those after the last norm of each block if left out."""
    seed: int = 0
    """Seed of the search, the random placements and the trainings."""
    out: Path | None = None
    """Run folder: a new one, or one of this advice to go on with; a new one under ./outputs/runs if left
    out."""
    on: str = "here"
    """Where trainings run: here, one after another; here:4, four processes of this machine; ray,
    ray://HOST:PORT or slurm, the workers of a cluster that sees the run folder. Changes no result but how
    many trainings there is time for."""
    jobs: int | None = None
    """Trainings side by side on this machine, short for --on here:JOBS."""
    config: Annotated[RetrainConfig, tyro.conf.arg(name="")]
    """Task and recipe."""


def run(arguments: list[str]) -> None:
    """Advises, and prints the table and the sentence."""
    preset = arguments[0] if arguments and not arguments[0].startswith("-") else DEFAULT
    default = Arguments(preset=preset, config=RETRAIN_PRESETS[preset])
    given = read_arguments(Arguments, arguments, command="advise", default=default)
    config = AdviceConfig(
        task=given.config.task,
        train=given.config.train,
        target=given.target,
        primitives=given.primitives,
        sites=given.sites,
        seed=given.seed,
        **given.config.devices_of(),
    )
    where = executor_of(given.on, given.jobs)
    from autola.advising import run_advice  # slow: PyTorch, Fabric

    advice = run_advice(config, given.out, minutes=given.minutes, on=where)
    out_of_terminal(str(advice))
    out_of_terminal(f"\nrun    {advice.run}")
