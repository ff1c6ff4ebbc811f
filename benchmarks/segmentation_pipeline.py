"""Pictures a second that one core reads, decodes and crops with their labels, beside torchvision's reference.

The reference is our short restatement of references/segmentation (RandomResize, flip, RandomCrop, on Pillow's
images as by default). Both give float pictures in 0 to 1 and labels; ours leaves the division to the device,
and it is counted here all the same.
"""

from __future__ import annotations

import json
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
import torchvision
import tyro
from PIL import Image
from torchvision import tv_tensors
from torchvision.transforms import v2

from autola.dense_presets import CAMVID
from evaluators.tasks.segmentation.data import IGNORED
from evaluators.tasks.segmentation.scene_crops import Crops
from evaluators.tasks.segmentation.scenes import Scenes, read_scenes


@dataclass(frozen=True, kw_only=True)
class Options:
    """Times the reading of pictures with labels."""

    root: str
    """Folder of CamVid, with `train` and `trainannot`."""
    crop: int = 321
    """Side of a crop."""
    pictures: int = 60
    """Pictures of a round."""
    rounds: int = 5
    """Rounds of each pipeline, taking turns; the median counts."""


def reference(scenes: Scenes, crop: int) -> Callable[[int], Any]:
    """Torchvision's reference pipeline."""
    fill: Any = {tv_tensors.Image: 0, Image.Image: 0, tv_tensors.Mask: IGNORED}
    height = scenes.picture(0).height
    chain = v2.Compose(
        [
            v2.RandomResize(round(0.7 * height), 2 * height, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomCrop(crop, pad_if_needed=True, fill=fill),
            v2.ToImage(),
            v2.ToDtype({tv_tensors.Image: torch.float, "others": None}, scale=True),
        ]
    )

    def sample(index: int) -> Any:
        picture, labels = (Image.open(path) for path in scenes.pairs[index])
        return chain(picture.convert("RGB"), tv_tensors.Mask(v2.functional.pil_to_tensor(labels)))

    return sample


def ours(scenes: Scenes, crop: int) -> Callable[[int], Any]:
    """Our pipeline, division included."""
    crops = Crops(scenes, crop, (0.7, 2.0), True)

    def sample(index: int) -> Any:
        scene = crops.sample(index, index)
        return scene.picture.float().div_(255), scene.labels

    return sample


def main() -> None:
    """Prints one JSON object."""
    options = tyro.cli(Options, description=__doc__)
    torch.set_num_threads(1)
    scenes = read_scenes(replace(CAMVID, root=options.root, limit=options.pictures), "train")
    pipelines = {"ours": ours(scenes, options.crop), "torchvision": reference(scenes, options.crop)}
    seconds: dict[str, list[float]] = {name: [] for name in pipelines}
    for _ in range(options.rounds + 1):
        for name, sample in pipelines.items():
            start = time.process_time()
            for index in range(len(scenes)):
                sample(index)
            seconds[name].append(time.process_time() - start)
    rates = {name: round(len(scenes) / statistics.median(times[1:]), 1) for name, times in seconds.items()}
    print(
        json.dumps(
            {
                "pictures_per_cpu_second": rates,
                "crop": options.crop,
                "pictures": len(scenes),
                "rounds": options.rounds,
                "machine": platform.processor() or platform.machine(),
                "torch": torch.__version__,
                "torchvision": torchvision.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
