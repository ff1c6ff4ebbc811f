"""The front door: light, and one or two lines for whatever is wrong."""

import contextlib
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
import torch

import autola
from autola import arguments, cli
from autola.cli import COMMANDS
from outputs.run_directory import RunDirectory

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "torchvision", "lightning", "nni", "tensorboard", "tyro", "pydantic", "sklearn", "timm"}


def loaded_by(code):
    """The heavy packages that a fresh interpreter has after some code."""
    code = f"import sys\n{code}\nsys.stderr.write(' '.join(sorted({HEAVY!r} & set(sys.modules))))"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return told


def test_import_is_light():
    assert loaded_by("import autola").stderr == ""


def test_help_is_light_and_names_every_command():
    told = loaded_by("from autola.cli import main\nassert main(['--help']) == 0")
    assert told.stderr == ""
    for name, summary in COMMANDS.items():
        assert f"  {name:<10}{summary}\n" in told.stdout


def test_listing_loads_neither_nni_nor_tensorboard():
    code = "from autola.cli import main\nassert main(['list']) == 0"
    assert {"nni", "tensorboard", "lightning", "sklearn"}.isdisjoint(loaded_by(code).stderr.split())


@pytest.mark.parametrize("words", ["", "--help", "-h", "help"])
def test_help(call, words):
    told = call(words)
    assert told.code == 0
    assert told.out.startswith("usage: autola COMMAND")
    assert told.err == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(call, name):
    told = call(name, "--help")
    assert told.code == 0
    assert f"usage: autola {name}" in told.out


def test_version(call):
    assert call("--version") == (0, metadata.version("autola") + "\n", "")


def test_the_module_ends_with_the_code_of_the_command():
    command = [sys.executable, "-m", "autola", "serch"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr == "autola: unknown command 'serch'; did you mean search?\n"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("serch", "unknown command 'serch'; did you mean search?"),
        ("search digit", "unknown search preset 'digit'; did you mean digits?"),
        ("search --seed 1 cifar10", "name the preset first: autola search cifar10"),
        ("search digits --searcher dart", "unknown searcher 'dart'; did you mean darts"),
        ("search --searcher darts --searcher random", "two searchers are given: darts and random"),
        ("search digits --space hog", "unknown search space 'hog'; did you mean hoga?"),
        ("search digits --backbone cifar_resnet21", "unknown backbone 'cifar_resnet21'; did you mean"),
        ("search digits --backbone timm:resnet999", "unknown timm model"),
        ("search digits --data.name digit", "unknown reader 'digit'; did you mean digits?"),
        ("search digits --fuse triple", "invalid choice 'triple' for argument '--fuse'"),
        ("search digits --sed 1", "--sed"),
        ("search digits --seed one", "--seed: 'one' is no whole number"),
        ("search digits --seed -1", "seed=-1 is no seed; give a whole number in 0 ... 2^63 - 1"),
        (
            "search digits --primitives SE none",
            "one operator in all 10 rows of 'own' leaves nothing",
        ),
        ("search digits --searcher random --primitives SE", "leaves nothing to search"),
        ("search digits --width 1.5", "--width: give INT, not ['1.5']"),
        ("search digits --width 6", "6 channels do not split into 4 equal groups; take a width"),
        ("search digits --num-nodes 3", "channels do not split into 3 equal groups"),
        ("search digits --data.limit 20", "10 images do not fill a batch of 64"),
        ("search digits --devices 0", "devices=0 is not positive"),
        ("search digits --threads 0", "threads=0 is not positive"),
        ("search digits --searcher.clip -1", "clip=-1.0 is negative"),
        ("search digits --searcher.alpha-betas 0.5 2", "alpha_betas=(0.5, 2.0) is not in 0 ... 1"),
        ("search digits --searcher.momentum nan", "momentum=nan is not in 0 ... 1"),
        ("search cifar10", "reader 'cifar10' needs root"),
        ("search --resume nowhere", "nowhere is not a run folder: it has no config.json"),
        ("search --resume nowhere --seed 3", "--resume takes everything from the run"),
        ("search cifar10 --resume nowhere", "--resume takes everything from the run"),
        ("retrain", "name at least one attention, for example: none se cbam hoga"),
        ("retrain none --preset digit", "unknown retrain preset 'digit'; did you mean digits?"),
        ("retrain none --preset digits --preset cifar10", "two presets are given: digits and cifar10"),
        ("retrain none none", "an attention is given twice"),
        ("retrain cban", "unknown attention 'cban'; did you mean cbam?"),
        ("retrain se[reductio=4]", "`se` has no option 'reductio'; it has: "),
        ("retrain none --seeds", "give at least one seed"),
        ("retrain none --seeds 1 x", "--seeds: cannot read ['1', 'x']"),
        ("retrain none --seeds 0 9223372036854775808", "seeds=9223372036854775808 is no seed"),
        ("retrain none --train.learning-rate x", "--train.learning-rate: 'x' is no number"),
        ("retrain none --seeds 1 1", "a seed is given twice: 1 1"),
        ("retrain none --task classificatio", "unknown task 'classificatio'; did you mean classification?"),
        ("retrain none --train.epochs 0", "epochs=0 is not positive"),
        ("retrain none --train.drop-path 0.1 --backbone resnet18", "drop_path is for the CIFAR ResNets"),
        ("retrain se --resume nowhere", "--resume takes everything from the run"),
        ("retrain none se --resume", "--resume has nothing behind it"),
        ("retrain hoga:nowhere", "no run folder or genotype file at 'nowhere'"),
        ("inspect", "autola inspect"),
        ("inspect nowhere", "no genotype at nowhere"),
        ("inspect hoga --no-latency --svg cell.png", "cell.png does not end in .svg"),
        ("inspect hoga --no-latency --svg a.svg --png b.svg", "b.svg does not end in .png"),
        ("inspect hoga --no-latency --svg none/a.svg", "none"),
        ("cost --attention se", "attentions are named without --attention: autola cost se hoga"),
        ("cost --input 3 32", "--input: give INT INT INT, not ['3', '32'] (autola cost --help)"),
        ("cost --input 3 0 32", "input shape '3 0 32'"),
        ("cost hoga --width 6", "6 channels do not split"),
        ("cost --json --backbone resnet19", "unknown backbone 'resnet19'"),
        (
            "estimate retrain none --seconds -1",
            "autola: seconds=-1.0 is not positive (autola estimate --help)",
        ),
        ("analyze run --split bogus", "Expected one of ("),
        ("list --jso", "--jso"),
        ("list extra", "extra"),
        ("demo --sed 3", "--sed"),
        ("list --import", "--import needs the name of a module"),
        ("--import nothing_of_that_name list", "no module 'nothing_of_that_name' to import from here"),
        ("--import os.nothing list", "no module 'os.nothing'"),
        ("--import my-module.py list", "'my-module.py' is no name of a module"),
    ],
)
def test_whatever_is_wrong_is_one_line_and_nothing_is_written(refused, words, line):
    assert line in refused(words)


