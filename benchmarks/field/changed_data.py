"""A: what a run depends on outside its folder changes between stop and `--resume`."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.field.cells import tried
from benchmarks.field.jobs import (
    COCO,
    DATA,
    FOLDERS,
    JOBS,
    PICTURED,
    WORDS,
    annotate,
    any_picture,
    picture,
    write_data,
)
from benchmarks.field.work import Work, change_json
from benchmarks.field.wrong import expect
from benchmarks.small_data import PART

ROOT = Path(DATA)
CHANGED = "the data of run changed"


@tried("A", "a picture is added", *PICTURED)
def _(work: Work, column: str) -> str:
    work.stopped(column)
    new = any_picture(column, ROOT).with_name("new.png")
    shutil.copy(any_picture(column, ROOT), new)
    if column == "segmentation":
        shutil.copy(ROOT / f"{PART}annot" / "2.png", ROOT / f"{PART}annot" / "new.png")
    if column in COCO:
        image = {"id": 99, "file_name": "new.png", "width": 80, "height": 64}
        annotate(column, ROOT, lambda content: content["images"].append(image))
    return work.refused(*work.resume(column), naming=CHANGED)


@tried("A", "a picture becomes another of the same name and shape", *PICTURED)
def _(work: Work, column: str) -> str:
    work.stopped(column)
    path = any_picture(column, ROOT)
    Image.new("RGB", Image.open(path).size, "teal").save(path)
    return work.refused(*work.resume(column), naming=CHANGED)


@tried("A", "a class is renamed", *FOLDERS, "imagenet", *COCO)
def _(work: Work, column: str) -> str:
    work.stopped(column)
    if column in COCO:

        def rename(content: dict[str, Any]) -> None:
            content["categories"][0]["name"] = "player"

        annotate(column, ROOT, rename)
    else:
        for folder in [*ROOT.rglob("b")]:
            folder.rename(folder.with_name("wolf"))
    return work.refused(*work.resume(column), naming=CHANGED)


@tried("A", "a label picture is drawn again", "segmentation")
def _(work: Work, column: str) -> str:
    work.stopped(column)
    labels = np.zeros((64, 80), np.uint8)
    labels[:32] = 2
    Image.fromarray(labels).save(ROOT / f"{PART}annot" / "1.png")
    return work.refused(*work.resume(column), naming=CHANGED)


@tried("A", "a box moves", *COCO)
def _(work: Work, column: str) -> str:
    work.stopped(column)

    def move(content: dict[str, Any]) -> None:
        content["annotations"][3]["bbox"][0] += 1

    annotate(column, ROOT, move)
    return work.refused(*work.resume(column), naming=CHANGED)


@tried("A", "the folder is swapped for another of as many pictures", *FOLDERS, "imagenet", "segmentation")
def _(work: Work, column: str) -> str:
    work.stopped(column)
    for path in [*ROOT.rglob("*.png")]:
        if "annot" not in path.parent.name:
            picture(path, 1000 + len(path.name), Image.open(path).size)
            path.rename(path.with_name(f"x{path.name}"))
        else:
            path.rename(path.with_name(f"x{path.name}"))
    return work.refused(*work.resume(column), naming=CHANGED)


@tried(
    "A", "the weights that trainings start from become others", "imagenet", "segmentation", "classification"
)
def _(work: Work, column: str) -> str:
    from safetensors.torch import load_file, save_file

    weights = Path(work.member(column)) / "weights.safetensors"
    shutil.copy(weights, "start.safetensors")
    shutil.rmtree("run")
    words = list(WORDS[column])
    if "--weights" in words:
        words[words.index("--weights") + 1] = "start.safetensors"
    else:
        words += ["--weights", "start.safetensors"]
    from benchmarks.field.work import stopping

    with stopping():
        told = work.run(*words, "--out", "run")
    expect(told.code == 130, told.err[-300:])
    tensors = load_file("start.safetensors")
    save_file({name: value * 0 for name, value in tensors.items()}, "start.safetensors")
    return work.refused(*work.resume(column), naming="start.safetensors")


@tried("A", "the folder moves, and --data.root says where", *JOBS)
def _(work: Work, column: str) -> str:
    work.stopped(column)
    ROOT.rename("elsewhere")
    work.refused(*work.resume(column), naming="--data.root FOLDER")
    work.done(*work.resume(column), "--data.root", "elsewhere")
    return "right: refused without, and done with it"


@tried("A", "the folder moves, and --data.root says another", *PICTURED)
def _(work: Work, column: str) -> str:
    work.stopped(column)
    ROOT.rename("elsewhere")
    write_data(column, Path("other"))
    any_picture(column, Path("other")).write_bytes(
        any_picture(column, Path("elsewhere")).read_bytes() + b"\0"
    )
    return work.refused(*work.resume(column), "--data.root", "other", naming=CHANGED)


@tried("A", "the seed in config.json is edited", "search", "classification", "imagenet")
def _(work: Work, column: str) -> str:
    work.stopped(column)

    def edit(content: dict[str, Any]) -> None:
        if "seed" in content:
            content["seed"] = 7
        else:
            content["seeds"] = [7]

    for config in [Path("run/config.json"), *Path("run").glob("*/config.json")]:
        change_json(config, edit)
    return work.refused(*work.resume(column))
