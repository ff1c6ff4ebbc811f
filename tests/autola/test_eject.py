"""Ejected files: the same to the last bit, checked by themselves, and nothing of the project in them."""

from __future__ import annotations

import ast
import copy
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

import autola
from foundation.errors import InputError
from search_space.attention import as_terms
from search_space.found_cell import FoundCell
from search_space.genotype import Fuse, Genotype
from search_space.operator import OPERATORS
from search_space.space import OWN
from tests.alone import ROOT, alone
from tests.modules import image, scrambled

NAMES = [name for name in OPERATORS if name != "none"]
OPTIONS = [
    "se[bias=false]",
    "cbam[spatial]",
    "cbam[maxpool]",
    "ga:0010",
    "dcn[modulated=true]",
    "se+cbam",
    "se+hoga",
]
MORE = ("timm", "torchvision")


def random_genotype(seed: int) -> Genotype:
    """Any operators on any edges of cells of one to five nodes."""
    draw = random.Random(seed)
    nodes = [
        [(draw.choice(NAMES), j) for j in draw.sample(range(i), draw.randint(1, i))]
        for i in range(1, draw.randint(1, 5) + 1)
    ]
    return Genotype.of(nodes, space=OWN, fuse=draw.choice(get_args(Fuse)))


GENOTYPES = [random_genotype(seed) for seed in range(20)]
CASES: list[Any] = [*NAMES, *OPTIONS, *(pytest.param(g, id=f"genotype {i}") for i, g in enumerate(GENOTYPES))]


def channels_for(attention: str | Genotype) -> int:
    return 8 * len(attention.nodes) if isinstance(attention, Genotype) else 8


def names_of(text: str, name: str = "ejected") -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": name}
    exec(compile(text, "ejected.py", "exec", dont_inherit=True), names)
    return names


def built(attention: str | Genotype, channels: int) -> nn.Module:
    modules = [term.build(channels) for term in as_terms(attention)]
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


def outcome(module: nn.Module, x: Tensor, training: bool) -> dict[str, Tensor]:
    """Output, gradients and statistics after a step."""
    x = x.clone().requires_grad_()
    weights = dict(module.named_parameters())
    y = module.train(training)(x)
    found = torch.autograd.grad((y * image(*y.shape, seed=1)).sum(), [x, *weights.values()])
    return {"output": y, **dict(zip(["x", *weights], found)), **dict(module.named_buffers())}


@pytest.mark.parametrize("attention", CASES)
def test_is_the_module_to_the_last_bit(attention: str | Genotype) -> None:
    channels = channels_for(attention)
    theirs = names_of(autola.eject(attention, channels=channels))["build"]()
    ours = scrambled(built(attention, channels))
    for part in ours.modules():
        if isinstance(part, FoundCell):
            part.native = False  # the operator in C++ is equal but for rounding
    theirs.double().load_state_dict(ours.state_dict())
    for x in (image(2, channels, 5, 7), image(3, channels, 8, 8).relu()):  # the second has equals
        for training in (False, True):
            mine, yours = outcome(ours, x, training), outcome(theirs, x, training)
            assert mine.keys() == yours.keys()
            for name, value in mine.items():
                assert torch.equal(value, yours[name]), name
    ours.load_state_dict(theirs.state_dict())


ALONE = """
import io, contextlib, runpy, sys
from pathlib import Path
for name in ("autola", "search_space", "supernet", "evaluators", "foundation", "jaxtyping", "beartype"):
    sys.modules[name] = None
wrong = []
for path in sorted(Path(sys.argv[1]).glob("*.py")):
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        try:
            runpy.run_path(str(path), run_name="__main__")
        except SystemExit as end:
            if not end.code and told.getvalue() == "as it was: outputs, gradients and shapes agree\\n":
                continue
    wrong.append((path.name, told.getvalue()))
print(wrong)
"""
"""Runs all files of a folder where nothing of the project can be imported."""


