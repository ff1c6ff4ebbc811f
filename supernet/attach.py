"""Puts attention into a backbone without rewriting it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space.errors import InputError
from search_space.grammar import Term, parse_attention
from supernet.sites import Site, find_sites, named_sites

M = TypeVar("M", bound=nn.Module)

CHILD = "attention"
"""Name of the child that holds the attention of a place."""


def attach(
    model: M,
    attention: str | tuple[Term, ...],
    sites: Sequence[str] | Mapping[str, int] | None = None,
    *,
    identity: bool = False,
) -> M:
    """Inserts attention into a model, in place, and returns the model.

    The module at each place keeps its name and its keys, so weights of the plain model load under their
    original names; it gains a child `attention`, through which its output passes (or its input, where
    attention goes between an activation and the convolution that reads it). State dicts round-trip, and
    `torch.compile` and `torch.export` work on the result. Whatever replaces modules of the backbone
    (`SyncBatchNorm.convert_sync_batchnorm`) has to run before: it would leave the attention behind, unused.

    Args:
        model: A ResNet of autola, torchvision or timm; or any module, with `sites`.
        attention: In the grammar: "se", "cbam", "hoga", "hoga:PATH", "se[reduction=8]+hoga", ...
        sites: Dotted names of the modules to follow; a mapping to channels where they do not tell.
            None finds the places of the known families.
        identity: Whether to start as the identity: x + scale (attention(x) - x), the scale 0 at first.

    Raises:
        InputError: If the attention or a place is unknown, the channels do not fit, or the model has
            attention already. The model is unchanged then.
    """
    terms = parse_attention(attention) if isinstance(attention, str) else attention
    by_site = dict[Site, list[nn.Module]]()
    for term in terms:
        places = find_sites(model, term.place) if sites is None else named_sites(model, sites)
        for site in places:
            built = term.build(site.channels)
            by_site.setdefault(site, []).append(FromIdentity(built) if identity else built)
    _check_free(model, by_site)
    for site, modules in by_site.items():
        insert(model, site, modules[0] if len(modules) == 1 else nn.Sequential(*modules))
    return model


def attach_cells(model: M, build: Callable[[Site], nn.Module]) -> M:
    """Inserts a cell at every inner place of a backbone, in place: what a supernet is made of."""
    cells = {site: build(site) for site in find_sites(model, "inner")}
    _check_free(model, cells)
    for site, cell in cells.items():
        insert(model, site, cell)
    return model


def insert(model: nn.Module, site: Site, attention: nn.Module) -> None:
    """Passes what a module gives, or is given, through `attention`, which becomes its child."""
    module = model.get_submodule(site.name)
    parameter = next(chain(module.parameters(), model.parameters()), None)
    if parameter is not None:
        attention.to(device=parameter.device, dtype=parameter.dtype)
    module.__class__ = _attended(type(module), site.before)
    module.add_module(CHILD, attention.train(module.training))


class FromIdentity(nn.Module):
    """x + scale (inner(x) - x): the identity at first, the inner module at scale 1.

    Args:
        inner: Keeps the shape of its input.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        return torch.lerp(x, self.inner(x), self.scale)


def _check_free(model: nn.Module, sites: Iterable[Site]) -> None:
    for site in sites:
        if hasattr(model.get_submodule(site.name), CHILD):
            raise InputError(f"{site.name!r} has attention already; attach to the plain model")


@cache
def _attended(module: type[nn.Module], before: bool) -> type[nn.Module]:
    """A subclass whose output, or input, passes through the child `attention`: as parametrizations do it."""

    class Attended(module):
        def forward(self, *args: Any, **kwargs: Any) -> Tensor:
            attention = self.get_submodule(CHILD)
            if before:
                return super().forward(attention(args[0]), *args[1:], **kwargs)
            return attention(super().forward(*args, **kwargs))

    Attended.__name__ = Attended.__qualname__ = f"Attended{module.__name__}"
    return Attended
