"""What stands for the project's own names where it is not there."""

from __future__ import annotations

from autola.ejecting.sources import Import, Name

STATE = "search_space.state:State"
OPERATOR = "search_space.operator:Operator"
GATE = "search_space.operator:Gate"
CONVOLUTION_OPERATOR = "search_space.convolution:ConvolutionOperator"

PLAIN = {
    "search_space.norm:OperatorNorm": "nn.BatchNorm2d",
    "search_space.operators.deformable:deform_conv2d": "deform_conv2d",
    "foundation.errors:InputError": "ValueError",
    "jaxtyping:Float": "Tensor",
}
"""Texts that stand for names, by where those come from."""

PLAIN_NAMES = {
    STATE: Name("search_space.plain", "State"),
    OPERATOR: Name("search_space.plain", "Operator"),
    CONVOLUTION_OPERATOR: Name("search_space.plain", "Operator"),
    "search_space.operators.timm_modules:TimmOperator": Name("search_space.plain", "TimmOperator"),
}
"""Definitions that stand for others, by where those come from."""

INTRODUCED: dict[str, Name | Import] = {
    "nn": Import("torch", "nn", "nn"),
    "Tensor": Import("torch", "Tensor", "Tensor"),
    "deform_conv2d": Import("torchvision.ops", "deform_conv2d", "deform_conv2d"),
    "Operator": Name("search_space.plain", "Operator"),
    "spatial_max": Name("search_space.plain", "spatial_max"),
    "channel_pool": Name("search_space.plain", "channel_pool"),
}
"""What such texts name, without their module having it."""

STATISTICS = {
    "spatial_mean": "x.mean((2, 3))",
    "spatial_max": "spatial_max(x)",
    "channel_pool": "channel_pool(x)",
}
"""What a state keeps, where nobody shares it."""


def key_of(found: Name | Import | None) -> str:
    """Where a name comes from, as the tables have it."""
    return "" if found is None else f"{found.module}:{found.name}"
