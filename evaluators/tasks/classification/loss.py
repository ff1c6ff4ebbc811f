"""Cross-entropy, and how often the likeliest class is the right one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from evaluators.job import wide


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy, in float32 at least; labels are classes (b,), or shares of them (b, classes)."""
    real = logits.to(torch.promote_types(logits.dtype, torch.float32))
    target = labels if labels.ndim == 1 else labels.to(real.dtype)
    return F.cross_entropy(real, target, label_smoothing=label_smoothing)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of the images whose largest logit is the label's, or its largest share's, as a scalar tensor."""
    target = labels if labels.ndim == 1 else labels.argmax(1)
    return (logits.argmax(1) == target).to(wide(logits.device)).mean()
