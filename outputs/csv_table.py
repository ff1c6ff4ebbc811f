"""Tables as CSV, for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from foundation.files import write_atomically


def write_csv(path: Path, head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Writes a table whole or not at all; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([["" if value is None else value for value in row] for row in rows])

    def write(temporary: Path) -> None:
        temporary.write_text(text.getvalue(), encoding="utf-8", newline="")

    write_atomically(path, write)
