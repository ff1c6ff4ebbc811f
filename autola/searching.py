"""The search, with its records."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning.fabric import Fabric

from autola.configs import SearchConfig
from autola.drive import drive
from autola.runs import go_on, new_run, stored_config
from autola.runtime import device_line, in_first, make_fabric, own_state
from evaluators.data import Augment, halves, normalization, read
from evaluators.tasks.classification import describe
from outputs.run_directory import RESULT, RunDirectory
from search_space.errors import InputError
from search_space.genotype import Genotype
from search_space.grammar import genotype_at
from searchers import Guarded, Search
from searchers.problem import Problem
from supernet.backbones import build_backbone

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
        run: The run folder.
        genotype: The genotype.
        metrics: Figures of the last epoch.
    """

    run: Path
    genotype: Genotype
    metrics: Mapping[str, Any]


def run_search(config: SearchConfig, out: Path | None = None) -> Found:
    """Searches, and keeps the records in a new run folder.

    Args:
        config: What to search, on what, how.
        out: The run folder; None for a new one under ./outputs/runs.

    Raises:
        InputError: If the config or the data is wrong; nothing is written then.
    """
    with own_state(config):
        fabric = make_fabric(config)
        job, data = start_search(config, fabric)
        kind = f"search-{config.data.name}"
        with new_run(config, data, kind=kind, seed=config.seed, out=out, fabric=fabric) as run:
            _announce(config, run, fabric)
            return _finish(job, run, fabric)


def resume_search(run: RunDirectory) -> Found:
    """Goes on with a search that was stopped: on the CPU, to the genotype and weights it would have found.

    A search that is complete is left as it is.

    Raises:
        InputError: If the run is no search, its records do not fit, or another process is writing to it.
    """
    config = stored_config(run, SearchConfig)
    with own_state(config, resumed=run), run:
        fabric = make_fabric(config, resumed=True)
        in_first(fabric, run.lock)
        if run.has(RESULT):
            run.drop_checkpoints()
            log.info("%s is complete", run.path)
            return Found(run=run.path, genotype=genotype_at(run.path), metrics=_last(run))
        job, _ = start_search(config, fabric)
        go_on(job, run, "search")
        _announce(config, run, fabric)
        fabric.barrier()
        return _finish(job, run, fabric)


def start_search(config: SearchConfig, fabric: Fabric) -> tuple[Search, dict[str, Any]]:
    """The search at step 0, and what has to be known of its data."""
    if config.cuda_graph and (fabric.device.type != "cuda" or fabric.world_size > 1):
        where = fabric.device.type if fabric.world_size == 1 else f"{fabric.world_size} processes"
        raise InputError(f"CUDA graphs are for one GPU, and this is {where}; leave out cuda_graph")
    splits = read(config.data)
    mean, std = normalization(config.data, splits.train)
    job = config.searcher.start(
        Problem(
            space=config.resolved_space(),
            backbone=lambda: build_backbone(
                config.backbone,
                num_classes=splits.num_classes,
                in_channels=splits.in_channels,
                width=config.width,
            ),
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
        )
    )
    return job, describe(splits.train, mean, std)


def _announce(config: SearchConfig, run: RunDirectory, fabric: Fabric) -> None:
    log.info("%s  seed %d  %s", run.path, config.seed, device_line(fabric))
    log.info("%s on %s in %s", config.searcher.name, config.data.name, config.backbone)


def _finish(job: Search, run: RunDirectory, fabric: Fabric) -> Found:
    def after_epoch(record: dict[str, Any]) -> Any:
        genotype, shares = job.genotype(), job.shares()
        run.write_genotype(genotype, shares)
        figures = "  ".join(f"{key} {value:.4g}" for key, value in record.items() if isinstance(value, float))
        log.info("epoch %d  %s", record["epoch"], figures)
        return shares

    def complete() -> None:
        run.save_weights(job.weights())
        early = {} if stopped is None else {"stopped": stopped}
        run.write_json(RESULT, {"genotype": str(job.genotype()), "seconds": run.seconds()} | early)
        run.drop_checkpoints()

    drive(job, run, fabric, title="search", after_epoch=after_epoch)
    stopped = job.stopped if isinstance(job, Guarded) else None
    if stopped is not None:
        log.warning("the search %s", stopped)
    in_first(fabric, complete)
    return Found(run=run.path, genotype=job.genotype(), metrics=_last(run))


def _last(run: RunDirectory) -> dict[str, Any]:
    metrics = run.metrics()
    return metrics[-1] if metrics else {}
