"""Weights to start from: where they come from, what fits, what is refused."""

import os

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import ResNet18_Weights

from evaluators import starting_weights, weight_sources
from evaluators.weight_sources import read_weights
from foundation.errors import InputError
from search_space.grammar import parse_attention
from supernet.attach import attach
from supernet.backbones import build_backbone
from tests.equality import assert_equal

IMAGES = torch.randn(2, 3, 9, 7, generator=torch.Generator().manual_seed(0)).double()


def network(attention="none", num_classes=5, name="cifar_resnet8", width=8, **options):
    backbone = build_backbone(name, num_classes=num_classes, width=width)
    return attach(backbone, attention, **options).double().eval()


def plain(num_classes=5, name="cifar_resnet8"):
    return network("none", num_classes, name).state_dict()


def start_from(whole, outline, path):
    return starting_weights.start_from(whole, outline, read_weights(path), path)


@pytest.fixture
def file(tmp_path):
    """Weights of a plain network of 5 classes, and the network."""
    whole = network()
    torch.save(whole.state_dict(), tmp_path / "plain.pth")
    return str(tmp_path / "plain.pth"), whole


def test_the_same_network_has_the_same_outputs(file):
    path, whole = file
    other = network()
    told = start_from(other, plain(), path)
    assert torch.equal(other(IMAGES), whole(IMAGES))
    assert "new" not in told


def test_whole_numbers_are_no_weights(file):
    path, whole = file
    torch.save({key: tensor.long() for key, tensor in whole.state_dict().items()}, path)
    with pytest.raises(InputError, match="is int64 there and float64 here"):
        start_from(network(), plain(), path)


def test_weights_that_are_no_numbers_start_nothing(file):
    path, whole = file
    tensors = whole.state_dict()
    torch.save(
        {key: tensor * float("nan") if tensor.ndim else tensor for key, tensor in tensors.items()}, path
    )
    with pytest.raises(InputError, match=r"do not fit the network: .* holds infinity or NaN"):
        start_from(network(), plain(), path)


@pytest.mark.parametrize("attention", ["se", "hoga", "triplet+cbam"])
def test_attention_of_version_0_1_starts_a_network(tmp_path, attention):
    whole = network(attention)
    old = {
        key.replace("bn2_attention", "bn2.attention"): tensor for key, tensor in whole.state_dict().items()
    }
    assert old.keys() != whole.state_dict().keys()
    torch.save(old, tmp_path / "old.pth")
    other = network(attention)
    told = start_from(other, plain(), str(tmp_path / "old.pth"))
    assert torch.equal(other(IMAGES), whole(IMAGES))
    assert "new" not in told
    with pytest.raises(InputError, match="another attention"):
        start_from(network("eca"), plain(), str(tmp_path / "old.pth"))


@pytest.mark.parametrize("attention", ["se", "cbam", "hoga", "aw", "se+aw"])
def test_as_the_identity_attention_leaves_a_trained_network_unharmed(file, attention):
    path, whole = file
    other = network(attention, identity=True)
    told = start_from(other, plain(), path)
    assert_equal(other(IMAGES), whole(IMAGES), through=other)
    assert "the attention is new" in told
    bare = network(attention)
    start_from(bare, plain(), path)
    assert not torch.allclose(bare(IMAGES), whole(IMAGES))


def test_other_classes_leave_the_head_new_and_say_so(file):
    path, whole = file
    other = network(num_classes=3)
    before = other.get_parameter("fc.weight").clone()
    told = start_from(other, plain(3), path)
    assert "fc is new (3 outputs, 5 there)" in told
    assert torch.equal(other.get_parameter("fc.weight"), before)
    assert torch.equal(other.get_parameter("conv1.weight"), whole.get_parameter("conv1.weight"))


def test_a_backbone_is_found_inside_a_detector(file):
    path, whole = file
    body = network()
    del body.fc
    parts = {"backbone": nn.ModuleDict({"body": body}), "head": nn.Linear(2, 2)}
    detector = nn.ModuleDict(parts)
    told = start_from(detector, detector.state_dict(), path)
    key = "layer3.0.conv1.weight"
    assert torch.equal(body.get_parameter(key), whole.get_parameter(key))
    assert "in backbone.body" in told
    assert "new: head" in told
    assert "not used: fc" in told


