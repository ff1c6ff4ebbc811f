"""`deploy`: the same function, whatever the network, and a line where it cannot be."""

from __future__ import annotations

import copy
import importlib.util
import logging
import pickle
import warnings
from collections.abc import Callable
from typing import Any, cast, get_args

import pytest
import torch
import torchvision
from torch import nn

import autola
from evaluators import deploying
from evaluators.deploying import Deployment
from evaluators.runtimes import Target, runner
from foundation.errors import InputError
from search_space.deployed import DeployedCell
from search_space.native.operator import why_missing
from search_space.space import HOGA
from supernet.deploying import fold_backbone
from supernet.supernet import Supernet
from tests.modules import image, scrambled

SHAPE = (3, 12, 12)


def attended(attention: str = "hoga", backbone: str = "cifar_resnet8") -> nn.Module:
    torch.manual_seed(0)
    return scrambled(autola.attach(autola.build_backbone(backbone), attention)).eval()


def chosen(made: nn.Module) -> Deployment:
    return cast(Deployment, made.deployment)


def assert_same(model: Callable[..., Any], made: Callable[..., Any], x: torch.Tensor | None = None) -> None:
    x = image(1, 3, 13, 9) if x is None else x
    with torch.no_grad():
        expected = model(x)
        assert (made(x) - expected).abs().max() <= 1e-10 * expected.abs().max()


@pytest.fixture(scope="module")
def model() -> nn.Module:
    return attended()


@pytest.fixture(scope="module")
def made(model: nn.Module) -> nn.Module:
    return autola.deploy(model)


def test_the_copy_computes_the_same(model: nn.Module, made: nn.Module) -> None:
    assert_same(model, made)
    assert_same(model, made, image(2, 3, 8, 8))


def test_the_model_stays_as_it_is() -> None:
    model = attended()
    before = copy.deepcopy(model.state_dict())
    autola.deploy(model)
    assert list(before) == list(model.state_dict())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not hasattr(model, "deployment")


def test_no_norm_is_left() -> None:
    # Of torchvision: the project's own networks check their shapes here, and so take no proxy.
    plain = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1])
    model = scrambled(autola.attach(plain, "hoga")).eval()
    made = autola.deploy(model)
    assert not [module for module in made.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    assert chosen(made).norms == 12  # every one of the network's own
    assert_same(model, made)
    assert_same(autola.detach(copy.deepcopy(model)), autola.detach(made))


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda made: pickle.loads(pickle.dumps(made))])
def test_copies_and_pickles(made: nn.Module, twin) -> None:
    other = twin(made)
    assert_same(made, other)
    assert chosen(other) == chosen(made)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    x = image(1, 3, 8, 8)
    assert not torch.equal(other(x), made(x))


def test_attached_lists_it_and_detach_takes_it_out(made: nn.Module) -> None:
    sites = autola.attached(made)
    assert [place.place for place in sites] == [f"layer{n}.0.bn2" for n in (1, 2, 3)]
    assert all(place.attention == "hoga" and isinstance(place.module, DeployedCell) for place in sites)
    assert not autola.attached(autola.detach(copy.deepcopy(made)))


def test_exports_as_a_program(made: nn.Module) -> None:
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.export.export(made, (image(2, *SHAPE),), dynamic_shapes=shapes)
    assert_same(made, program.module(), image(3, *SHAPE))


def test_forms_are_measured_and_said(caplog: pytest.LogCaptureFixture) -> None:
    model = attended()
    with caplog.at_level(logging.INFO):
        made = autola.deploy(model, SHAPE)
    assert_same(model, made)
    deployment = chosen(made)
    assert deployment.target == "eager"
    names = [f"layer{n}.0.bn2_attention" for n in (1, 2, 3)]
    assert [figures.cells for figures in deployment.measured] == [(name,) for name in names]
    assert [figures.shape[1:] for figures in deployment.measured] == [(16, 12, 12), (32, 6, 6), (64, 3, 3)]
    for figures in deployment.measured:
        (name,) = figures.cells
        times = figures.milliseconds
        assert deployment.forms[name] == min(times, key=lambda form: times[form])
    assert caplog.messages == [f"deployed: {deployment}"]
    assert str(deployment).startswith("forms of cells for eager (measured): ")


def test_without_a_compiler_the_stock_forms_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deploying, "why_missing", lambda: "no C++ compiler for the native operator")
    model = attended()
    made = autola.deploy(model, SHAPE)
    assert all("native" not in figures.milliseconds for figures in chosen(made).measured)
    assert str(chosen(made)).endswith("; no C++ compiler for the native operator")
    monkeypatch.setattr(deploying, "why_missing", lambda: pytest.fail("asked for nothing"))
    assert not chosen(autola.deploy(model, SHAPE, native=False)).without


@pytest.mark.skipif(why_missing() is not None, reason=str(why_missing()))
def test_the_native_operator_is_chosen_where_it_is_fastest() -> None:
    model = attended()
    for figures in chosen(autola.deploy(model, SHAPE)).measured:
        assert "native" in figures.milliseconds
    made = autola.deploy(model, SHAPE, form="native")
    assert_same(model, made)
    with torch.no_grad():
        program = torch.export.export(made, (image(2, *SHAPE),))
    names = [str(node.target) for node in program.graph.nodes]
    assert names.count("autola.cell.default") == 3
    assert_same(model, program.module(), image(2, *SHAPE))


def test_a_form_is_taken_as_given() -> None:
    model = attended()
    for form in deploying.FORMS:
        if form == "native" and why_missing() is not None:
            continue
        made = autola.deploy(model, SHAPE, form=form)
        assert set(chosen(made).forms.values()) == {form}
        assert not chosen(made).measured
        assert_same(model, made)


