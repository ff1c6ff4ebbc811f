"""A search of what stands at the attentions of a translation, from the command line to its use."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch

import autola
from autola.advice_config import AdviceConfig
from autola.advising.planning import Amounts
from autola.advising.running import run_advice
from autola.api import changed
from autola.commands.search import read_settings
from autola.configs import TaskSearch
from autola.presets import RETRAIN_PRESETS, search_preset
from autola.problem import search_problem
from autola.runtime import make_fabric
from search_space.grammar import placement_at
from searchers import SEARCHERS
from searchers.darts import Darts
from searchers.gdas import Gdas
from searchers.searches.differentiable import DifferentiableSearch
from searchers.searches.shared import SharedSearch
from supernet.sequence_placing import standing_at
from tests.autola.conftest import Call, Refused
from tests.autola.runs import assert_goes_on
from tests.evaluators.sentences import pairs, write

NETWORK = (
    "--data.root data --data.vocabulary 40 --data.test test --transformer.encoder-layers 1 "
    "--transformer.decoder-layers 2 --transformer.width 8 --transformer.heads 2 --transformer.hidden 12"
)
FEW = "--primitives none ga:0110 dynamic ga:0010+dcn"
SHORT = f"search multi30k {NETWORK} {FEW} --searcher.batch-size 120 --searcher.epochs 2"


@pytest.fixture(autouse=True)
def text(own_folder: Path) -> Path:
    pytest.importorskip("sentencepiece")
    pytest.importorskip("sacrebleu")
    (own_folder / "data").mkdir()
    write(own_folder / "data", train=pairs(31), val=pairs(5), test=pairs(6))
    return own_folder / "data"


def settings(command: str) -> TaskSearch:
    config = read_settings(command.split()[1:])[1]
    assert isinstance(config, TaskSearch)
    return config


def test_halves_have_no_pair_in_common() -> None:
    config = settings(SHORT)
    problem, known = search_problem(config, make_fabric(config))
    first, second, sizes = problem.settings  # pyright: ignore[reportAttributeAccessIssue]
    assert sizes == "16 pairs of sentences and 15 others"
    assert (len(first.train), len(second.train)) == (16, 15)
    whole = config.task.read(config.recipe(), make_fabric(config)).train  # pyright: ignore[reportAttributeAccessIssue]
    of_whole = [(whole.source[number], whole.target[number]) for number in range(31)]
    for part, numbers in ((first.train, range(0, 31, 2)), (second.train, range(1, 31, 2))):
        own = [(part.source[number], part.target[number]) for number in range(len(part))]
        assert own == [of_whole[number] for number in numbers]
    assert first.validation is second.train
    assert problem.score == "likelihood"
    assert known["vocabulary"]


def test_candidates_are_judged_by_the_chances_of_words() -> None:
    config = settings(f"{SHORT} --searcher random --searcher.trials 2")
    problem, _ = search_problem(config, make_fabric(config))
    network = problem.found(problem.space.sample(random.Random(0))).eval()
    judged = problem.judge(network, problem.batches(1, 120, training=False))
    part = problem.settings.first.validation  # pyright: ignore[reportAttributeAccessIssue]
    total, words = 0.0, 0
    with torch.no_grad():
        for number in range(len(part)):
            source, target = [*part.source[number], 2], [1, *part.target[number], 2]
            chances = network(torch.tensor([source]), torch.tensor([target[:-1]])).double().log_softmax(-1)
            total += sum(chances[0, place, word].item() for place, word in enumerate(target[1:]))
            words += len(target) - 1
    assert judged == pytest.approx(torch.tensor(total / words).exp().item(), rel=1e-5)


def test_a_search_that_is_stopped_finds_the_same(call: Call, own_folder: Path) -> None:
    told = call(SHORT, "--target macs<=0.99x --out whole")
    assert told.code == 0, told.err
    assert "halves of the training set: 16 pairs of sentences and 15 others" in told.err
    assert "left out where they do not fit: ga:0110, dynamic, ga:0010+dcn at decoder.cross" in told.err
    assert_goes_on(call, f"{SHORT} --target macs<=0.99x", DifferentiableSearch, 2)


def test_what_is_found_is_inspected_trained_counted_and_carried(call: Call, own_folder: Path) -> None:
    told = call(SHORT, "--target macs<=0.99x --out run")
    assert told.code == 0, told.err
    placement = placement_at("run")
    assert "retrain none places:run --preset multi30k" in told.out.replace(f"{own_folder}/", "")
    shown = json.loads(call("inspect run --json").out)
    assert {row["site"]: row["attention"] for row in shown["sites"]} == placement.attentions
    assert [row["share"] for row in shown["sites"]][-2:] == [1.0, 1.0], "one candidate fits there"
    told = call("inspect run --png run.png")
    assert "decoder.cross.2" in told.out
    assert (own_folder / "run.png").stat().st_size > 1000
    recipe = (
        "--preset multi30k --train.epochs 1 --train.average 0 --train.batch-size 120 --train.warmup-steps 3"
    )
    told = call(f"retrain none places:run {recipe} {NETWORK} --out trained")
    assert told.code == 0, told.err
    rows = json.loads((own_folder / "trained/table.json").read_text())["rows"]
    assert rows[1]["macs"] <= 0.99 * rows[0]["macs"]
    (folder,) = (own_folder / "trained").glob("places-run-seed0")
    assert standing_at(autola.load(folder)) == placement.attentions  # pyright: ignore[reportArgumentType]
    words = (
        "cost none places:run --backbone transformer_tiny --tokens 7 5 --num-classes 100 --json --no-latency"
    )
    told = call(words)
    assert told.code == 0, told.err
    assert "was carried over to the 12 of 4+4 layers" in told.err
    assert "has neither its sites nor such blocks" in call("cost places:run --no-latency").err


@pytest.mark.parametrize(
    ("positions", "attention"),
    [("absolute", "none"), ("relative", "self=ga:1111")],
    ids=["absolute", "relative"],
)
def test_from_trained_weights_and_on_by_the_command_that_is_named(
    call: Call, own_folder: Path, positions: str, attention: str
) -> None:
    network = f"{NETWORK} --transformer.positions {positions}"
    few = "--train.epochs 1 --train.average 0 --train.batch-size 120 --train.warmup-steps 3"
    assert call(f"retrain {attention} --preset multi30k {network} {few} --out trained").code == 0
    (weights,) = (path.parent for path in (own_folder / "trained").glob("*/weights.safetensors"))
    search = (
        f"{SHORT.replace('epochs 2', 'epochs 1')} --transformer.positions {positions} --weights {weights}"
    )
    told = call(search, "--out run")
    assert told.code == 0, told.err
    (following,) = (line for line in told.out.splitlines() if line.startswith("next"))
    told = call(following.removeprefix("next   autola "), f"{few} --out again")
    assert told.code == 0, told.err
    assert f"retrain {attention} places:" in following


@pytest.mark.parametrize("searcher", sorted(name for name in SEARCHERS if not name.startswith("nni:")))
def test_every_searcher_searches_or_is_refused_by_name(call: Call, own_folder: Path, searcher: str) -> None:
    kind = SEARCHERS[searcher]
    words = SHORT.replace("--searcher.epochs 2", "--searcher.epochs 1" if hasattr(kind, "epochs") else "")
    trials = "--searcher.trials 2" if hasattr(kind, "trials") else ""
    extra = {"evolution": "--searcher.population 1", "reinforce": ""}.get(searcher, "")
    told = call(words, f"--searcher {searcher} {trials} {extra} --sites decoder.self --out run")
    if told.code == 2:
        assert REFUSED[searcher] in told.err
        assert not (own_folder / "run").exists()
    else:
        assert told.code == 0, told.err
        assert searcher not in REFUSED
        assert set(placement_at("run").attentions) >= {"decoder.self.1", "decoder.self.2"}


UNTRAINED = "scores untrained networks by images, and this one reads sentences"
REFUSED = {
    **dict.fromkeys(("jacobian", "macs", "params", "synflow", "zen"), UNTRAINED),
    "pc_darts": "the mixtures of sites take all channels; choose a searcher without parts",
}


def test_a_shared_supernet_goes_on_where_it_was_stopped(call: Call, own_folder: Path) -> None:
    words = f"{SHORT.replace('epochs 2', 'epochs 1')} --searcher random_ws --searcher.trials 3"
    assert call(words, "--out whole").code == 0
    assert_goes_on(call, words, SharedSearch, 3)


@pytest.mark.parametrize("searcher", ["gdas", {"name": "gdas", "epochs": 1}])
def test_a_searcher_by_name_takes_the_optimizer_of_the_preset(searcher: Any) -> None:
    preset = search_preset("multi30k").searcher
    found = changed(search_preset("multi30k"), {"searcher": searcher}).searcher
    assert isinstance(found, Gdas)
    assert isinstance(preset, Darts)
    for name in ("optimizer", "learning_rate", "weight_decay", "batch_size"):
        assert getattr(found, name) == getattr(preset, name)
    assert found.epochs == (Gdas.epochs if searcher == "gdas" else 1)


def test_python_searches_by_name(own_folder: Path) -> None:
    found = autola.search(
        "multi30k",
        searcher={"name": "gdas", "epochs": 1},
        data={"root": "data", "vocabulary": 40, "test": "test"},
        transformer={"encoder_layers": 1, "decoder_layers": 1, "width": 8, "heads": 2, "hidden": 12},
        primitives=("none", "ga:0010"),
        out="run",
    )
    assert found.genotype == placement_at("run")
    config = json.loads((own_folder / "run/config.json").read_text())
    assert config["searcher"]["optimizer"] == "adam"


def test_advice_compares_what_stands_at_attentions(own_folder: Path) -> None:
    preset = RETRAIN_PRESETS["multi30k"]
    task = changed(
        preset,
        {
            "data": {"root": "data", "vocabulary": 40, "test": "test"},
            "transformer": {"encoder_layers": 1, "decoder_layers": 1, "width": 8, "heads": 2, "hidden": 12},
            "beam": 1,
        },
    ).task
    given = AdviceConfig(task=task, train=preset.train, primitives=("none", "ga:0110"), threads=1)
    amounts = Amounts(search_epochs=1, final_epochs=1, train_epochs=1, seeds=1)
    advice = run_advice(given, Path("advice"), minutes=5, amounts=amounts)
    stored = json.loads((own_folder / "advice/compare/config.json").read_text())
    assert stored["task"]["name"] == "translation"
    assert "ga:0110 everywhere" in str(advice)
    assert "plain" in str(advice)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--primitives none se", "`se` has no form on sequences"),
        ("--primitives none ga:9", "ga:9 has no such terms"),
        ("--sites encoder.cross", "unknown attention of the Transformer 'encoder.cross'"),
        ("--target macs<=0.1x", "no placement has macs"),
        ("--target macs<=1x macs<=0.9x", "one --target"),
        ("--space hoga", "leave --space out, which searches places"),
        ("--searcher.order second", "foresees a step of SGD, not of adam"),
        ("--recompute", "no block that autola knows"),
        ("--data.limit 1", "at least two of the training pairs of sentences"),
        ("--data.root nowhere", "no folder of text at nowhere"),
        ("--engine nni --searcher random", "--engine nni searches cells"),
    ],
)
def test_what_makes_no_sense_is_refused(refused: Refused, own_folder: Path, words: str, said: str) -> None:
    given = SHORT
    for option in ("primitives", "data.root"):
        if words.startswith(f"--{option} "):
            old = {"primitives": f"{FEW} ", "data.root": "--data.root data "}[option]
            given = given.replace(old, "")
    assert said in refused(f"{given} {words} --out new")
    assert not (own_folder / "new").exists()
