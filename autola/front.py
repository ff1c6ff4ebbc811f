"""A search for every target, and the Pareto front of what they found."""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from autola.configs import SearchConfig
from autola.data_record import COSTS, absolute, check_data, found_data
from autola.runs import go_on, new_run
from autola.runtime import in_first, make_fabric, own_state
from autola.search_steps import Found, announce, finish, search_problem
from evaluators.cost import measure
from evaluators.cost_table import CostTable
from foundation.config import parse, to_json
from foundation.errors import InputError
from outputs.environment import environment
from outputs.front import FRONT, PICTURE, Front, Point, dominated, draw_front
from outputs.run_directory import DATA, RESULT, RunDirectory
from search_space.grammar import Term, genotype_at
from searchers import Search
from searchers.blackbox import BlackBox
from searchers.candidates import scores
from searchers.limits import parse_target
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.problem import Problem
from searchers.searches.shared import SharedSearch, judge
from searchers.searches.trained import TrainedSearch
from searchers.settings import Differentiable

log = logging.getLogger(__name__)


def run_front(config: SearchConfig, out: Path | None = None) -> Found:
    """Searches once for every target, and keeps all of it in a new run folder.

    Raises:
        InputError: If the config or the data is wrong, or nothing keeps a target; nothing is written then.
    """
    if not isinstance(config.searcher, BlackBox | Differentiable):
        raise InputError(
            f"{config.searcher.name} does not say how good a genotype is, so it has no front; "
            "give one --target a search"
        )
    with own_state(config):
        fabric = make_fabric(config)
        data: dict[str, Any] = {COSTS: {}}
        for target in config.target:  # all limits are checked before the first search
            costs = data[COSTS]
            _, data = search_problem(replace(config, target=(target,)), fabric, costs)
            data[COSTS] = {**costs, **data[COSTS]}
        config, kind = absolute(config), f"front-{config.data.name}"
        with new_run(config, data, kind=kind, seed=config.seed, out=out, fabric=fabric) as run:
            return _search_all(config, run, fabric)


def resume_front(config: SearchConfig, run: RunDirectory, root: str | None = None) -> Found:
    """Goes on with the searches of a front; those that are complete are left as they are."""
    with own_state(config, resumed=run), run:
        fabric = make_fabric(config)
        in_first(fabric, run.lock)
        if not run.complete():
            config = found_data(config, run, root)
            _, data = search_problem(replace(config, target=()), fabric)
            in_first(fabric, lambda: check_data(run, data, config if root else None))
        return _search_all(config, run, fabric)


def _search_all(config: SearchConfig, whole: RunDirectory, fabric: Fabric) -> Found:
    limited = dict.fromkeys(limit.metric for text in config.target for limit in parse_target(text))
    points = [_search(config, target, whole, fabric) for target in config.target]
    points = [replace(point, on_front=not dominated(point, points, tuple(limited))) for point in points]
    front = Front(points=tuple(points), metrics=tuple(limited))
    best = max(points, key=lambda point: point.score)
    genotype = genotype_at(whole.path / best.run)

    def complete() -> None:
        whole.write_genotype(genotype, RunDirectory(whole.path / best.run).shares())
        whole.write_text(FRONT, to_json(front))
        draw_front(front, whole.path / PICTURE)
        seconds = sum(RunDirectory(whole.path / point.run).seconds() for point in points)
        whole.write_json(RESULT, {"genotype": best.genotype, "seconds": round(seconds, 2)})

    in_first(fabric, complete)
    return Found(run=whole.path, genotype=genotype, metrics={"score": best.score}, front=front.points)


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
            go_on(job, run, name)
            announce(single, run, fabric)
            fabric.barrier()
            finish(job, run, fabric, lambda: {"score": _score(job, problem)})
        result = run.numbers(RESULT, "score")
        genotype = genotype_at(path)
    counted = measure(
        config.backbone,
        (Term(name="hoga", genotype=genotype),),
        input_shape=data["input_shape"],
        width=config.width,
        num_classes=data["num_classes"],
        latency=False,
        activation=False,
    )
    costs = {"macs": float(counted.macs), "params": float(counted.params)}
    if "latency" in data[COSTS]:
        costs["latency"] = parse(CostTable, data[COSTS]["latency"], COSTS).of(genotype)
    return Point(target=target, run=name, genotype=str(genotype), score=result["score"], costs=costs)


def _score(job: Search, problem: Problem) -> float:
    """How good the genotype of a search looks on the second half."""
    if isinstance(job, TrainedSearch | SharedSearch):
        return max(scores(job.history))
    assert isinstance(job, DifferentiableSearch), "other searchers are refused at the start"
    size = job.config.batch_size
    train, judging = problem.batches(0, size), problem.batches(1, size, training=False)
    return judge(job.supernet, job.genotype(), problem, train, judging)


def member_name(target: str) -> str:
    """The folder of a target's search: macs<=48M,params<=300k is macs-48M_params-300k."""
    return re.sub(r"[^\w.+-]", "", target.replace("<=", "-").replace(",", "_"))
