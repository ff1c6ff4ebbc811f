"""Keypoints as heat maps, and back.

Source: Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018 (arXiv:1804.06208).
Differs from the authors' code: a Gaussian is centred at the keypoint itself, not at the nearest cell, and is
not cut off at three sigma; cells and pixels agree at their centres, so that the map of a mirrored picture is
mirrored back without the shift by one cell.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

REACH = 3
"""Sigmas from a keypoint beyond the rim of a map to the rim, up to which the map still learns from it."""


def to_cells(pixels: Float[Tensor, "*n 2"], stride: int) -> Float[Tensor, "*n 2"]:
    """Places (x, y) in a picture as places in a map whose cells are `stride` pixels wide; 0 is a centre."""
    return (pixels + 0.5) / stride - 0.5


def to_pixels(cells: Float[Tensor, "*n 2"], stride: int) -> Float[Tensor, "*n 2"]:
    """The way back."""
    return (cells + 0.5) * stride - 0.5


def draw_maps(
    points: Float[Tensor, "b k 2"], size: tuple[int, int], sigma: float
) -> Float[Tensor, "b k h w"]:
    """A Gaussian of height 1 around each point.

    Args:
        points: x and y in cells.
        size: Height and width of a map.
        sigma: Standard deviation in cells.
    """
    h, w = size
    across = torch.arange(w, device=points.device, dtype=points.dtype)
    down = torch.arange(h, device=points.device, dtype=points.dtype)
    columns = torch.exp(-((across - points[..., 0, None]) ** 2) / (2 * sigma**2))
    rows = torch.exp(-((down - points[..., 1, None]) ** 2) / (2 * sigma**2))
    return rows[..., :, None] * columns[..., None, :]


def reaches(points: Float[Tensor, "b k 2"], size: tuple[int, int], sigma: float) -> Tensor:
    """Whether the Gaussian of a point is to be seen in its map, (b, k)."""
    h, w = size
    far = points.new_tensor((w - 1, h - 1)) + REACH * sigma
    return ((points >= -REACH * sigma) & (points <= far)).all(-1)


def find_peaks(
    maps: Float[Tensor, "b k h w"],
) -> tuple[Float[Tensor, "b k 2"], Float[Tensor, "b k"]]:
    """The place of the largest value of each map, refined below a cell, and the value.

    The place moves by a quarter of a cell along each axis towards the larger neighbour (Newell et al., ECCV
    2016, arXiv:1603.06937), unless it is at the rim.

    Returns:
        x and y in cells, and the largest values.
    """
    h, w = maps.shape[-2:]
    scores, places = maps.flatten(-2).max(-1)
    x, y = places % w, places // w

    def at(column: Tensor, row: Tensor) -> Tensor:
        column, row = column.clamp(0, w - 1), row.clamp(0, h - 1)
        return maps.flatten(-2).gather(-1, (row * w + column)[..., None])[..., 0]

    right = torch.sign(at(x + 1, y) - at(x - 1, y)) * ((x > 0) & (x < w - 1))
    below = torch.sign(at(x, y + 1) - at(x, y - 1)) * ((y > 0) & (y < h - 1))
    points = torch.stack((x + 0.25 * right, y + 0.25 * below), -1)
    return points.to(maps.dtype), scores


def mirror_maps(maps: Float[Tensor, "b k h w"], partners: list[int]) -> Float[Tensor, "b k h w"]:
    """The maps of a mirrored picture as those of the picture: mirrored, left and right exchanged.

    Args:
        maps: Heat maps.
        partners: For each keypoint, the one that it is in the mirror.
    """
    return maps.flip(-1)[:, partners]
