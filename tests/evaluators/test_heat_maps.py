"""Heat maps and peaks: exact where a keypoint is at a quarter of a cell, the same in a mirror."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from evaluators.tasks.keypoints.heat_maps import (
    draw_maps,
    find_peaks,
    mirror_maps,
    reaches,
    to_cells,
    to_pixels,
)
from tests.equality import assert_equal

SIZE = (9, 7)


def test_a_map_is_a_gaussian_around_its_point():
    points = torch.tensor([[[2.25, 5.0], [-1.0, 8.5]]], dtype=torch.float64)
    maps = draw_maps(points, SIZE, 1.5)
    assert maps.shape == (1, 2, *SIZE)
    for k in range(2):
        for row in range(SIZE[0]):
            for column in range(SIZE[1]):
                squared = (column - points[0, k, 0]) ** 2 + (row - points[0, k, 1]) ** 2
                assert maps[0, k, row, column].item() == pytest.approx(
                    math.exp(-squared / (2 * 1.5**2)), abs=1e-12
                )


@given(st.integers(4, 20), st.integers(4, 28))
def test_a_point_at_a_quarter_of_a_cell_comes_back_exactly(column, row):
    # Odd quarters of a cell: peaks are a quarter to one side of a centre. Inside, both neighbours exist.
    x, y = column + column % 2 - 1, row + row % 2 - 1
    point = torch.tensor([[[x / 4, y / 4]]], dtype=torch.float64)
    found, score = find_peaks(draw_maps(point, SIZE, 2.0))
    assert torch.equal(found, point)
    assert 0.9 < score.item() <= 1


@given(st.floats(1, 5), st.floats(1, 7))
def test_any_point_comes_back_to_a_quarter_of_a_cell(x, y):
    point = torch.tensor([[[x, y]]], dtype=torch.float64)
    found, _ = find_peaks(draw_maps(point, SIZE, 2.0))
    assert (found - point).abs().max() <= 0.25 + 1e-9


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("size", [(64, 48), (16, 12), (5, 9)])
def test_to_second_order_a_gaussian_is_decoded_exactly(sigma, size):
    generator = torch.Generator().manual_seed(0)
    points = torch.rand(3, 200, 2, generator=generator, dtype=torch.float64)
    points = points * torch.tensor([size[1] - 1, size[0] - 1])
    found, scores = find_peaks(draw_maps(points, size, sigma), "dark", sigma)
    assert (found - points).abs().max() < 2e-3
    assert (scores > 0.7).all()
    rough, _ = find_peaks(draw_maps(points, size, sigma))
    assert (rough - points).abs().max() > 0.2


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_pixels_come_back_at_every_stride(stride):
    pixels = torch.rand(1, 500, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 127
    cells = to_cells(pixels, stride).clamp(0, 128 // stride - 1)
    found, _ = find_peaks(draw_maps(cells, (128 // stride,) * 2, 2.0), "dark", 2.0)
    assert (to_pixels(found, stride) - to_pixels(cells, stride)).abs().max() < 2e-3 * stride


def test_what_is_no_hill_stays_at_its_peak():
    for maps in (torch.zeros(1, 2, *SIZE), -torch.ones(1, 1, *SIZE), torch.ones(1, 1, 2, 2)):
        quarter, dark = find_peaks(maps.double(), "quarter"), find_peaks(maps.double(), "dark")
        assert dark[0].isfinite().all()
        assert torch.equal(dark[1], quarter[1])
    noise = torch.randn(4, 17, 64, 48, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, _ = find_peaks(noise, "dark", 2.0)
    peaks = noise.flatten(-2).argmax(-1)
    assert (found - torch.stack((peaks % 48, peaks // 48), -1)).abs().max() <= 1


@pytest.mark.parametrize(("row", "column"), [(0, 0), (8, 6), (0, 3), (4, 6)])
def test_at_the_rim_a_peak_does_not_move_outwards(row, column):
    maps = torch.zeros(1, 1, *SIZE)
    maps[0, 0, row, column] = 1
    found, score = find_peaks(maps)
    assert found.flatten().tolist() == [column, row]
    assert score.item() == 1


def test_the_peak_moves_towards_the_larger_neighbour():
    maps = torch.zeros(1, 1, *SIZE)
    maps[0, 0, 4, 3] = 1
    maps[0, 0, 4, 2] = maps[0, 0, 5, 3] = 0.5
    assert find_peaks(maps)[0].flatten().tolist() == [2.75, 4.25]


def test_the_mirrored_map_is_the_map_of_the_mirrored_points():
    width = 16  # pixels: four cells of four
    pixels = torch.tensor([[[2.0, 7.0], [11.5, 3.25], [5.0, 5.0]]], dtype=torch.float64)
    partners = [1, 0, 2]
    mirrored = pixels[:, partners].clone()
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    maps, other = (draw_maps(to_cells(points, 4), (3, 4), 1.0) for points in (pixels, mirrored))
    assert_equal(mirror_maps(other, partners), maps)


def test_cells_and_pixels_agree_at_their_centres():
    assert to_cells(torch.tensor([1.5, 5.5]), 4).tolist() == [0, 1]
    assert to_pixels(torch.tensor([0.0, 1.0]), 4).tolist() == [1.5, 5.5]


def test_points_far_outside_teach_nothing():
    points = torch.tensor([[[0.0, 0.0], [-6.0, 4.0], [-6.1, 4.0], [3.0, 14.0], [3.0, 14.1], [12.5, 0.0]]])
    assert reaches(points, SIZE, 2.0).tolist() == [[True, True, False, True, False, False]]
