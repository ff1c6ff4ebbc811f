"""What names attention, wherever it is taken: text, a genotype, what a search gave back, a path, a term."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from foundation.errors import InputError, shown
from search_space.genotype import Genotype
from search_space.grammar import (
    Term,
    check_placement,
    genotype_term,
    parse_attention,
    placement_term,
    space_of,
)
from search_space.placement import Placement, is_placement


@runtime_checkable
class Finding(Protocol):
    """What a search gives back."""

    @property
    def run(self) -> Path: ...

    @property
    def genotype(self) -> Genotype | Placement: ...


Attention = str | Path | Genotype | Placement | Finding | Term | Sequence["Attention"]
"""What names attention, wherever it is taken: text in the grammar, the path of a search's run folder or of a
genotype or placement file, a genotype, a placement, what a search gave back, a term, or several that act one
after another."""


def as_terms(attention: Attention) -> tuple[Term, ...]:
    """The terms of an attention, whatever it is given as; none at all for no attention.

    Raises:
        InputError: If it is none of these, does not fit the grammar, or names what is not known.
    """
    match attention:
        case str():
            return parse_attention(attention)
        case Term():
            return (attention,)
        case Path():
            term_at = placement_term if is_placement(attention) else genotype_term
            return (term_at(str(attention)),)
        case Genotype() | Placement():
            return (_found_term(attention),)
        case Finding():
            return (_found_term(attention.genotype, str(attention.run)),)
        case tuple() | list():
            return tuple(term for part in attention for term in as_terms(part))
        case _:
            raise InputError(
                "an attention is a text such as se+hoga, a genotype, what a search gave back, or the path of "
                f"one; not {shown(attention)}"
            )


def _found_term(found: Genotype | Placement, path: str | None = None) -> Term:
    if isinstance(found, Placement):
        return Term(name="places", argument=path, placement=check_placement(found))
    return Term(name="hoga", argument=path, genotype=space_of(found).check(found))
