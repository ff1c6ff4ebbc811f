"""Translation from the command line: trained, resumed, translating lines, and what is refused."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from autola.cli import main
from tests.autola.test_many_processes import TORCHRUN, results, start, weights
from tests.equality import assert_equal
from tests.evaluators.sentences import pairs, write
from tests.real_data import real_data

SMALL = (
    "--preset multi30k --data.vocabulary 40 --data.test test --train.epochs 2 --train.average 2 "
    "--train.batch-size 120 --train.warmup-steps 3 --transformer.encoder-layers 1 "
    "--transformer.decoder-layers 1 --transformer.width 8 --transformer.heads 2 --transformer.hidden 12"
)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A retraining of two attentions."""
    pytest.importorskip("sentencepiece")
    pytest.importorskip("sacrebleu")
    folder = tmp_path_factory.mktemp("translation")
    write(folder, train=pairs(30), val=pairs(5), test=pairs(6))
    words = f"retrain none self=ga:0110[stages=1] {SMALL} --data.root {folder} --out {folder}/run"
    assert main(words.split()) == 0
    return folder / "run"


@pytest.fixture
def says(call, monkeypatch):
    """Runs a command with lines on its standard input."""

    def run(words, given):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))
        return call(words)

    return run


def test_the_record_says_what_was_scored(whole):
    result = json.loads((whole / "self-ga-0110-stages-1-seed0/result.json").read_text())
    assert result["score"] == result["metrics"]["test_BLEU"]
    assert set(result["metrics"]) == {"test_BLEU", "test_chrF"}
    known = json.loads((whole / "none-seed0/data.json").read_text())
    assert known["languages"] == ["de", "en"]
    assert "nrefs:1" in known["metrics"]["BLEU"]
    table = json.loads((whole / "table.json").read_text())
    assert table["score"] == "test BLEU"
    assert table["rows"][0]["macs"] > 0


def test_a_whole_run_is_left_as_it_is(call, whole):
    told = call(f"retrain --resume {whole}")
    assert told.code == 0
    assert "self=ga:0110[stages=1]" in told.out


def test_other_text_is_refused_on_the_way(refused, whole, tmp_path):
    there = tmp_path / "moved"
    shutil.copytree(whole.parent, there)
    (there / "run/table.json").unlink()
    shutil.rmtree(there / "run/none-seed0")
    write(there, train=pairs(29), val=pairs(5), test=pairs(6))
    said = refused(f"retrain --resume {there}/run --data.root {there}")
    assert "pairs of sentences in train: 29 now, 30 when this run began" in said
    assert "vocabulary" not in said, "its numbers tell nobody anything"


def test_lines_are_translated(says, whole):
    lines = b"\xef\xbb\xbfhund sieht mann\r\n\nfrau mag baum"
    told = says(f"predict {whole}/none-seed0", lines)
    assert told.code == 0
    assert len(told.out.splitlines()) == 3
    assert told.out.splitlines()[1] == ""
    (first, empty, last) = json.loads(says(f"predict {whole}/none-seed0 --json", lines).out)
    assert first == {"source": "hund sieht mann", "translation": told.out.splitlines()[0]}
    assert empty == {"source": "", "translation": ""}
    assert last["source"] == "frau mag baum"
    for nothing in (b"", b"\n", b"\n\n"):
        assert says(f"predict {whole}/none-seed0", nothing).out == nothing.decode()


def test_long_lines_are_counted(says, whole):
    told = says(f"predict {whole}/none-seed0", b"hund " * 300 + b"\nhund\n")
    assert "1 lines are longer than the 250 sub-words that were trained on" in told.err
    assert len(told.out.splitlines()) == 2


def test_what_is_no_text_is_refused(says, whole):
    told = says(f"predict {whole}/none-seed0", b"hund\nb\xe4um\n")
    assert (told.code, told.out) == (2, "")
    assert told.err.strip() == (
        "autola: standard input, line 2: not UTF-8 text; convert it, as by iconv -t UTF-8"
    )


