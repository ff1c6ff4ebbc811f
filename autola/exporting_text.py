"""A trained network that translates as ONNX: a folder with two graphs, sub-words, and a loop to run them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from evaluators.tasks.translation import Translation, onnx_translator
from evaluators.tasks.translation.beam import translate
from evaluators.tasks.translation.onnx_translator import START, Translator
from evaluators.tasks.translation.sentences import padded
from evaluators.tasks.translation.subwords import UNKNOWN, Subwords
from evaluators.tasks.translation.text import Text
from foundation.config import config
from foundation.errors import InputError
from outputs.new_folder import make_folder
from supernet.networks.decoding import Reading, Writing, empty_caches, flat
from supernet.networks.transformer import END, Transformer

if TYPE_CHECKING:
    from autola.trained import Trained

EXAMPLES = 8
"""Sentences of the test part that an export is tried on."""

TOLERANCE = 1e-3
"""Largest difference of a logarithm of a chance to the network's, in shares of the largest one."""


@config
class ExportedText:
    """What was written, and how it compares with the network."""

    inputs: str
    """The sentences that it was tried on, in words."""
    difference: float
    """Largest absolute difference of the logarithms of the chances of words."""
    scale: float
    """Largest absolute one of the network."""
    equal: int
    """Sentences whose translations are those of the network, word by word; others are near ties."""
    tried: int
    """Sentences that were translated."""


def export_translator(trained: Trained, folder: Path) -> ExportedText:
    """Writes a network that translates into a new folder, and holds it against the network.

    Args:
        trained: The training.
        folder: The folder to make; see `onnx_translator` for what is in it.

    Raises:
        InputError: If the folder is there, the exporter refuses the network, or what it wrote gives words
            other chances than the network; nothing is left then.
    """
    task, network = cast(Translation, trained.task), cast(Transformer, trained.network.float().eval())
    subwords = Subwords.of_text(trained.data["vocabulary"], "the vocabulary in data.json")
    sentences, inputs = _sentences(task, subwords)
    told = list[ExportedText]()

    def fill(partial: Path) -> None:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of the exporters, about themselves
            settings = {"beam": task.beam, "length_penalty": task.length_penalty}
            settings |= {"source": task.data.source, "target": task.data.target}
            write_graphs(network, partial, settings)
            (partial / "subwords.model").write_bytes(subwords.model)
            source = Path(onnx_translator.__file__).read_text(encoding="utf-8")
            (partial / "translate.py").write_text(source, encoding="utf-8")
            told.append(_compared(network, task, Translator(partial), sentences, inputs))

    make_folder(folder, fill, what="export", choice="--onnx")
    return told[0]


def write_graphs(network: Transformer, folder: Path, settings: dict[str, Any]) -> None:
    """Writes both graphs of a network in eval mode and the settings of their loop.

    Raises:
        InputError: If the exporter refuses the network.
    """
    auto = torch.export.Dim.DYNAMIC
    reading = Reading(network)
    writing = Writing(network, reading.names)
    words = torch.tensor([[UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, END], [UNKNOWN, END, 0, 0, 0]])
    first = _owned(flat(empty_caches(network, 2), writing.names))
    padding, *remembered = _owned(reading(words))
    cache = first
    for position in range(3):
        start = torch.full((2, 1), START)
        _, *cache = writing(start, torch.tensor(position), padding, [*remembered, *cache])
    given = [*remembered, *_owned(cache)]
    _, *shorter = reading(words[:, :4])
    axes = [
        {axis: auto for axis in range(now.dim()) if axis == 0 or now.shape[axis] != before.shape[axis]}
        for before, now in zip((*shorter, *first), given)
    ]
    _write(folder / "reading.onnx", reading, (words,), ({0: auto, 1: auto},), ["source"])
    _write(
        folder / "writing.onnx",
        writing,
        (words[:, :1], torch.tensor(3), padding, given),
        ({0: auto}, None, {0: auto, 1: auto}, axes),
        None,
    )
    settings = settings | {"caches": [list(part.shape[1:]) for part in first]}
    (folder / "settings.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _write(
    path: Path, module: Any, given: tuple[Any, ...], axes: tuple[Any, ...], names: list[str] | None
) -> None:
    try:
        program = torch.export.export(module, given, dynamic_shapes=axes)
        made = torch.onnx.export(program, dynamo=True, verbose=False, input_names=names)
        assert made is not None
        made.save(path, external_data=False)
    except Exception as error:  # the exporters', of many kinds
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"the ONNX exporter refuses this network ({reason})") from None


def _owned(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Copies, none of which is a view of another tensor: a program is bound to what it is a view of."""
    return [tensor.clone(memory_format=torch.contiguous_format) for tensor in tensors]


def _sentences(task: Translation, subwords: Subwords) -> tuple[list[list[int]], str]:
    """Sentences to try: the first ones of the test part, or random sub-words where it is not at hand."""
    try:
        lines = [source for source, _ in islice(Text(task.data, task.data.test), EXAMPLES)]
        found = [words for words in subwords.encode(lines) if words]
        if found:
            return found, f"{len(found)} test sentence(s)"
        why = "they are empty"
    except InputError as error:
        why = str(error)
    random = torch.Generator().manual_seed(0)
    drawn = torch.randint(UNKNOWN, len(subwords), (EXAMPLES, 12), generator=random).tolist()
    return [
        words[: 3 + row] for row, words in enumerate(drawn)
    ], f"{EXAMPLES} random sentences (none of the test: {why})"


def _compared(
    network: Transformer,
    task: Translation,
    translator: Translator,
    sentences: Sequence[list[int]],
    inputs: str,
) -> ExportedText:
    """Holds chances and translations against the network's.

    Raises:
        InputError: If they disagree, or the network gives no numbers.
    """
    expected = translate(network, sentences, beam=task.beam, penalty=task.length_penalty)
    written = padded([[START, *words] for words in expected])
    ours = network(padded([[*words, END] for words in sentences]), written).log_softmax(-1)
    if not bool(ours.isfinite().all()):
        raise InputError("the network itself gives infinity or NaN; its training may have diverged")
    read, cache = translator.read(sentences), translator.begin(len(sentences))
    difference = 0.0
    for place, words in enumerate(written.T):
        chances, cache = translator.step(words.numpy(), place, read, cache)
        real = torch.tensor([place <= len(one) for one in expected])
        difference = max(difference, float((torch.from_numpy(chances) - ours[:, place])[real].abs().max()))
    scale = float(ours.abs().max())
    if not difference <= TOLERANCE * scale:
        raise InputError(
            f"the ONNX graphs differ from the network by {difference:.3g}, logarithms being up to "
            f"{scale:.3g}; they are not kept"
        )
    equal = sum(one == other for one, other in zip(translator.translate(sentences), expected))
    return ExportedText(inputs=inputs, difference=difference, scale=scale, equal=equal, tried=len(expected))
