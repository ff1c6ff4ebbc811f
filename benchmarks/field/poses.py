"""L: keypoints to the pixel."""

from __future__ import annotations

from benchmarks.field.cells import tried
from benchmarks.field.work import Work
from benchmarks.field.wrong import expect


@tried("L", "peaks of exact maps, wherever they lie and whatever the size", "dark", "quarter")
def _(work: Work, column: str) -> str:
    import torch

    from evaluators.tasks.keypoints.heat_maps import draw_maps, find_peaks

    most = 0.0
    for h, w in ((16, 12), (64, 48), (17, 33)):
        places = torch.rand(20, 17, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(h))
        points = places * torch.tensor((w - 1, h - 1))
        for sigma in (1.0, 2.0, 3.0):
            maps = draw_maps(points, (h, w), sigma)
            found, _ = find_peaks(maps, column, sigma)  # type: ignore[arg-type]
            most = max(most, float((found - points).abs().max()))
    expect(most < (0.02 if column == "dark" else 0.5), f"off by {most:.3f} cells")
    return f"right: off by {most:.4f} cells at most"


@tried("L", "maps of a mirrored picture, mirrored back", "dark", "quarter")
def _(work: Work, column: str) -> str:
    import torch

    from benchmarks.small_data import KEYPOINTS
    from evaluators.tasks.keypoints.heat_maps import draw_maps, find_peaks, mirror_maps
    from evaluators.tasks.keypoints.mirror import mirror_partners

    partners = mirror_partners(KEYPOINTS)
    points = torch.rand(4, 17, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 15
    mirrored = points.clone()
    mirrored[..., 0] = 15 - mirrored[..., 0]
    maps = mirror_maps(draw_maps(mirrored[:, partners], (16, 16), 2.0), partners)
    there, _ = find_peaks(maps, column)  # type: ignore[arg-type]
    here, _ = find_peaks(draw_maps(points, (16, 16), 2.0), column)  # type: ignore[arg-type]
    expect(bool(torch.allclose(there, here)), "shifted")
    return "right: no shift"


@tried("L", "flat, negative and NaN maps", "dark", "quarter")
def _(work: Work, column: str) -> str:
    import torch

    from evaluators.tasks.keypoints.heat_maps import find_peaks

    for maps in (torch.zeros(1, 2, 8, 8), -torch.rand(1, 2, 8, 8), torch.full((1, 2, 2, 2), 1e-38)):
        found, scores = find_peaks(maps, column)  # type: ignore[arg-type]
        expect(bool(found.isfinite().all() and scores.isfinite().all()), "no place")
        expect(bool((found > -1.01).all() and (found < 8.01).all()), "beside the map")
    return "right: a place in the map"


@tried("L", "poses of a network, with and without the mirror image, by both decoders", "keypoints")
def _(work: Work, column: str) -> str:
    work.data(column)
    for extra in (["--decode", "dark"], ["--decode", "quarter", "--no-flip-test"]):
        work.done(*work.words(column, f"run{len(extra)}"), *extra)
    return "right"