def test_what_is_looked_at_is_drawn(says, whole, own_folder):
    from PIL import Image

    lines, words = b"hund sieht mann\n\nfrau mag baum\n", f"predict {whole}/self-ga-0110-stages-1-seed0"
    told = says(f"{words} --out looks --json", lines)
    assert told.code == 0, told.err
    entries = json.loads(told.out)
    plain = json.loads(says(f"{words} --json", lines).out)
    assert [{**entry, "picture": 0} for entry in plain] == [{**entry, "picture": 0} for entry in entries]
    assert [entry.get("picture") for entry in entries] == ["looks/1.png", None, "looks/3.png"]
    assert sorted(path.name for path in (own_folder / "looks").iterdir()) == ["1.png", "3.png"]
    colors = Image.open(own_folder / "looks/1.png").convert("L").getcolors()
    assert colors is not None
    assert len(colors) > 20
    assert "looks exists already" in says(f"{words} --out looks", lines).err


def test_attentions_are_seen_as_they_are(whole):
    from autola.predicting import open_translator
    from evaluators.tasks.translation.looking import attended

    trained: Any = open_translator(whole / "self-ga-0110-stages-1-seed0")
    _, sights = attended(trained.task, trained.network, trained.data["vocabulary"], "hund mag mann")
    assert [each.place for each in sights] == [
        f"layer 1, {site}"
        for site in (
            "encoder.self",
            "decoder.self",
            "decoder.cross",
        )
    ]
    encoder, decoder, cross = sights
    assert [*encoder.maps] == ["weights", "query content and position", "key content"]
    assert [*cross.maps] == ["weights"]
    assert (encoder.keys[-1], decoder.keys[0], cross.keys) == ("</s>", "<s>", encoder.keys)
    assert "".join(encoder.keys[:-1]).replace("\u2581", " ").strip() == "hund mag mann"
    assert cross.queries == decoder.queries == decoder.keys
    for sight in sights:
        for shares in sight.maps.values():
            assert shares.shape == (len(sight.queries), len(sight.keys))
            assert (shares.sum(1) - 1).abs().max() < 1e-5
    assert not decoder.maps["weights"].triu(1).any(), "nothing ahead is looked at"
    assert not trained.network.encoder[0].self_attention._forward_pre_hooks


def test_images_are_refused(refused, whole, own_folder):
    from PIL import Image

    Image.new("RGB", (8, 8)).save(own_folder / "image.png")
    assert "reads lines from standard input" in refused(f"predict {whole}/none-seed0 image.png")


def test_another_vocabulary_in_the_record_is_refused(call, refused, whole, tmp_path):
    folder = tmp_path / "none-seed0"
    shutil.copytree(whole / "none-seed0", folder)
    write(tmp_path, train=pairs(41), val=pairs(5), test=pairs(6))
    assert call(f"retrain none {SMALL} --data.root {tmp_path} --out {tmp_path}/other").code == 0
    shutil.copy(tmp_path / "other/none-seed0/data.json", folder)
    assert "trained with another vocabulary" in refused(f"predict {folder}")
    edited = json.loads((folder / "data.json").read_text()) | {"vocabulary": "no base64!"}
    (folder / "data.json").write_text(json.dumps(edited))
    assert "the vocabulary in data.json is no sentencepiece model" in refused(f"predict {folder}")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("ga:0110", "ga:0110 does not say which attention of the Transformer it stands for"),
        ("hoga", "`hoga` has no form on sequences; those that have: dcn, dynamic, ga"),
        ("self=places:run", "a placement says itself where it stands; leave out self="),
        ("self=se", "`se` has no form on sequences; those that have: dcn, dynamic, ga"),
        ("self=none", "self is plain where nothing is named"),
        ("head=ga", "unknown attention of a Transformer 'head'"),
        ("self=ga:2", "ga:2 has no such terms"),
        ("self=ga[kv_stride=2]", "`ga` has no option 'kv_stride'"),
        ("self=ga[role=self]", "`ga` has no option 'role'"),
        ("self=dynamic[stages=0]", "name layers by their digits"),
        ("decoder.cross=dynamic", "dynamic cannot stand between decoder and encoder"),
        ("none --transformer.positions relative", "plain attention, which knows none"),
        ("none --train.accumulate 24", "does not fit a batch of 5"),
        ("none --data.root nowhere", "no folder of text at nowhere"),
        ("none --data.files {part}-{language}.txt", "no text train-de.txt"),
        ("none --train.drop-path 0.1", "drop_path leaves out branches"),
        ("none --identity", "identity is for attention that is added"),
    ],
)
def test_what_does_not_fit_leaves_nothing(refused, whole, own_folder, words, said):
    root = "" if "--data.root" in words else f"--data.root {whole.parent}"
    assert said in refused(f"retrain {words} {SMALL} {root} --out new")
    assert not (own_folder / "new").exists()


