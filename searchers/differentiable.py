"""Where searchers of one's own find what differentiable searches share; torch loads when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from searchers.searches.differentiable import DifferentiableSearch

__all__ = ["DifferentiableSearch"]


def __getattr__(name: str) -> Any:
    from searchers.searches import differentiable

    return getattr(differentiable, name)
