"""Puts attention into a backbone without rewriting it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from foundation.errors import InputError
from search_space.attention import Attention, as_terms
from search_space.convolution import ConvolutionOperator, FromConvolution, move_hooks, plain_convolution
from search_space.grammar import standing_terms
from search_space.term import Term, label
from supernet.attachable import check_attachable, check_compiled, say_shared
from supernet.carrying import carried
from supernet.hooks import CHILD, INPUT_CHILD, hang, hooks_on, quoted, stand, take_off
from supernet.map_sizes import map_sizes
from supernet.modules import last_child, named
from supernet.sites import Site, convolution_at, find_sites, named_sites

M = TypeVar("M", bound=nn.Module)


def attach(
    model: M,
    attention: Attention,
    sites: Sequence[str] | Mapping[str, int] | None = None,
    *,
    identity: bool = False,
    input_shape: Sequence[int] | None = None,
) -> M:
    """Inserts attention into a model, in place, and returns the model.

    The module at each site keeps its class, its name and its keys, so weights of the plain model load under
    their original names. Its attention stands beside it, as `bn2_attention`, or `conv2_input_attention` where
    it transforms the input, and is run by a hook of the module. An operator that stands for a convolution
    takes its place under all of its names: one that changes it (`aw`) has its weight under its key, one that
    does something else (`aa`) has keys of its own, unless `identity` keeps the convolution beside it.
    State dicts round-trip, those of version 0.1 load, the model can be copied and pickled, and
    `torch.compile`, `torch.export` and torch's tracers work on it. What rebuilds modules drops their hooks:
    do that before, or the next forward pass says that attention is lost. `convert_norms` makes
    `SyncBatchNorm`s that keep it. `detach` takes all of it out again.

    Args:
        model: A ResNet of autola, torchvision or timm; or any module, with `sites`.
        attention: In the grammar ("se", "cbam", "hoga:PATH", "se[reduction=8]+hoga" ...), a genotype, a
            placement, or what a search gave back.
        sites: Dotted names of the modules to follow, or of the convolutions to stand for; a mapping to
            channels where the modules do not show them. None finds the sites of the known families.
        identity: Whether to start as the identity: x + scale (attention(x) - x), the scale 0 at first; or,
            instead of a convolution, as the convolution.
        input_shape: (channels, height, width) of the images, for operators made for one size of map (`aa`).

    Raises:
        InputError: If the attention or a site is unknown, the channels do not fit, two operators stand for
            one convolution, a size is not known, or the model has attention already or is compiled. The
            model is unchanged then.
    """
    check_attachable(model)
    terms = as_terms(attention)
    chosen = [pair for term in terms for pair in _chosen(model, term, sites)]
    sizes = _sizes(model, chosen, input_shape)
    by_site = dict[Site, list[tuple[Term, nn.Module]]]()
    standing = dict[str, tuple[Term, ConvolutionOperator]]()
    for term, found in chosen:
        for site in found:
            if term.place == "conv":
                if site.name in standing:
                    both = f"{label((standing[site.name][0],))} and {label((term,))}"
                    raise InputError(
                        f"{both} both stand for the convolution {site.name!r}; choose one of them"
                    )
                standing[site.name] = term, _stand_in(model, site, term, sizes.get(site.name), identity)
            else:
                built = term.build(site.channels, sizes.get(site.name))
                by_site.setdefault(site, []).append((term, FromIdentity(built) if identity else built))
    _check_free(model, [site.name for site in by_site])
    say_shared(model, [*standing, *(site.name for site in by_site)])
    for name, (term, operator) in standing.items():
        operator.text = label((term,))
        _replace(model, model.get_submodule(name), operator)
        stand(model, name)
    for site, pairs in by_site.items():
        modules = [module for _, module in pairs]
        text = label(tuple(term for term, _ in pairs))
        insert(model, site, modules[0] if len(modules) == 1 else nn.Sequential(*modules), text)
    return model


@dataclass(frozen=True, kw_only=True)
class Attached:
    """Attention at one site of a model.

    Attributes:
        place: Name of the module that it follows, or the convolution that it stands for.
        attention: What it is, in the grammar.
        position: Whether it transforms what the module gives or is given, or stands instead of it.
        module: The attention.
    """

    place: str
    attention: str
    position: Literal["after", "before", "instead"]
    module: nn.Module = field(repr=False)


def attached(model: nn.Module) -> list[Attached]:
    """What `attach` put into a model, in the order of its modules; empty for a plain model."""
    found = list[Attached]()
    for name, module in named(model):
        if isinstance(module, ConvolutionOperator) and module.text:
            found.append(Attached(place=name, attention=module.text, position="instead", module=module))
        for hook in hooks_on(module):
            position = "before" if hook.before else "after"
            found.append(Attached(place=name, attention=hook.text, position=position, module=hook.attention))
    return found


def detach(model: M) -> M:
    """Takes all attention out of a model, in place, and returns the plain model.

    Convolutions that `aw` and `dcn` changed keep their weights. Attention that a conversion of norms lost is
    taken out too.

    Raises:
        InputError: If the weight of a convolution is gone, as where `aa` stands for it without `identity`,
            or the model is compiled. The model is unchanged then.
    """
    check_compiled(model, "detach from")
    standing = [place for place in attached(model) if place.position == "instead"]
    gone = [
        place.place
        for place in standing
        if not isinstance(place.module, nn.Conv2d) or not getattr(place.module, "keeps_weight", False)
    ]
    if gone:
        raise InputError(
            f"{quoted(gone)}: the convolution that attention stands for there is gone; attach with "
            "identity=True keeps it, or build the plain model anew"
        )
    take_off(model)
    for place in standing:
        assert isinstance(place.module, ConvolutionOperator)
        conv = plain_convolution(place.module)
        assert conv is not None, "an operator that keeps the weight has a convolution"
        _replace(model, place.module, conv)
    return model


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Puts a module where another is, under all of its names."""
    names = [name for name, module in named(model, every_name=True) if module is old]
    for name in names:
        model.set_submodule(name, new)


