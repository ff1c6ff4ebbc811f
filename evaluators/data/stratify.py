"""Seeded splits in which every class keeps its share."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from evaluators.data.image_set import ImageSet
from foundation.errors import InputError


def halves(images: ImageSet, seed: int = 0) -> tuple[ImageSet, ImageSet]:
    """Two disjoint halves, for weights and for alphas; they differ by at most one image a class and in all.

    Raises:
        InputError: If there are fewer than two images.
    """
    first, second = halved(images.labels, len(images.classes), seed)
    return images.select(first), images.select(second)


def halved(
    labels: Int64[Tensor, "n"], num_classes: int, seed: int = 0
) -> tuple[Int64[Tensor, "m"], Int64[Tensor, "k"]]:
    """Places of both halves, in order, from the labels alone; see `halves`."""
    if len(labels) < 2:
        raise InputError("searching needs at least two training images, one for each half")
    counts = torch.bincount(labels, minlength=num_classes)
    return _chosen(labels, quotas(counts, len(labels) // 2, torch.zeros_like(counts), counts), seed)


def hold_out(images: ImageSet, fraction: float, seed: int = 0) -> tuple[ImageSet, ImageSet]:
    """Splits off a part of the images; every class keeps at least one image in the larger, first part.

    Args:
        images: What to split.
        fraction: Share of the images to hold out, between 0 and 1.
        seed: Other seeds give other splits.

    Returns:
        The rest, and what was held out.

    Raises:
        InputError: If `fraction` is not between 0 and 1, or nothing is left on one side.
    """
    rest, held = held_out(images.labels, len(images.classes), fraction, seed)
    return images.select(rest), images.select(held)


def held_out(
    labels: Int64[Tensor, "n"], num_classes: int, fraction: float, seed: int = 0
) -> tuple[Int64[Tensor, "m"], Int64[Tensor, "k"]]:
    """Places of both parts, in order, from the labels alone."""
    if not 0 < fraction < 1:
        raise InputError(f"cannot hold out a fraction of {fraction:g}; give a number between 0 and 1")
    counts = torch.bincount(labels, minlength=num_classes)
    most = (counts - 1).clamp(min=0)
    total = min(round(fraction * len(labels)), int(most.sum()))
    if total < 1:
        raise InputError(
            f"holding out {fraction:g} of {len(labels)} images in {num_classes} classes leaves none; "
            "give a larger fraction or more images"
        )
    held, rest = _chosen(labels, quotas(counts, total, torch.zeros_like(counts), most), seed)
    return rest, held


def subset(images: ImageSet, limit: int, seed: int = 0) -> ImageSet:
    """At most `limit` images, at least one of each class that `images` has.

    Raises:
        InputError: If `limit` is smaller than the number of these classes.
    """
    if limit >= len(images):
        return images
    counts = _counts(images)
    least = counts.clamp(max=1)
    if limit < int(least.sum()):
        raise InputError(
            f"a limit of {limit} images is less than one for each of {int(least.sum())} classes; "
            f"give at least {int(least.sum())}"
        )
    return _divide(images, quotas(counts, limit, least, counts), seed)[0]


def quotas(
    counts: Int64[Tensor, "k"], total: int, least: Int64[Tensor, "k"], most: Int64[Tensor, "k"]
) -> Int64[Tensor, "k"]:
    """Shares `total` out in proportion to `counts`, by largest remainders, within bounds.

    Args:
        counts: Images of each class.
        total: What the quotas add up to, between the sums of `least` and `most`.
        least: Lower bound of each class.
        most: Upper bound of each class.
    """
    assert int(least.sum()) <= total <= int(most.sum()), (least, total, most)
    exact = counts.double() * total / counts.sum()
    quota = torch.minimum(torch.maximum(exact.floor().long(), least), most)
    while (missing := total - int(quota.sum())) != 0:
        step = 1 if missing > 0 else -1
        free = quota < most if step > 0 else quota > least
        gain = torch.where(free, (exact - quota) * step, -torch.inf)
        quota[int(gain.argmax())] += step
    return quota


def _counts(images: ImageSet) -> Int64[Tensor, "k"]:
    return torch.bincount(images.labels, minlength=len(images.classes))


def _divide(images: ImageSet, quota: Int64[Tensor, "k"], seed: int) -> tuple[ImageSet, ImageSet]:
    """Picks `quota` images of each class at random; both parts keep the order of `images`."""
    chosen, rest = _chosen(images.labels, quota, seed)
    return images.select(chosen), images.select(rest)


def _chosen(
    labels: Int64[Tensor, "n"], quota: Int64[Tensor, "k"], seed: int
) -> tuple[Int64[Tensor, "m"], Int64[Tensor, "l"]]:
    """Places of both halves, from the labels alone."""
    shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    by_class = shuffled[labels[shuffled].argsort(stable=True)]
    ordered = labels[by_class]
    counts = torch.bincount(labels, minlength=len(quota))
    rank = torch.arange(len(labels)) - (counts.cumsum(0) - counts)[ordered]
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    chosen[by_class] = rank < quota[ordered]
    return chosen.nonzero().flatten(), (~chosen).nonzero().flatten()
