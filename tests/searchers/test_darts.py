"""First-order DARTS against a literal restatement of its step."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from search_space.space import HOGA
from searchers.darts import Darts
from tests.equality import assert_equal
from tests.searchers.problems import small_problem


def test_a_step_is_adam_on_the_alphas_then_sgd_on_the_weights():
    config = Darts(epochs=3, batch_size=10, clip=0.5, learning_rate=0.2)
    search = config.start(small_problem())
    literal = copy.deepcopy(search.supernet)
    weights = [p for name, p in literal.named_parameters() if name != "alphas"]
    adam = torch.optim.Adam([literal.alphas], lr=3e-3, betas=(0.5, 0.999), weight_decay=1e-3)
    sgd = torch.optim.SGD(weights, lr=0.2, momentum=0.9, weight_decay=5e-4)
    problem = small_problem()
    train, held = problem.batches(0, 10), problem.batches(1, 10)
    for index in range(2):
        images, labels = held.batch(0, index)
        adam.zero_grad()
        F.cross_entropy(literal(images), labels).backward()
        adam.step()
        images, labels = train.batch(0, index)
        literal.zero_grad()
        F.cross_entropy(literal(images), labels).backward()
        nn.utils.clip_grad_norm_(weights, 0.5)
        sgd.step()
        search.advance()
    assert_equal(search.supernet.state_dict(), literal.state_dict(), through=literal)


def test_the_rate_is_half_a_cosine_by_epochs():
    search = Darts(epochs=4, batch_size=10).start(small_problem())
    assert search.schedule.rate(0) == 0.025
    assert abs(search.schedule.rate(2) - (0.025 + 1e-4) / 2) < 1e-12


def test_the_two_halves_share_no_image():
    problem = small_problem()
    rows = [{image.tobytes() for image in half.images.numpy()} for half in problem.halves]
    assert len(rows[0]) == len(rows[1]) == 30
    assert not rows[0] & rows[1]


def test_the_forms_of_the_supernet_find_the_same_genotype():
    config = Darts(epochs=2, batch_size=10)
    plain, grouped = (config.start(small_problem(form=form, space=HOGA)) for form in ("plain", "grouped"))
    for search in (plain, grouped):
        while search.step < search.total_steps:
            search.advance()
    assert_equal(grouped.supernet.alphas, plain.supernet.alphas, through=plain.supernet)
    assert grouped.genotype() == plain.genotype()
