"""Sub-words by sentencepiece: found in a training text, or given."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from foundation.errors import InputError, shown
from foundation.reading import read_bytes
from supernet.networks.transformer import END, PAD, START

UNKNOWN = 3
"""Number of what is in no vocabulary."""

MOST_SENTENCES = 1_000_000
"""Sentences that byte pairs are counted in, at most; of a longer text every so-manieth pair is looked at."""


class Subwords:
    """A vocabulary of sub-words, both ways.

    Args:
        model: A sentencepiece model, as bytes.
        origin: What it is, for messages.

    Raises:
        InputError: If it is none, or numbers its marks in another way.
    """

    def __init__(self, model: bytes, origin: str) -> None:
        processor: Any = _sentencepiece().SentencePieceProcessor()
        try:
            processor.LoadFromSerializedProto(model)
        except RuntimeError:
            raise InputError(f"{origin} is no sentencepiece model") from None
        marks = (processor.pad_id(), processor.bos_id(), processor.eos_id())
        if marks != (PAD, START, END):
            raise InputError(
                f"{origin} numbers padding, start and end {marks}; train it with "
                f"--pad_id={PAD} --bos_id={START} --eos_id={END} --unk_id={UNKNOWN}"
            )
        self.model, self._processor = model, processor

    def __len__(self) -> int:
        return self._processor.get_piece_size()

    def encode(self, sentences: Sequence[str]) -> list[list[int]]:
        """Sub-words of sentences, without marks."""
        return self._processor.encode(list(sentences), num_threads=1)

    def decode(self, words: Sequence[Sequence[int]]) -> list[str]:
        """Sentences of sub-words; marks are left out."""
        return [self._processor.decode([int(word) for word in one]) for one in words]

    def pieces(self, words: Sequence[int]) -> list[str]:
        """Sub-words as they are written, marks among them."""
        return [self._processor.id_to_piece(word) for word in words]

    @property
    def text(self) -> str:
        """The model as text that JSON holds."""
        return base64.b64encode(self.model).decode()

    @classmethod
    def of_text(cls, text: str, origin: str) -> Subwords:
        """The model of such a text.

        Raises:
            InputError: If it is none.
        """
        try:
            model = base64.b64decode(text, validate=True)
        except ValueError:
            raise InputError(f"{origin} is no sentencepiece model in base64") from None
        return cls(model, origin)

    @classmethod
    def of_file(cls, path: str) -> Subwords:
        """The model of a file.

        Raises:
            InputError: If there is none.
        """
        return cls(read_bytes(Path(path).expanduser(), "sentencepiece model"), path)

    @classmethod
    def learned(cls, pairs: Iterable[tuple[str, str]], count: int, number: int) -> Subwords:
        """Byte pairs of a training text: the same text gives the same model.

        Args:
            pairs: Sentences and translations.
            count: How many pairs there are.
            number: Sub-words to find, marks and the unknown among them.

        Raises:
            InputError: If the text has fewer.
        """
        sentencepiece, written = _sentencepiece(), io.BytesIO()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=_at_even_steps(pairs, count),
                model_writer=written,
                vocab_size=number,
                model_type="bpe",
                character_coverage=1.0,
                pad_id=PAD,
                bos_id=START,
                eos_id=END,
                unk_id=UNKNOWN,
                num_threads=1,
                minloglevel=2,
            )
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"no {number} sub-words are in the training text ({shown(reason[-60:])}); "
                "give another --data.vocabulary"
            ) from None
        return cls(written.getvalue(), "what sentencepiece found")


def _at_even_steps(pairs: Iterable[tuple[str, str]], count: int) -> Iterator[str]:
    step = -(-2 * count // MOST_SENTENCES)
    for number, pair in enumerate(pairs):
        if number % step == 0:
            yield from (sentence for sentence in pair if sentence.strip())


def _sentencepiece() -> Any:
    try:
        import sentencepiece
    except ImportError:
        raise InputError("translation needs sentencepiece: pip install 'autola[translation]'") from None
    return sentencepiece
