"""`autola share`, `push_to_hub`, `from_pretrained`: to a folder, to a hub on the loopback, and back."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

import autola
from autola.api import changed
from autola.commands import retrain, search
from autola.configs import RetrainConfig, SearchConfig
from autola.describe import command_of
from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
from autola.sharing import FILES
from autola.sharing.cleansing import cleansed
from evaluators.tasks import TASKS
from foundation.config import parse, to_json
from foundation.errors import InputError
from outputs.weights import load_weights
from search_space.genotype import PUBLISHED, Genotype
from search_space.grammar import parse_attention
from search_space.term import label
from searchers import SEARCHERS
from tests.hub import Hub, serving

ROOT = Path(__file__).parents[2]
SECRET = "patients-of-dr-ann"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub on the loopback, with a cache and a token of its own."""
    with serving() as hub:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("HF_TOKEN", "hf_stub")
        yield hub


def logits(network: Any) -> torch.Tensor:
    assert isinstance(network, nn.Module)
    assert not network.training
    with torch.no_grad():
        return network(torch.linspace(-1, 1, 3 * 64).reshape(3, 1, 8, 8))


def metadata(card: str) -> dict[str, Any]:
    _, head, _ = card.split("---\n", 2)
    return yaml.safe_load(head)


def test_a_network_goes_to_a_folder_and_back(call: Any, trained: Path, own_folder: Path) -> None:
    told = call(f"share {trained}/hoga-seed0 --folder shared --license apache-2.0")
    assert (told.code, told.out) == (0, "shared  nothing was sent\n"), told.err
    network = autola.from_pretrained("shared")
    assert torch.equal(logits(network), logits(autola.load(trained / "hoga-seed0")))
    assert isinstance(network, nn.Module)
    facts: Any = network.facts
    assert facts["classes"] == [str(digit) for digit in range(10)]
    assert facts["input_shape"] == [1, 8, 8]
    autola.save_pretrained(trained / "none-seed0", "plain")
    assert call("export plain --program net.pt2").code == 0
    assert label(parse_attention("hoga:shared")) == "hoga:shared"
    assert {path.name for path in Path("shared").iterdir()} == set(FILES)
    autola.save_pretrained("shared", "again")
    for name in set(FILES) - {"README.md"}:
        assert Path("again", name).read_bytes() == Path("shared", name).read_bytes(), name


def test_the_card_says_what_the_records_say(trained: Path) -> None:
    table = json.loads((trained / "table.json").read_text())
    path = trained / "table.json"
    for row in table["rows"]:
        row["seeds"], row["scores"] = [0, 1], [0.25, 0.75]
    path.write_text(json.dumps(table))
    autola.save_pretrained(trained / "none-seed0", "shared", license="mit", repo="ann/plain")
    card = Path("shared/README.md").read_text()
    head = metadata(card)
    assert (head["library_name"], head["license"]) == ("autola", "mit")
    assert head["pipeline_tag"] == "image-classification"
    figure = head["model-index"][0]["results"][0]
    assert figure["metrics"] == [{"type": "accuracy", "value": 0.5}]
    params = table["rows"][0]["params"]
    assert f"| none (this) | {params:,} | {table['rows'][0]['macs']:,} | 50.00 ± 35.36 | 2 |" in card
    assert "autola.from_pretrained('ann/plain')" in card
    assert "60 images of each part" in card
    assert "--seeds 0 1" in card
    score = json.loads((trained / "none-seed0/result.json").read_text())["score"]
    assert f"These weights are of seed 0: {100 * score:.2f} %" in card


def test_without_a_licence_the_card_says_so(trained: Path) -> None:
    autola.save_pretrained(trained / "none-seed0", "shared")
    card = Path("shared/README.md").read_text()
    assert metadata(card)["license"] == "unknown"
    assert "named no licence" in card


def test_a_training_without_its_table_has_its_own_figures(trained: Path) -> None:
    row = json.loads((trained / "table.json").read_text())["rows"][0]
    shutil.move(trained / "none-seed0", "alone")
    autola.save_pretrained("alone", "shared")
    (shared,) = json.loads(Path("shared/table.json").read_text())["rows"]
    assert {**shared, "seconds": 0} == {**row, "seconds": 0}
    assert "test accuracy %" in Path("shared/README.md").read_text()


