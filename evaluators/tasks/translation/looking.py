"""What a Transformer looks at while it translates: each attention, and each of its terms alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from evaluators.evaluating import modes_kept
from evaluators.tasks.translation.beam import translate
from evaluators.tasks.translation.subwords import Subwords
from search_space.sequence import Look, Role, SequenceOperator, normalised
from supernet.networks.transformer import END, START, Layer, Transformer

if TYPE_CHECKING:
    from evaluators.tasks.translation import Translation


@dataclass(frozen=True, eq=False)
class Sight:
    """An attention with the words that it stands between.

    Attributes:
        place: Layer and site, as "layer 1, decoder.cross".
        queries: Sub-words that look.
        keys: Sub-words that are looked at.
        maps: The mean of the weights over the heads under "weights"; of an attention of several terms also
            that of each term alone, as if it were the only one.
    """

    place: str
    queries: list[str]
    keys: list[str]
    maps: Mapping[str, Float[Tensor, "q k"]]


def attended(config: Translation, network: nn.Module, vocabulary: str, line: str) -> tuple[str, list[Sight]]:
    """A sentence's translation, and what was looked at; an empty one has neither.

    Args:
        config: Beam and length penalty.
        network: A trained network.
        vocabulary: Its sub-words, as data.json holds them.
        line: The sentence.

    Returns:
        The translation and its attentions, those of the encoder first; none of those that are no weighted
        mean of words, as `ga:0000`.
    """
    subwords = Subwords.of_text(vocabulary, "the vocabulary in data.json")
    (words,) = subwords.encode([line])
    if not words:
        return "", []
    with modes_kept(network), torch.no_grad():
        transformer = cast(Transformer, network.eval())
        (found,) = translate(transformer, [words], beam=config.beam, penalty=config.length_penalty)
        sights = _sights(transformer, [*words, END], [START, *found], subwords)
    return subwords.decode([found])[0], sights


def _sights(network: Transformer, source: list[int], target: list[int], subwords: Subwords) -> list[Sight]:
    device = network.embedding.weight.device
    read, written = subwords.pieces(source), subwords.pieces(target)
    between = {"encoder.self": (read, read), "decoder.self": (written, written)}
    between |= {"decoder.cross": (written, read)}
    sights = list[Sight]()

    def note(layer: int, site: str, module: SequenceOperator, given: tuple[Any, ...]) -> None:
        look = module.look(*given[:3])
        if look is not None:
            place = f"layer {layer}, {site}"
            sights.append(Sight(place, *between[site], _maps(look, module)))

    hooks = [
        module.register_forward_pre_hook(partial(note, layer, site))
        for layer, site, module in _attentions(network)
    ]
    try:
        network(torch.tensor([source], device=device), torch.tensor([target], device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return sights


def _attentions(network: Transformer) -> list[tuple[int, str, SequenceOperator]]:
    found = list[tuple[int, str, Any]]()
    for part, layers in (("encoder", network.encoder), ("decoder", network.decoder)):
        for number, layer in enumerate(cast("list[Layer]", [*layers]), 1):
            found.append((number, f"{part}.self", layer.self_attention))
            if layer.cross_attention is not None:
                found.append((number, f"{part}.cross", layer.cross_attention))
    return found


def _maps(look: Look, module: SequenceOperator) -> dict[str, Tensor]:
    maps = {"weights": look.weights}
    if len(look.terms) > 1:
        role = cast("Role", module.role)
        maps |= {name: normalised(energy, role, None) for name, energy in look.terms.items()}
    return {name: weights[0].mean(0).cpu() for name, weights in maps.items()}
