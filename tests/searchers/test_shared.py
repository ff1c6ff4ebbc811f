"""A supernet that judges: one path at a time, with statistics of its own."""

import random

import torch

from search_space.cell import edge_name
from searchers.random_ws import RandomWS
from searchers.searches.shared import Path, PathTask, SharedSearch, renew_statistics
from supernet.supernet import Supernet, copy_weights
from tests.equality import assert_equal
from tests.searchers.problems import small_problem


def test_a_path_is_the_network_of_its_genotype():
    problem = small_problem()
    task = PathTask(problem, 10)
    genotype = problem.space.sample(random.Random(0))
    found = problem.found(genotype)
    assert isinstance(task.supernet, Supernet)
    copy_weights(task.supernet, found, genotype)
    images = torch.randn(2, 3, 6, 5, dtype=torch.float64)
    path = Path(task.supernet, genotype).eval()
    assert_equal(path(images), found.eval()(images), through=found)


def test_batches_train_different_paths_and_each_is_a_function_of_its_place():
    problem = small_problem()
    task = PathTask(problem, 10)
    weights = [task.batch(epoch, index)[1] for epoch in range(2) for index in range(3)]
    assert len({tuple(row.flatten().tolist()) for row in weights}) > 1
    assert torch.equal(PathTask(problem, 10).batch(1, 2)[1], weights[5])
    for row in weights:
        assert torch.equal(row.sum(1), torch.ones_like(row.sum(1)))


def test_a_step_moves_the_weights_of_its_path_alone():
    problem = small_problem()
    search = RandomWS(trials=1, epochs=1, batch_size=10).start(problem)
    assert isinstance(search, SharedSearch)
    before = {name: value.clone() for name, value in search.task.model.named_parameters()}
    weights = search.task.batch(0, 0)[1]
    search.advance()
    moved = {
        name for name, value in search.task.model.named_parameters() if not torch.equal(value, before[name])
    }
    on_edges = [name for name in before if ".operators." in name]
    rows = {edge_name(*edge): row for row, edge in enumerate(problem.space.rows)}
    for name in on_edges:
        edge, column = name.partition(".operators.")[2].split(".")[:2]
        assert (name in moved) == bool(weights[rows[edge], int(column)]), name
    assert moved - set(on_edges), "the backbone learns as well"


def test_renewed_statistics_are_the_means_of_those_of_the_batches():
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(3, momentum=0.1).double()
    assert norm.running_mean is not None
    norm.running_mean += 7
    batches = [torch.randn(4, 3, 5, 7, dtype=torch.float64) + k for k in range(3)]
    renew_statistics(norm, [(batch,) for batch in batches], lambda network, batch: network(batch))
    means = torch.stack([batch.mean((0, 2, 3)) for batch in batches]).mean(0)
    variances = torch.stack([batch.var((0, 2, 3)) for batch in batches]).mean(0)
    assert norm.running_var is not None
    assert_equal(norm.running_mean, means)
    assert_equal(norm.running_var, variances)
    assert norm.momentum == 0.1