def test_a_search_and_genotypes_go_to_folders_and_back(call: Any, found: Path) -> None:
    genotype = Genotype.load(found)
    for number, given in enumerate([found, found / "genotype.json", genotype, PUBLISHED]):
        autola.save_pretrained(given, f"shared{number}")
        wanted = PUBLISHED if given is PUBLISHED else genotype
        assert autola.from_pretrained(f"shared{number}") == wanted
    assert "autola search digits" in Path("shared0/README.md").read_text()
    assert call("inspect shared0 --no-latency").code == 0


def test_a_network_goes_to_the_hub_and_back(hub: Hub, call: Any, trained: Path) -> None:
    told = call(f"share {trained}/hoga-seed0 ann/net --license mit")
    assert (told.code, told.out.strip()) == (0, f"{hub.url}/ann/net"), told.err
    assert set(hub.files("ann/net")) == set(FILES)
    wanted = logits(autola.load(trained / "hoga-seed0"))
    assert torch.equal(logits(autola.from_pretrained("ann/net")), wanted)
    assert autola.from_pretrained("hf://ann/net") is not None
    terms = parse_attention("se+hoga:hf://ann/net")
    assert terms[1].genotype == PUBLISHED
    assert label(terms) == "se+hoga:hf://ann/net"


def test_it_is_sent_as_it_is_written(hub: Hub, trained: Path) -> None:
    autola.push_to_hub(trained / "none-seed0", "ann/net", folder="kept")
    assert {path.name: path.read_bytes() for path in Path("kept").iterdir()} == hub.files("ann/net")


def test_a_revision_keeps_what_it_was(hub: Hub, found: Path) -> None:
    first = Genotype.load(found)
    autola.push_to_hub(first, "ann/cell")
    hub.revisions["ann/cell"]["v1"] = hub.revisions["ann/cell"]["main"]
    autola.push_to_hub(PUBLISHED, "ann/cell")
    assert autola.from_pretrained("ann/cell") == PUBLISHED
    assert autola.from_pretrained("ann/cell", revision="v1") == first
    assert parse_attention("hoga:hf://ann/cell@v1")[0].genotype == first


def test_a_genotype_replaces_a_network_whole(hub: Hub, trained: Path) -> None:
    autola.push_to_hub(trained / "none-seed0", "ann/net")
    hub.commit("ann/net", {"notes.txt": b"mine"}, [])
    autola.push_to_hub(PUBLISHED, "ann/net")
    assert set(hub.files("ann/net")) == {"README.md", "genotype.json", "notes.txt"}
    assert autola.from_pretrained("ann/net") == PUBLISHED