@pytest.mark.parametrize(
    ("said", "plain"),
    [
        ("Error parsing Arguments: seconds=-1.0 is not positive", "seconds=-1.0 is not positive"),
        ("Error parsing config.searcher: epochs=-1 is not positive", "searcher: epochs=-1 is not positive"),
        ("Error parsing config.train.epochs: no", "train.epochs: no"),
        ("Expected one of ('None', 'validation', 'test')", "Expected one of ('validation', 'test')"),
        ("Expected one of ('test', 'None', 'validation')", "Expected one of ('test', 'validation')"),
        ("Expected one of ('test', 'validation', 'None')", "Expected one of ('test', 'validation')"),
    ],
)
def test_the_parsers_own_words_are_left_out(said, plain):
    assert arguments._condensed(f"╭─ Parsing error ─╮\n│ {said} │\n╰─╯") == plain


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(refused):
    assert "no GPU that torch can use" in refused("search digits --device gpu")


EXTENSION = '''
import torch
from torch import nn

from autola import Gate, Space, SPACES, operator
from evaluators.data import READERS
from evaluators.data.digits import read_digits
from foundation.config import config
from searchers import searcher
from searchers.darts import Darts


@operator("test_half")
class Half(Gate):
    """Halves its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()

    def gate(self, state):
        return torch.full((1, 1, 1, 1), 0.5)


SPACES.add("test_halves", Space(name="test_halves", primitives=("none", "test_half", "SE"), num_nodes=2))


@READERS.register("test_reader")
def read(config):
    """Digits by another name."""
    from dataclasses import replace

    return read_digits(replace(config, name="digits"))


@searcher("test_searcher")
@config
class Another(Darts):
    """DARTS by another name."""
'''


def in_another_process(*words, cwd):
    """Registries are global: what a test registers must not stay."""
    command = [sys.executable, "-W", "error::UserWarning:autola", "-m", "autola", *" ".join(words).split()]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_what_a_module_of_the_user_registers_can_be_named(own_folder):
    (own_folder / "mine.py").write_text(EXTENSION)
    listed = in_another_process("list --import mine --json", cwd=own_folder)
    assert listed.returncode == 0, listed.stderr
    for name in ("test_half", "test_halves", "test_reader", "test_searcher"):
        assert f'"{name}": ' in listed.stdout


def test_what_is_to_be_done_next_imports_the_same_modules(capsys):
    assert cli.main(["inspect", "hoga", "--no-latency", "--import", "string"]) == 0
    assert "next   autola --import string retrain " in capsys.readouterr().out