def test_sites_are_refused_where_there_are_maps(refused):
    assert "for a network that translates; this one has maps" in refused("cost self=ga:1111 --no-latency")
    assert "takes images; --tokens is for" in refused("cost se --tokens 3 3 --no-latency")
    assert "translates and has no input" in refused("cost --backbone transformer_tiny --input 3 8 8")


def test_costs_are_counted_in_tokens(call):
    words = "cost none self=dynamic --backbone transformer_tiny --tokens 7 5 --num-classes 100 --json"
    plain, dynamic = json.loads(call(f"{words} --no-latency").out)["costs"]
    assert plain["tokens"] == [7, 5]
    assert plain["params"] != dynamic["params"]
    twice = json.loads(call(words.replace("7 5", "14 10").replace(" self=dynamic", "")).out)
    assert twice["latency_ms"] > 0
    assert twice["activation_bytes"] > 0
    assert twice["params"] == plain["params"]
    assert 2 * plain["macs"] < twice["macs"] < 2.1 * plain["macs"]


def test_a_report_shows_scores_and_curves(call, whole, own_folder):
    assert call(f"report {whole} -o page.html").code == 0
    page = (own_folder / "page.html").read_text()
    for said in ("Validation BLEU", "self=ga:0110[stages=1]", "BLEU: nrefs:1|case:mixed|"):
        assert said in page, said


def test_an_estimate_times_steps_of_sentences(call, whole):
    words = f"retrain none {SMALL} --data.root {whole.parent} --seconds 0.2 --json"
    told = json.loads(call(f"estimate {words}").out)
    (part,) = told["parts"]
    last = json.loads((whole / "none-seed0/metrics.jsonl").read_text().splitlines()[-1])
    assert (part["count"], part["steps"]) == (1, last["step"])
    assert 0 < part["step_seconds"] < told["seconds"]


def test_comparisons_are_timed_by_sentences(call, whole, own_folder):
    words = SMALL.replace("--preset multi30k", "--task translation")
    words += f" --search-nothing --beside plain longer --data.root {whole.parent} --control-seeds 0"
    told = call(f"compare self=ga:0110 {words} --out timed")
    assert told.code == 0, told.err
    costs = json.loads((own_folder / "timed/costs.json").read_text())
    assert costs
    assert all(each["latency_ms"] > 0 and each["step_ms"] > 0 for each in costs.values())


def test_operators_without_a_plain_network_are_compared(call, whole, own_folder):
    words = SMALL.replace("--preset multi30k", "--task translation")
    words += f" --search-nothing --beside --data.root {whole.parent} --control-seeds 0"
    words += " --transformer.positions relative"
    told = call(f"compare self=ga:0110 self=ga:1111 {words} --out untimed")
    assert told.code == 0, told.err
    assert told.err.count("nothing is timed, as there is no plain network") == 1
    costs = json.loads((own_folder / "untimed/costs.json").read_text())
    assert {each["latency_ms"] for each in costs.values()} == {None}
    assert (own_folder / "untimed/comparison.json").is_file()


