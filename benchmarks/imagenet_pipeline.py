"""Pictures a second on one core: decoding and augmentation, beside torchvision's reference pipeline.

    python -m benchmarks.imagenet_pipeline --root IMAGENET

The reference is torchvision's ImageFolder with the transforms of its classification script. Both read the
same files in the same order; rounds alternate, and the fastest of each counts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torchvision import datasets, transforms

from evaluators.data.pictures import Normalise, Pictures, collate, list_pictures
from evaluators.tasks.imagenet import MEAN, STD, ImageNet

NUMBER = 200
"""Pictures of a round."""


def main() -> None:
    """Prints pictures a second of both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rounds = {"autola": ours(given.root), "torchvision": reference(given.root)}
    best = dict.fromkeys(rounds, float("inf"))
    for _ in range(given.rounds):
        for name, read in rounds.items():
            started = time.process_time()
            read()
            best[name] = min(best[name], time.process_time() - started)
    for name, seconds in best.items():
        print(f"{name:<12}{NUMBER / seconds:8.1f} pictures a second of processor time")


def ours(root: str) -> Callable[[], object]:
    """Reads pictures as the task does, normalised in batches of 50."""
    pictures = list_pictures(Path(root) / "train").spread(NUMBER)
    samples, normalise = Pictures(pictures, ImageNet().random_crop()), Normalise(MEAN, STD)

    def read() -> None:
        for first in range(0, NUMBER, 50):
            images, _ = collate([samples.sample(number, number) for number in range(first, first + 50)])
            normalise(images)

    return read


def reference(root: str) -> Callable[[], object]:
    """Reads the same with torchvision's ImageFolder."""
    steps = [
        transforms.RandomResizedCrop(224),
        transforms.RandomHorizontalFlip(),
        transforms.PILToTensor(),
        transforms.ConvertImageDtype(torch.float),
        transforms.Normalize(MEAN, STD),
    ]
    folder = datasets.ImageFolder(f"{root}/train", transforms.Compose(steps))
    chosen = [number * len(folder) // NUMBER for number in range(NUMBER)]

    def read() -> None:
        for first in range(0, NUMBER, 50):
            torch.stack([folder[number][0] for number in chosen[first : first + 50]])

    return read


if __name__ == "__main__":
    main()
