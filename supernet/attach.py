"""Puts attention into a backbone without rewriting it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from search_space.convolution import ConvolutionOperator, FromConvolution
from search_space.errors import InputError
from search_space.grammar import Term, label, parse_attention
from supernet.map_sizes import map_sizes
from supernet.sites import Site, convolution_at, find_sites, named_sites

M = TypeVar("M", bound=nn.Module)

CHILD = "attention"
"""Name of the child that holds the attention of a place."""

INPUT_CHILD = "input_attention"
"""The same where it transforms the module's input; one module may have both."""


def attach(
    model: M,
    attention: str | tuple[Term, ...],
    sites: Sequence[str] | Mapping[str, int] | None = None,
    *,
    identity: bool = False,
    input_shape: Sequence[int] | None = None,
) -> M:
    """Inserts attention into a model, in place, and returns the model.

    The module at each place keeps its name and its keys, so weights of the plain model load under their
    original names; it gains a child `attention`, through which its output passes, or `input_attention` for
    its input, between an activation and the convolution that reads it. An operator that stands for a
    convolution takes its place: one that changes it (`aw`) has its weight under its key, one that does
    something else (`aa`) has keys of its own, unless `identity` keeps the convolution beside it. State dicts
    round-trip, and `torch.compile` and `torch.export` work on the result. Whatever replaces modules of the
    backbone has to run before: it would leave the attention behind, unused. For torch's
    `SyncBatchNorm.convert_sync_batchnorm` there is `convert_norms`.

    Args:
        model: A ResNet of autola, torchvision or timm; or any module, with `sites`.
        attention: In the grammar: "se", "cbam", "hoga", "hoga:PATH", "se[reduction=8]+hoga", ...
        sites: Dotted names of the modules to follow, or of the convolutions to stand for; a mapping to
            channels where they do not tell. None finds the places of the known families.
        identity: Whether to start as the identity: x + scale (attention(x) - x), the scale 0 at first; or,
            instead of a convolution, as the convolution.
        input_shape: (channels, height, width) of the images, for operators made for one size of map (`aa`).

    Raises:
        InputError: If the attention or a place is unknown, the channels do not fit, two operators stand for
            one convolution, a size is not known, or the model has attention already. The model is unchanged
            then.
    """
    terms = parse_attention(attention) if isinstance(attention, str) else attention
    placed = [(term, _sites(model, term, sites)) for term in terms]
    sizes = _sizes(model, placed, input_shape)
    by_site, standing = dict[Site, list[nn.Module]](), dict[str, tuple[Term, ConvolutionOperator]]()
    for term, places in placed:
        for site in places:
            if term.place == "conv":
                if site.name in standing:
                    both = f"{label((standing[site.name][0],))} and {label((term,))}"
                    raise InputError(
                        f"{both} both stand for the convolution {site.name!r}; choose one of them"
                    )
                standing[site.name] = term, _stand_in(model, site, term, sizes.get(site.name), identity)
            else:
                built = term.build(site.channels, sizes.get(site.name))
                by_site.setdefault(site, []).append(FromIdentity(built) if identity else built)
    _check_free(model, [site.name for site in by_site])
    for name, (_, operator) in standing.items():
        model.set_submodule(name, operator)
    for site, modules in by_site.items():
        insert(model, site, modules[0] if len(modules) == 1 else nn.Sequential(*modules))
    return model


def _sites(model: nn.Module, term: Term, names: Sequence[str] | Mapping[str, int] | None) -> list[Site]:
    if names is None:
        return find_sites(model, term.place, stages=term.stages, last_stages=term.last_stages)
    if term.stages is not None:
        raise InputError(
            f"{label((term,))}: stages choose among the places found; leave them out or sites=[...]"
        )
    return named_sites(model, names)


def _sizes(
    model: nn.Module, placed: Sequence[tuple[Term, list[Site]]], input_shape: Sequence[int] | None
) -> dict[str, tuple[int, int]]:
    """Sizes of the maps of those places whose operators want them."""
    wanting = [(term.name, site.name) for term, places in placed if term.wants_size for site in places]
    if not wanting:
        return {}
    if input_shape is None:
        name = wanting[0][0]
        raise InputError(
            f"{name} is made for one size of map: give the shape of the images, "
            f"attach(..., input_shape=(3, 224, 224)), or the side of the map, {name}[size=14]"
        )
    return map_sizes(model, [name for _, name in wanting], input_shape)


def _stand_in(
    model: nn.Module, site: Site, term: Term, size: tuple[int, int] | None, identity: bool
) -> ConvolutionOperator:
    """What stands for the convolution at a place, on its device, of its dtype and mode."""
    _check_free(model, [site.name])
    conv = convolution_at(model, site, term.name)
    operator = term.build(conv, size)
    assert isinstance(operator, ConvolutionOperator)
    if identity and operator.keeps_weight:
        operator.start_plain()
    elif identity:
        operator = FromConvolution(conv, operator)
    return operator.to(device=conv.weight.device, dtype=conv.weight.dtype).train(conv.training)


def attach_cells(model: M, build: Callable[[Site], nn.Module]) -> M:
    """Inserts a cell at every inner place of a backbone, in place: what a supernet is made of."""
    cells = {site: build(site) for site in find_sites(model, "inner")}
    _check_free(model, [site.name for site in cells])
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
    module.add_module(INPUT_CHILD if site.before else CHILD, attention.train(module.training))


def convert_norms(model: nn.Module) -> None:
    """Makes every batch norm a `SyncBatchNorm`, in place; attention stays, unlike with torch's own."""
    attended = {
        name: INPUT_CHILD in module._modules
        for name, module in model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and {CHILD, INPUT_CHILD} & module._modules.keys()
    }
    nn.SyncBatchNorm.convert_sync_batchnorm(model)
    for name, before in attended.items():
        module = model.get_submodule(name)
        module.__class__ = _attended(type(module), before)


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


def _check_free(model: nn.Module, names: Iterable[str]) -> None:
    for name in names:
        module = model.get_submodule(name)
        if hasattr(module, CHILD) or hasattr(module, INPUT_CHILD) or isinstance(module, ConvolutionOperator):
            raise InputError(f"{name!r} has attention already; attach to the plain model")


@cache
def _attended(module: type[nn.Module], before: bool) -> type[nn.Module]:
    """A subclass whose output, or input, passes through its attention, as torch's parametrizations do it."""

    class Attended(module):
        def forward(self, *args: Any, **kwargs: Any) -> Tensor:
            if before:
                return super().forward(self.get_submodule(INPUT_CHILD)(args[0]), *args[1:], **kwargs)
            return self.get_submodule(CHILD)(super().forward(*args, **kwargs))

    Attended.__name__ = Attended.__qualname__ = f"Attended{module.__name__}"
    return Attended
