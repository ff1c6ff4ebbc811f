"""Features of images in two dimensions, by Barnes-Hut t-SNE of scikit-learn.

Source: van der Maaten, "Accelerating t-SNE using Tree-Based Algorithms", JMLR 2014.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from foundation.errors import InputError

PERPLEXITY = 30.0
"""Neighbours that an image has in effect; a third of the images where these are few."""

FEWEST = 10
"""Images that an embedding needs."""


def embedded(features: Float[Tensor, "n c"], seed: int = 0) -> np.ndarray:
    """Positions (n, 2) in which images whose features are near lie near each other.

    Distances between groups, and their sizes, mean nothing.

    Args:
        features: Of each image, of any scale.
        seed: Of what is random in it.

    Raises:
        InputError: If there are fewer than ten images.
    """
    from sklearn.manifold import TSNE  # slow

    if len(features) < FEWEST:
        raise InputError(f"t-SNE of {len(features)} images shows nothing; it takes {FEWEST} at least")
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    tsne: Any = TSNE(
        method="barnes_hut", perplexity=perplexity, init="pca", random_state=seed, learning_rate="auto"
    )
    return tsne.fit_transform(features.double().numpy())
