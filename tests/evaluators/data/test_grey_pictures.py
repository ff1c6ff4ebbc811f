"""16-bit grey pictures: the same pixels by every way in."""

from pathlib import Path

import numpy as np
from PIL import Image

from evaluators.data.picture import open_rgb
from evaluators.data.pictures import open_picture


def test_sixteen_bits_of_grey_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.fromarray(np.array([[0, 257 * 7, 257 * 128, 65535]], dtype=np.uint16)).save(path)
    for read in (open_rgb, open_picture):
        assert np.asarray(read(path))[0, :, 0].tolist() == [0, 7, 128, 255]
