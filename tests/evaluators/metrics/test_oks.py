"""Similarity of poses against a literal restatement, and who survives suppression."""

import math

import numpy as np
import pytest

from evaluators.tasks.keypoints.oks import SIGMAS, similarity, suppress


def poses(count, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(50, 20, (count, 17, 2)), random.uniform(500, 5000, count)


def test_similarity_as_it_is_written():
    found, areas = poses(4)
    got = similarity(found[0], areas[0], found, areas)
    for number in range(4):
        total = 0.0
        for k, sigma in enumerate(SIGMAS):
            dx, dy = found[number, k] - found[0, k]
            scale = (areas[0] + areas[number]) / 2
            total += math.exp(-(dx**2 + dy**2) / (2 * scale * (2 * sigma) ** 2))
        assert got[number] == pytest.approx(total / 17, abs=1e-12)
    assert got[0] == 1


def test_of_two_alike_the_better_stays():
    found, areas = poses(2)
    alike = np.stack((found[0], found[0] + 0.1, found[1]))
    sizes = np.array([areas[0], areas[0], areas[1]])
    assert suppress(alike, sizes, np.array([0.3, 0.9, 0.5]), 0.9) == [1, 2]
    assert suppress(alike, sizes, np.array([0.3, 0.3, 0.5]), 0.9) == [2, 0]
    assert suppress(alike, sizes, np.array([0.3, 0.9, 0.5]), 1.0) == [1, 2, 0]
    assert suppress(alike[:0], sizes[:0], np.array([]), 0.9) == []
