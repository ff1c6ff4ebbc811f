"""The studies: does what a search finds help, beside controls of its cost? Each is one or more comparisons.

cells: CIFAR-10 at 16 pixels with ResNet-8 of width 16: three searches on 20,000 images, three trainings of
each cell, six random cells twice, all controls three times, two passes over all images each (`autola compare
--preset cifar10-short`). groups: cells of 1, 2, 4 and 8 channel groups with SE, and with dilated
convolutions, on every edge, three seeds each, trained alike. transfer: cells searched in ResNet-20, trained
in it, in ResNet-56 and in a Wide-ResNet, beside cells searched in those. finetune: a pretrained ResNet-50 on
few large images, every attention the identity at first; where the folder of the data has a
resnet18.safetensors, a ResNet-18 that starts from it, on images of 64 pixels. translation: the terms of
attention on Multi30k's sentences, in a small Transformer with relative positions, as in Zhu et al., ICCV
2019; then with sines, beside plain attention. places: which module where, in five networks; see
`benchmarks.study_places`.

    python -m benchmarks.study cells --root FOLDER --minutes 60 --jobs 2
    python -m benchmarks.study cells --table

What a search or training ends with is a small file, which is copied to `--out` within seconds of its end.
With these files alone the study goes on, here or on another machine, and does nothing again that has ended:
it may run for an hour a day, and may be killed at any moment.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Annotated, Any, Literal

import tyro

from autola.advising.conclude import ADVICE
from autola.comparing.config import CompareConfig
from autola.comparing.presets import COMPARE_PRESETS
from autola.comparing.rows import uniform
from autola.comparing.running import resume_comparison, run_comparison
from autola.comparing.showing import show
from autola.executors import executor_of
from autola.presets import RETRAIN_PRESETS
from benchmarks.publishing import ROOT, moved, publish
from benchmarks.study_places import SUBJECTS, run_places
from evaluators.tasks.classification import Classification
from evaluators.tasks.imagenet import ImageNet, ImageNetData
from evaluators.tasks.translation import Translation
from foundation.config import parse_json
from foundation.errors import InputError, listed
from foundation.files import write_text
from outputs.comparison import COMPARISON, Comparison
from outputs.records import CONFIG, GENOTYPE, RESULT
from outputs.run_directory import RunDirectory
from search_space.grammar import parse_attention
from search_space.term import Term
from supernet.networks.translator import TRANSFORMERS

Study = Literal["cells", "groups", "transfer", "finetune", "translation", "places"]

WEIGHTS = "resnet18.safetensors"
"""What `finetune` starts from, in the folder of the data."""

TERMS = (
    "self=ga:1111",
    "self=ga:0110",
    "self=dynamic[kernel_size=7]",
    "self=ga:1111+decoder.cross=ga:0010",
    "self=ga:0010+self=dcn",
    "self=ga:0111",
    "self=ga:0010",
)
"""The study's questions about translation: all terms; the two that it finds to matter most; dynamic
convolution; no query between decoder and encoder; key content with the deformable unit; all but query and key
content; key content alone, which knows no order."""

OF_ALL = ("*.json", "*.csv", "*.png")
OF_EACH = (RESULT, GENOTYPE)
"""Files that are kept: of a comparison, and of each of its searches and trainings."""

SECONDS = 10.0
"""Time between two looks at what has ended."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of the command."""

    study: Annotated[tyro.conf.Positional[Study], tyro.conf.arg(metavar="STUDY")] = "cells"
    """cells, groups, transfer, finetune, translation or places."""
    root: Path | None = None
    """Folder of the data: CIFAR-10 as folders of images; of finetune train and val, a folder a class; of
    translation Multi30k's texts."""
    out: Path | None = None
    """Folder of what is kept; outputs/published/study-STUDY if left out."""
    runs: Path = Path("outputs/runs")
    """Folder of the runs themselves, which may be deleted between two sittings."""
    minutes: float = 60.0
    """No search or training begins after so many."""
    on: str = "here"
    """Where searches and trainings run; see `autola compare`."""
    jobs: int | None = None
    """Searches or trainings side by side here, short for --on here:JOBS."""
    only: tuple[str, ...] = ()
    """Comparisons of the study, or of places networks, by name: nothing else is run; all if left out."""
    epochs: int | None = None
    """Epochs of a training; the preset's if left out. More tell smaller differences apart."""
    smoke: bool = False
    """The whole way on few images."""
    table: bool = False
    """Print what is there, and run nothing."""


