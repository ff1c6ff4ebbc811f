"""Translates with an exported network: ONNX Runtime, NumPy and sentencepiece, neither PyTorch nor autola.

    python translate.py [--beam 4] [--length-penalty 0.6] < sentences.de > sentences.en

This file lies, as translate.py, beside what it reads: reading.onnx, which makes of source words all that a
translation looks at; writing.onnx, one step of writing it, from the last word and a cache to the logarithms
of the chances of the next and the cache with that word; subwords.model, for sentencepiece; and settings.json.

    from translate import Translator
    translator = Translator("EXPORTED")
    translator(["Ein Hund rennt."])

A beam of 1 is the greedy choice of the likeliest word. The search is that of the network's own translations:
a sentence is done when as many hypotheses as the beam is wide have ended, and the best is that of the highest
log-probability over ((5 + length) / 6) ** length_penalty (Wu et al., 2016, arXiv:1609.08144, equation 14).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

PAD, START, END = 0, 1, 2
"""Numbers of what is no word: nothing at all, the start of a translation, the end of a sentence."""

SENTENCES = 16
"""Sentences that are translated at once, times the beam."""


class Translator:
    """Sentences to their translations.

    Args:
        folder: What `autola export --onnx FOLDER` has written.
        beam: Hypotheses of a sentence that are kept; as in training if left out.
        length_penalty: Power of the length; likewise.
        threads: Of a graph.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        beam: int | None = None,
        length_penalty: float | None = None,
        threads: int = 1,
    ) -> None:
        import onnxruntime
        import sentencepiece

        folder = Path(folder)
        settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
        self.beam: int = settings["beam"] if beam is None else beam
        self.length_penalty: float = settings["length_penalty"] if length_penalty is None else length_penalty
        self.caches: list[list[int]] = settings["caches"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        self._reading, self._writing = (
            onnxruntime.InferenceSession(
                str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"]
            )
            for name in ("reading", "writing")
        )
        self._subwords: Any = sentencepiece.SentencePieceProcessor(model_file=str(folder / "subwords.model"))

    def __call__(self, lines: Sequence[str]) -> list[str]:
        """Translations of lines in their order; an empty line has an empty one."""
        sentences = self._subwords.encode(list(lines), num_threads=1)
        return [self._subwords.decode(words) for words in self.translate(sentences)]

    def translate(self, sentences: Sequence[Sequence[int]]) -> list[list[int]]:
        """Translates sentences given as numbers of sub-words, without marks, and gives such back."""
        found: list[list[int]] = [[] for _ in sentences]
        order = sorted(
            (index for index, words in enumerate(sentences) if words), key=lambda i: len(sentences[i])
        )
        step = max(1, SENTENCES // self.beam)
        for first in range(0, len(order), step):
            rows = order[first : first + step]
            for row, words in zip(rows, self.search([sentences[row] for row in rows])):
                found[row] = words
        return found

    def read(self, sentences: Sequence[Sequence[int]]) -> list[NDArray[Any]]:
        """What a translation looks at: where no word is, then keys and values of every layer, by sentence."""
        longest = max(map(len, sentences)) + 1
        source = np.full((len(sentences), longest), PAD)
        for row, words in enumerate(sentences):
            source[row, : len(words) + 1] = [*words, END]
        read: Any = self._reading.run(None, {"source": source})
        return read

    def begin(self, rows: int) -> list[NDArray[Any]]:
        """The cache of translations of which no word is written."""
        return [np.zeros([rows, *sizes], np.float32) for sizes in self.caches]

    def step(
        self, words: NDArray[Any], position: int, read: list[NDArray[Any]], cache: list[NDArray[Any]]
    ) -> tuple[NDArray[Any], list[NDArray[Any]]]:
        """One word more.

        Args:
            words: The last word of each translation (rows); `START` at first.
            position: How many words stand before it.
            read: Of `read`, a row for each translation.
            cache: Of `begin`, or of the step before.

        Returns:
            The logarithm of each word's chance to be next (rows, words), and the new cache.
        """
        given = [words[:, None], np.array(position), *read, *cache]
        names = [each.name for each in self._writing.get_inputs()]
        written: Any = self._writing.run(None, dict(zip(names, given, strict=True)))
        return written[0], written[1:]

    def search(self, sentences: Sequence[Sequence[int]]) -> list[list[int]]:
        """The best translations of sentences that are not empty, all side by side."""
        beam, most = self.beam, [2 * len(words) + 10 for words in sentences]
        ended: list[list[tuple[float, list[int]]]] = [[] for _ in sentences]
        going = list(range(len(sentences)))
        read = [np.repeat(part, beam, axis=0) for part in self.read(sentences)]
        cache = self.begin(len(going) * beam)
        words = np.full((len(going) * beam, 1), START)
        totals = np.full((len(going), beam), -np.inf, np.float32)
        totals[:, 0] = 0  # at first all hypotheses are one
        for length in range(1, max(most) + 1):
            chances, cache = self.step(words[:, -1], length - 1, read, cache)
            chances = chances.reshape(len(going), beam, -1)
            chances[..., [PAD, START]] = -np.inf
            for row, sentence in enumerate(going):
                if most[sentence] <= length:  # it has to end
                    chances[row, :, np.arange(chances.shape[2]) != END] = -np.inf
            best, origin, word = _best(totals[..., None] + chances, 2 * beam)
            divisor = ((5 + length) / 6) ** self.length_penalty
            for row, place in np.argwhere((word == END) & np.isfinite(best)):
                hypotheses = ended[going[row]]
                if place < beam and len(hypotheses) < beam:
                    written = words[row * beam + origin[row, place], 1:].tolist()
                    hypotheses.append((float(best[row, place]) / divisor, written))
            left = [
                row
                for row, sentence in enumerate(going)
                if len(ended[sentence]) < beam and length < most[sentence]
            ]
            if not left:
                break
            # Those that go on: the best ones that did not end, in their order.
            chosen = np.argsort(word == END, axis=1, kind="stable")[left, :beam]
            kept = np.array(left)[:, None]
            totals = np.where(word == END, np.float32(-np.inf), best)[kept, chosen]
            rows = (kept * beam + origin[kept, chosen]).ravel()
            words = np.concatenate((words[rows], word[kept, chosen].reshape(-1, 1)), axis=1)
            cache = [part[rows] for part in cache]
            if len(left) < len(going):  # else each row goes on with the source that it had
                read = [part[rows] for part in read]
            going = [going[row] for row in left]
        return [max(hypotheses, key=lambda one: one[0])[1] for hypotheses in ended]


def _best(sums: NDArray[Any], number: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """The largest sums of each sentence, of which hypothesis and which word they are; the largest first."""
    flat = sums.reshape(len(sums), -1)
    number = min(number, flat.shape[1])
    places = np.argpartition(-flat, number - 1, axis=1)[:, :number]
    order = np.argsort(-np.take_along_axis(flat, places, axis=1), axis=1, kind="stable")
    places = np.take_along_axis(places, order, axis=1)
    return np.take_along_axis(flat, places, axis=1), places // sums.shape[2], places % sums.shape[2]


def main() -> None:
    """Translates the lines of standard input."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--beam", type=int, help="hypotheses that are kept; as in training if left out")
    parser.add_argument("--length-penalty", type=float, help="power of the length; likewise")
    given = parser.parse_args()
    translator = Translator(Path(__file__).parent, beam=given.beam, length_penalty=given.length_penalty)
    for stream in (sys.stdin, sys.stdout):
        stream.reconfigure(encoding="utf-8")  # pyright: ignore[reportAttributeAccessIssue]
    for translation in translator([line.rstrip("\r\n") for line in sys.stdin]):
        sys.stdout.write(translation + "\n")


if __name__ == "__main__":
    main()
