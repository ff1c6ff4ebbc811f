"""The networks of the matrix: small ones of each family, with random weights and small images."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network that attention is tried on.

    Attributes:
        library: Package that it comes from; it is passed over where that is not installed.
        build: Makes it.
        size: Height and width of the images.
        sites: Names of the modules to follow, where none are found; None lets autola look.
        convolutions: Names of the convolutions to stand for, where none are found.
        batch: Number of images.
    """

    library: str
    build: Callable[[], nn.Module]
    size: int = 64
    sites: Sequence[str] | Mapping[str, int] | None = None
    convolutions: Sequence[str] | None = None
    batch: int = 2

    @property
    def is_here(self) -> bool:
        """Whether its library is installed."""
        return importlib.util.find_spec(self.library) is not None

    def plain(self) -> nn.Module:
        """The network without attention: the same weights each time, none of which hides a branch."""
        torch.manual_seed(0)
        model = self.build()
        generator = torch.Generator().manual_seed(0)
        for name, tensor in model.state_dict().items():
            end = name.rpartition(".")[2]
            if end == "running_var" or (end == "weight" and tensor.dim() == 1):
                tensor.uniform_(0.5, 1.5, generator=generator)
            elif end == "running_mean" or (tensor.is_floating_point() and not tensor.any()):
                tensor.normal_(0, 0.1, generator=generator)
            elif "gamma" in end or "scale" in end or end == "gain":
                tensor.fill_(0.5)
        return model.eval()

    def images(self) -> Tensor:
        """Images of random numbers, the same each time."""
        generator = torch.Generator().manual_seed(1)
        return torch.randn(self.batch, 3, self.size, self.size, generator=generator)


