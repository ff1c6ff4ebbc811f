"""What names attention, wherever it is taken: text, a genotype, what a search gave back, a path, a term."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from foundation.errors import InputError, shown
from search_space.genotype import Genotype
from search_space.grammar import Term, genotype_term, parse_attention, space_of


@runtime_checkable
class Finding(Protocol):
    """What a search gives back."""

    @property
    def run(self) -> Path: ...

    @property
    def genotype(self) -> Genotype: ...


Attention = str | Path | Genotype | Finding | Term | Sequence["Attention"]
"""What names attention, wherever it is taken: text in the grammar, the path of a search's run folder or of a
genotype file, a genotype, what a search gave back, a term, or several that act one after another."""


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
            return (genotype_term(str(attention)),)
        case Genotype():
            return (Term(name="hoga", genotype=space_of(attention).check(attention)),)
        case Finding():
            genotype = space_of(attention.genotype).check(attention.genotype)
            return (Term(name="hoga", argument=str(attention.run), genotype=genotype),)
        case tuple() | list():
            return tuple(term for part in attention for term in as_terms(part))
        case _:
            raise InputError(
                "an attention is a text such as se+hoga, a genotype, what a search gave back, or the path of "
                f"one; not {shown(attention)}"
            )