@pytest.mark.parametrize(
    ("given", "wanted", "problem"),
    [
        (network("se"), network("hoga"), "another attention"),
        (network("se"), network(), "another attention"),
        (network("hoga"), network("hoga", identity=True), "another attention"),
        (network(name="cifar_resnet14"), network(), "which the network lacks"),
        (network(), network(name="cifar_resnet14"), "it lacks layer"),
        (network(width=16), network(), "is 16x16x3x3 there and 8x8x3x3 here"),
        (nn.Linear(2, 2), network(), "none of these tensors"),
    ],
    ids=["other attention", "attention", "identity", "deeper", "shallower", "wider", "nothing"],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path, given, wanted, problem):
    torch.save(given.state_dict(), tmp_path / "given.pth")
    before = {key: tensor.clone() for key, tensor in wanted.state_dict().items()}
    outline = {key: tensor for key, tensor in before.items() if "attention" not in key}
    with pytest.raises(InputError, match=problem):
        start_from(wanted, outline, str(tmp_path / "given.pth"))
    assert all(torch.equal(tensor, before[key]) for key, tensor in wanted.state_dict().items())


@pytest.mark.parametrize("form", ["bare", "model", "state_dict", "parallel", "safetensors", "run"])
def test_weights_are_read_as_the_usual_scripts_save_them(tmp_path, form):
    tensors = {"fc.weight": torch.randn(2, 3)}
    path = tmp_path / ("weights.safetensors" if form in ("safetensors", "run") else "weights.pth")
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    elif form == "parallel":
        torch.save({"model": {f"module.{key}": tensor for key, tensor in tensors.items()}, "epoch": 3}, path)
    else:
        torch.save(tensors if form == "bare" else {form: tensors, "epoch": 3}, path)
    read = read_weights(str(tmp_path if form == "run" else path))
    assert read.keys() == tensors.keys()
    assert torch.equal(read["fc.weight"], tensors["fc.weight"])


class Code:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("code.pth", {"fc.weight": Code()}, "may be code, and is refused"),
        ("junk.pth", b"hello", "cut short or not a file of PyTorch weights"),
        ("junk.safetensors", b"hello, this is no header", "cut short or not a safetensors file"),
        ("numbers.pth", [1, 2], "holds no state dict"),
    ],
)
def test_files_that_hold_something_else_are_refused(tmp_path, name, content, problem):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(InputError, match=problem):
        read_weights(str(path))


def test_a_file_cut_short_is_refused(file, tmp_path):
    path = tmp_path / "cut.pth"
    path.write_bytes((tmp_path / "plain.pth").read_bytes()[:-1000])
    with pytest.raises(InputError, match="cut short"):
        read_weights(str(path))


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no weights at nowhere\.pth"):
        read_weights("nowhere.pth")
    with pytest.raises(InputError, match="give the folder of one training that has ended"):
        read_weights(str(tmp_path))
    with pytest.raises(InputError, match="unknown weights 'IMAGENET1K_V9'; did you mean IMAGENET1K_V1"):
        read_weights("IMAGENET1K_V9", ("resnet18",))
    with pytest.raises(InputError, match="nobody publishes weights"):
        read_weights("pretrained", ("cifar_resnet20",))


def test_no_network_is_one_line(monkeypatch):
    def fails(*given, **options):
        raise OSError("<urlopen error\nName or service not known>")

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", fails)
    monkeypatch.setattr(weight_sources, "_of_timm", fails)
    for source, name in (("IMAGENET1K_V1", "resnet18"), ("pretrained", "resnet18"), ("pretrained", "timm:x")):
        with pytest.raises(InputError, match=f"cannot get the weights {source} of {name}") as told:
            read_weights(source, (name,))
        assert "\n" not in str(told.value)


def test_published_weights_are_found_by_name(monkeypatch):
    asked = []

    def given(self, **options):
        asked.append(self.name)
        return {"x": torch.zeros(1)}

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", given)
    for source in ("IMAGENET1K_V1", "DEFAULT", "pretrained"):
        assert read_weights(source, ("no_such_detector", "resnet18")).keys() == {"x"}
    assert asked == ["IMAGENET1K_V1"] * 3


def test_a_task_may_fit_the_weights_to_its_network(monkeypatch, file):
    from evaluators.data import DataConfig
    from evaluators.tasks import new_network
    from evaluators.tasks.classification import Classification

    path, whole = file
    config = Classification(
        data=DataConfig(name="squares"), backbone="cifar_resnet8", width=8, weights=path, identity=True
    )
    data = {"num_classes": 5, "input_shape": [3, 9, 7]}
    network = new_network(config, data, parse_attention("se"), 0).double().eval()
    torch.testing.assert_close(network(IMAGES), whole(IMAGES), rtol=0, atol=1e-5)  # of float32 weights
    monkeypatch.setattr(
        Classification,
        "fitted",
        lambda self, weights, network, data: {key: 0 * tensor for key, tensor in weights.items()},
    )
    empty = new_network(config, data, (), 0).double().eval()
    assert not empty.get_parameter("fc.weight").any()
