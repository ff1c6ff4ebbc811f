"""`autola demo`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from autola.arguments import out_of_terminal, read_arguments
from autola.executors import executor_of
from foundation.cores import usable_cores
from search_space.grammar import parse_attention


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Searches, inspects, retrains and compares on handwritten digits: the whole job, in minutes."""

    seed: int = 0
    """Seed of the search: another one draws other weights and another order of the images, so it may find
    another genotype."""


def run(arguments: list[str]) -> None:
    """Does the main job from end to end."""
    given = read_arguments(Arguments, arguments, command="demo")
    # Each import is slow: PyTorch, Fabric.
    from autola.commands import inspect
    from autola.commands.retrain import show
    from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
    from autola.retraining import run_retraining
    from autola.run_search import run_search

    out_of_terminal("$ autola search digits")
    found = run_search(replace(SEARCH_PRESETS["digits"], seed=given.seed))
    out_of_terminal(f"\n$ autola inspect {found.run} --png {found.run}/cell.png")
    inspect.run([str(found.run), "--png", str(Path(found.run) / "cell.png")])
    attentions = ("none", "se", "cbam", f"hoga:{found.run}")
    jobs = min(2, usable_cores())
    aside = f" --jobs {jobs}" if jobs > 1 else ""
    out_of_terminal(f"\n$ autola retrain {' '.join(attentions)} --preset digits{aside}")
    terms = tuple(parse_attention(text) for text in attentions)
    show(
        {
            "digits": run_retraining(
                replace(RETRAIN_PRESETS["digits"], attentions=terms), on=executor_of("here", jobs)
            )
        }
    )