def _chosen(
    model: nn.Module, term: Term, names: Sequence[str] | Mapping[str, int] | None
) -> list[tuple[Term, list[Site]]]:
    """A term with its sites; of a placement each of its terms with the one it stands at."""
    if term.placement is None:
        return [(term, _sites(model, term, names))]
    if names is not None:
        raise InputError(f"{label((term,))} says itself where it stands; leave out sites=[...]")
    standings = carried(term.placement, model).standings
    channels = {standing.site: standing.channels for standing in standings}
    of_name = {site.name: site for site in named_sites(model, channels)}
    kind = type(term)  # eject notes what its own kind of term builds
    return [
        (kind(**vars(other)), [of_name[standing.site]])
        for standing in standings
        for other in standing_terms(standing)
    ]


def _sites(model: nn.Module, term: Term, names: Sequence[str] | Mapping[str, int] | None) -> list[Site]:
    if names is None:
        return find_sites(model, term.place, stages=term.stages, last_stages=term.last_stages)
    if term.stages is not None:
        raise InputError(
            f"{label((term,))}: stages choose among the sites found; leave them out or sites=[...]"
        )
    return named_sites(model, names)


def _sizes(
    model: nn.Module, chosen: Sequence[tuple[Term, list[Site]]], input_shape: Sequence[int] | None
) -> dict[str, tuple[int, int]]:
    """Sizes of the maps of those sites whose operators want them."""
    wanting = [(term.name, site.name) for term, found in chosen if term.wants_size for site in found]
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
    """What stands for the convolution at a site, on its device, of its dtype and mode."""
    _check_free(model, [site.name])
    conv = convolution_at(model, site, term.name)
    if "weight" not in dict(conv.named_parameters(recurse=False)):
        raise InputError(
            f"the weight of {site.name!r} is computed in each pass (weight norm, pruning), so {term.name} "
            "cannot stand for it; make it a plain weight first: remove_weight_norm, prune.remove"
        )
    operator = term.build(conv, size)
    assert isinstance(operator, ConvolutionOperator)
    if identity and operator.keeps_weight:
        operator.start_plain()
    elif identity:
        operator = FromConvolution(conv, operator)
    move_hooks(conv, operator)
    return operator.to(device=conv.weight.device, dtype=conv.weight.dtype).train(conv.training)


def attach_cells(model: M, build: Callable[[Site], nn.Module]) -> M:
    """Inserts a cell at every inner site of a backbone, in place: what a supernet is made of."""
    cells = {site: build(site) for site in find_sites(model, "inner")}
    _check_free(model, [site.name for site in cells])
    for site, cell in cells.items():
        insert(model, site, cell)
    return model


def insert(model: nn.Module, site: Site, attention: nn.Module, text: str = "cell") -> None:
    """Passes what a module gives, or is given, through `attention`, which becomes part of the model."""
    name = _last(model, site)
    module = model.get_submodule(name)
    parameter = next(chain(module.parameters(), model.parameters()), None)
    if parameter is not None:
        attention.to(device=parameter.device, dtype=parameter.dtype)
    channels = None if site.is_map else site.channels
    hang(model, name, attention.train(module.training), text, before=site.before, channels=channels)


def _last(model: nn.Module, site: Site) -> str:
    """The module whose output is that of a site: the last one of a Sequential, unless others use it too."""
    name, module = site.name, model.get_submodule(site.name)
    while type(module).forward is nn.Sequential.forward and not site.before:  # pyright: ignore[reportUnknownMemberType]
        last = last_child(module)
        if last is None:
            break
        child = module.get_submodule(last)
        if sum(other is child for _, other in named(model, every_name=True)) > 1:
            break
        name, module = f"{name}.{last}", child
    return name


def convert_norms(model: nn.Module) -> None:
    """Makes every batch norm a `SyncBatchNorm`, in place; attention stays, unlike with torch's own."""
    attended = [(name, module, hooks_on(module)) for name, module in named(model, every_name=True)]
    nn.SyncBatchNorm.convert_sync_batchnorm(model)  # pyright: ignore[reportUnknownMemberType]
    for name, before, hooks in attended:
        module = model.get_submodule(name) if hooks else before
        if module is not before:
            for hook in hooks:
                hook.hang_on(module)


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
        if hooks_on(module) or isinstance(module, ConvolutionOperator):
            raise InputError(f"{name!r} has attention already; attach to the plain model")


__all__ = [
    "CHILD",
    "INPUT_CHILD",
    "Attached",
    "FromIdentity",
    "attach",
    "attach_cells",
    "attached",
    "convert_norms",
    "detach",
    "insert",
]
