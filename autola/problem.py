"""What a search is given: images, network, space, limits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import nn

from autola.configs import AnySearch, SearchConfig, TaskSearch
from autola.data_record import COSTS, described
from evaluators.candidate_costs import table_of
from evaluators.cost_table import Metric
from evaluators.cost_tables import AnyTable, read_table
from evaluators.data import Augment, halves, normalization, read
from evaluators.device_table import check_fits, read_device_table
from evaluators.starting_weights import start_from
from evaluators.tasks import Halved, new_network, reads_text
from evaluators.tasks.classification.setting import describe
from evaluators.weight_sources import read_weights
from foundation.errors import InputError, listed
from outputs.records import DATA
from search_space.places import Places
from search_space.searchable import Searchable
from searchers.limits import Limits, parse_target
from searchers.searches.passes import several
from searchers.searches.problem import Problem
from searchers.searches.sequence_problem import SequenceProblem
from searchers.searches.task_problem import TaskProblem
from supernet.backbones import build_backbone
from supernet.map_sizes import passed_maps
from supernet.networks.transformer import Transformer
from supernet.placing import places_of
from supernet.sequence_places import sequence_places

log = logging.getLogger(__name__)


def search_problem(
    config: AnySearch, fabric: Fabric, costs: Mapping[str, Any] | None = None
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
    if isinstance(config, TaskSearch):
        problem, known = _of_task(config, fabric)
    else:
        assert isinstance(config, SearchConfig)
        problem, known = _of_images(config, fabric)
    config.searcher.check_budget(problem.space)
    if config.target:
        (target,) = config.target
        tables = _tables(config, target, problem, known["input_shape"], costs)
        limits = Limits(problem.space, parse_target(target), tables)
        known[COSTS] = {metric: asdict(table) for metric, table in tables.items()}
        if costs is None and (out := limits.left_out()):  # once: a run that goes on has said so
            log.info("within %s no answer has %s: leave them out, or allow more", target, listed(out, 20))
        problem = replace(problem, limits=limits, penalty=limits.penalty(config.target_weight))
    config.searcher.check(problem)
    return problem, known


def _of_images(config: SearchConfig, fabric: Fabric) -> tuple[Problem, dict[str, Any]]:
    """A classifier, on two halves of its images."""
    splits = read(config.data)
    mean, std = normalization(config.data, splits.train)
    known = describe(splits.train, mean, std, splits.listings)

    def random_backbone() -> nn.Module:
        return build_backbone(
            config.backbone,
            num_classes=splits.num_classes,
            in_channels=splits.in_channels,
            width=config.width,
        )

    backbone = random_backbone
    if config.weights is not None:
        backbone = starting_from(config.weights, config.backbone, random_backbone, known)
    problem = Problem(
        space=config.resolved_space()
        if not config.of_places
        else places_in(config, backbone, known["input_shape"]),
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
    )
    return problem, known


def _of_task(config: TaskSearch, fabric: Fabric) -> tuple[Problem, dict[str, Any]]:
    """The network of a task, on two halves of its training set."""
    recipe = config.recipe()
    config.task.refuse_unused(recipe)
    setting = config.task.read(recipe, fabric)
    if not isinstance(setting, Halved):
        raise InputError(
            f"the task {config.task.name} does not say how its training set is halved, so no search is on it"
        )
    known = described(config, setting)

    def backbone() -> nn.Module:
        return new_network(config.task, known, config.task.unsearched(), config.seed)

    kind = SequenceProblem if reads_text(config.task) else TaskProblem
    problem = kind(
        space=places_in(config, backbone, known["input_shape"]),
        backbone=backbone,
        settings=setting.halves(),
        norm=config.norm,
        fabric=fabric,
        seed=config.seed,
        compile=config.compile,
        recompute=config.recompute,
    )
    return problem, known


def _tables(
    config: AnySearch, target: str, problem: Problem, input_shape: Any, costs: Mapping[str, Any] | None
) -> dict[Metric, AnyTable]:
    """What operators cost, by metric: as it was stored, else counted or measured."""
    space, device = problem.space, problem.fabric.device
    tables = dict[Metric, AnyTable]()
    limited: list[Metric] = [limit.metric for limit in parse_target(target)]
    for metric in dict.fromkeys(limited):
        if costs is not None and metric in costs:
            tables[metric] = read_table(costs[metric], f"costs of {DATA}")
        elif metric == "latency" and config.latency_table is not None:
            assert isinstance(config, SearchConfig), "tasks have no table of another device"
            tables[metric] = _elsewhere(config, config.latency_table, space, input_shape)
        else:
            tables[metric] = table_of(metric, space, problem.backbone, input_shape, device)
    return problem.fabric.broadcast(tables)  # latencies differ between processes


def _check_passes(network: nn.Module, space: Places, input_shape: Sequence[int]) -> None:
    """Refuses sites by which a pass does not come, or comes several times: one module would serve several."""
    try:
        calls = passed_maps(network, space.rows, input_shape)
    except InputError as error:
        if isinstance(error.__cause__, NotImplementedError):  # of an outline; the first step looks again
            return
        raise
    for name, sizes in calls.items():
        if len(sizes) > 1:
            raise several(name, len(sizes))


def _elsewhere(config: SearchConfig, path: Path, space: Searchable, input_shape: Sequence[int]) -> AnyTable:
    """Latencies that were measured on another device."""
    table = read_device_table(path)
    check_fits(table, path, space, backbone=config.backbone, width=config.width, input_shape=input_shape)
    log.info("latencies of %s: %s", path, table)
    return table.costs(str(path))


def starting_from(
    source: str, backbone: str, build: Callable[[], nn.Module], known: dict[str, Any]
) -> Callable[[], nn.Module]:
    """What builds a network with the weights of a file, a training or a publication.

    Args:
        source: The weights.
        backbone: Registered name of the network.
        build: Builds it with random weights.
        known: What is kept of the data; a digest of the weights comes to it.

    Raises:
        InputError: If there are no such weights, or they do not fit.
    """
    given = read_weights(source, (backbone,))
    digest = sha256()
    for name in sorted(given):
        digest.update(name.encode() + given[name].detach().cpu().contiguous().numpy().tobytes())
    known["weights"] = digest.hexdigest()[:16]

    def started() -> nn.Module:
        network = build()
        start_from(network, network.state_dict(), given, source)
        return network

    with torch.random.fork_rng(devices=[]):
        network = build()
    log.info(start_from(network, network.state_dict(), given, source))
    return started


def places_in(config: AnySearch, backbone: Callable[[], nn.Module], input_shape: Sequence[int]) -> Places:
    """The space of placements in the backbone.

    Raises:
        InputError: If there is none, or a pass does not come by a site, or several times.
    """
    with torch.random.fork_rng(devices=[]):
        network = backbone()
        if isinstance(network, Transformer):
            return sequence_places(network, config.candidates(), config.sites, name=config.network_name)
        space = places_of(network, config.candidates(), config.sites, network=config.network_name)
        _check_passes(network, space, input_shape)
        return space
