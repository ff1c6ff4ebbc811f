from __future__ import annotations

import io
import sys

import pytest

from evaluators.data import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "patience", "seen"), [(True, -1, True), (True, 60, False), (False, -1, False)]
)
def test_a_bar_is_for_long_jobs_on_terminals(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, patience: float, seen: bool
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(progress, "PATIENCE", patience)
    assert list(progress.tracked(range(5), 5, "counting")) == list(range(5))
    assert ("counting" in stream.getvalue()) == seen