def _torchvision(name: str, part: str = "", **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        models = importlib.import_module(f"torchvision.models{part}")
        return getattr(models, name)(**{"weights": None, "num_classes": 10} | options)

    return build


def _timm(name: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        return importlib.import_module("timm").create_model(name, num_classes=10, **options)

    return build


def _transformers(name: str, config: str, **options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        library = importlib.import_module("transformers")
        return getattr(library, name)(getattr(library, config)(**options))

    return build


def _smp(name: str, encoder: str) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        library = importlib.import_module("segmentation_models_pytorch")
        return getattr(library, name)(encoder, encoder_weights=None, classes=3)

    return build


def _yolo(**options: Any) -> Callable[[], nn.Module]:
    def build() -> nn.Module:
        return importlib.import_module("benchmarks.models.yolo_like").yolo_like(**options)

    return build


TORCHVISION: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "resnet18": (_torchvision("resnet18"), {}),
    "resnet50": (_torchvision("resnet50"), {}),
    "mobilenet_v2": (_torchvision("mobilenet_v2"), {}),
    "mobilenet_v3_small": (_torchvision("mobilenet_v3_small"), {}),
    "efficientnet_b0": (_torchvision("efficientnet_b0"), {}),
    "regnet_x_400mf": (_torchvision("regnet_x_400mf"), {}),
    "regnet_y_400mf": (_torchvision("regnet_y_400mf"), {}),
    "mnasnet0_5": (_torchvision("mnasnet0_5"), {}),
    "densenet121": (
        _torchvision("densenet121"),
        {
            "sites": ["features.transition1.conv", "features.transition2.conv"],
            "convolutions": ["features.denseblock2.denselayer1.conv2"],
        },
    ),
    "shufflenet_v2_x0_5": (
        _torchvision("shufflenet_v2_x0_5"),
        {
            "sites": ["stage2.1.branch2.6", "stage3.1.branch2.6"],
            "convolutions": ["stage2.1.branch2.5", "stage3.1.branch2.5"],
        },
    ),
    "squeezenet1_1": (
        _torchvision("squeezenet1_1"),
        {"sites": ["features.4.expand3x3"], "convolutions": ["features.4.expand3x3"]},
    ),
    "convnext_tiny": (
        _torchvision("convnext_tiny"),
        {"sites": {"features.1.2": 96, "features.3.2": 192}, "convolutions": ["features.3.0.block.0"]},
    ),
    "swin_t": (_torchvision("swin_t"), {}),
    "vit_b_32": (_torchvision("vit_b_32", image_size=64), {}),
    "lraspp_mobilenet_v3_large": (
        _torchvision("lraspp_mobilenet_v3_large", ".segmentation", weights_backbone=None),
        {},
    ),
    "ssdlite320_mobilenet_v3_large": (
        _torchvision("ssdlite320_mobilenet_v3_large", ".detection", weights_backbone=None),
        {"size": 320},
    ),
}
TIMM: dict[str, dict[str, Any]] = {
    "resnet10t": {},
    "seresnet18": {},
    "skresnet18": {
        "sites": ["layer2.0.conv2.bn", "layer3.0.conv2.bn"],
        "convolutions": ["layer2.0.conv2.conv", "layer3.0.conv2.conv"],
    },
    "resnetv2_18": {},
    "nf_regnet_b0": {"sites": ["stages.1.0.conv3", "stages.2.0.conv3"], "convolutions": ["stages.2.1.conv2"]},
    "regnetx_002": {},
    "mobilenetv3_small_050": {},
    "mobilenetv4_conv_small_050": {},
    "tf_efficientnet_lite0": {},
    "fbnetc_100": {},
    "mnasnet_small": {},
    "tinynet_e": {},
    "hardcorenas_a": {},
    "ghostnet_050": {
        "sites": {"blocks.5.0": 40},
        "convolutions": ["blocks.5.0.ghost1.primary_conv.0", "blocks.5.0.ghost2.primary_conv.0"],
    },
    "rexnet_100": {
        "sites": ["features.5.conv_pwl.bn", "features.6.conv_pwl.bn"],
        "convolutions": ["features.5.conv_pwl.conv", "features.6.conv_pwl.conv"],
    },
    "dla34": {
        "sites": ["level3.tree1.tree2.bn2", "level3.tree1.root.bn"],
        "convolutions": ["level3.tree1.tree2.conv2", "level3.tree2.tree1.conv1"],
    },
    "hrnet_w18_small": {},
    "darknet17": {},
    "ese_vovnet19b_slim": {
        "sites": ["stages.1.blocks.0.conv_concat.bn", "stages.2.blocks.0.conv_concat.bn"],
        "convolutions": ["stages.1.blocks.0.conv_mid.0.conv", "stages.2.blocks.0.conv_mid.0.conv"],
    },
    "repvgg_a0": {
        "sites": {"stages.1.0": 96, "stages.2.0": 192},
        "convolutions": ["stages.2.1.conv_kxk.conv"],
    },
    "lcnet_050": {
        "sites": ["blocks.2.1.bn2", "blocks.3.0.bn2"],
        "convolutions": ["blocks.2.1.conv_pw", "blocks.3.0.conv_pw"],
    },
    "convnext_atto": {
        "sites": {"stages.1": 80, "stages.2": 160},
        "convolutions": ["stages.2.blocks.0.conv_dw"],
    },
    "mobilevitv2_050": {},
    "starnet_s1": {},
    "vit_tiny_patch16_224": {"size": 224},
}
TRANSFORMERS: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "ResNetModel": (
        _transformers(
            "ResNetModel",
            "ResNetConfig",
            depths=[1, 1, 1, 1],
            hidden_sizes=[32, 64, 128, 256],
            embedding_size=32,
        ),
        {},
    ),
    "RegNetModel": (
        _transformers(
            "RegNetModel",
            "RegNetConfig",
            depths=[1, 1, 2, 1],
            hidden_sizes=[32, 64, 128, 256],
            groups_width=16,
        ),
        {},
    ),
    "MobileNetV2Model": (_transformers("MobileNetV2Model", "MobileNetV2Config"), {}),
    "EfficientNetModel": (
        _transformers(
            "EfficientNetModel",
            "EfficientNetConfig",
            width_coefficient=1.0,
            depth_coefficient=1.0,
            hidden_dim=1280,
        ),
        {
            "sites": ["encoder.blocks.14.projection.project_bn", "encoder.blocks.15.projection.project_bn"],
            "convolutions": ["encoder.blocks.15.projection.project_conv"],
        },
    ),
    "ConvNextModel": (
        _transformers(
            "ConvNextModel", "ConvNextConfig", depths=[1, 1, 1, 1], hidden_sizes=[32, 64, 128, 256]
        ),
        {"sites": {"encoder.stages.1": 64}, "convolutions": ["encoder.stages.2.layers.0.dwconv"]},
    ),
    "SegformerModel": (_transformers("SegformerModel", "SegformerConfig"), {}),
    "ViTModel": (_transformers("ViTModel", "ViTConfig", image_size=64, num_hidden_layers=2), {}),
}
SMP: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "Unet, resnet18": (_smp("Unet", "resnet18"), {}),
    "Unet, vgg11_bn": (
        _smp("Unet", "vgg11_bn"),
        {
            "sites": ["encoder.features.9", "encoder.features.15"],
            "convolutions": ["encoder.features.11", "encoder.features.18"],
        },
    ),
    "FPN, mobilenet_v2": (_smp("FPN", "mobilenet_v2"), {}),
    "DeepLabV3Plus, resnet18": (_smp("DeepLabV3Plus", "resnet18"), {}),
    "Linknet, timm-regnetx_002": (_smp("Linknet", "timm-regnetx_002"), {}),
    "Unet, efficientnet-b0": (
        _smp("Unet", "efficientnet-b0"),
        {
            "sites": ["decoder.blocks.1.conv2", "decoder.blocks.2.conv2"],
            "convolutions": ["decoder.blocks.1.conv2.0", "decoder.blocks.2.conv2.0"],
        },
    ),
}
NETWORKS: dict[str, Network] = {
    **{
        f"torchvision {name}": Network(library="torchvision", build=build, **options)
        for name, (build, options) in TORCHVISION.items()
    },
    **{
        f"timm {name}": Network(library="timm", build=_timm(name), **options)
        for name, options in TIMM.items()
    },
    **{
        f"transformers {name}": Network(library="transformers", build=build, **options)
        for name, (build, options) in TRANSFORMERS.items()
    },
    **{
        f"segmentation-models {name}": Network(library="segmentation_models_pytorch", build=build, **options)
        for name, (build, options) in SMP.items()
    },
    "YOLO-like, split blocks": Network(library="torch", build=_yolo()),
    "YOLO-like, nested blocks": Network(library="torch", build=_yolo(nested=True)),
}
"""All networks by name."""
