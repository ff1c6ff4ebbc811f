"""A search for every target, and the Pareto front of what they found."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from lightning.fabric import Fabric

from autola.configs import AnySearch, SearchConfig
from autola.data_record import COSTS
from autola.found import Found, found_in
from autola.plans import Plan
from autola.plans.single import carry_out
from autola.problem import search_problem
from autola.runtime import in_first
from evaluators.cost import measure
from evaluators.cost_tables import read_table
from foundation.config import to_json
from foundation.errors import InputError
from outputs.environment import environment
from outputs.front import FRONT, PICTURE, Front, Point, dominated, draw_front
from outputs.records import DATA, RESULT
from outputs.run_directory import RunDirectory
from search_space.grammar import found_at
from search_space.placement import Placement
from searchers import Search
from searchers.blackbox import BlackBox
from searchers.candidates import scores
from searchers.limits import parse_target
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.problem import Problem
from searchers.searches.shared import SharedSearch, judge
from searchers.searches.trained import TrainedSearch
from searchers.settings import Differentiable


class TargetSearches(Plan):
    """A search for every target."""

    kind = "front"

    @staticmethod
    def check(config: AnySearch) -> None:
        if not isinstance(config, SearchConfig):
            raise InputError("several targets are for searches on images; give one --target a search")
        if not isinstance(config.searcher, BlackBox | Differentiable):
            raise InputError(
                f"{config.searcher.name} does not say how good a genotype is, so it has no front; "
                "give one --target a search"
            )

    def __init__(self, config: AnySearch, fabric: Fabric, costs: Mapping[str, Any] | None = None) -> None:
        self._fabric, known = fabric, dict(costs or {})
        targets = [(target,) for target in config.target]  # all limits are checked before the first search
        for target in [()] if costs is not None else targets:
            _, self.data = search_problem(replace(config, target=target), fabric, known)
            known |= self.data.get(COSTS, {})
        self.data[COSTS] = known

    def run(self, config: AnySearch, run: RunDirectory) -> Found:
        assert isinstance(config, SearchConfig), "other searches are refused at the start"
        points = [_search(config, target, run, self._fabric) for target in config.target]
        limited = dict.fromkeys(limit.metric for text in config.target for limit in parse_target(text))
        points = [replace(point, on_front=not dominated(point, points, tuple(limited))) for point in points]
        in_first(self._fabric, lambda: _conclude(run, Front(points=tuple(points), metrics=tuple(limited))))
        return found_in(run)


def _conclude(whole: RunDirectory, front: Front) -> None:
    """Writes the front and its picture, with the best of its genotypes as the one that was found."""
    best = max(front.points, key=lambda point: point.score)
    member = RunDirectory(whole.path / best.run)
    found = found_at(member.path)
    shares = member.site_shares() if isinstance(found, Placement) else member.shares()
    whole.write_genotype(found, shares)
    whole.write_text(FRONT, to_json(front))
    draw_front(front, whole.path / PICTURE)
    seconds = sum(RunDirectory(whole.path / point.run).metrics.seconds() for point in front.points)
    whole.write_json(RESULT, {"genotype": best.genotype, "seconds": round(seconds, 2)})


def _search(config: SearchConfig, target: str, whole: RunDirectory, fabric: Fabric) -> Point:
    """One of the searches, in a run folder of its own; only what is not done yet."""
    name = member_name(target)
    single = replace(config, target=(target,))
    data = whole.keys(DATA, COSTS, "input_shape", "num_classes")
    path = whole.path / name

    def make() -> None:
        if not path.exists():
            whole.create_member(name, to_json(single), environment(fabric.device, config.seed), data)

    in_first(fabric, make)
    with RunDirectory.open(path) as run:
        in_first(fabric, run.lock)
        if run.complete():
            run.drop_checkpoints()
        else:
            problem, _ = search_problem(single, fabric, data[COSTS])
            job = config.searcher.start(problem)
            carry_out(job, single, run, fabric, name=name, conclude=lambda: {"score": _score(job, problem)})
        result = run.numbers(RESULT, "score")
        genotype = found_at(path)
    counted = measure(
        config.backbone,
        genotype,
        input_shape=data["input_shape"],
        width=config.width,
        num_classes=data["num_classes"],
        latency=False,
        activation=False,
    )
    costs = {"macs": float(counted.macs), "params": float(counted.params)}
    if "latency" in data[COSTS]:
        costs["latency"] = read_table(data[COSTS]["latency"], COSTS).of(cast(Any, genotype))
    return Point(target=target, run=name, genotype=str(genotype), score=result["score"], costs=costs)


def _score(job: Search, problem: Problem) -> float:
    """How good the genotype of a search looks on the second half."""
    if isinstance(job, TrainedSearch | SharedSearch):
        return max(scores(job.history)) + problem.price(job.genotype())
    assert isinstance(job, DifferentiableSearch), "other searchers are refused at the start"
    size = job.config.batch_size
    train, judging = problem.batches(0, size), problem.batches(1, size, training=False)
    return judge(job.supernet, job.genotype(), problem, train, judging)


def member_name(target: str) -> str:
    """The folder of a target's search: macs<=48M,params<=300k is macs-48M_params-300k."""
    return re.sub(r"[^\w.+-]", "", target.replace("<=", "-").replace(",", "_"))
