"""The steps of a search, whoever takes them: what it is given, what it says, how it is taken to its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric
from torch import nn

from autola.configs import SearchConfig
from autola.data_record import COSTS
from autola.drive import drive
from autola.runtime import device_line, in_first
from evaluators.cost_table import CostTable, Metric, cost_table
from evaluators.data import Augment, halves, normalization, read
from evaluators.tasks.classification.setting import describe
from foundation.config import parse
from foundation.errors import InputError
from outputs.front import Point
from outputs.run_directory import DATA, RESULT, RunDirectory
from search_space.genotype import Genotype
from searchers import Guarded, Search
from searchers.limits import Limits, parse_target
from searchers.searches.problem import Problem
from supernet.backbones import build_backbone

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        run: The run folder.
        genotype: The genotype.
        metrics: Figures of the last epoch.
        front: Where there were several targets: what was found for each, in their order.
    """

    run: Path
    genotype: Genotype
    metrics: Mapping[str, Any]
    front: tuple[Point, ...] = ()


def start_search(
    config: SearchConfig, fabric: Fabric, costs: Mapping[str, Any] | None = None
) -> tuple[Search, dict[str, Any]]:
    """The search at step 0, and what has to be known of its data.

    Args:
        config: What to search, on what, how; with one target at most.
        fabric: Device and processes.
        costs: What operators cost by metric, as a run that goes on has stored it.

    Raises:
        InputError: If the config or the data is wrong, or nothing keeps the limits.
    """
    problem, data = search_problem(config, fabric, costs)
    return config.searcher.start(problem), data


def search_problem(
    config: SearchConfig, fabric: Fabric, costs: Mapping[str, Any] | None = None
) -> tuple[Problem, dict[str, Any]]:
    """What a search is given, and what has to be known of its data; see `start_search`."""
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


def announce(config: SearchConfig, run: RunDirectory, fabric: Fabric) -> None:
    """The first lines of a search: folder, seed, device, what is done."""
    log.info("%s  seed %d  %s", run.path, config.seed, device_line(fabric))
    log.info("%s on %s in %s", config.searcher.name, config.data.name, config.backbone)


def finish(
    job: Search,
    run: RunDirectory,
    fabric: Fabric,
    conclude: Callable[[], Mapping[str, Any]] = dict,
) -> Found:
    """Takes a search to its end, and writes what it ends with.

    Args:
        job: At step 0, or where its newest checkpoint left it.
        run: Its folder.
        fabric: Device and processes.
        conclude: What else belongs to the result, worked out after the weights are written.
    """

    def after_epoch(record: dict[str, Any]) -> Any:
        genotype, shares = job.genotype(), job.shares()
        run.write_genotype(genotype, shares)
        figures = "  ".join(f"{key} {value:.4g}" for key, value in record.items() if isinstance(value, float))
        log.info("epoch %d  %s", record["epoch"], figures)
        return shares

    def complete() -> None:
        early = {} if stopped is None else {"stopped": stopped}
        run.write_json(RESULT, {"genotype": str(genotype), "seconds": run.seconds(), **early, **more})
        run.drop_checkpoints()

    drive(job, run, fabric, title="search", after_epoch=after_epoch)
    stopped = job.stopped if isinstance(job, Guarded) else None
    if stopped is not None:
        log.warning("the search %s", stopped)
    in_first(fabric, lambda: run.save_weights(job.weights()))
    genotype, more = job.genotype(), conclude()
    in_first(fabric, complete)
    return Found(run=run.path, genotype=genotype, metrics=last_figures(run))


def last_figures(run: RunDirectory) -> dict[str, Any]:
    """Figures of the last epoch that a run recorded; none where it has not ended one."""
    metrics = run.metrics()
    return metrics[-1] if metrics else {}
