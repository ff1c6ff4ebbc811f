"""Derivation by perturbation: an operator is worth what its removal costs.

Source: Wang et al., "Rethinking Architecture Selection in Differentiable NAS", ICLR 2021, algorithm 1
(arXiv:2108.04392), and the public code (ruocwang/darts-pt, sota/cnn/projection.py).
"""

from __future__ import annotations

from foundation import rules
from foundation.config import config


@config
class Perturbation:
    """The last phase of a search with `derive=perturbation`: edges are decided one after the other.

    In an order drawn from the seed, every edge gets the operator whose removal raises the supernet's loss
    most; the search then goes on for some epochs, at a tenth of the learning rate, before the next edge.
    Differs from the source: all edges are kept, so there is no second selection among them; the loss decides
    (the public code also offers the accuracy); what is left of an edge shares the weight of what was removed,
    but at a site that may stay empty nothing stands in its stead, and what limits have it cost is taken off;
    images are the augmented batches of an epoch.
    """

    epochs: int = 1
    """Epochs that the search goes on for between two decisions; more adapt better to the last one and take
    longer. 0 decides all edges at once (1 is chosen here)."""
    batches: int = 0
    """Batches of the second half that an operator is judged on; more judge more surely and take longer. 0 for
    all of an epoch."""

    def __post_init__(self) -> None:
        rules.not_negative(self, "epochs", "batches", prefix="perturbation.")
