"""Whether searchers find which module stands where, where that is known.

`benchmarks.planted_problem` says how problems are made.

A control, `drawn`, searches nothing: its finals begin with placements that are drawn. What it finds, finals
find by themselves.

Every result is kept as it comes: the same command goes on where it was stopped.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
import tyro

from benchmarks.planted_problem import CANDIDATES, IMAGES, KINDS, Planted, problem, within_limit
from foundation.files import write_text
from search_space.placement import Placement
from search_space.space import NONE
from searchers.candidates import Candidates
from searchers.darts import Darts
from searchers.drnas import DrNas
from searchers.evolution import Evolution
from searchers.finals import Finals
from searchers.gdas import Gdas
from searchers.random_ws import RandomWS
from searchers.searches.finals import FinalSearch

FINALS = Finals(count=5, neighbours=12, epochs=8, learning_rate=0.1)
OF_WEIGHTS: dict[str, Any] = {
    "epochs": 8, "batch_size": 32, "learning_rate": 0.3, "min_learning_rate": 0.03, "weight_decay": 0.0,
    "finals": FINALS,
}  # fmt: skip
OF_ALPHAS: dict[str, Any] = {"alpha_learning_rate": 0.05, "alpha_weight_decay": 0.0}
SEARCHERS: dict[str, Any] = {
    "darts": Darts(**OF_WEIGHTS, **OF_ALPHAS),
    "gdas": Gdas(**OF_WEIGHTS, **OF_ALPHAS),
    "drnas": DrNas(keep=1.0, alpha_warmup=0.0, **OF_WEIGHTS, **OF_ALPHAS),
    "evolution": Evolution(trials=60, population=30, **OF_WEIGHTS),
    "random_ws": RandomWS(trials=60, **OF_WEIGHTS),
}
DRAWN = "drawn"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Searches planted problems."""

    out: Path = Path("outputs/published/planted_places.json")
    """File of the results; what it holds is not done again."""
    searchers: tuple[str, ...] = ("darts", "evolution", "random_ws", DRAWN)
    """Which searchers; drawn is the control."""
    kinds: tuple[str, ...] = tuple(KINDS)
    """What is planted."""
    seeds: int = 10
    """Problems of each kind, each with its own network, module, site and images."""


class Drawn:
    """A search of no steps, which ranks placements as they are drawn.

    Args:
        problem: Whose placements.
    """

    step = total_steps = 0
    steps_per_epoch = IMAGES // OF_WEIGHTS["batch_size"]

    def __init__(self, problem: Planted) -> None:
        self.candidates = Candidates(space=problem.space, limits=problem.limits, seed=problem.seed)

    def ranked(self) -> Iterator[Placement]:
        """Placements without end."""
        rng = self.candidates.rng("drawn", ())
        while True:
            yield self.candidates.sample(rng)

    def genotype(self) -> Placement:
        """The first of them."""
        return next(self.ranked())


def search_of(searcher: str, given: Planted) -> Any:
    """A search at step 0, with its finals."""
    if searcher == DRAWN:
        first: Any = Drawn(given)
        return FinalSearch(first, FINALS, SEARCHERS["random_ws"].recipe(), given)
    return SEARCHERS[searcher].start(given)


def found_in(searcher: str, kind: str, seed: int, draw: int | None = None) -> dict[str, Any]:
    """What a searcher finds in a planted problem, and what it would have answered without its finals."""
    torch.set_num_threads(1)
    given, truth, attempt = problem(kind, seed, draw)
    started = time.process_time()
    search = search_of(searcher, given)
    while search.step < search.total_steps:
        search.advance()
    taken, before = _taken(search.genotype()), _taken(search.search.genotype())
    wanted = {site: name for site, name in truth.items() if name != NONE}
    return {
        "planted": wanted,
        "found": taken,
        "before_finals": before,
        "finalists": [[_taken(trial.genotype), trial.score] for trial in search.history],
        "site_right": taken.keys() == wanted.keys(),
        "all_right": taken == wanted,
        "placements_within_limit": within_limit(given),
        "draw": attempt,
        "cpu_seconds": round(time.process_time() - started, 1),
    }


def _taken(placement: Placement) -> dict[str, str]:
    return {site: name for site, name in placement.attentions.items() if name != NONE}


def summary(results: dict[str, dict[str, Any]]) -> dict[str, str]:
    """How often the site, and the site and the module, were right, for each searcher and kind."""
    rows = dict[str, str]()
    for key in dict.fromkeys(key.rpartition("/")[0] for key in results):
        those = [result for name, result in results.items() if name.rpartition("/")[0] == key]
        sites = sum(result["site_right"] for result in those)
        whole = sum(result["all_right"] for result in those)
        before = sum(result["before_finals"] == result["planted"] for result in those)
        rows[key] = (
            f"sites {sites} of {len(those)}, sites and modules {whole} of {len(those)}; "
            f"{before} before finals"
        )
    return rows


def main() -> None:
    """Searches what is not searched yet, and writes what was found after every search."""
    options = tyro.cli(Options, description=__doc__)
    results: dict[str, dict[str, Any]] = {}
    draws: dict[str, int] = {}
    if options.out.exists():
        known = json.loads(options.out.read_text())
        results, draws = known["results"], known["draws"]
    of_kind = list(product(options.kinds, options.searchers))
    for seed, (kind, searcher) in product(range(options.seeds), of_kind):
        key = f"{searcher}/{kind}/{seed}"
        if key in results:
            continue
        results[key] = found_in(searcher, kind, seed, draws.get(f"{kind}/{seed}"))
        draws[f"{kind}/{seed}"] = results[key]["draw"]
        print(key, results[key], flush=True)
        limits = [each["placements_within_limit"] for each in results.values() if each["planted"]]
        figures = {
            "problem": "one module at one of six sites of a ResNet-14: benchmarks/planted_places.py",
            "candidates": CANDIDATES,
            "chance": f"1 in {min(limits)} to {max(limits)} of the placements that keep the limit"
            if limits
            else None,
            "torch": torch.__version__,
            "machine": platform.machine(),
            "summary": summary(results),
            "draws": draws,
            "results": results,
        }
        write_text(options.out, json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
