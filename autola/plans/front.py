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
from autola.problem import search_problem
from autola.runtime import in_first
from autola.working import modules_for
from autola.working.driver import do_work
from autola.working.making import make_item, make_list
from autola.working.progress import missing
from autola.working.settings import Settings
from autola.working.worklist import WorkList
from evaluators.cost import measure
from evaluators.cost_tables import read_table
from foundation.config import to_json
from foundation.errors import InputError
from outputs.front import FRONT, PICTURE, Front, Point, dominated, draw_front
from outputs.records import DATA, RESULT
from outputs.run_directory import RunDirectory
from search_space.grammar import found_at
from search_space.placement import Placement
from searchers.blackbox import BlackBox
from searchers.limits import parse_target
from searchers.settings import Differentiable


class TargetSearches(Plan):
    """A search for every target."""

    kind = "front"
    many = True

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
        self._do(config, run)
        points = [_point(config, target, run) for target in config.target]
        limited = dict.fromkeys(limit.metric for text in config.target for limit in parse_target(text))
        points = [replace(point, on_front=not dominated(point, points, tuple(limited))) for point in points]
        tables = run.keys(DATA, COSTS)[COSTS]
        plain = {metric: read_table(tables[metric], COSTS).plain for metric in limited}
        front = Front(points=tuple(points), metrics=tuple(limited), plain=plain)
        in_first(self._fabric, lambda: _conclude(run, front))
        return found_in(run)

    def _do(self, config: SearchConfig, run: RunDirectory) -> None:
        """Has the searches done that are not."""
        fabric = self._fabric

        def make() -> WorkList:
            data = run.keys(DATA, COSTS, "input_shape", "num_classes")
            modules, names = modules_for(self.on, config), list[str]()
            for target in config.target:
                names.append(member_name(target))
                single = replace(config, target=(target,))
                kept: Any = {"device": fabric.device, "modules": modules}
                make_item(run, names[-1], single, config.seed, lambda: data, **kept)
            epochs = config.searcher.all_epochs
            made: Any = {"command": "search", "epochs": epochs, "modules": modules, "fabric": fabric}
            return make_list(run.path, names, **made)

        worklist = in_first(fabric, make) or WorkList(run.path)
        in_first(fabric, worklist.forgive)
        do_work(worklist, self.on, Settings(fabric))
        if fabric.world_size == 1 and (failed := missing(worklist)):
            raise InputError(failed[0][1])


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


def _point(config: SearchConfig, target: str, whole: RunDirectory) -> Point:
    """What the search for a target found, and what that costs."""
    name = member_name(target)
    data, path = whole.keys(DATA, COSTS, "input_shape", "num_classes"), whole.path / name
    result, genotype = RunDirectory(path).numbers(RESULT, "score"), found_at(path)
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


def member_name(target: str) -> str:
    """The folder of a target's search: macs<=48M,params<=300k is macs-48M_params-300k."""
    return re.sub(r"[^\w.+-]", "", target.replace("<=", "-").replace(",", "_"))