def test_what_is_in_the_cache_needs_no_hub(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    autola.push_to_hub(PUBLISHED, "ann/cell")
    assert autola.from_pretrained("ann/cell") == PUBLISHED
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert autola.from_pretrained("ann/cell") == PUBLISHED
    with pytest.raises(InputError, match=r"cannot reach hf://ann/other \(http://127.0.0.1:9 does not answer"):
        autola.from_pretrained("ann/other")


def test_only_what_autola_writes_is_fetched(hub: Hub, trained: Path) -> None:
    autola.push_to_hub(trained / "none-seed0", "ann/net")
    hub.commit("ann/net", {"pytorch_model.bin": b"a pickle", "code.py": b"import os"}, [])
    autola.from_pretrained("ann/net")
    fetched = {line.rsplit("/", 1)[1] for line in hub.requests if "/resolve/" in line}
    assert fetched <= set(FILES)


def test_a_config_stores_the_genotype_in_full(hub: Hub) -> None:
    other = Genotype.of([[("SE", 0)], [("CBAM", 1)]])
    autola.push_to_hub(other, "ann/cell")
    config = changed(RETRAIN_PRESETS["digits"], {})
    config = dataclasses.replace(config, attentions=(parse_attention("hoga:hf://ann/cell"),))
    stored = parse(RetrainConfig, json.loads(to_json(config)), "config")
    assert stored.attentions[0][0].genotype == other
    assert label(cleansed(stored).attentions[0]) == "hoga:hf://ann/cell"


def test_the_command_line_speaks_to_the_hub_of_the_environment(hub: Hub, tmp_path: Path) -> None:
    # In a process of its own: huggingface_hub reads HF_ENDPOINT when it is imported.
    autola.push_to_hub(PUBLISHED, "ann/cell")
    told = subprocess.run(
        [sys.executable, "-m", "autola", "cost", "hoga:hf://ann/cell", "--no-latency"],
        env={"PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "c"), **PATH},
        capture_output=True,
        text=True,
    )
    assert told.returncode == 0, told.stderr
    assert "hoga:cell" in told.stdout


PATH = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}


def test_no_place_of_the_machine_is_shared(trained: Path, own_folder: Path) -> None:
    secret = own_folder / SECRET
    shutil.move(trained, secret)
    for path in (secret / "config.json", secret / "hoga-seed0/config.json"):
        config = json.loads(path.read_text())
        config["task"]["data"] |= {"name": "folder", "root": str(secret)}
        config["task"]["weights"] = str(secret / "start.safetensors")
        config["attentions"][-1][-1]["argument"] = str(secret / "found")
        path.write_text(json.dumps(config))
    table = json.loads((secret / "table.json").read_text())
    table["rows"][-1]["attention"] = f"hoga:{secret}/found"
    (secret / "table.json").write_text(json.dumps(table))
    data = json.loads((secret / "hoga-seed0/data.json").read_text())
    data |= {"listed": str(secret)}
    data["parts"]["weights"] = {"counts": {}, "digests": {f"content of {SECRET}": "0"}}
    (secret / "hoga-seed0/data.json").write_text(json.dumps(data))
    autola.save_pretrained(secret / "hoga-seed0", "shared")
    for path in Path("shared").iterdir():
        assert SECRET.encode() not in path.read_bytes(), path
        assert str(own_folder).encode() not in path.read_bytes(), path
        assert str(Path.home()).encode() not in path.read_bytes(), path
    assert "--data.root DATA" in Path("shared/README.md").read_text()
    assert "--weights start.safetensors" in Path("shared/README.md").read_text()
    autola.from_pretrained("shared")


@pytest.mark.parametrize("path", ["/a/b", "~/a/b", r"C:\a\b", r"\\host\a\b"])
def test_every_kind_of_place_is_removed(path: str) -> None:
    images = path + "/{part}/of-mine"
    config = changed(RETRAIN_PRESETS["camvid"], {"data": {"root": path, "images": images}})
    task: Any = cleansed(config).task
    assert task.data.images == "{part}/of-mine"
    assert path not in json.dumps(json.loads(to_json(cleansed(config))), ensure_ascii=False)
    assert json.dumps(path) not in to_json(cleansed(config))


@pytest.mark.parametrize("preset", RETRAIN_PRESETS)
def test_the_line_repeats_a_retraining(preset: str) -> None:
    config = RETRAIN_PRESETS[preset]
    changes = {
        "seeds": (3, 4),
        "device": "cpu",
        "train": {"epochs": 7, "milestones": (2, 5), "nesterov": config.train.optimizer == "sgd"},
    }
    for wanted in (config, changed(config, changes | {"data": {"root": "DATA", "limit": 9}})):
        _, command, attention, *words = shlex.split(command_of(wanted, ["se+hoga"]) or "")
        given = retrain._read([attention, *words], words[1], RETRAIN_PRESETS[words[1]], None)
        assert (command, given.attentions, given.config) == ("retrain", ("se+hoga",), wanted)


@pytest.mark.parametrize("searcher", SEARCHERS)
def test_the_line_repeats_a_search(searcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = {"seed": 3, "primitives": ("SE", "none"), "data": {"limit": 9, "flip": True}}
    for wanted in (
        SEARCH_PRESETS["digits"],
        changed(SEARCH_PRESETS["digits"], {"searcher": searcher, **changes}),
    ):
        monkeypatch.setattr("autola.run_search.run_search", Stopped.at)
        with pytest.raises(Stopped) as stopped:
            search.run(shlex.split(command_of(wanted) or "")[2:])
        assert stopped.value.args == (wanted,)


class Stopped(BaseException):
    """Ends a search before it begins."""

    @classmethod
    def at(cls, config: SearchConfig, out: object, on: object) -> None:
        raise cls(config)


def test_every_task_has_the_hubs_name() -> None:
    ours = {name: kind.hub_task for name, kind in TASKS.items() if kind.__module__.startswith("evaluators.")}
    assert all(re.fullmatch(r"[a-z]+-[a-z]+|translation", tag) for tag in ours.values()), ours


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("share trained/none-seed0", "where to? name the repository, USER/NAME, or --folder FOLDER, or both"),
        ("share trained/none-seed0 ann/net --no-send", "where to?"),
        ("share nowhere --folder shared", "no run folder or genotype file at 'nowhere'"),
        (
            "share trained --folder shared",
            "holds several trainings; share one of the folders in it: none-seed0",
        ),
        ("share trained/none-seed0 --folder trained", "trained exists already; choose another folder"),
        ("share trained/none-seed0 --folder shared --private", "--private is for a repository"),
        ("share trained/none-seed0 ann", "'ann' is no repository on the hub; the form is user/name"),
        ("share trained/none-seed0 ann/net@", "is no repository on the hub"),
        ("share trained/none-seed0 a/../b", "is no repository on the hub"),
        ("cost hoga:hf://ann", "'hf://ann' is no repository on the hub; the form is user/name"),
        ("cost hoga:hf://ann/nothing", "no repository hf://ann/nothing that you may read"),
    ],
)
def test_bad_input(refused: Any, hub: Hub, trained: Path, words: str, line: str) -> None:
    assert line in refused(words)
    assert not hub.commits