def comparisons(options: Options) -> dict[str, CompareConfig]:
    """The comparisons of a study by name, in the order in which they are worth having."""
    root = str(options.root or ROOT)
    cells = COMPARE_PRESETS["cifar10-short"]
    assert isinstance(cells.task, Classification)
    assert cells.search is not None
    folder = partial(replace, name="folder", root=root)
    cells = replace(
        cells,
        task=replace(cells.task, data=folder(cells.task.data)),
        search=replace(cells.search, data=folder(cells.search.data)),
    )
    if options.epochs is not None:
        cells = replace(cells, train=replace(cells.train, epochs=options.epochs))
    match options.study:
        case "cells":
            found = {"cells": cells}
        case "groups":
            found = {"groups": _groups(cells)}
        case "transfer":
            found = {"from-resnet20": _in(cells, "cifar_resnet20", *_LARGER)}
            found |= {f"from-{name}": _in(cells, name, name) for name in _LARGER}
        case "finetune":
            found = {"finetune": _finetune(root, options.epochs, small=(Path(root) / WEIGHTS).is_file())}
        case "translation":
            found = {"relative": _translation(root, options.epochs)}
            found["sines"] = _with_sines(found["relative"])
        case "places":
            return {}  # what is compared is known after its searches: run_places
    return {name: config.smoke() for name, config in found.items()} if options.smoke else found


_LARGER = ("cifar_resnet56", "wide_resnet16_4")


def _groups(config: CompareConfig) -> CompareConfig:
    """Cells of 1 to 8 groups with one operator on every edge, so that nothing but the number differs."""
    assert config.search is not None
    space = config.search.resolved_space()
    attentions = tuple(
        (Term(name="hoga", argument=f"{operator}-{number}", genotype=uniform(operator, sized)),)
        for operator in ("SE", "dil_conv_3x3")
        for number in (1, 2, 4, 8)
        for sized in [replace(space, num_nodes=number)]
    )
    return replace(
        config,
        search=None,
        attentions=attentions,
        beside=("plain",),
        control_seeds=(0, 1, 2),
        primary=("hoga-SE-4", "hoga-SE-1"),
        spread=None,
    )


def _in(config: CompareConfig, searched: str, *trained: str) -> CompareConfig:
    """Cells searched in one network and trained in others, three seeds each."""
    assert config.search is not None
    return replace(
        config,
        search=replace(config.search, backbone=searched, width=None),
        task=replace(config.task, backbone=trained[0], width=None),  # pyright: ignore[reportCallIssue]
        backbones=trained if len(trained) > 1 else (),
        beside=("random", "plain", "se"),
        control_seeds=(0, 1, 2),
    )


def _finetune(root: str, epochs: int | None, *, small: bool) -> CompareConfig:
    preset = RETRAIN_PRESETS["imagenet"]
    assert isinstance(preset.task, ImageNet)
    task = replace(preset.task, data=ImageNetData(root=root), weights="pretrained", identity=True, workers=0)
    if small:
        task = replace(
            task, backbone="resnet18", weights=f"{root}/{WEIGHTS}", train_size=64, image_size=64, resize=72
        )
    changes = {"epochs": epochs or (2 if small else 5), "batch_size": 32, "learning_rate": 0.01}
    train = replace(preset.train, schedule="cosine", milestones=(), **changes)
    return CompareConfig(
        task=task,
        train=train,
        attentions=tuple(map(parse_attention, ("hoga", "se", "cbam"))),
        beside=("plain",),
        control_seeds=(0, 1, 2),
        threads=1,
    )


def _translation(root: str, epochs: int | None) -> CompareConfig:
    """About a minute of one thread a training: a smaller network, a third of the text, no beam."""
    preset = RETRAIN_PRESETS["multi30k"]
    assert isinstance(preset.task, Translation)
    data = replace(preset.task.data, root=root, vocabulary=2000, limit=10_000)
    small = replace(
        TRANSFORMERS["transformer_tiny"],
        encoder_layers=2,
        decoder_layers=2,
        width=64,
        hidden=128,
        dropout=0.1,
        positions="relative",
    )
    changes = {"epochs": epochs or 4, "batch_size": 1024, "warmup_steps": 200, "average": 0}
    return CompareConfig(
        task=replace(preset.task, data=data, transformer=small, beam=1),
        train=replace(preset.train, validation_fraction=0.0, **changes),
        attentions=tuple(map(parse_attention, TERMS)),
        beside=(),
        control_seeds=(0, 1, 2),
        primary=("self-ga-1111", "self-ga-0110"),
        measure=False,
        threads=1,
    )


