"""Tabular benchmarks: written, read, and honest about what they can tell apart."""

import numpy as np
import pytest

import autola
from foundation.errors import InputError
from outputs.tabular import PUBLISHED, read_tabular, write_tabular
from search_space.space import HOGA_SMALL, Space

SPACE = Space(name="own", primitives=("none", "skip_connect", "SE"), num_nodes=2, fuse="single")
ROWS = [["SE", "SE", "skip_connect"], ["skip_connect", "SE", "SE"]]


def columns(scores):
    count = len(scores)
    return {
        "validation": np.array(scores),
        "test": np.array(scores)[:, :, -1],
        "params": np.arange(count),
        "macs": np.arange(count) * 10**6,
        "latency_ms": np.full(count, np.nan),
    }


def table(tmp_path, scores):
    write_tabular("mine", SPACE, ROWS, columns(scores), {"complete": False}, tmp_path)
    return read_tabular("mine", tmp_path)


def test_a_table_is_read_as_it_was_written(tmp_path):
    scores = np.random.default_rng(0).random((2, 3, 4))
    read = table(tmp_path, scores)
    assert read.space == SPACE
    assert read.genotypes == tuple(SPACE.genotype(row) for row in ROWS)
    assert read.made == {"complete": False}
    assert read.macs.tolist() == [0, 10**6]
    assert read.accuracy(SPACE.genotype(ROWS[1]), 2) == pytest.approx(scores[1, 2, -1], abs=1e-6)
    assert read.accuracy(SPACE.genotype(ROWS[0]), 1, 0) == pytest.approx(scores[0, 1, 0], abs=1e-6)


def test_what_is_not_in_a_table_is_refused(tmp_path):
    read = table(tmp_path, np.zeros((2, 3, 4)))
    with pytest.raises(InputError, match="no row for h1 = SE"):
        read.accuracy(SPACE.genotype(["SE", "SE", "SE"]), 0)
    with pytest.raises(InputError, match="seed 3, epoch -1 is not in the table; it has 3 seeds and 4 epochs"):
        read.accuracy(read.genotypes[0], 3)
    with pytest.raises(InputError, match="unknown benchmark 'digit'; did you mean digits"):
        autola.benchmark("digit")


def test_separation_is_the_f_of_an_analysis_of_variance(tmp_path):
    from scipy.stats import f_oneway

    scores = np.random.default_rng(1).random((2, 5, 3)).astype(np.float32)
    scores[1] += 0.3
    read = table(tmp_path, scores)
    assert read.separation() == pytest.approx(f_oneway(*scores[:, :, -1]).statistic, rel=1e-5)


def test_published_tables_say_how_they_were_made():
    for path in PUBLISHED.glob("benchmark-*.npz"):
        read = autola.benchmark(path.stem.removeprefix("benchmark-"))
        assert {"command", "config", "device", "versions", "complete"} <= read.made.keys()
        genotypes, seeds, _ = read.validation.shape
        assert read.test.shape == (genotypes, seeds)
        assert len(set(read.genotypes)) == genotypes == len(read.params) == len(read.macs)
        assert read.made["complete"] == (genotypes == read.space.size)
        assert path.stat().st_size < 1e6


def test_the_published_digits_do_not_tell_genotypes_apart():
    read = autola.benchmark("digits")
    assert read.space == HOGA_SMALL
    assert not read.made["complete"]
    assert read.separation() < 3, "if they do, train the others and say so in docs/benchmark.md"
