"""The part of an ejected file that attaches attention to one network: its sites, and how it is built."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any
from unittest import mock

from torch import nn

from autola.ejecting.building import Builder
from autola.ejecting.sources import Name, is_own
from search_space.grammar import flat
from search_space.term import Term, label, slug
from supernet.attach import Attached, attach, attached
from supernet.backbones import build_backbone

ATTACHING = "autola.ejecting.attaching"
VERBS = {"after": "follow", "before": "precede", "instead": "add"}


@dataclass(kw_only=True)
class Group:
    """Places that get the same attention in the same way.

    Attributes:
        builder: What builds it.
        position: As in `attached`.
        places: Name of each module, to the name of the attention and what it is built for: a number of
            channels, or the size of a map.
    """

    builder: Builder
    position: str
    places: dict[str, tuple[str, object]] = field(default_factory=dict)

    @property
    def table(self) -> str:
        """Name of the table of its sites."""
        return self.builder.table("PLACES")

    @property
    def verb(self) -> Name:
        """The function that attaches it."""
        return Name(ATTACHING, VERBS[self.position])

    def text(self) -> str:
        """The table of its sites."""
        if self.position == "instead":
            sized = self.builder.sized
            what = "The convolutions that it stands for, and height and width of their maps"
            entries = [f'"{place}": {size}' for place, (_, size) in self.places.items()]
            if not sized:
                what, entries = "The convolutions that it stands for", [f'"{place}"' for place in self.places]
        else:
            value = "output" if self.position == "after" else "input"
            what = f"The modules whose {value} it reads, the attention's own name, and its channels"
            entries = [f'"{place}": ("{name}", {given})' for place, (name, given) in self.places.items()]
        lines = "".join(f"    {entry},\n" for entry in entries)
        return f'{self.table} = {{\n{lines}}}\n"""{what}."""'

    def loop(self) -> str:
        """The loop that attaches it."""
        build, verb = self.builder.name, VERBS[self.position]
        if self.position != "instead":
            return (
                f"    for place, (name, channels) in {self.table}.items():\n"
                f"        {verb}(model, place, name, {build}(channels))\n"
            )
        head, size = f"place in sorted({self.table})", ""
        if self.builder.sized:
            head, size = f"place, size in {self.table}.items()", ", size"
        return (
            f"    for {head}:\n"
            f"        {verb}(model, place, place, {build}(model.get_submodule(place){size}))\n"
        )


def attach_text(groups: Sequence[Group], what: str) -> str:
    """The function that attaches all of it."""
    loops = "".join(group.loop() for group in groups)
    return (
        "def attach(model: nn.Module) -> nn.Module:\n"
        f'    """Puts the attention into a plain {what}, in place, and returns it; other keys stay."""\n'
        f"{loops}    return model"
    )


def attach_in_groups(
    model: nn.Module, terms: Sequence[Term], input_shape: Sequence[int] | None
) -> list[Group]:
    """Attaches to a plain model, and says where what stands."""
    made = dict[nn.Module, tuple[int | nn.Conv2d, object]]()

    class Noted(Term):
        """A term whose modules are noted."""

        def build(self, channels: int | nn.Conv2d, size: tuple[int, int] | None = None) -> nn.Module:
            module = super().build(channels, size)
            made[module] = channels, size
            return module

    attach(model, [Noted(**vars(term)) for term in terms], input_shape=input_shape)
    names = {module: name for name, module in model.named_modules()}
    found = dict[tuple[str, str], Group]()
    for place in attached(model):
        key = place.attention, place.position
        first = place.module if place.module in made else next(place.module.children())
        channels, size = made[first]
        if key not in found:
            found[key] = Group(builder=_builder(place, terms, channels), position=place.position)
        given = size if place.position == "instead" else channels
        found[key].places[place.place] = names[place.module], given
    groups = list(found.values())
    if len(groups) > 1:
        for number, group in enumerate(groups):
            words = slug(group.builder.terms).replace("-", "_").lower()
            same = sum(slug(other.builder.terms) == slug(group.builder.terms) for other in groups)
            name = f"build_{words}" + (f"_{number + 1}" if same > 1 else "")
            group.builder = replace(group.builder, name=name)
    return groups


def _builder(place: Attached, terms: Sequence[Term], channels: int | nn.Conv2d) -> Builder:
    """The function that builds the attention of a site."""
    terms = flat(tuple(terms))
    some = (chosen for many in range(1, len(terms) + 1) for chosen in permutations(terms, many))
    chosen = next(chosen for chosen in some if label(chosen) == place.attention)
    instead = place.position == "instead"
    return Builder(
        name="build",
        terms=chosen,
        channels=channels if isinstance(channels, int) else channels.out_channels,
        on_convolution=instead,
        sized=instead and any(term.wants_size for term in chosen),
    )


@dataclass(frozen=True, kw_only=True)
class Network:
    """How a plain network is made in a file.

    Attributes:
        text: The function's text; {name} stands for the name of its class in the file.
        root: Its class, if the file holds that.
    """

    text: str
    root: Name | None = None


def network_of(name: str, num_classes: int, in_channels: int, width: int | None) -> Network | None:
    """How a registered backbone is made without the project; None where nobody but the project makes it."""
    head = f'def network() -> nn.Module:\n    """A plain {name}, with random weights."""\n'
    if name.startswith("timm:"):
        member = name.partition(":")[2]
        chans = "" if in_channels == 3 else f", in_chans={in_channels}"
        call = f'create_model("{member}", num_classes={num_classes}{chans})'
        return Network(text=f"{head}    import timm\n\n    return timm.{call}")
    kind, given = _built_with(
        lambda: build_backbone(name, num_classes=num_classes, in_channels=in_channels, width=width)
    )
    if is_own(kind.__module__):
        call = ", ".join(f"{key}={value!r}" for key, value in given.items())
        return Network(text=f"{head}    return {{name}}({call})", root=Name(kind.__module__, kind.__name__))
    from torchvision import models  # slow

    if hasattr(models, name) and in_channels == 3:
        call = f"models.{name}(num_classes={num_classes})"
        return Network(text=f"{head}    from torchvision import models\n\n    return {call}")
    return None


def _built_with(build: Callable[[], nn.Module]) -> tuple[type[nn.Module], dict[str, Any]]:
    """The class of a network, and what it is built with by name."""
    kind, given = type(build()), dict[str, Any]()
    start = kind.__init__
    signature = inspect.signature(start)

    def noting(self: nn.Module, *args: Any, **options: Any) -> None:
        if not given:
            given.update(list(signature.bind(self, *args, **options).arguments.items())[1:])
        start(self, *args, **options)

    with mock.patch.object(kind, "__init__", noting):
        build()
    return kind, given
