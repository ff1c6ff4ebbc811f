"""What a search found, shown."""

import json
import shutil

import pytest

from outputs.draw import margin
from outputs.run_directory import RunDirectory
from search_space.genotype import PUBLISHED
from search_space.grammar import genotype_at
from searchers.searches.differentiable import DifferentiableSearch
from tests.autola.runs import SEARCH, stop_at


def test_json_is_one_object_and_nothing_else(call, found):
    told = call(f"inspect {found} --json --no-latency")
    assert (told.code, told.err) == (0, "")
    assert told.out.count("\n") == 1
    shown = json.loads(told.out)
    genotype, shares = genotype_at(found), RunDirectory.open(found).shares()
    assert shares is not None
    assert shown["genotype"] == json.loads(genotype.to_json())
    assert shown["literal"] == genotype.to_literal()
    for row, (node, edge) in zip(shown["edges"], genotype.edges(), strict=True):
        assert (row["node"], row["source"], row["operator"]) == (f"h{node}", edge.source, edge.operator)
        assert row["share"] == shares[node, edge.index][edge.operator]
        assert row["margin"] == margin(shares[node, edge.index])
    assert [cost["attention"] for cost in shown["costs"]] == ["none", "se", "cbam", f"hoga:{found}"]
    assert all(cost["params"] > 0 and cost["macs"] > 0 for cost in shown["costs"])
    assert shown["setting"]["input_shape"] == [1, 8, 8]
    assert shown["next"] == (
        f"autola retrain none se cbam hoga:{found} --preset digits --width 8 --data.limit 60 "
        "--train.batch-size 10"
    )


def test_a_person_sees_edges_costs_and_what_to_do_next(call, found):
    told = call(f"inspect {found} --no-latency")
    assert (told.code, told.err) == (0, "")
    for _, edge in genotype_at(found).edges():
        assert edge.operator in told.out
    assert "cifar_resnet8" in told.out
    assert told.out.splitlines()[-1].startswith("next   autola retrain none se cbam hoga:")


def test_finals_are_shown_best_first(call, found, own_folder):
    run = shutil.copytree(found, own_folder / "run")
    assert "finals, score" not in call(f"inspect {run} --no-latency").out
    result = json.loads((run / "result.json").read_text())
    trained = [("a cell", 0.25), ("another", None), ("a third", 0.5)]
    result["finals"] = [{"genotype": genotype, "score": score} for genotype, score in trained]
    (run / "result.json").write_text(json.dumps(result))
    lines = call(f"inspect {run} --no-latency").out.splitlines()
    first = lines.index("finals, score less price, best first") + 1
    assert lines[first : first + 3] == ["  0.5000  a third", "  0.2500  a cell", "  failed  another"]
    told = json.loads(call(f"inspect {run} --no-latency --json").out)
    assert [final["score"] for final in told["finals"]] == [0.5, 0.25, None]
    assert call(f"report {run} --out page.html").code == 0
    _, page = (own_folder / "page.html").read_text().split("Finals</h3>")
    assert page.index("a third") < page.index("a cell")


def test_damaged_finals_are_refused(refused, found, own_folder):
    run = shutil.copytree(found, own_folder / "run")
    result = json.loads((run / "result.json").read_text())
    (run / "result.json").write_text(json.dumps(result | {"finals": [{"score": "good"}]}))
    assert "result.json: finals: 0.genotype" in refused(f"inspect {run} --no-latency")


def test_costs_are_measured_where_they_are_asked_for(call, found):
    shown = json.loads(call(f"inspect {found} --json").out)
    assert all(cost["latency_ms"] > 0 and cost["activation_bytes"] > 0 for cost in shown["costs"])


def test_drawings_are_written_where_they_are_asked_for(call, found, own_folder):
    assert call(f"inspect {found} --no-latency --svg a.svg --png b.png").code == 0
    assert "<svg" in (own_folder / "a.svg").read_text()
    assert (own_folder / "b.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("target", ["hoga", "genotype.json"])
def test_a_genotype_needs_no_run(call, own_folder, target):
    (own_folder / "genotype.json").write_text(PUBLISHED.to_json())
    shown = json.loads(call(f"inspect {target} --json --no-latency").out)
    assert shown["literal"] == PUBLISHED.to_literal()
    assert shown["costs"][-1]["params"] == 333_731
    assert "share" not in shown["edges"][0]


def test_a_search_without_a_genotype_yet(found, refused):
    (found / "genotype.json").unlink()
    assert f"no genotype at {found}" in refused(f"inspect {found}")


def test_a_retraining_is_told_from_a_search(trained, refused):
    assert f"{trained} is a retraining, not a search" in refused(f"inspect {trained} --no-latency")
    line = refused(f"inspect {trained}/hoga-seed0 --no-latency")
    assert "is a retraining, not a search" in line


def test_the_genotype_of_a_training_can_be_shown(call, trained):
    assert call(f"inspect {trained}/hoga-seed0/genotype.json --no-latency").code == 0


def test_what_an_unfinished_search_found_so_far_is_called_that(call, monkeypatch, own_folder):
    stop_at(monkeypatch, DifferentiableSearch, 4, KeyboardInterrupt())
    assert call(SEARCH, "--out run").code == 130
    for words in ("inspect run --no-latency", "cost hoga:run --no-latency"):
        told = call(words)
        assert told.code == 0, told.err
        assert "run has not ended: this is what it found so far; --resume run goes on" in told.err
    assert call("search --resume run").code == 0
    assert "has not ended" not in call("inspect run --no-latency").err
