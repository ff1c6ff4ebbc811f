"""`autola cost`: the numbers of the papers, as a table and as one JSON object."""

import json

import pytest

import autola
from evaluators import used_latency
from evaluators.cost import params


@pytest.mark.parametrize(
    ("words", "params"),
    [
        ("hoga --backbone cifar_resnet20", 333_731),
        ("hoga --backbone cifar_resnet32", 569_001),
        ("hoga --backbone cifar_resnet56", 1_039_541),
        ("hoga --backbone cifar_resnet20 --width 64 --num-classes 100", 5_193_644),
        ("none --backbone cifar_resnet20", 272_474),
        ("se[bias=false] --backbone cifar_resnet20", 274_490),
        ("se --backbone cifar_resnet20", 274_847),
        ("cbam --backbone cifar_resnet20", 275_747),
        ("aw --backbone resnet50", 25_722_240),
        ("aw+se --backbone mobilenet_v1", 5_520_858),
    ],
)
def test_parameters_are_those_of_the_papers(call, words, params):
    told = call(f"cost {words} --json --no-latency")
    assert (told.code, told.err) == (0, "")
    assert told.out.count("\n") == 1
    assert json.loads(told.out)["params"] == params


@pytest.mark.parametrize(
    ("words", "macs"),
    [
        ("none --backbone cifar_resnet56", 125.7e6),
        ("hoga --backbone cifar_resnet56", 152.6e6),
        ("hoga --backbone cifar_resnet20 --width 64 --num-classes 100", 761.5e6),
    ],
)
def test_multiply_accumulates_are_within_half_a_percent_of_the_papers(call, words, macs):
    found = json.loads(call(f"cost {words} --json --no-latency").out)
    assert found["macs"] == pytest.approx(macs, rel=0.005)


def test_several_attentions_are_a_list(call):
    found = json.loads(call("cost none se --json --no-latency").out)
    assert [cost["attention"] for cost in found["costs"]] == ["none", "se"]


def test_memory_and_latency_are_measured_unless_told_otherwise(call):
    words = "cost se --backbone cifar_resnet8 --width 8 --input 3 8 8 --json"
    measured, counted = json.loads(call(words).out), json.loads(call(f"{words} --no-latency").out)
    assert measured["latency_ms"] > 0
    assert measured["activation_bytes"] > 0
    assert counted["latency_ms"] is counted["activation_bytes"] is None


def test_a_person_sees_a_table_with_ratios(call):
    told = call("cost none hoga --backbone cifar_resnet8 --no-latency")
    assert (told.code, told.err) == (0, "")
    assert told.out.splitlines()[0].split() == ["attention", "params", "MACs"]
    assert "(x1." in told.out.splitlines()[2]


def test_controls_are_rows_of_their_own(call, monkeypatch):
    monkeypatch.setattr(
        "evaluators.controls.latency_ratio", lambda model, other, **_: params(model) / 200_000
    )
    told = call("cost none se --backbone cifar_resnet8 --controls --json")
    assert told.code == 0, told.err
    none, se, wider, deeper = json.loads(told.out)["costs"]
    assert (none["attention"], se["attention"]) == ("none", "se")
    assert wider["attention"] == f"none width {wider['width']}"
    assert deeper["attention"] == f"none depth {deeper['depth']}"
    for row in (wider, deeper):
        assert row["control_of"] == "se"
        assert row["latency_ratio"] == row["params"] / 200_000
        assert row["latency_ms"] > 0
    assert params(autola.build_backbone("cifar_resnet8", width=wider["width"])) == wider["params"]
    told = call("cost se --backbone cifar_resnet8 --controls")
    line = f"none width {wider['width']}: x{wider['latency_ratio']:.2f} of se, timed side by side"
    assert line in told.out.splitlines()


def test_controls_are_about_latency(refused):
    assert "leave --no-latency out" in refused("cost se --controls --no-latency")
    assert "how is ResNet made wider or deeper" in refused("cost se --controls --backbone timm:resnet18")


def test_networks_as_they_are_used_take_turns(call, monkeypatch):
    def in_turn(runs, rounds, device, *, follow):
        for run in runs.values():
            run()
        return {0: [0.001, 0.004, 0.002], 1: [0.003, 0.006, 0.004]}

    monkeypatch.setattr(used_latency, "in_turn", in_turn)
    told = call("cost none se --backbone cifar_resnet8 --width 8 --input 1 8 8 --deploy --no-native --json")
    assert (told.code, told.err) == (0, "")
    plain, se = json.loads(told.out)["costs"]
    assert plain["latency_ms"] == pytest.approx(2.0)
    assert se["latency_ms"] == pytest.approx(2 * 2.0), "ratios of one round: 3, 1.5, 2"
    assert (se["runtime"], se["device"], se["threads"]) == ("eager", "cpu", 1)
    assert se["params"] > plain["params"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--no-latency", "leave --no-latency out"),
        ("--controls", "leave out --controls"),
        ("--backbone transformer_tiny", "networks of images"),
        ("--space hoga", "--space is of a device table; add --device-table FILE"),
        ("--threads 0", "threads"),
        ("--runtime openvinos", "invalid choice"),
    ],
)
def test_bad_input_about_deployed_networks(options, message, refused):
    assert message in refused(f"cost se --deploy {options}")
