"""What differentiable searches are made of, for searchers of your own; torch loads when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from searchers.searches.differentiable import Callback, DifferentiableSearch, Mixture, Updates

__all__ = ["Callback", "DifferentiableSearch", "Mixture", "Updates"]


def __getattr__(name: str) -> Any:
    from searchers.searches import differentiable

    return getattr(differentiable, name)
