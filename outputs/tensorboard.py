"""TensorBoard events of a run: losses, accuracies, shares of the primitives on every edge, entropy, time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from search_space.cell import edge_name

FOLDER = "tensorboard"


class TensorBoardLog:
    """Writes events under a run folder.

    Args:
        run: The run folder.
        resumed_at: Events from this step on, left by a process that was stopped, are hidden.
    """

    def __init__(self, run: Path, resumed_at: int | None = None) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run / FOLDER), purge_step=resumed_at)

    def log(
        self,
        step: int,
        metrics: Mapping[str, float],
        shares: Mapping[tuple[int, int], Mapping[str, float]] | None = None,
    ) -> None:
        """Writes one value a metric, and one a primitive of each edge."""
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        for edge, row in (shares or {}).items():
            for operator, share in row.items():
                self._writer.add_scalar(f"shares/{edge_name(*edge)}/{operator}", share, step)
        self._writer.flush()

    def close(self) -> None:
        """Writes what is left."""
        self._writer.close()