def test_no_token_sends_nothing(
    refused: Any, hub: Hub, trained: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "none"))
    assert "no token to write to hf://ann/net with" in refused("share trained/none-seed0 ann/net")
    assert not hub.commits


def test_a_token_that_may_not_write_is_named(refused: Any, hub: Hub, trained: Path) -> None:
    hub.forbidden = True
    assert "your token may not do this with hf://ann/net" in refused("share trained/none-seed0 ann/net")


def test_what_should_be_private_never_goes_where_all_see_it(refused: Any, hub: Hub, trained: Path) -> None:
    hub.create("ann/open")
    assert "hf://ann/open is public already" in refused("share trained/none-seed0 ann/open --private")
    assert not hub.files("ann/open")
    autola.push_to_hub(trained / "none-seed0", "ann/closed", private=True)
    assert hub.private["ann/closed"]
    autola.push_to_hub(trained / "none-seed0", "ann/closed", private=True)


def test_a_search_that_has_not_ended_is_not_shared(refused: Any, found: Path) -> None:
    (found / "result.json").unlink()
    assert "has not ended" in refused("share found --folder shared")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("weights.safetensors", b"\x80\x04K\x01.", "hf://ann/net/weights.safetensors is cut short or not a"),
        ("config.json", b"{", "hf://ann/net/config.json is cut short or not JSON"),
        ("config.json", None, "hf://ann/net is not a run folder: it has no config.json"),
        ("data.json", b"[]", "hf://ann/net/data.json holds no JSON object"),
        ("data.json", None, "hf://ann/net has no readable data.json"),
        ("weights.safetensors", None, "hf://ann/net is not autola's: it has neither"),
    ],
)
def test_what_is_damaged_on_the_hub_is_named(
    hub: Hub, trained: Path, name: str, content: bytes | None, line: str
) -> None:
    autola.push_to_hub(trained / "none-seed0", "ann/net")
    hub.commit("ann/net", {} if content is None else {name: content}, [name])
    with pytest.raises(InputError) as error:
        autola.from_pretrained("ann/net")
    assert line in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"{", b"{}", b"\xff", b"import os"])
def test_a_genotype_that_is_none_is_named(hub: Hub, content: bytes) -> None:
    autola.push_to_hub(PUBLISHED, "ann/cell")
    hub.commit("ann/cell", {"genotype.json": content}, [])
    with pytest.raises(InputError, match=r"^hf://ann/cell/genotype\.json"):
        parse_attention("hoga:hf://ann/cell")


def test_what_is_not_autolas_and_not_there_is_named(hub: Hub) -> None:
    hub.create("ann/other")
    hub.commit("ann/other", {"model.bin": b"x"}, [])
    with pytest.raises(InputError, match="hf://ann/other is not autola's"):
        autola.from_pretrained("ann/other")
    with pytest.raises(InputError, match="hf://ann/other has no revision 'v9'"):
        autola.from_pretrained("ann/other", revision="v9")
    with pytest.raises(InputError, match="two revisions are given: a and b"):
        autola.from_pretrained("ann/other@a", revision="b")
    with pytest.raises(InputError, match="no folder nowhere"):
        autola.from_pretrained(Path("nowhere"))
    with pytest.raises(InputError, match="is no repository on the hub"):
        autola.from_pretrained("nowhere")


def test_weights_are_the_same_bits(trained: Path) -> None:
    autola.save_pretrained(trained / "hoga-seed0", "shared")
    before = load_weights(trained / "hoga-seed0/weights.safetensors")
    after = load_weights(Path("shared/weights.safetensors"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