@pytest.mark.slow
def test_what_a_module_of_the_user_registers_can_be_searched(own_folder):
    (own_folder / "mine.py").write_text(EXTENSION)
    searched = in_another_process(
        "--import=mine search digits --data.name test_reader --data.limit 60 --space test_halves",
        "--searcher test_searcher --searcher.epochs 1 --searcher.batch-size 10 --width 8 --out run",
        cwd=own_folder,
    )
    assert searched.returncode == 0, searched.stderr
    assert "autola --import mine retrain " in searched.stdout
    assert "test_half" in (own_folder / "run" / "shares.json").read_text()


def test_a_space_that_nobody_registered_is_named(found, refused):
    genotype = found / "genotype.json"
    genotype.write_text(genotype.read_text().replace('"hoga"', '"test_halves"'))
    assert "unknown search space 'test_halves'" in refused("retrain", f"hoga:{found}")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            "import nothing_of_that_name",
            r"ModuleNotFoundError: No module named 'nothing_of_that_name' \(.*:1\); install",
        ),
        (
            "x = 1\n1 / 0",
            r"cannot import 'broken\w+': ZeroDivisionError: division by zero \(.*broken\w+.py:2\)",
        ),
        ("def (", r"cannot import 'broken\w+': SyntaxError: "),
        (
            "from autola import SPACES\nSPACES.add('hoga', SPACES['hoga'])",
            "search space 'hoga' is registered twice",
        ),
    ],
    ids=["missing", "failing", "unreadable", "taken"],
)
def test_a_module_that_does_not_import_is_one_line(own_folder, refused, content, line, request):
    name = f"broken_{request.node.callspec.id}"
    (own_folder / f"{name}.py").write_text(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        import re

        assert re.search(line, refused("--import", name, "list"))


@pytest.mark.parametrize("recorded", [False, True])
def test_an_interruption_is_one_line(call, monkeypatch, tmp_path, recorded):
    run = tmp_path / "my run"

    def interrupted(arguments):
        if recorded:
            with RunDirectory.create(run, "{}", {}, {}), contextlib.suppress(ValueError):
                raise KeyboardInterrupt
        raise KeyboardInterrupt

    monkeypatch.setattr("autola.commands.list.run", interrupted)
    code, out, err = call("list")
    assert (code, out) == (130, "")
    kept = f"what was recorded is kept (--resume '{run}' goes on)" if recorded else "nothing was recorded"
    assert err == f"autola: interrupted; {kept}\n"


def test_what_the_system_refuses_is_one_line(refused, monkeypatch):
    def refuses(arguments):
        raise PermissionError(13, "Permission denied", "secret.json")

    monkeypatch.setattr("autola.commands.list.run", refuses)
    assert refused("list") == "autola: Permission denied: secret.json\n"


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    def broken(arguments):
        raise AssertionError("an invariant of ours")

    monkeypatch.setattr("autola.commands.list.run", broken)
    with pytest.raises(AssertionError, match="an invariant of ours"):
        cli.main(["list"])


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK"])
def test_of_several_processes_one_speaks(call, monkeypatch, name):
    group = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1"}
    if name == "LOCAL_RANK":
        del group["RANK"]
    for variable, value in (group | {name: "1"}).items():
        monkeypatch.setenv(variable, value)
    assert call("list") == (0, "", "")
    assert call("search nothing") == (2, "", "")
    monkeypatch.setenv(name, "0")
    assert call("list").out


@pytest.mark.parametrize(
    "left_over", [{"RANK": "1"}, {"LOCAL_RANK": "1"}, {"SLURM_NTASKS": "x"}, {"TORCHELASTIC_RUN_ID": "x"}]
)
def test_a_variable_left_over_from_a_group_silences_nothing(call, monkeypatch, left_over):
    for name, value in left_over.items():
        monkeypatch.setenv(name, value)
    assert call("list").out
    assert call("search nothing").err.startswith("autola: unknown search preset 'nothing'")


def test_errors_read_the_same_without_unicode(own_folder):
    command = [sys.executable, "-m", "autola", "list", "--jso"]
    told = subprocess.run(command, capture_output=True, text=True, env={"PYTHONIOENCODING": "ascii"})
    assert told.returncode == 2
    assert told.stderr.startswith("autola: Unrecognized options: --jso; perhaps --json")
    assert "---" not in told.stderr
    assert told.stderr.count("\n") == 1


def test_public_names_are_there():
    for name in autola.__all__:
        assert getattr(autola, name) is not None
    assert set(autola.__all__) <= set(dir(autola))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = autola.nothing


@pytest.mark.parametrize("room", autola.ROOMS)
def test_a_file_of_the_user_that_hides_a_room_is_named(tmp_path, room):
    (tmp_path / f"{room}.py").write_text("")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import autola"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 1
    last = told.stderr.strip().splitlines()[-1]
    assert last.startswith(f"ImportError: autola needs its own package {room!r}, but {tmp_path}")
    assert last.endswith("is found under that name; rename it or start Python elsewhere")
