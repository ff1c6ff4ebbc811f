"""What the studies compare; `benchmarks.study` runs them.

cells: CIFAR-10 at 16 pixels with ResNet-8 of width 16: three searches on 20,000 images, three trainings of
    each cell, six random cells twice, all controls three times, two passes over all images each (`autola
    compare --preset cifar10-short`).
spread: is there anything to find? Five random cells of the space twice, of a wider one under the same limit,
    and of that without any, five passes, beside plain; nothing is searched.
remedies: what other searches find, trained as in `spread` and beside its random cells: those of `cells`, a
    supernet that is trained path by path, one that sees all images and finals that last.
groups: cells of 1, 2, 4 and 8 channel groups with SE, and with dilated convolutions, on every edge, three
    seeds each, trained alike.
transfer: cells searched in ResNet-20 and trained in ResNet-56 and WRN-16-2, beside cells searched in those,
    random ones, SE and nothing; three searches each, 10,000 images.
finetune: a pretrained ResNet-50 on few large images, every attention the identity at first; where the folder
    of the data has a resnet18.safetensors, a ResNet-18 that starts from it, on images of 64 pixels.
translation: the terms of attention on Multi30k's sentences, in a small Transformer with relative positions,
    as in Zhu et al., ICCV 2019; then with sines, beside plain attention.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

from autola.comparing.config import CompareConfig, Control
from autola.comparing.presets import COMPARE_PRESETS
from autola.comparing.rows import uniform
from autola.presets import RETRAIN_PRESETS
from benchmarks.across import Across, KeptRow
from evaluators.tasks.classification import Classification
from evaluators.tasks.imagenet import ImageNet, ImageNetData
from evaluators.tasks.translation import Translation
from search_space.grammar import parse_attention
from search_space.term import Term
from searchers.darts import Darts
from searchers.finals import Finals
from searchers.gdas import Gdas
from searchers.random_ws import RandomWS
from supernet.networks.translator import TRANSFORMERS

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

LONGER_EPOCHS = 5
"""Passes of `spread`: trainings of one network differ by a third of what they do after two."""

SMALLER, LARGER = "cifar_resnet20", ("cifar_resnet56", "wide_resnet16_2")
"""Where the cells of `transfer` come from, and where they go."""


def comparisons_of(study: str, root: str, epochs: int | None = None) -> dict[str, CompareConfig]:
    """The comparisons of a study by name, in the order in which they are worth having.

    Args:
        study: Its name.
        root: Folder of its data.
        epochs: Epochs of a training; the study's own if left out.
    """
    cells = _cells(root, epochs)
    match study:
        case "cells":
            return {study: cells}
        case "spread":
            return _spread(_cells(root, epochs or LONGER_EPOCHS))
        case "remedies":
            return _remedies(_cells(root, epochs or LONGER_EPOCHS))
        case "groups":
            return {study: _groups(cells)}
        case "transfer":
            few = _few(cells)
            here = {_from(name): _in(few, name, (name,), beside=("plain",)) for name in LARGER}
            return {_from(SMALLER): _in(few, SMALLER, LARGER, beside=("random", "plain", "se"))} | here
        case "finetune":
            return {study: _finetune(root, epochs, small=(Path(root) / WEIGHTS).is_file())}
        case "translation":
            relative = _translation(root, epochs)
            return {"relative": relative, "sines": _with_sines(relative)}
    raise AssertionError(study)


def across_of(study: str) -> tuple[Across, ...]:
    """What is compared between comparisons of a study, or with those of another."""
    drawn = KeptRow("spread", "random", "random")
    if study == "spread":
        others = ("random-wide", "random-unlimited")
        return tuple(Across(KeptRow(study, name, "random"), drawn) for name in others)
    if study == "remedies":
        return tuple(Across(KeptRow(study, name, "found"), drawn) for name in ("longer", "fair", "whole"))
    if study == "transfer":
        pairs = [(KeptRow(study, _from(SMALLER), "found", name), name) for name in LARGER]
        return tuple(Across(first, KeptRow(study, _from(name), "found")) for first, name in pairs)
    return ()


def _cells(root: str, epochs: int | None) -> CompareConfig:
    cells = COMPARE_PRESETS["cifar10-short"]
    assert isinstance(cells.task, Classification)
    assert cells.search is not None
    folder = partial(replace, name="folder", root=root)
    return replace(
        cells,
        task=replace(cells.task, data=folder(cells.task.data)),
        search=replace(cells.search, data=folder(cells.search.data)),
        train=replace(cells.train, epochs=epochs or cells.train.epochs),
        control_seeds=(0, 1, 2, 3, 4),
    )


def _remedies(config: CompareConfig) -> dict[str, CompareConfig]:
    """Comparisons of found cells and plain, each with another search; random cells are those of `spread`."""
    search = config.search
    assert search is not None
    assert isinstance(search.searcher, Darts)
    finals = search.searcher.finals
    fair = RandomWS(epochs=4, batch_size=search.searcher.batch_size, trials=20, finals=finals)
    whole = replace(
        search.searcher, epochs=2, alpha_warmup=0.5, finals=replace(finals, count=4, neighbours=2, epochs=4)
    )
    searches = {
        "longer": search,
        "fair": replace(search, searcher=fair),
        "whole": replace(search, data=replace(search.data, limit=None), searcher=whole),
    }
    return {
        name: replace(config, search=each, seeds=(0, 1), beside=("plain",), spread=None)
        for name, each in searches.items()
    }


def _spread(config: CompareConfig) -> dict[str, CompareConfig]:
    """Random cells of two spaces beside the plain network: do cells differ, so that a search can choose?

    Under the limit of the studies no operator fits that the wider space has beyond the nine of the other:
    where one stands, a deployed cell is no single operator any more.
    """
    assert config.search is not None
    alone = replace(config, search_seeds=(), random_cells=5, beside=("random", "plain"), spread=None)
    wide = replace(config.search, space="hoga_wide")
    return {
        "random": alone,
        "random-wide": replace(alone, search=wide),
        "random-unlimited": replace(alone, search=replace(wide, target=())),
    }


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


def _few(config: CompareConfig) -> CompareConfig:
    """Fewer images, and searches of one operator an edge at a time: deep networks with all take hours."""
    assert isinstance(config.task, Classification)
    assert config.search is not None
    searcher = Gdas(
        epochs=3,
        batch_size=64,
        learning_rate=0.05,
        alpha_learning_rate=0.01,
        finals=Finals(count=4, epochs=1, learning_rate=0.05),
    )
    few = partial(replace, limit=10_000)
    return replace(
        config,
        task=replace(config.task, data=few(config.task.data)),
        search=replace(config.search, data=few(config.search.data), searcher=searcher),
        control_seeds=(0, 1, 2),
        spread=None,
        measure=False,
    )


def _in(
    config: CompareConfig, searched: str, trained: tuple[str, ...], beside: tuple[Control, ...]
) -> CompareConfig:
    """Cells searched in one network and trained in others, three of them once each, as all else."""
    assert config.search is not None
    return replace(
        config,
        search=replace(config.search, backbone=searched, width=None),
        task=replace(config.task, backbone=trained[0], width=None),  # pyright: ignore[reportCallIssue]
        backbones=trained if len(trained) > 1 else (),
        beside=beside,
        seeds=(0,),
        random_cells=3,
        random_seeds=(0,),
        control_seeds=(0, 1, 2),
    )


def _from(backbone: str) -> str:
    return f"from-{backbone.removeprefix('cifar_')}"


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
