"""Keypoints as heat maps, and back.

Source: Xiao et al., "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018 (arXiv:1804.06208).
Differs from the authors' code: a Gaussian is centred at the keypoint itself, not at the nearest cell, and is
not cut off at three sigma; cells and pixels agree at their centres, so that the map of a mirrored image is
mirrored back without the shift by one cell.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from evaluators.tasks.keypoints.decode import Decode

REACH = 3
"""Sigmas from a keypoint beyond the rim of a map to the rim, up to which the map still learns from it."""


def to_cells(pixels: Float[Tensor, "*n 2"], stride: int) -> Float[Tensor, "*n 2"]:
    """Positions (x, y) in an image as those in a map whose cells are `stride` pixels wide; 0 is a centre."""
    return (pixels + 0.5) / stride - 0.5


def to_pixels(cells: Float[Tensor, "*n 2"], stride: int) -> Float[Tensor, "*n 2"]:
    """Positions (x, y) in a map as those in the image, the inverse of `to_cells`."""
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
    maps: Float[Tensor, "b k h w"], decode: Decode = "quarter", sigma: float = 2.0
) -> tuple[Float[Tensor, "b k 2"], Float[Tensor, "b k"]]:
    """The position of the largest value of each map, refined below a cell, and the value.

    By "quarter" it moves by a quarter of a cell along each axis towards the larger neighbour (Newell et al.,
    ECCV 2016, arXiv:1603.06937), by "dark" to where the logarithm of the smoothed map, developed to second
    order, is largest (Zhang et al., "Distribution-Aware Coordinate Representation for Human Pose Estimation",
    CVPR 2020, arXiv:1910.06278).

    Args:
        maps: Heat maps.
        decode: How the position is refined.
        sigma: Standard deviation in cells of the Gaussians that the maps were learnt from.

    Returns:
        x and y in cells, and the largest values.
    """
    scores, indices = maps.flatten(-2).max(-1)
    x, y = indices % maps.shape[-1], indices // maps.shape[-1]
    move = _towards_the_larger(maps, x, y) if decode == "quarter" else _to_the_top(maps, x, y, sigma)
    return (torch.stack((x, y), -1) + move).to(maps.dtype), scores


def _towards_the_larger(maps: Tensor, x: Tensor, y: Tensor) -> Float[Tensor, "b k 2"]:
    """A quarter of a cell along each axis, where there are neighbours on both sides."""
    h, w = maps.shape[-2:]
    across = _at(maps, x + 1, y) - _at(maps, x - 1, y)
    down = _at(maps, x, y + 1) - _at(maps, x, y - 1)
    inside = torch.stack(((x > 0) & (x < w - 1), (y > 0) & (y < h - 1)), -1)
    return 0.25 * torch.stack((across, down), -1).sign() * inside


def _to_the_top(maps: Tensor, x: Tensor, y: Tensor, sigma: float) -> Float[Tensor, "b k 2"]:
    """The move to the top of a paraboloid through nine cells, at most a cell on each axis; 0 if it has none.

    The map is smoothed by a Gaussian of the same sigma first, which leaves the top of a Gaussian where it is.
    Differs from the source: second differences are over one cell, not two; at the rim the nine cells are the
    nearest ones inside, where the source stays at the peak; maps are not smoothed for a peak so near to the
    rim that part of the kernel would fall outside, which moves the top; values below a thousandth of the peak
    count as that.
    """
    h, w = maps.shape[-2:]
    if min(h, w) < 3:
        return maps.new_zeros(*x.shape, 2)
    smoothed, reach = _smoothed(maps, sigma)
    whole = (x > reach) & (x < w - 1 - reach) & (y > reach) & (y < h - 1 - reach)
    peak, (x, y) = torch.stack((x, y), -1), (x.clamp(1, w - 2), y.clamp(1, h - 2))
    least = 1e-3 * maps.amax((-2, -1))

    def log_at(column: Tensor, row: Tensor) -> Tensor:
        value = torch.where(whole, _at(smoothed, column, row), _at(maps, column, row))
        return value.clamp(min=1e-300 if maps.dtype == torch.float64 else 1e-30).maximum(least).log()

    middle = log_at(x, y)
    left, right, above, below = log_at(x - 1, y), log_at(x + 1, y), log_at(x, y - 1), log_at(x, y + 1)
    slope_x, slope_y = (right - left) / 2, (below - above) / 2
    bend_x, bend_y = right - 2 * middle + left, below - 2 * middle + above
    corners = log_at(x + 1, y + 1) - log_at(x - 1, y + 1) - log_at(x + 1, y - 1) + log_at(x - 1, y - 1)
    twist = corners / 4
    determinant = bend_x * bend_y - twist**2
    move = torch.stack((twist * slope_y - bend_y * slope_x, twist * slope_x - bend_x * slope_y), -1)
    move = move / determinant[..., None]
    has_top = (determinant > 0) & (bend_x < 0)
    move = (torch.stack((x, y), -1) + move - peak).clamp(-1, 1)
    return torch.where(has_top[..., None], move, torch.zeros_like(move))


def _smoothed(maps: Tensor, sigma: float) -> tuple[Tensor, int]:
    """Maps smoothed by a Gaussian that is cut off at two and a half sigmas, and how far that reaches."""
    reach = int(2.5 * sigma + 0.5)
    distance = torch.arange(-reach, reach + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-(distance**2) / (2 * sigma**2))
    planes = maps.flatten(0, 1)[:, None]
    planes = F.conv2d(planes, kernel[None, None, :, None], padding=(reach, 0))
    planes = F.conv2d(planes, kernel[None, None, None, :], padding=(0, reach))
    return planes[:, 0].unflatten(0, maps.shape[:2]), reach


def _at(maps: Tensor, column: Tensor, row: Tensor) -> Tensor:
    """The value of each map at a position; of the nearest cell beyond the rim."""
    h, w = maps.shape[-2:]
    column, row = column.clamp(0, w - 1), row.clamp(0, h - 1)
    return maps.flatten(-2).gather(-1, (row * w + column)[..., None])[..., 0]


def mirror_maps(maps: Float[Tensor, "b k h w"], partners: list[int]) -> Float[Tensor, "b k h w"]:
    """The maps of a mirrored image as those of the image: mirrored, left and right exchanged.

    Args:
        maps: Heat maps.
        partners: For each keypoint, the one that it is in the mirror.
    """
    return maps.flip(-1)[:, partners]
