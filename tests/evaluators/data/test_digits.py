from __future__ import annotations

import pytest
import torch

from evaluators.data import DataConfig, read
from foundation.errors import InputError

DIGITS = DataConfig(padding=1, flip=False)


def test_the_split_is_fixed_stratified_and_disjoint() -> None:
    splits, again = read(DIGITS), read(DIGITS)
    assert splits.num_classes == 10
    assert splits.in_channels == 1
    assert splits.image_size == (8, 8)
    assert splits.validation is not None
    sizes = {name: len(part) for name, part in splits.parts().items()}
    assert sizes == {"train": 1078, "validation": 360, "test": 359}
    total = sum(torch.bincount(part.labels) for part in splits.parts().values())
    for name, part in splits.parts().items():
        assert torch.equal(part.images, again.parts()[name].images)
        share = total * len(part) / 1797
        assert ((torch.bincount(part.labels) - share).abs() < 1.5).all()


def test_the_whole_range_of_bytes_is_used() -> None:
    images = read(DIGITS).train.images
    assert images.min() == 0
    assert images.max() == 255
    assert len(images.unique()) == 17


def test_a_limit_holds_for_every_part() -> None:
    splits = read(DataConfig(limit=50))
    for part in splits.parts().values():
        assert torch.bincount(part.labels).tolist() == [5] * 10


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"root": "/tmp"}, "no use for root"),
        ({"download": True}, "no use for download"),
        ({"image_size": 32}, "no use for image_size"),
        ({"limit": 9}, "limit of 9 images is less than one for each of 10 classes; give at least 10"),
        ({"mean": (0.1, 0.2, 0.3)}, r"mean has 3 values, the images of 'digits' 1 channel"),
        ({"std": (0.1, 0.2)}, r"std has 2 values"),
        ({"padding": 5}, "padding 5 is too much for images of 8x8; give at most half the side, 4"),
        ({"cutout": 9}, "cutout of 9"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(DataConfig(**given))
