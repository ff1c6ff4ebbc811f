"""A small language and its translation, for tests of translation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch

from evaluators.tasks.translation.data import TextData

NOUNS = {"hund": "dog", "mann": "man", "baum": "tree", "ball": "ball", "frau": "woman", "auto": "car"}
VERBS = {"sieht": "sees", "mag": "likes", "nimmt": "takes"}


def pairs(count: int) -> Iterator[tuple[str, str]]:
    """Sentences of a small language, and their translations word by word."""
    random = torch.Generator().manual_seed(count)

    def one(words: dict[str, str]) -> str:
        keys = sorted(words)
        return keys[int(torch.randint(len(keys), (), generator=random))]

    for _ in range(count):
        german = [one(NOUNS), one(VERBS), one(NOUNS), *(["und", one(NOUNS)] if count % 2 else [])]
        english = [(NOUNS | VERBS | {"und": "and"})[word] for word in german]
        yield " ".join(german), " ".join(english)


def write(root: Path, **parts: Iterable[tuple[str, str]]) -> None:
    """Writes parts as two files each."""
    for part, given in ((part, list(given)) for part, given in parts.items()):
        for side, language in enumerate(("de", "en")):
            (root / f"{part}.{language}").write_text("".join(f"{pair[side]}\n" for pair in given))


@pytest.fixture
def text(tmp_path: Path) -> TextData:
    """Parts of it in a folder."""
    write(tmp_path, train=[*pairs(24), *pairs(13)], val=pairs(6), test=pairs(7))
    return TextData(root=str(tmp_path), vocabulary=40)
