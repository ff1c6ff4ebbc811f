"""Small problems of placements for tests."""

from __future__ import annotations

from supernet.backbones import build_backbone
from supernet.placing import places_of
from tests.searchers.problems import small_problem


def backbone(width=4):
    return build_backbone("cifar_resnet8", num_classes=3, in_channels=3, width=width)


def places_problem(seed=0, *, candidates=("none", "se", "coordinate"), sites=None, **changes):
    """Three sites, three candidates, float64."""
    space = changes.pop("space", None) or places_of(backbone(), candidates, sites)
    return small_problem(seed, **({"space": space, "backbone": backbone} | changes))
