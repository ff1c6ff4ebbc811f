"""Settings of parallel text: which is read, how it is laid out, and how it is cut into sub-words."""

from __future__ import annotations

from typing import Literal

from foundation import rules
from foundation.config import config
from foundation.errors import InputError, shown

PATTERNS = {"files": "{part}.{language}", "tsv": "{part}.tsv", "parquet": "{part}*.parquet"}
"""Usual names of a part's files, by format."""

FEWEST_WORDS = 16
"""Least vocabulary: three marks, one for the unknown, and some characters."""


@config
class TextData:
    """Sentences and their translations, in UTF-8."""

    root: str | None = None
    """Path of the folder that holds the text."""
    source: str = "de"
    """Language that is translated from, as files and columns call it."""
    target: str = "en"
    """Language that is translated to, as files and columns call it."""
    format: Literal["files", "tsv", "parquet"] = "files"
    """Format of the text: a file for each language, a sentence a line (files); lines of sentence, tab,
    translation (tsv); or Hugging Face's tables, with a column `translation` or one for each language
    (parquet, which needs pip install 'autola[parquet]')."""
    files: str | None = None
    """Name of a part's files below `root`; {part} stands for the part, {language} for the language, and in
    tables * for any text. Text may be packed by gzip (.gz behind the name). {part}.{language}, {part}.tsv or
    {part}*.parquet if left out."""
    train: str = "train"
    """Name of the part to train on."""
    validation: str | None = "val"
    """Name of the part to look at after every epoch; if left out, a share of the training part is held
    out."""
    test: str = "test"
    """Name of the part to translate at the end."""
    vocabulary: int = 8000
    """Number of sub-words, of both languages together, which byte pair encoding finds in the training text;
    more make sentences shorter and the network larger."""
    subwords: str | None = None
    """Path of a sentencepiece model to use instead of finding sub-words; `vocabulary` is then the model's."""
    longest: int = 250
    """Most sub-words of a sentence that is trained on; longer pairs are left out and counted. What is
    evaluated is never left out."""
    limit: int | None = None
    """The most pairs of each part to use, at even steps; all if left out."""

    def __post_init__(self) -> None:
        rules.positive(self, "longest", "limit")
        if self.vocabulary < FEWEST_WORDS:
            raise InputError(f"vocabulary={self.vocabulary}; give at least {FEWEST_WORDS} sub-words")
        if self.source == self.target:
            raise InputError(f"source and target are both {shown(self.source)}; give two languages")
        wanted = ("{part}", "{language}") if self.format == "files" else ("{part}",)
        for part in wanted:
            if part not in self.pattern:
                raise InputError(f"files is {shown(self.pattern)}; it has to contain {part}")

    @property
    def pattern(self) -> str:
        """Name of a part's files."""
        return PATTERNS[self.format] if self.files is None else self.files
