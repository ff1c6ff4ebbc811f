"""BLEU and chrF by sacrebleu, each with the signature that others compare by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from foundation.errors import InputError


def metrics() -> dict[str, Any]:
    """Sacrebleu's metrics with its usual settings.

    Raises:
        InputError: If sacrebleu is not installed.
    """
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise InputError("translation needs sacrebleu: pip install 'autola[translation]'") from None
    return {"BLEU": BLEU(), "chrF": CHRF()}


def scores(translations: Sequence[str], references: Sequence[str]) -> dict[str, float]:
    """Shares of 1: sacrebleu's scores divided by 100."""
    return {
        name: metric.corpus_score(list(translations), [list(references)]).score / 100
        for name, metric in metrics().items()
    }


def signatures() -> dict[str, str]:
    """The signature of each metric for one reference; sacrebleu knows it once it has scored."""
    found = dict[str, str]()
    for name, metric in metrics().items():
        metric.corpus_score(["one"], [["one"]])
        found[name] = str(metric.get_signature())
    return found
