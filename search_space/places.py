"""The space of placements: rows are the sites of a network, columns what may stand there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from foundation.config import config
from foundation.errors import InputError
from search_space.genotype import Genotype
from search_space.placement import Placement, Standing
from search_space.rows import Rows
from search_space.space import NONE

PLACES = "places"
"""Name of the space."""

CANDIDATES = (NONE, "se", "eca", "cbam", "coordinate", "simam", "gc")
"""What may stand at a site if nobody says otherwise: nothing, gates of channels and positions, context."""

SEQUENCE_CANDIDATES = (
    NONE,
    "ga:1111",
    "ga:0110",
    "ga:0010",
    "ga:1010",
    "ga:0000",
    "dynamic[kernel_size=7]",
    "ga:0010+dcn",
)
"""The same at the attentions of a Transformer: plain attention, the terms that the study of Zhu et al. (ICCV
2019, arXiv:1904.05873) asks about, no attention, dynamic convolution, the deformable unit."""


@config
class Candidate:
    """What may stand at a site."""

    attention: str
    """In the grammar."""
    genotype: Genotype | None = None
    """In full, where the attention ends in `hoga` or `hoga:PATH`."""


@config
class Places(Rows):
    """All placements of some candidates at some sites of a network.

    Raises:
        InputError: If there are no sites, the candidates repeat, or fewer than two fit a site.
    """

    name: str = PLACES
    """Its name, for messages."""
    network: str
    """Name of the network."""
    family: str
    """Python module that defines its blocks."""
    sites: tuple[Standing, ...]
    """All sites that a placement of it speaks of; where one is not searched, what is here stays."""
    searched: tuple[str, ...]
    """Names of the sites that are searched, in the order of the network."""
    choices: tuple[Candidate, ...]
    """What may stand at each."""
    left_out: tuple[tuple[str, str], ...] = ()
    """Pairs (site, attention) that do not fit."""

    def __post_init__(self) -> None:
        if not self.searched:
            raise InputError("there are no sites to search")
        if len(set(self.primitives)) != len(self.primitives):
            raise InputError(f"a candidate is given twice: {' '.join(self.primitives)}")
        if len(self.primitives) < 2:
            raise InputError(
                f"{' '.join(self.primitives) or 'no candidate'} leaves nothing to search; give two or more"
            )
        for row in self.rows:
            if not self.columns_at(row):
                raise InputError(f"no candidate fits site {row!r}; add {NONE}, or leave the site out")

    @property
    def primitives(self) -> tuple[str, ...]:
        """The candidates in the order of the alphas' columns."""
        return tuple(choice.attention for choice in self.choices)

    @property
    def rows(self) -> tuple[str, ...]:
        """The sites that are searched."""
        return self.searched

    def columns_at(self, row: str) -> list[int]:
        """The columns of the candidates that fit a site."""
        return [
            column for column, name in enumerate(self.primitives) if (row, name) not in set(self.left_out)
        ]

    def genotype(self, operators: Sequence[str]) -> Placement:
        """The placement with these candidates, one for each of `rows`, in that order."""
        genotypes = {choice.attention: choice.genotype for choice in self.choices}
        chosen = dict(zip(self.rows, operators, strict=True))
        standings = (
            replace(site, attention=chosen[site.site], genotype=genotypes[chosen[site.site]])
            if site.site in chosen
            else site
            for site in self.sites
        )
        return Placement(network=self.network, family=self.family, standings=tuple(standings))

    def operators(self, genotype: Placement) -> tuple[str, ...]:
        """What a placement has at the sites that are searched, in the order of `rows`."""
        standing = genotype.attentions
        return tuple(standing[row] for row in self.rows)

    def check(self, genotype: Placement) -> Placement:
        """Returns the placement if it is one of this space.

        Raises:
            InputError: If it is of other sites, or has at one what is no candidate there.
        """
        if [standing.site for standing in genotype.standings] != [site.site for site in self.sites]:
            raise InputError(f"the placement of {genotype.network} has other sites than {self.network}")
        for row, name in zip(self.rows, self.operators(genotype)):
            if name not in self.names_at(row):
                raise InputError(f"{name} is no candidate at site {row!r}: {', '.join(self.names_at(row))}")
        return genotype

    def read(self, text: str) -> Placement:
        """A placement from its JSON text."""
        return Placement.from_json(text)
