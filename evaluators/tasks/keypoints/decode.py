"""The ways to refine a peak of a heat map, by name; apart, for configs load no torch."""

from typing import Literal

Decode = Literal["quarter", "dark"]
"""How a peak is refined below a cell; see `heat_maps.find_peaks`."""
