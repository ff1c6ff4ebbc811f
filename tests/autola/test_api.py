"""The commands as functions, and configs that say all about a run."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import autola
from autola.api import changed
from autola.configs import RetrainConfig, SearchConfig
from autola.found import Found
from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
from autola.run_search import run_search
from autola.tables import Table
from foundation.config import parse_json, to_json
from foundation.errors import InputError
from outputs.records import WEIGHTS
from outputs.weights import load_weights
from search_space.grammar import Term, parse_attention
from searchers import SEARCHERS
from searchers.darts import Darts
from searchers.random import Random
from searchers.searches.differentiable import DifferentiableSearch
from tests.autola.runs import records, stop_at
from tests.strategies import genotypes

SMALL: dict[str, Any] = {"data": {"limit": 60}, "width": 8}
SEARCH: dict[str, Any] = SMALL | {"num_nodes": 2, "searcher": {"epochs": 2, "batch_size": 10}}
RETRAIN: dict[str, Any] = SMALL | {"seeds": [0], "train": {"epochs": 2, "batch_size": 20, "warmup_epochs": 1}}


def test_functions_do_what_the_commands_do(finished, own_folder):
    found = autola.search("digits", out="search", **SEARCH)
    assert records(found.run) == records(finished[0])
    assert str(found.genotype) == found.run.joinpath("result.json").read_text().split('"')[3]
    assert found.metrics["epoch"] == 2
    table = autola.retrain("none", "hoga", out="retrain", **RETRAIN)
    assert records(own_folder / "retrain") == records(finished[1])
    assert [row.attention for row in table.rows] == ["none", "hoga"]
    assert autola.resume("search") == found
    assert autola.resume("retrain") == table


def test_what_a_search_gives_back_is_attention(own_folder):
    found = autola.search("digits", out="search", **SEARCH)
    given = [found, found.genotype, "hoga:search", Path("search")]
    networks = [autola.attach(autola.build_backbone("cifar_resnet8", width=8), each) for each in given]
    costs = [autola.cost(network, input_shape=(3, 32, 32), latency=False) for network in networks]
    assert costs == [autola.cost("cifar_resnet8", found, width=8, latency=False)] * len(given)
    table = autola.retrain(found.genotype, out="retrain", **RETRAIN)
    (row,) = table.rows
    assert row.attention == autola.attached(networks[1])[0].attention
    assert autola.resume("retrain") == table, "the genotype is in the records"


def test_the_config_alone_makes_the_run_again(found, own_folder):
    config = parse_json(SearchConfig, (found / "config.json").read_text(), "config")
    again = run_search(config, own_folder / "again")
    assert records(again.run) == records(found)


def test_random_state_and_threads_are_left_as_they_were(own_folder):
    torch.manual_seed(7)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    settings: dict[str, Any] = RETRAIN | {"threads": 1}
    autola.retrain("none", out="run", **settings)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads


def test_a_trained_network_comes_back(trained):
    model = autola.load(trained / "hoga-seed0")
    assert not model.training
    assert model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    stored = load_weights(trained / "hoga-seed0" / WEIGHTS)
    assert all(torch.equal(tensor, stored[name]) for name, tensor in model.state_dict().items())


def test_what_is_no_training_is_not_loaded(found, trained):
    with pytest.raises(InputError, match="is a search, not a retraining"):
        autola.load(found)
    with pytest.raises(InputError, match="holds several trainings; load one of the folders in it"):
        autola.load(trained)
    path = trained / "none-seed0" / "config.json"
    path.write_text(path.read_text().replace('"width": 8', '"width": 16'))
    with pytest.raises(InputError, match="do not fit its config"):
        autola.load(trained / "none-seed0")


def test_weights_that_carry_code_are_refused(trained):
    (trained / "none-seed0" / "weights.safetensors").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match="other formats can carry code and are refused"):
        autola.load(trained / "none-seed0")


def test_a_search_that_fails_can_be_resumed_in_the_same_process(own_folder, monkeypatch):
    stop_at(monkeypatch, DifferentiableSearch, 4, InputError("the disk is full"))
    with pytest.raises(InputError, match="the disk is full") as failed:
        autola.search("digits", out="run", **SEARCH)
    assert failed.traceback  # keeps every frame alive, and so whatever they lock
    found = autola.resume("run")
    assert isinstance(found, Found)
    assert found.metrics["epoch"] == 2


@pytest.mark.parametrize("root", ["searcher", '"searcher"'])
def test_a_root_by_the_name_of_a_key_confuses_nobody(trained, root):
    path = trained / "config.json"
    value = json.loads(path.read_text())
    value["task"]["data"]["root"] = root
    path.write_text(json.dumps(value))
    table = autola.resume(trained)
    assert isinstance(table, Table)
    assert len(table.rows) == 2


@pytest.mark.parametrize("preset", [SEARCH_PRESETS["cifar10"], RETRAIN_PRESETS["cifar100"]])
def test_changes_are_merged_and_unknown_ones_refused(preset):
    config: Any = changed(preset, {"width": 32, "data": {"limit": 5}})
    before: Any = preset
    if isinstance(config, RetrainConfig):
        config, before = config.task, before.task
    assert (config.width, config.data.limit, config.data.name) == (32, 5, before.data.name)
    assert changed(preset, {}) == preset
    with pytest.raises(InputError, match="settings: colour: unknown key"):
        changed(preset, {"colour": "red"})
    with pytest.raises(InputError, match=r"data\.colour: unknown key"):
        changed(preset, {"data": {"colour": "red"}})
    with pytest.raises(InputError, match="data: "):
        changed(preset, {"data": "cifar10"})


def test_a_searcher_can_be_named_and_its_keys_are_its_own():
    preset = SEARCH_PRESETS["digits"]
    assert changed(preset, {"searcher": "random"}).searcher == Random()
    assert changed(preset, {"searcher": {"name": "random", "trials": 3}}).searcher == Random(trials=3)
    with pytest.raises(InputError, match="unknown searcher 'dart'; did you mean darts"):
        changed(preset, {"searcher": "dart"})
    with pytest.raises(InputError, match="darts: trials: unknown key"):
        changed(preset, {"searcher": {"trials": 3}})


def test_a_task_can_be_named_and_takes_over_what_it_shares_with_the_preset():
    preset = RETRAIN_PRESETS["cifar100"]
    assert changed(preset, {"task": "classification"}) == preset
    assert changed(preset, {"task": {"width": 8}}) == changed(preset, {"width": 8})
    with pytest.raises(InputError, match="unknown task 'classify'; did you mean classification"):
        changed(preset, {"task": "classify"})


def test_unknown_presets_are_refused():
    for command in (autola.search, autola.retrain):
        with pytest.raises(InputError, match="preset 'digit'; did you mean digits"):
            command(preset="digit")


SEEDS = st.integers(0, 2**63 - 1)
SEARCHES = st.builds(
    SearchConfig,
    data=st.just(SEARCH_PRESETS["cifar10"].data),
    width=st.none() | st.integers(1, 64),
    num_nodes=st.none() | st.integers(1, 8),
    fuse=st.sampled_from([None, "double", "single", "none"]),
    searcher=st.builds(Darts, epochs=st.integers(1, 9), learning_rate=st.floats(1e-4, 1e9))
    | st.builds(Random, trials=st.integers(1, 9)),
    seed=SEEDS,
)
TERMS = st.sampled_from([parse_attention(text) for text in ("none", "se[reduction=8]", "cbam+hoga")]) | (
    genotypes().map(lambda genotype: (Term(name="hoga", argument="a/b", genotype=genotype),))
)
RETRAININGS = st.builds(
    RetrainConfig,
    task=st.just(RETRAIN_PRESETS["digits"].task),
    train=st.just(RETRAIN_PRESETS["digits"].train),
    attentions=st.lists(TERMS, max_size=3, unique=True).map(tuple),
    seeds=st.lists(SEEDS, min_size=1, unique=True).map(tuple),
)


@given(SEARCHES | RETRAININGS)
def test_configs_come_back_from_json(config):
    text = to_json(config)
    again = parse_json(type(config), text, "config")
    assert again == config
    assert to_json(again) == text


@pytest.mark.parametrize("name", list(SEARCHERS))
def test_every_searcher_comes_back_from_json(name):
    config = changed(SEARCH_PRESETS["digits"], {"searcher": name})
    assert parse_json(SearchConfig, to_json(config), "config") == config