@pytest.mark.parametrize(
    "written",
    [("se", "aa", *GENOTYPES[:2]), pytest.param((*NAMES, *OPTIONS, *GENOTYPES), marks=pytest.mark.slow)],
)
def test_files_check_themselves_where_the_project_is_not(tmp_path: Path, written: tuple[Any, ...]) -> None:
    for number, attention in enumerate(written):
        channels = channels_for(attention)
        autola.eject(attention, channels=channels, out=tmp_path / f"file{number:02}.py")
    told = subprocess.run(
        [sys.executable, "-c", ALONE, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True
    )
    assert told.stdout == "[]\n", told.stderr
    # What a reader sees: put in order by the formatter, nothing unused, nothing undefined.
    ruff = [sys.executable, "-m", "ruff"]
    settings = ["--config", str(ROOT / "pyproject.toml"), str(tmp_path)]
    for words in (["format", "--check"], ["check", "--no-cache", "--ignore", "T20"]):
        done = subprocess.run([*ruff, *words, *settings], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("attention", [*NAMES, *OPTIONS])
def test_needs_torch_alone_or_says_what_else(attention: str) -> None:
    text = autola.eject(attention, channels=8)
    imported = {
        (node.module or "" if isinstance(node, ast.ImportFrom) else node.names[0].name).partition(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    others = imported - set(sys.stdlib_module_names) - {"torch"}
    head = ast.get_docstring(ast.parse(text))
    assert head is not None
    (needs,) = (line for line in head.splitlines() if line.startswith("Needs: "))
    assert others == {name for name in MORE if name in needs}
    assert "Source:" in head
    assert "Licence: Apache-2.0" in head
    assert "multiply-accumulates on a map of 32 x 32" in head
    for ours in ("InputError", "jaxtyping", "@operator", "OPERATORS", "search_space"):
        assert ours not in text


def test_says_its_genotype_and_costs() -> None:
    text = autola.eject(autola.PUBLISHED, channels=16)
    module = names_of(text)["build"]()
    for line in str(autola.PUBLISHED).split("; "):
        assert f"    {line}\n" in text
    assert f"Cost: {sum(p.numel() for p in module.parameters()):,} weights" in text


@pytest.mark.parametrize(
    ("attention", "right", "wrong"),
    [
        ("se", "torch.sigmoid(y)", "torch.tanh(y)"),
        ("se", "reduction: int = 16", "reduction: int = 8"),
        ("simam", "/ (4 * (", "/ (4.0000001 * ("),
        ("sep_conv_3x3", "3, padding=1", "3, dilation=2, padding=2"),
        ("hoga", "(2, 1, SeparableGate(width))", "(2, 1, DilatedGate(width))"),
        ("hoga", "fused + state.x", "fused - state.x"),
        ("hoga", "return self.output_gate(fused + state.x)", "return self.output_gate(fused + state.x)[:1]"),
        ("dil_conv_3x3", "def gate(self, x: Tensor)", "@torch.no_grad()\n    def gate(self, x: Tensor)"),
    ],
)
def test_a_file_that_was_changed_says_so(
    attention: str, right: str, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = autola.eject(attention, channels=16)
    assert text.count(right) >= 1
    changed = text.replace(right, wrong)
    with pytest.raises((SystemExit, KeyError)) as end:
        names_of(changed, "__main__")
    assert isinstance(end.value, SystemExit)
    assert end.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "not what it was"
    assert all(":" in line for line in lines[:-1])


def test_a_torch_too_old_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    text = autola.eject("se", channels=8)
    monkeypatch.setattr(torch, "__version__", "1.13.1+cu117")
    line = "this file needs torch 2.4 or newer, and torch is 1.13.1+cu117"
    with pytest.raises(ImportError, match=line.replace("+", "[+]")):
        names_of(text)
    with pytest.raises(SystemExit) as end:
        names_of(text, "__main__")
    assert end.value.code == line
    monkeypatch.setattr(torch, "__version__", "2.10.0a0+git")
    names_of(text)


ATTACHED = [
    ("se", "cifar_resnet8"),
    ("aw+se", "cifar_resnet8"),
    ("aa", "cifar_resnet8"),
    ("hoga", "mobilenet_v1"),
]


@pytest.mark.parametrize(
    ("attention", "backbone"), [*ATTACHED, ("ga", "cifar_resnet8"), ("se+cbam", "timm:resnet18")]
)
def test_attaches_as_the_project_does(attention: str, backbone: str) -> None:
    width = None if backbone.startswith("timm:") else 8
    names = names_of(autola.eject(attention, backbone=backbone, width=width))
    assert list(names["network"]().state_dict()) == list(autola.build_backbone(backbone).state_dict())
    plain = autola.build_backbone(backbone, width=width)
    shape = (3, 32, 32)
    ours = autola.attach(copy.deepcopy(plain), attention, input_shape=shape)
    for module in ours.modules():
        if isinstance(module, FoundCell):
            module.native = False  # the file holds the stock operators, whose last bits differ
    theirs = names["attach"](plain)
    theirs.load_state_dict(ours.state_dict())
    for training in (False, True):
        ours.train(training)
        theirs.train(training)
        images = torch.randn(2, *shape)
        assert torch.equal(ours(images), theirs(images))
    twin = copy.deepcopy(theirs)
    scrambled(twin).float()
    assert torch.equal(ours.eval()(images), theirs.eval()(images)), "a copy shares the attention"


def test_attaches_to_a_network_of_ones_own() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(8, 8, 3, padding=1)
            self.conv2 = nn.Conv2d(8, 8, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv2(self.conv1(x).relu())

    model = nn.Sequential(Net(), Net())
    text = autola.eject("se", backbone=model, input_shape=(8, 6, 6))
    assert 'autola.eject("se", backbone=model), with a Sequential of the user\'s' in text
    assert not autola.attached(model), "the model of the user's was changed"
    names = names_of(text)
    ours, theirs = autola.attach(copy.deepcopy(model), "se"), names["attach"](copy.deepcopy(model))
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 8, 6, 6)
    assert torch.equal(ours(x), theirs(x))
    with pytest.raises(SystemExit) as end:
        names["main"]()
    assert not end.value.code


COMPILED = """
import sys, torch
import autola
for attention in ("se", "cbam", "aa", "hoga"):
    names = {"__name__": "ejected"}
    exec(compile(autola.eject(attention, channels=16), attention, "exec", dont_inherit=True), names)
    module, x = names["build"]().eval(), torch.randn(2, 16, 6, 6)
    expected = module(x)
    compiled = torch.compile(module, fullgraph=True, backend="eager")(x)
    exported = torch.export.export(module, (x,)).module()(x)
    for y in (compiled, exported):
        torch.testing.assert_close(y, expected)
"""


@pytest.mark.slow
def test_files_compile_and_export_as_one_graph() -> None:
    told = alone(COMPILED)
    assert told.returncode == 0, told.stderr


def test_leaves_the_random_numbers_alone() -> None:
    before = torch.get_rng_state()
    autola.eject("hoga", backbone="cifar_resnet8")
    assert torch.equal(torch.get_rng_state(), before)


OWN_OPERATOR = """
import torch
from torch import nn
import autola
from autola import operator

FACTOR = 0.25

def shift(x):
    return x - FACTOR

@operator("shifted")
class Shifted(autola.Gate):
    "Scales by what is left of the mean."

    def __init__(self, channels: int, *, bias: bool = True) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels, bias=bias)

    def gate(self, state):
        a, b = state.spatial_mean, state.spatial_mean
        return torch.sigmoid(self.linear(shift(a + b)))[:, :, None, None]
"""


def test_an_operator_of_ones_own_is_taken_along(tmp_path: Path) -> None:
    (tmp_path / "shifted_gates.py").write_text(OWN_OPERATOR)
    code = (
        f"import sys; sys.path.append({str(tmp_path)!r}); from autola.cli import main; "
        "sys.exit(main(['--import', 'shifted_gates', 'eject', 'shifted', '--channels', '8', "
        f"'-o', {str(tmp_path / 'own.py')!r}]))"
    )
    told = alone(code)
    assert told.returncode == 0, told.stderr
    (tmp_path / "shifted_gates.py").unlink()
    done = subprocess.run([sys.executable, "own.py"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "FACTOR = 0.25" in (tmp_path / "own.py").read_text()


def test_a_class_that_has_no_place_of_its_own_is_refused() -> None:
    @autola.operator("homeless")
    class Homeless(autola.Gate):
        """Nothing."""

        def __init__(self, channels: int) -> None:
            super().__init__()

    try:
        with pytest.raises(InputError, match="homeless is defined inside test_a_class_that_has"):
            autola.eject("homeless", channels=8)
    finally:
        del OPERATORS._entries["homeless"]


def test_writes_or_prints(call: Any, own_folder: Path) -> None:
    printed = call("eject se --channels 8")
    assert printed.code == 0, printed.err
    told = call("eject se --channels 8 -o se.py")
    assert told == (0, f"se.py  {len(printed.out.splitlines())} lines; `python se.py` checks it\n", "")
    assert (own_folder / "se.py").read_text() == printed.out == autola.eject("se", channels=8)
    assert call("eject se --model cifar_resnet8 --width 8 --num-classes 3 --out net.py").code == 0
    written = (own_folder / "net.py").read_text()
    assert "PLACES" in written
    ((_, command),) = re.findall(r"Made by autola (\S+): autola (.*)", written)
    assert call(command).out == written, "the command that a file names writes another one"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("eject se", "for how many channels? give --channels, or --backbone"),
        ("eject none --channels 8", "none is the plain network: there is nothing to eject"),
        ("eject see --channels 8", "unknown attention 'see'; did you mean"),
        ("eject hoga --channels 6", "6 channels do not split into 4 equal groups"),
        ("eject se --channels 0", "channels=0 is not in 1 ..."),
        ("eject se --channels 8 --backbone cifar_resnet8", "leave --channels out"),
        ("eject se --channels 8 --width 8", "give --backbone as well"),
        ("eject se[stages=34] --channels 8", "se[stages=34]: stages choose among the sites of a network"),
        ("eject aw+se --channels 8", "aw stands instead of a convolution, unlike the rest of aw+se"),
        ("eject se --backbone cifar_resnet9", "unknown backbone 'cifar_resnet9'; did you mean"),
        ("eject se --channels 8 -o nowhere/se.py", "no folder nowhere to write se.py to"),
        ("eject se --channels 8 -o .", "exists already; choose another file"),
        ("eject --channels 8", "ATTENTION"),
    ],
)
def test_bad_input(refused: Any, words: str, line: str) -> None:
    assert line in refused(words)


def test_overwrites_nothing(refused: Any, own_folder: Path) -> None:
    (own_folder / "se.py").write_text("keep me")
    assert "se.py exists already; choose another file" in refused("eject se --channels 8 -o se.py")


def test_a_file_is_whole_or_not_there(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", stop)
    with pytest.raises(KeyboardInterrupt):
        autola.eject("se", channels=8, out="se.py")
    assert list(own_folder.iterdir()) == []
