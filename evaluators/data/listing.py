"""What a part of a data set held when it was listed, so that a run that goes on notices a change."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PARTS = "parts"
"""Key under which data.json holds the listings."""


@dataclass(frozen=True)
class Listing:
    """What was counted in a part, and digests of the rest.

    Attributes:
        counts: What was counted to how many there are.
        digests: What is compared to a digest of it.
    """

    counts: Mapping[str, int]
    digests: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_classes(
        cls, classes: Sequence[str], labels: Iterable[int], digests: Mapping[str, str] | None = None
    ) -> Listing:
        """Images by class; classes without an image are not counted."""
        found = Counter(labels)
        counts = {f"images of class {name}": found[label] for label, name in enumerate(classes)}
        return cls({name: count for name, count in counts.items() if count}, digests or {})


def recorded(parts: Mapping[str, Listing]) -> dict[str, Any]:
    """The listings of the parts of a data set as data.json holds them."""
    return {
        PARTS: {
            part: {"counts": dict(one.counts), "digests": dict(one.digests)} for part, one in parts.items()
        }
    }


def digest(facts: Iterable[str | bytes]) -> str:
    """A digest of texts or bytes in their order."""
    whole = hashlib.blake2b(digest_size=16)
    for fact in facts:
        whole.update(fact.encode(errors="surrogateescape") if isinstance(fact, str) else fact)
        whole.update(b"\0\n")
    return whole.hexdigest()
