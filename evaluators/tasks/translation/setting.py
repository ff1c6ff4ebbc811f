"""A parallel text, read, cut into sub-words and split."""

from __future__ import annotations

import copy
import hashlib
import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from torch import nn

from evaluators.data.even_split import even_halves, split_evenly
from evaluators.data.listing import Listing, recorded
from evaluators.recipe import TrainConfig
from evaluators.tasks import Halves
from evaluators.tasks.translation.likelihood import LikelihoodTask
from evaluators.tasks.translation.scores import signatures
from evaluators.tasks.translation.sentences import Part, Sentences, TokenBatches
from evaluators.tasks.translation.subwords import Subwords
from evaluators.tasks.translation.text import Pair, Text
from evaluators.tasks.translation.training import TranslationTask
from foundation.errors import InputError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

    from evaluators.tasks.translation import Translation

log = logging.getLogger(__name__)

AT_ONCE = 4096
"""Pairs that are cut into sub-words at once."""


def digest_of(subwords: Subwords) -> bytes:
    """What distinguishes vocabularies."""
    return hashlib.blake2b(subwords.model, digest_size=16).digest()


class TranslationSetting:
    """Sentences read and split; see `Setting`.

    Args:
        config: What is trained, on what.
        train: The recipe.
        fabric: Device and processes.

    Raises:
        InputError: If the text cannot be read, or leaves nothing to train on.
    """

    score: str = "BLEU"
    task: type[TranslationTask] = TranslationTask

    def __init__(self, config: Translation, train: TrainConfig, fabric: Fabric) -> None:
        self.config, self.recipe, self.fabric = config, train, fabric
        self.signatures = signatures()
        data, texts = config.data, dict[str, Text]()
        parts = {"train": data.train, "test": data.test}
        if train.validation_fraction and data.validation is not None:
            parts["validation"] = data.validation
        for name, part in parts.items():
            texts[name] = Text(data, part)
            for _ in texts[name]:  # counts, and says what is wrong before anything takes long
                pass
        self.subwords = self._subwords(texts["train"])
        held = set[int]()
        if train.validation_fraction and data.validation is None:
            count = min(texts["train"].count, data.limit or texts["train"].count)
            held = set(split_evenly(count, train.validation_fraction, "sentences")[1])
        self.validation: Part | None = Part() if held else None
        self.train = self._training(_limited(texts["train"], data.limit), held)
        self.test = self._evaluated(data.test, _limited(texts["test"], data.limit))
        if "validation" in texts:
            self.validation = self._evaluated(parts["validation"], _limited(texts["validation"], data.limit))
        self.listings = {
            name: Listing({"pairs of sentences": text.count}, {"sentences": text.digest})
            for name, text in texts.items()
        }
        self.input_shape: tuple[int, int, int] = (1, _mean(self.train.source), _mean(self.train.target))
        log.info(
            "%d pairs to train on, %d to test on, %d sub-words",
            *(len(self.train), len(self.test), len(self.subwords)),
        )

    def _subwords(self, text: Text) -> Subwords:
        data = self.config.data
        if data.subwords is not None:
            return Subwords.of_file(data.subwords)
        return Subwords.learned(_limited(text, data.limit), text.count, data.vocabulary)

    def _training(self, pairs: Iterable[Pair], held: set[int]) -> Part:
        """The pairs that are trained on; those held out go to the validation."""
        part, empty, long, same, longest = Part(), 0, 0, 0, self.config.data.longest
        for number, (pair, source, target) in enumerate(self._numbered(pairs)):
            if number in held:
                assert self.validation is not None
                _add(self.validation, pair, source, target)
            elif not source or not target:
                empty += 1
            elif max(len(source), len(target)) > longest:
                long += 1
            else:
                part.source.append(source)
                part.target.append(target)
                same += pair[0] == pair[1]
        if 2 * same > len(part):
            log.warning("%d of %d training pairs have the same sentence on both sides", same, len(part))
        if empty:
            log.warning("%d training pairs have an empty sentence and are left out", empty)
        if long:
            log.warning("%d training pairs are longer than %d sub-words and are left out", long, longest)
        if not len(part):
            raise InputError(f"no pair to train on is left: {empty} are empty, {long} too long")
        return part

    def _evaluated(self, name: str, pairs: Iterable[Pair]) -> Part:
        """The pairs that are evaluated: all of them."""
        part, empty = Part(), 0
        for pair, source, target in self._numbered(pairs):
            _add(part, pair, source, target)
            empty += not source or not target
        if empty == len(part):
            raise InputError(f"no pair of the part {name!r} has words on both sides; nothing can be scored")
        if empty:
            log.warning("%d pairs of %s have an empty sentence; they count in its score", empty, name)
        return part

    def _numbered(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, list[int], list[int]]]:
        """Pairs with the sub-words of both."""
        rest = iter(pairs)
        while some := list(islice(rest, AT_ONCE)):
            both = [self.subwords.encode([pair[side] for pair in some]) for side in (0, 1)]
            yield from zip(some, *both)

    def describe(self) -> dict[str, Any]:
        return {
            "input_shape": list(self.input_shape),
            "languages": [self.config.data.source, self.config.data.target],
            "metrics": self.signatures,
            "vocabulary": self.subwords.text,
            **recorded(self.listings),
        }

    def halves(self) -> Halves:
        """Every second pair that is trained on, and the others; judged by the likelihood of their words."""
        first, second = copy.copy(self), copy.copy(self)
        numbers = even_halves(len(self.train), "pairs of sentences")
        first.train, second.train = (self.train.select(half) for half in numbers)
        first.validation, second.validation = second.train, None
        for half in (first, second):
            half.task, half.score = LikelihoodTask, LikelihoodTask.score
        sizes = f"{len(first.train)} pairs of sentences and {len(second.train)} others"
        return Halves(first, second, sizes)

    def start(self, network: nn.Module, seed: int) -> TranslationTask:
        fabric = self.fabric
        batches = TokenBatches(
            self.train.source,
            self.train.target,
            self.recipe.part_size,
            seed,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
        )
        return self.task(
            network,
            batches,
            fabric,
            self.subwords,
            validation=self.validation,
            test=self.test,
            beams={"validation": self.config.validation_beam, "test": self.config.beam},
            length_penalty=self.config.length_penalty,
            label_smoothing=self.recipe.label_smoothing,
        )


def _add(part: Part, pair: Pair, source: list[int], target: list[int]) -> None:
    part.source.append(source)
    part.target.append(target)
    part.references.append(pair[1])


def _limited(text: Text, limit: int | None) -> Iterator[Pair]:
    """At most a number of pairs, at even steps."""
    if limit is None or limit >= text.count:
        yield from text
        return
    kept = {number * text.count // limit for number in range(limit)}
    yield from (pair for number, pair in enumerate(text) if number in kept)


def _mean(sentences: Sentences) -> int:
    """Tokens of a sentence in the mean, with its mark."""
    return round(float(sentences.lengths().double().mean())) + 1
