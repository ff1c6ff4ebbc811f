"""The script that makes a table, and the one that judges searchers."""

import json
from dataclasses import replace

import numpy as np
import pytest

from autola.configs import DeviceConfig
from autola.working.worklist import WorkList
from benchmarks import make_table, searchers
from evaluators.train import Training
from foundation.errors import InputError
from outputs.tabular import read_tabular
from search_space.space import SPACES


def test_a_table_is_made_stopped_and_gone_on_with(tmp_path, monkeypatch):
    options = make_table.Options(
        name="tiny",
        limit=80,
        epochs=2,
        genotypes=2,
        seeds=2,
        latency=False,
        device=DeviceConfig(device="cpu", threads=1),
        folder=tmp_path,
    )
    preset = make_table.RETRAIN_PRESETS["digits"]
    small = {"batch_size": 20, "warmup_epochs": 0}
    preset = replace(preset, task=replace(preset.task, width=8), train=replace(preset.train, **small))
    monkeypatch.setitem(make_table.RETRAIN_PRESETS._entries, "digits", preset)
    monkeypatch.setattr(make_table.sys, "argv", ["make_table"])
    real, steps = Training.advance, []

    def advance(job):
        if len(steps) == 21:
            steps.append(None)
            raise KeyboardInterrupt
        steps.append(job.step)
        real(job)

    monkeypatch.setattr(Training, "advance", advance)
    with pytest.raises(KeyboardInterrupt):
        make_table.make(options)
    worklist = WorkList(tmp_path / ".trainings-tiny")
    assert [seen.state for seen in worklist.all()] == ["done"] * 2 + ["waiting"] * 2
    make_table.make(options)
    assert len(steps) == 1 + 4 * 8 + 1, "four trainings of 8 steps, of one of them a step twice"
    table = read_tabular("tiny", tmp_path)
    assert table.validation.shape == (2, 2, 2)
    assert not table.made["complete"]
    again = make_table.drawn(SPACES["hoga_small"], 216)
    assert len({tuple(row) for row in again}) == 216
    assert again[:2] == make_table.drawn(SPACES["hoga_small"], 2)
    with pytest.raises(InputError, match="was made with other settings"):
        make_table.make(replace(options, epochs=1))


def test_a_planted_problem_knows_its_best_and_its_spread():
    space = SPACES["hoga_small"]
    problem = searchers.planted(space, 0.5, 3)
    values = [problem.value(genotype) for genotype in space.genotypes()]
    assert max(values) == pytest.approx(problem.best, abs=1e-12)
    assert np.mean(values) == pytest.approx(0, abs=1e-12)
    assert np.std(values) == pytest.approx(1, abs=1e-12)
    genotype = next(space.genotypes())
    noise = [problem.seen(genotype, trial) - problem.value(genotype) for trial in range(400)]
    assert np.std(noise) == pytest.approx(0.5, rel=0.1)


def test_regret_falls_and_a_search_of_everything_without_noise_has_none():
    options = searchers.Options(budgets=(10, 100, 216), space="hoga_small", noise=0.0)
    for name in ("nni:random", "nni:tpe", "nni:grid"):  # these try nothing twice
        regrets = searchers.regrets(options, name, 0)
        assert regrets == sorted(regrets, reverse=True)
        assert regrets[-1] == pytest.approx(0, abs=1e-9)


def test_an_incomplete_table_is_not_searched():
    with pytest.raises(InputError, match="has 20 of 216 genotypes; only a complete one can be searched"):
        searchers.tabular("digits")


def test_published_regrets_name_every_searcher():
    path = make_table.PUBLISHED / "searchers-planted.json"
    figures = json.loads(path.read_text())
    assert set(figures["searchers"]) == set(searchers.proposing())
    assert {"command", "seeds", "versions", "machine", "problem", "unit"} <= figures.keys()
    better = {name for name, row in figures["searchers"].items() if any(row["beats_random"])}
    assert {"evolution", "nni:tpe"} <= better
