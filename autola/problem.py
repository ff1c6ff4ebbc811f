"""What a search is given: images, network, space, limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from lightning.fabric import Fabric
from torch import nn

from autola.configs import SearchConfig
from autola.data_record import COSTS
from evaluators.cost_table import CostTable, Metric, cost_table
from evaluators.data import Augment, halves, normalization, read
from evaluators.tasks.classification.setting import describe
from foundation.config import parse
from foundation.errors import InputError
from outputs.records import DATA
from searchers.limits import Limits, parse_target
from searchers.searches.problem import Problem
from supernet.backbones import build_backbone


def search_problem(
    config: SearchConfig, fabric: Fabric, costs: Mapping[str, Any] | None = None
) -> tuple[Problem, dict[str, Any]]:
    """What a search is given, and what has to be known of its data.

    Args:
        config: What to search, on what, how; with one target at most.
        fabric: Device and processes.
        costs: What operators cost by metric, as a run that goes on has stored it.

    Raises:
        InputError: If the config or the data is wrong, or nothing keeps the limits.
    """
    if config.cuda_graph and (fabric.device.type != "cuda" or fabric.world_size > 1):
        where = fabric.device.type if fabric.world_size == 1 else f"{fabric.world_size} processes"
        raise InputError(f"CUDA graphs are for one GPU, and this is {where}; leave out cuda_graph")
    splits = read(config.data)
    mean, std = normalization(config.data, splits.train)
    known = describe(splits.train, mean, std, splits.listings)

    def backbone() -> nn.Module:
        return build_backbone(
            config.backbone,
            num_classes=splits.num_classes,
            in_channels=splits.in_channels,
            width=config.width,
        )

    space = config.resolved_space()
    limits = None
    if config.target:
        (target,) = config.target
        wanted = parse_target(target)
        tables = dict[Metric, CostTable]()
        limited: list[Metric] = [limit.metric for limit in wanted]
        for metric in dict.fromkeys(limited):
            if costs is not None and metric in costs:
                tables[metric] = parse(CostTable, costs[metric], f"costs of {DATA}")
            else:
                tables[metric] = cost_table(metric, space, backbone, known["input_shape"], fabric.device)
        tables = fabric.broadcast(tables)  # latencies differ between processes
        limits = Limits(space, wanted, tables)
        known[COSTS] = {metric: asdict(table) for metric, table in tables.items()}
    problem = Problem(
        space=space,
        backbone=backbone,
        halves=halves(splits.train),
        mean=mean,
        std=std,
        augment=Augment.of(config.data),
        fabric=fabric,
        seed=config.seed,
        form=config.form,
        compile=config.compile,
        recompute=config.recompute,
        cuda_graph=config.cuda_graph,
        limits=limits,
        penalty=None if limits is None else limits.penalty(config.target_weight),
    )
    config.searcher.check(problem)
    return problem, known
