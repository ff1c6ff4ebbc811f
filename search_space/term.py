"""One attention module by name, as the grammar reads it: an operator, a genotype, or a placement."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foundation.config import config
from foundation.errors import InputError
from search_space.genotype import PUBLISHED, Genotype
from search_space.placement import Placement

if TYPE_CHECKING:
    from torch import nn

    from search_space.operator import Operators, Place

Value = bool | int | float | str

STAGES, SIZE, FORM = "stages", "size", "form"

SITES = {
    "self": ("encoder.self", "decoder.self"),
    "encoder.self": ("encoder.self",),
    "decoder.self": ("decoder.self",),
    "decoder.cross": ("decoder.cross",),
}
"""What the grammar calls the attentions of a Transformer, and which these are."""


def attention_of(site: str) -> str | None:
    """The attention of a Transformer that a site of a placement is, decoder.self of decoder.self.2, which is
    that of the second layer; None on maps.
    """
    name, _, layer = site.rpartition(".")
    return name if name in SITES and name != "self" and layer.isdecimal() else None


FPN = "fpn"
"""What `stages` calls a feature pyramid, which stands beside a backbone's stages."""


@config
class Term:
    """One attention module: an operator with its options, a genotype, or a placement of several modules."""

    name: str
    """Registered name of an operator, `hoga`, or `places`."""
    argument: str | None = None
    """What follows the colon."""
    options: tuple[tuple[str, Value], ...] = ()
    """Options in brackets."""
    genotype: Genotype | None = None
    """What `hoga` stands for."""
    placement: Placement | None = None
    """What `places` stands for."""
    site: str | None = None
    """Attention of a Transformer that it stands for, by the names of `SITES`; None on maps."""

    @property
    def place(self) -> Place:
        assert self.placement is None, "a placement says itself where its modules stand"
        return "inner" if self.genotype else operators()[self.name].place

    @property
    def stages(self) -> str | None:
        """The stages of the backbone that get it, if the user chose them."""
        return next((str(value) for key, value in self.options if key == STAGES), None)

    @property
    def last_stages(self) -> int | None:
        """How many of a backbone's last stages get it if the user chose none; None for all."""
        return None if self.genotype or self.placement else operators()[self.name].last_stages

    @property
    def wants_size(self) -> bool:
        """Whether it is made for maps of one size, and none is given."""
        if self.genotype or self.placement:
            return False
        sized = getattr(operators()[self.name].module, "sized", False)
        return sized and SIZE not in dict(self.options)

    def build(self, channels: int | nn.Conv2d, size: tuple[int, int] | None = None) -> nn.Module:
        """A new module for a number of channels; not of a placement, which is several.

        Args:
            channels: Or, at the place "conv", the convolution that it stands for.
            size: Height and width of its map, for the operators that want it.

        Raises:
            InputError: If the channels do not fit, or an option is unknown or out of range.
        """
        if self.placement:
            raise InputError(
                f"{label((self,))} is made for a network, not for one module; name what stands in it"
            )
        if self.site is not None:
            raise InputError(
                f"{_text(self)} is for a network that translates; this one has maps, so leave out "
                f"{self.site}="
            )
        if self.genotype:
            assert isinstance(channels, int)
            # PyTorch comes with the first module that is built.
            from search_space.found_cell import found_cell

            return found_cell(channels, self.genotype)
        options: dict[str, Any] = {key: value for key, value in self.options if key != STAGES}
        if size is not None and self.wants_size:
            options[SIZE] = size
        if self.argument is not None:
            options["argument"] = self.argument
        return operators()[self.name].build(channels, **options)


def operators() -> Operators:
    """The registry of operators; PyTorch comes with the first name that is looked up."""
    from search_space.operator import OPERATORS

    return OPERATORS


def label(terms: tuple[Term, ...]) -> str:
    """The text of an attention: `parse_attention` reads it back, given the same files.

    A genotype that comes from no file is named by the first digits of its digest.
    """
    return "+".join(_text(term) for term in terms) or "none"


def short_label(text: str) -> str:
    """The text of an attention with the last part of a path alone, for tables."""
    name = "places:" if "places:" in text else "hoga:"
    before, colon, path = text.partition(name)
    return f"{before}{colon}{Path(path).name}" if colon else text


def slug(terms: tuple[Term, ...]) -> str:
    """A short name of an attention that is fit for a folder."""
    words = list[str]()
    for term in terms:
        words += [term.site] if term.site else []
        words.append(term.name)
        if term.argument:
            found = term.genotype or term.placement
            words.append(Path(term.argument).stem if found else term.argument)
        elif digest := _digest(term):
            words.append(digest)
        words += [f"{key}-{value}" for key, value in term.options]
    return re.sub(r"[^A-Za-z0-9_-]+", "-", "-".join(words) or "none").strip("-")


def _digest(term: Term) -> str | None:
    """What names a genotype or placement that is neither in a file nor the published one."""
    found = term.genotype or term.placement
    if found is None or term.argument is not None or found == PUBLISHED:
        return None
    return hashlib.sha256(found.to_json().encode()).hexdigest()[:8]


def _text(term: Term) -> str:
    argument = term.argument if term.argument is not None else _digest(term)
    argument = f":{argument}" if argument is not None else ""
    options = ",".join(
        str(value) if key == FORM else f"{key}={str(value).lower() if isinstance(value, bool) else value}"
        for key, value in term.options
    )
    site = f"{term.site}=" if term.site else ""
    return f"{site}{term.name}{argument}" + (f"[{options}]" if options else "")
