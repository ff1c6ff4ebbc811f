"""The placement: which attention stands at which site of a network, as plain data."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from foundation.config import config, other_version, parse_versioned, read_text, to_json
from foundation.errors import InputError, shown
from search_space.genotype import Genotype
from search_space.space import NONE

VERSION = 1

PLACEMENT = "placement.json"
"""Name of a placement's record in a run folder."""

_HOGA = re.compile(r"(?:^|(?<=\+))hoga(?::(?P<path>.*))?$")


@config
class Standing:
    """A site of a network, and what stands there."""

    site: str
    """Dotted name of the module that attention follows; of a Transformer an attention and its layer, from 1,
    as in decoder.self.2."""
    channels: int
    """Channels of what that module gives."""
    stage: str = ""
    """Stage of the network that the site is in, "1" for layer1; empty where nothing shows it. Of a
    Transformer the attention, whose layers its sites are."""
    attention: str = NONE
    """What stands there, in the grammar; none is plain attention in a Transformer."""
    genotype: Genotype | None = None
    """The genotype in full, where the attention ends in `hoga` or `hoga:PATH`."""

    def __post_init__(self) -> None:
        if not self.site:
            raise InputError("a standing has no site; give the dotted name of a module")
        if self.channels < 1:
            raise InputError(f"{self.channels} channels at {self.site!r}: give a positive number")
        if (_HOGA.search(self.attention) is None) != (self.genotype is None):
            has = "no genotype" if self.genotype is None else "a genotype"
            raise InputError(f"{shown(self.attention)} at {self.site!r} has {has}; only `hoga` has one")
        if "places:" in self.attention:
            raise InputError(f"a placement stands at {self.site!r} of a placement; name what stands in it")

    @property
    def before_genotype(self) -> str:
        """What stands before the genotype, in the grammar; all of it where there is none."""
        return _HOGA.sub("", self.attention).removesuffix("+")

    @property
    def genotype_path(self) -> str | None:
        """The path that names the genotype."""
        found = _HOGA.search(self.attention)
        return None if found is None else found["path"]


@config
class Placement:
    """What stands at each site of a network, nothing included.

    Frozen, validated, equal by value. The sites are in the order of the network.

    Raises:
        InputError: If the version is another, or a site is missing or named twice.
    """

    version: int = VERSION
    """Version of the format."""
    network: str
    """Name of the network that it speaks of: a registered backbone, or the class of a user's model."""
    family: str
    """Python module that defines the blocks of that network; networks of one family take each other's."""
    standings: tuple[Standing, ...]
    """The sites, the first of the network first."""

    def __post_init__(self) -> None:
        if self.version != VERSION:
            raise InputError(other_version("placement", self.version, VERSION))
        if not self.standings:
            raise InputError("a placement needs at least one site")
        site, count = Counter(standing.site for standing in self.standings).most_common(1)[0]
        if count > 1:
            raise InputError(f"the placement names site {site!r} {count} times; keep one of them")

    @property
    def attentions(self) -> dict[str, str]:
        """The attention at each site by the site's name, in the grammar."""
        return {standing.site: standing.attention for standing in self.standings}

    @property
    def stages(self) -> dict[str, list[Standing]]:
        """The standings of each stage, in the order of the network."""
        stages = dict[str, list[Standing]]()
        for standing in self.standings:
            stages.setdefault(standing.stage, []).append(standing)
        return stages

    def taken(self) -> Iterator[Standing]:
        """The standings at which something stands."""
        return (standing for standing in self.standings if standing.attention != NONE)

    def to_json(self) -> str:
        """JSON text; equal placements give the same bytes."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str, where: str = "placement") -> Placement:
        """Reads JSON text.

        Raises:
            InputError: If it is cut short, of another version, or impossible; starts with `where`.
        """
        return parse_versioned(cls, text, where, "placement", VERSION)

    @classmethod
    def load(cls, path: str | Path) -> Placement:
        """Reads a placement file, or the placement of a run folder.

        Raises:
            InputError: If there is none, or it is damaged.
        """
        path = Path(path)
        path = path / PLACEMENT if os.path.isdir(path) else path  # Path.is_dir raises on odd names
        return cls.from_json(read_text(path, "placement"), str(path))

    def __str__(self) -> str:
        taken = [f"{standing.site} {standing.attention}" for standing in self.taken()]
        return "; ".join(taken) or f"{NONE} at all {len(self.standings)} sites of {self.network}"


def is_placement(path: str | Path) -> bool:
    """Whether a file, or the record of a run folder, is a placement; not where it cannot be read."""
    path = Path(path)
    if os.path.isdir(path):
        return (path / PLACEMENT).is_file()
    try:
        text = read_text(path, "placement").lstrip()
    except InputError:
        return False
    return text.startswith("{") and '"standings"' in text
