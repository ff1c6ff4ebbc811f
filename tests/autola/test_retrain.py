"""A retraining from the command line: its members, its table, and the same weights however it is stopped."""

import json
import shutil
from typing import Any

import pytest

from autola import drive, member
from autola.member import LONGEST_NAME, member_names
from autola.tables import Row, Table
from evaluators.train import Training
from foundation.config import parse_json
from outputs.run_directory import RunDirectory
from search_space.grammar import parse_attention
from search_space.term import Term
from tests.autola.runs import RETRAIN, records, stop_at

COMMAND = f"retrain none hoga {RETRAIN}"


def table(run):
    return parse_json(Table, (run / "table.json").read_text(), "table")


def test_every_attention_and_seed_has_a_folder_of_its_own(trained):
    assert {path.name for path in trained.iterdir() if path.is_dir()} == {"none-seed0", "hoga-seed0"}
    for name in ("none-seed0", "hoga-seed0"):
        names = {path.name for path in (trained / name).iterdir()} - {".lock", "genotype.json"}
        assert names == {
            *("config.json", "environment.json", "data.json", "metrics.jsonl"),
            *("weights.safetensors", "result.json", "tensorboard", "work"),
        }
    assert (trained / "hoga-seed0" / "genotype.json").exists()
    assert not (trained / "none-seed0" / "genotype.json").exists()


def test_the_table_is_made_of_the_results(trained):
    rows = table(trained).rows
    assert [row.attention for row in rows] == ["none", "hoga"]
    for row in rows:
        result = json.loads((trained / f"{row.attention}-seed0" / "result.json").read_text())
        assert row.scores == (result["score"],)
        assert result["score"] == result["metrics"]["test_accuracy"]


def test_several_seeds_have_mean_spread_and_a_paired_difference(call, own_folder):
    told = call(f"retrain none se {RETRAIN} 1 2 --out run")
    assert told.code == 0
    assert "±" in told.out
    assert "mean difference by seed" in told.out
    plain, se = table(own_folder / "run").rows
    assert plain.seeds == se.seeds == (0, 1, 2)
    assert len(set(plain.scores)) > 1 or len(set(se.scores)) > 1


def test_a_difference_and_its_interval_are_students():
    def row(*scores):
        seeds = tuple(range(len(scores)))
        return Row(attention="a", params=1, macs=1, seeds=seeds, scores=scores, seconds=1.0)

    shift, interval = row(0.9, 0.8, 0.7).difference(row(0.8, 0.8, 0.4))
    deviations = (0.1 - 0.4 / 3) ** 2 + (0 - 0.4 / 3) ** 2 + (0.3 - 0.4 / 3) ** 2
    assert shift == pytest.approx(0.4 / 3)
    assert interval == pytest.approx(4.302653 * (deviations / 2 / 3) ** 0.5, rel=1e-6)  # t of 2 degrees
    assert row(0.9).difference(row(0.8)) == (pytest.approx(0.1), None)


@pytest.mark.parametrize(("step", "often"), [(0, False), (2, False), (3, False), (2, True), (5, True)])
def test_a_retraining_that_is_stopped_anywhere_ends_the_same(
    call, monkeypatch, own_folder, finished, step, often
):
    if often:
        monkeypatch.setattr(drive, "CHECKPOINT_SECONDS", -1.0)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, Training, step, KeyboardInterrupt())
        assert call(COMMAND, "--out run").code == 130
    assert call("retrain --resume run").code == 0
    assert records(own_folder / "run") == records(finished[1])


@pytest.mark.parametrize("record", ["create", "lock", "save_weights", "write_json", "drop_checkpoints"])
def test_a_retraining_that_is_stopped_between_two_records_ends_the_same(call, own_folder, finished, record):
    owner: Any = member if record == "save_weights" else RunDirectory
    real, calls = getattr(owner, record), []

    def fails(*arguments, **more):
        calls.append(record)
        if len(calls) == 3:  # 1 and 2 are the whole run and its first member, or both members
            raise KeyboardInterrupt
        return real(*arguments, **more)

    if record in ("save_weights", "write_json", "drop_checkpoints"):
        calls.append("the whole run has none")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, record, staticmethod(fails) if record == "create" else fails)
        assert call(COMMAND, "--out run").code == 130
    assert call("retrain --resume run").code == 0
    assert records(own_folder / "run") == records(finished[1])


def test_a_member_that_was_being_made_leaves_nothing(call, own_folder, finished):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, Training, 5, KeyboardInterrupt())
        assert call(COMMAND, "--out run").code == 130
    half = own_folder / "run" / ".hoga-seed0.a1b2_3d4"
    half.mkdir()
    (half / "config.json").write_text("{}")
    assert call("retrain --resume run").code == 0
    assert not half.exists()
    assert records(own_folder / "run") == records(finished[1])


def test_members_that_are_complete_are_not_trained_again(call, own_folder, trained):
    (trained / "table.json").unlink()
    shutil.rmtree(trained / "hoga-seed0")
    before = (trained / "none-seed0" / "weights.safetensors").stat().st_mtime_ns
    told = call(f"retrain --resume {trained}")
    assert told.code == 0
    assert "hoga-seed0: test accuracy" in told.err
    assert "none-seed0: test accuracy" not in told.err
    assert (trained / "none-seed0" / "weights.safetensors").stat().st_mtime_ns == before
    assert [row.attention for row in table(trained).rows] == ["none", "hoga"]


def test_a_genotype_that_has_gone_is_in_the_config(call, monkeypatch, own_folder, found):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, Training, 4, KeyboardInterrupt())
        assert call(f"retrain hoga:{found} {RETRAIN}", "--out run").code == 130
    shutil.copytree(own_folder / "run", own_folder / "moved")
    assert call("retrain --resume run").code == 0
    shutil.rmtree(found)
    assert call("retrain --resume moved").code == 0
    assert records(own_folder / "moved") == records(own_folder / "run")
    assert table(own_folder / "moved").rows[0].attention == f"hoga:{found}"


def test_two_genotypes_of_one_name_have_folders_of_their_own(call, own_folder, found):
    for name in ("a", "b"):
        shutil.copytree(found, own_folder / name / "same")
    told = call(f"retrain hoga:a/same hoga:b/same {RETRAIN} --out run")
    assert told.code == 0
    assert {path.name for path in (own_folder / "run").iterdir() if path.is_dir()} == {
        "hoga-same-seed0",
        "hoga-same-2-seed0",
    }


def test_names_of_members_are_never_equal():
    genotype = parse_attention("hoga")[0].genotype
    texts = ["x", "y/x", "x-2", "X", "z/X", "n" * 300, "n" * 301]
    attentions = [(Term(name="hoga", argument=text, genotype=genotype),) for text in texts]
    attentions += [parse_attention("se"), parse_attention("SE"), ()]
    names = member_names(attentions)
    assert len({name.casefold() for name in names}) == len(attentions)
    assert max(map(len, names)) <= LONGEST_NAME + 3
    assert names[0] == "hoga-x"
    assert names[-1] == "none"


def test_the_data_is_not_needed_for_what_is_complete(call, trained):
    config = trained / "config.json"
    config.write_text(config.read_text().replace('"digits"', '"folder"'))
    assert call(f"retrain --resume {trained}").code == 0
