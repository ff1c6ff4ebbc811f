"""`autola advise`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from autola.arguments import out_of_terminal, read_arguments
from autola.configs import RetrainConfig
from autola.presets import RETRAIN_PRESETS
from search_space.places import CANDIDATES

DEFAULT = "digits"


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Says which attention to put where in a network, or that nothing is shown to help.

    Searches, then trains with several seeds what was found, its strongest site alone, random placements of
    the same cost, one module everywhere, and the plain network, all from the same weights; ends in a table
    and one sentence. PRESET is one of `autola retrain`, whose task, data and recipe are taken; epochs and
    seeds are planned by the time. The same command with the same --out goes on where it was stopped; with
    more --minutes it adds seeds.
    """

    preset: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[PRESET]")] = DEFAULT
    """Name of the settings to start from; it comes first."""
    target: str | None = None
    """The most that the network may cost: latency<=1.1x, params<=300k, macs<=48M; commas join limits. No
    limit if left out: then nothing asks for less where modules neither help nor harm."""
    minutes: float = 30.0
    """Time for all; more train with more seeds and for longer."""
    primitives: tuple[str, ...] = CANDIDATES
    """What may stand at a site, in the grammar, with none if it may stay empty."""
    sites: tuple[str, ...] | None = None
    """Names of the modules that attention may follow; those after the last norm of each block if left out."""
    seed: int = 0
    """Seed of the search, the random placements and the trainings."""
    out: Path | None = None
    """Folder that keeps what is done; nothing is kept if left out."""
    config: Annotated[RetrainConfig, tyro.conf.arg(name="")]
    """Task and recipe."""


def run(arguments: list[str]) -> None:
    """Advises, and prints the table and the sentence."""
    preset = arguments[0] if arguments and not arguments[0].startswith("-") else DEFAULT
    default = Arguments(preset=preset, config=RETRAIN_PRESETS[preset])
    given = read_arguments(Arguments, arguments, command="advise", default=default)
    # Each import is slow: PyTorch, Fabric.
    from autola.advising import advise_on
    from autola.advising.of_task import check_settings, subject_of_task
    from autola.runtime import make_fabric, own_state

    check_settings(given.config)
    with own_state(given.config):
        subject = subject_of_task(given.config, make_fabric(given.config), given.seed)
        advice = advise_on(
            subject,
            target=given.target,
            minutes=given.minutes,
            space=given.primitives,
            sites=given.sites,
            out=given.out,
            seed=given.seed,
        )
    out_of_terminal(str(advice))
    if given.out is not None:
        out_of_terminal(f"\nkept   {given.out}")