def test_without_images_the_width_decides() -> None:
    made = autola.deploy(autola.attach(torchvision.models.resnet18(), "hoga").eval())
    forms = chosen(made).forms
    assert forms["layer1.0.bn2_attention"] == "composed"
    assert forms["layer4.0.bn2_attention"] == "separable"
    assert "by width, not measured" in str(chosen(made))


@pytest.mark.parametrize(
    ("attention", "left"),
    [
        ("se", ["se", "se", "se"]),
        ("cbam", []),
        ("se+hoga", []),
        ("aw", []),
        ("triplet", []),
        ("ga:0010", ["ga:0010"] * 2),
    ],
)
def test_other_attention(attention: str, left: list[str]) -> None:
    model = attended(attention)
    made = autola.deploy(model)
    assert_same(model, made, image(1, 3, 9, 13))
    assert [text.rpartition(" ")[2] for text in chosen(made).left] == left
    assert ("as before: " in str(chosen(made))) == bool(left)


def test_attention_that_begins_as_the_identity() -> None:
    model = autola.attach(autola.build_backbone("cifar_resnet8"), "hoga", identity=True)
    scrambled(model).eval()
    made = autola.deploy(model)
    assert_same(model, made)
    assert sum(isinstance(module, DeployedCell) for module in made.modules()) == 3


def test_operators_without_a_composed_form_are_named() -> None:
    nodes = [[("simam", 0)], [("SE", 0), ("ga:0010", 1)], [("SE", 0)], [("eca", 0)]]
    genotype = autola.Genotype.of(nodes, space="hoga_wide")
    model = scrambled(autola.attach(autola.build_backbone("cifar_resnet8"), genotype)).eval()
    made = autola.deploy(model)
    assert list(chosen(made).left[:2]) == [
        "layer1.0.bn2_attention: x1_h1 SimAM",
        "layer1.0.bn2_attention: x4_h4 EfficientChannelAttention",
    ]
    names = "EfficientChannelAttention, GeneralizedAttention, SimAM"
    assert str(chosen(made)).endswith(f"as before: {names} (9 in number)")
    assert_same(model, made)


def refusal(model: nn.Module, *given, **options) -> str:
    with pytest.raises(InputError) as caught:
        autola.deploy(model, *given, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_deployed(model: nn.Module, made: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refusal(copy.deepcopy(model).train()).startswith("the model is in training mode")
    partly = copy.deepcopy(model)
    partly.get_submodule("layer2").train()
    assert refusal(partly).startswith("'layer2', 'layer2.0', 'layer2.0.conv1' and ")
    assert refusal(made).startswith("the model is deployed already")
    assert refusal(autola.build_backbone("cifar_resnet8").eval()) == (
        "no attention in the model; autola.attach first"
    )
    supernet = Supernet(autola.build_backbone("cifar_resnet8"), HOGA).eval()
    assert "edges of a supernet are mixtures" in refusal(supernet)
    assert "unknown form 'dense'" in refusal(model, form="dense")
    assert "unknown target 'gpu'" in refusal(model, target="gpu")
    assert "cannot take images of 4 x 12 x 12" in refusal(model, (4, 12, 12))
    assert "not channels, height and width" in refusal(model, (3, 12))
    assert "openvino does not run the native operator" in refusal(model, form="native", target="openvino")
    assert "batch" in refusal(model, SHAPE, batch=0)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "openvino" else real(name))
    assert refusal(model, SHAPE, target="openvino").startswith("openvino needs openvino: pip install")


def test_a_network_that_cannot_be_traced_keeps_its_norms() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = autola.build_backbone("cifar_resnet8")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x) if x.mean() > -1e9 else x

    model = autola.attach(Branching(), "hoga", [f"body.layer{n}.0.bn2" for n in (1, 2, 3)])
    scrambled(model).eval()
    made = autola.deploy(model)
    assert chosen(made).norms == 0
    assert_same(model, made)


def test_a_norm_that_something_else_stands_before_stays() -> None:
    class Doubled(nn.Module):
        """The convolution's output is read twice, and its second norm reads what a hook changed."""

        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.norm1 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.conv2, self.norm2 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.conv3, self.norm3 = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
            self.norm2.register_forward_pre_hook(lambda _, args: (args[0].relu(),))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv1(x)
            return self.norm1(y) + y + self.norm2(self.conv2(x)) + self.norm3(self.conv3(x))

    model = scrambled(Doubled()).eval()
    other = copy.deepcopy(model)
    assert fold_backbone(other) == 1
    assert_same(model, other)


def test_a_network_that_computes_something_else_is_not_given_out(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = deploying.replace

    def wrong(model, choose):
        made, done = whole(model, choose)
        made.fc.weight.data *= 1.01
        return made, done

    monkeypatch.setattr(deploying, "replace", wrong)
    assert "computes something else" in refusal(attended(), SHAPE, form="composed")


@pytest.mark.slow
@pytest.mark.parametrize("target", get_args(Target))
def test_targets_compute_the_same_in_single_precision(target: Target) -> None:
    if target == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    model = attended().float()
    for module in model.modules():  # statistics of such size that single precision is precise
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_parameters()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the compilers, about themselves
        made = autola.deploy(model, SHAPE, target=target)
        x = image(2, *SHAPE).float()
        with torch.no_grad():
            expected, ours = model(x), runner(made, x, target)()
    assert (ours - expected).abs().max() <= 1e-4 * expected.abs().max()