def test_operators_are_compared(call, whole, own_folder):
    small = SMALL.replace("--preset multi30k", "--task translation")
    words = f"{small} --data.root {whole.parent} --search-nothing --beside plain"
    told = call(f"compare self=ga:0110 {words} --control-seeds 0 1 --no-measure --out compared")
    assert told.code == 0, told.err
    assert "On translation with 1+1 layers of 8, self-ga-0110 score" in told.out
    rows = json.loads((own_folder / "compared/comparison.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["self-ga-0110", "plain"]
    scores = (own_folder / "compared/scores.csv").read_text().splitlines()
    assert len(scores) == 1 + 4


@pytest.mark.slow
def test_two_processes_train_on_each_sentence_once_and_translate_each(whole, own_folder):
    exact = "--device cpu --precision 64-true --transformer.dropout 0 --threads 1 --train.epsilon 1e-4"
    command = f"retrain none {SMALL} {exact} --data.root {whole.parent}"
    for name, program in (("one", ("-m", "autola")), ("two", TORCHRUN)):
        told = start(f"{command} --out {name}", own_folder, program)
        assert told.returncode == 0, told.stderr
    assert_equal(weights(own_folder / "one")["none-seed0"], weights(own_folder / "two")["none-seed0"])
    assert results(own_folder / "one") == results(own_folder / "two")


EXPORTED = (
    "none",
    "encoder.self=dynamic+decoder.self=dynamic[kernel_size=4]+decoder.cross=ga:0010",
    "self=ga:1111+self=dcn+decoder.cross=ga:1010",
    "encoder.self=ga:0001+decoder.self=ga:0110",
)


@pytest.mark.slow
@pytest.mark.parametrize("attention", EXPORTED)
def test_what_is_exported_translates_as_the_network_without_autola(says, whole, own_folder, attention):
    # In processes of their own: shapes of signatures are not checked there, and autola is not to be found.
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    told = start(f"retrain {attention} {SMALL} --data.root {whole.parent} --out run", own_folder)
    assert told.returncode == 0, told.stderr
    (folder,) = (path.parent for path in own_folder.glob("run/*/weights.safetensors"))
    told = start(f"export {folder} --onnx net", own_folder)
    assert told.returncode == 0, told.stderr
    assert "on 6 test sentence(s), 6 of 6 translated alike" in told.stdout
    lines = "".join(f"{source}\n" for source, _ in pairs(25)) + "\n"
    ours = says(f"predict {folder}", lines.encode())
    command = [sys.executable, "-P", "net/translate.py"]
    theirs = subprocess.run(command, cwd=own_folder, input=lines, capture_output=True, text=True)
    assert theirs.stdout == ours.out, theirs.stderr
    assert len(ours.out.splitlines()) == 26
    told = start(f"export {folder} --onnx net", own_folder)
    assert (told.returncode, told.stderr) == (2, "autola: net exists already; choose another file\n")


def test_a_network_that_translates_is_written_as_a_folder(refused, whole):
    run = f"export {whole}/none-seed0"
    assert "give --onnx FOLDER and nothing else" in refused(f"{run} --program net.pt2")
    assert "give --onnx FOLDER and nothing else" in refused(f"{run} --onnx net --deploy")


BY_HEART = (
    "--preset multi30k --data.limit 64 --data.test train --data.vocabulary 600 --train.validation-fraction 0 "
    "--train.epochs 150 --transformer.dropout 0 --train.warmup-steps 30 --train.average 0 "
    "--train.batch-size 1200 --train.learning-rate 0.003"
)


@pytest.mark.slow
def test_sentences_of_multi30k_are_learned_by_heart(call):
    """64 sentences: BLEU above 95 in a minute of a processor."""
    pytest.importorskip("sentencepiece")
    pytest.importorskip("sacrebleu")
    told = call(f"retrain none {BY_HEART} --data.root {real_data('multi30k')} --out run")
    assert told.code == 0
    assert json.loads(Path("run/none-seed0/result.json").read_text())["score"] > 0.95
