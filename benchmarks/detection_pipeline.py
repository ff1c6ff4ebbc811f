"""Images a second that one core reads, decodes and changes for a detector, beside torchvision's reference.

The reference is our short restatement of references/detection (reading as in its `CocoDetection`, transforms
v2 on tensors, presets "hflip" and "ssd"). Both give float images in 0 to 1, boxes and labels of the same
pictures; ours leaves the division to the device, and it is counted here all the same.
"""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torchvision
from PIL import Image
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from benchmarks.answer import answer
from evaluators.data.coco import CocoData, CocoSet, read_coco
from evaluators.tasks.coco_detection.boxes import BoxSamples


@dataclass(frozen=True, kw_only=True)
class Options:
    """Times the reading of images."""

    root: str
    """Folder of COCO, with `annotations` and `val2017`."""
    changes: tuple[Literal["flip", "ssd"], ...] = ("flip", "ssd")
    """What happens to an image."""
    images: int = 64
    """Images of a round."""
    rounds: int = 5
    """Rounds of each pipeline, taking turns; the median counts."""
    json: bool = False
    """Print one JSON object alone."""


class Reference:
    """torchvision's reference pipeline: a picture and its boxes through transforms v2."""

    def __init__(self, found: CocoSet, changes: str) -> None:
        self.found = found
        flip = v2.RandomHorizontalFlip()
        fill = [123.0, 117.0, 104.0]
        chain: list[nn.Module] = {
            "flip": [flip],
            "ssd": [v2.RandomPhotometricDistort(), v2.RandomZoomOut(fill=fill), v2.RandomIoUCrop(), flip],
        }[changes]
        last = [v2.ToDtype(torch.float, scale=True), v2.SanitizeBoundingBoxes(), v2.ToPureTensor()]
        self.transforms = v2.Compose([v2.ToImage(), *chain, *last])

    def sample(self, index: int) -> Any:
        picture = Image.open(self.found.path(index)).convert("RGB")
        known = [annotation for annotation in self.found.annotations[index] if not annotation.iscrowd]
        given: dict[str, Any] = {
            "boxes": tv_tensors.BoundingBoxes(  # pyright: ignore[reportCallIssue]
                [annotation.bbox for annotation in known] or torch.zeros(0, 4),
                format="XYWH",
                canvas_size=(picture.height, picture.width),
            ),
            "labels": torch.tensor([annotation.category_id for annotation in known], dtype=torch.int64),
        }
        given["boxes"] = v2.functional.convert_bounding_box_format(given["boxes"], new_format="XYXY")  # pyright: ignore[reportArgumentType]
        return self.transforms(picture, given)


def ours(found: CocoSet, changes: Any) -> Callable[[int], Tensor]:
    """Our pipeline, division included."""
    samples = BoxSamples(found, changes)
    return lambda index: samples.sample(index, index).image.float().div_(255)


def measure(options: Options) -> dict[str, Any]:
    """Images a second of both, by what happens to an image, and how many times the reference's ours is."""
    torch.set_num_threads(1)
    found = read_coco(CocoData(root=options.root, limit=options.images), "instances", "val2017")
    rates = dict[str, Any]()
    for changes in options.changes:
        runs = {"ours": ours(found, changes), "reference": Reference(found, changes).sample}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for run in runs.values():
            run(0)
        for _ in range(options.rounds):
            for name, run in runs.items():
                start = time.process_time()
                for index in range(len(found)):
                    run(index)
                seconds[name].append(time.process_time() - start)
        rate = {name: len(found) / statistics.median(values) for name, values in seconds.items()}
        rates[changes] = {name: round(value, 1) for name, value in rate.items()}
        rates[changes]["ratio"] = round(rate["ours"] / rate["reference"], 2)
    return {
        "images_per_cpu_second": rates,
        "images": len(found),
        "rounds": options.rounds,
        "machine": platform.machine(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
    }


def show(figures: dict[str, Any]) -> None:
    """Prints the figures for a person."""
    print(f"images a CPU second, torch {figures['torch']}, torchvision {figures['torchvision']}, one thread")
    for changes, rates in figures["images_per_cpu_second"].items():
        print(f"{changes:6} ours {rates['ours']:8} reference {rates['reference']:8} ratio {rates['ratio']}")


def main() -> None:
    """Prints the figures."""
    answer(Options, __doc__, measure, show)


if __name__ == "__main__":
    main()