def _with_sines(relative: CompareConfig) -> CompareConfig:
    """A copy with sines added to the words, so that plain attention knows their order."""
    assert isinstance(relative.task, Translation)
    transformer = replace(relative.task.transformer, positions="absolute")
    return replace(
        relative,
        task=replace(relative.task, transformer=transformer),
        attentions=relative.attentions[:2],
        beside=("plain",),
        primary=None,
    )


def keep(run: Path, kept: Path) -> None:
    """Copies what has ended to the folder that is published; the place of the images is left out."""
    if not (run / CONFIG).is_file():
        return
    kept.mkdir(parents=True, exist_ok=True)
    for pattern in OF_ALL:
        for file in run.glob(pattern):
            if not file.name.startswith("."):
                publish(file, kept / file.name)
    for result in run.glob(f"*/{RESULT}"):
        for name in OF_EACH:
            file = result.parent / name
            if file.is_file() and (name == RESULT or file.parent.name.startswith("search-")):
                (kept / file.parent.name).mkdir(exist_ok=True)
                publish(file, kept / file.parent.name / name)


def bring_back(kept: Path, run: Path, root: Path) -> None:
    """Makes a run of what was kept, where it is not there, or adds to it what ended elsewhere."""
    for file in sorted(kept.rglob("*")):
        there = run / file.relative_to(kept)
        if file.is_dir() or there.exists():
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, there)
    config = moved(RunDirectory(run).json(CONFIG), ROOT, str(root.absolute()))
    write_text(run / CONFIG, json.dumps(config, indent=2) + "\n")


@contextlib.contextmanager
def kept_up(run: Path, kept: Path) -> Iterator[None]:
    """Keeps what ends in a run, as it ends, and at the end whatever happens."""
    over = Event()

    def look() -> None:
        while not over.wait(SECONDS):
            keep(run, kept)

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        keep(run, kept)


def run_study(options: Options) -> None:
    """Runs the comparisons of a study until the time is over."""
    if options.root is None:
        raise InputError("give the folder of the data: --root FOLDER")
    until, where = time.monotonic() + 60 * options.minutes, executor_of(options.on, options.jobs)
    if options.study == "places":
        subjects = _chosen(options, SUBJECTS)
        run_places(subjects, options.root, options.runs, folder(options), until, where, smoke=options.smoke)
        return
    for name, config in _chosen(options, comparisons(options)).items():
        left = (until - time.monotonic()) / 60
        if left <= 0:
            return
        run, kept = options.runs / f"study-{name}", folder(options) / name
        if (kept / CONFIG).is_file():
            bring_back(kept, run, options.root)
        with kept_up(run, kept):
            if run.exists():
                told = resume_comparison(RunDirectory.open(run), on=where, minutes=left)
            else:
                told = run_comparison(config, run, on=where, minutes=left)
        show(told)


def _chosen(options: Options, named: Mapping[str, Any]) -> dict[str, Any]:
    """Those that are to be run."""
    if unknown := [name for name in options.only if name not in named]:
        raise InputError(f"{options.study} has no {listed(unknown)}; it has {listed(list(named))}")
    return {name: each for name, each in named.items() if not options.only or name in options.only}


def folder(options: Options) -> Path:
    """Where the results are kept."""
    return options.out or Path(f"outputs/published/study-{options.study}")


def table(options: Options) -> None:
    """Prints what is there of a study."""
    if options.study == "places":
        for path in sorted(folder(options).glob(f"*/{ADVICE}")):
            print(f"\n{path.parent.name}\n{path.read_text(encoding='utf-8')}")
        return
    for name in comparisons(options):
        path = folder(options) / name / COMPARISON
        if path.is_file():
            print(f"\n{name}")
            show(parse_json(Comparison, path.read_text(encoding="utf-8"), str(path)))


def main() -> None:
    """Runs a study, or prints what is there."""
    options = tyro.cli(Options, description=__doc__)
    if not math.isfinite(options.minutes) or options.minutes <= 0:
        raise SystemExit("give minutes above 0")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if options.table:
            table(options)
        else:
            run_study(options)
    except InputError as error:
        raise SystemExit(f"study: {error}") from None


if __name__ == "__main__":
    main()
