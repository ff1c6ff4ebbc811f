"""What is seen of a differentiable search, and when that stops it; searchers/guards.py has the sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from search_space.searchable import Searchable
from search_space.space import NONE
from searchers.guards import Guards
from searchers.searches.callback import Callback, Running
from searchers.searches.mixture import Mixture

SKIP = "skip_connect"


class Watch(Callback):
    """What has been seen of a search, epoch by epoch; it ends the search where a rule asks for that.

    Attributes:
        eigenvalues: What was measured at the end of an epoch, by its number from 0.
        stopped: Why the search has to stop, in a sentence; None while it may go on.
        answer: Number of the epoch, from 0, whose alphas are the answer of a search that stopped.

    Args:
        config: Rules.
        space: What is searched.
        looks_back: Whether that epoch's alphas are the answer indeed; not where what follows the stop
            decides the edges.
    """

    def __init__(self, config: Guards, space: Searchable, *, looks_back: bool = True) -> None:
        self.config, self.space, self.looks_back = config, space, looks_back
        self.strengths = list[Tensor]()
        self.shares = list[Tensor]()
        self.eigenvalues = dict[int, float]()
        self.stopped: str | None = None
        self.answer: int | None = None

    def end_epoch(self, search: Running, epoch: int) -> None:
        self.see(search.mixture.strengths(), search.mixture.shares())
        schedule = search.schedule
        if schedule.searching(epoch) and not schedule.resting(epoch) and self.stops():
            schedule.search_epochs = epoch + 1

    def see(
        self, strengths: Float[Tensor, "edges primitives"], shares: Float[Tensor, "edges primitives"]
    ) -> None:
        """Keeps what the alphas say at the end of an epoch."""
        self.strengths.append(strengths.detach().cpu())
        self.shares.append(shares.detach().cpu())

    def answering(self, mixture: Mixture) -> tuple[list[list[float]], list[list[float]]]:
        """Strengths and shares of the answer: those of now, or of the epoch that a rule chose."""
        if self.answer is None or not self.looks_back:
            return mixture.strengths().detach().tolist(), mixture.shares().detach().tolist()
        return self.strengths[self.answer].tolist(), self.shares[self.answer].tolist()

    def stops(self) -> bool:
        """Applies the rules to the last epoch seen; whether the search has to end with it."""
        epoch = len(self.shares) - 1
        limit, count = self.config.most_skips, self.skip_edges(-1)
        if limit and count > limit:
            why = f"{SKIP} leads on {count} edges, more than {limit}"
            good = [earlier for earlier in range(epoch) if self.skip_edges(earlier) <= limit]
            if good:
                self._stop(good[-1], why)
            else:
                self.strengths[-1] = thinned(self.space, self.strengths[-1], limit)
                self._stop(epoch, why, f", with {SKIP} left on the edges it leads most on")
            return True
        most, window = self.config.most_growth, self.config.window
        grown = growth(list(self.eigenvalues.values()), window) if epoch in self.eigenvalues else None
        if most and grown is not None and grown > most:
            reason = f"the largest eigenvalue of the alphas' Hessian grew {grown:.2f} times"
            self._stop(list(self.eigenvalues)[-1 - window], f"{reason}, more than {most:g}")
            return True
        return False

    def figures(self) -> dict[str, float]:
        """Figures of the last epoch seen."""
        if not self.shares:
            return {}
        now = self.shares[-1].double()
        figures = dict[str, float]()
        for key, name in (("skip_share", SKIP), ("none_share", NONE)):
            if name in self.space.primitives:
                figures[key] = now[:, self.space.primitives.index(name)].mean().item()
        figures["skip_edges"] = float(self.skip_edges(-1))
        if len(self.shares) > 1:
            changed = self._strongest(-1) != self._strongest(-2)
            figures["changed_edges"] = float(changed.sum())
            figures["rank_stability"] = kendall(now, self.shares[-2].double())
        if len(self.shares) - 1 in self.eigenvalues:
            figures["alpha_eigenvalue"] = self.eigenvalues[len(self.shares) - 1]
        return figures

    def skip_edges(self, epoch: int) -> int:
        """Edges whose strongest operator is skip_connect."""
        if SKIP not in self.space.primitives:
            return 0
        return int((self._strongest(epoch) == self.space.candidates.index(SKIP)).sum())

    def _strongest(self, epoch: int) -> Tensor:
        return self.strengths[epoch][:, self.space.candidate_columns].argmax(1)

    def _stop(self, answer: int, why: str, how: str = "") -> None:
        self.answer = answer
        after = len(self.shares)
        self.stopped = f"stopped after epoch {after}: {why}; the answer is that of epoch {answer + 1}{how}"

    def state_dict(self) -> dict[str, Any]:
        return {
            "watch": {
                "strengths": list(self.strengths),
                "shares": list(self.shares),
                "eigenvalues": [list(pair) for pair in self.eigenvalues.items()],
                "stopped": self.stopped,
                "answer": self.answer,
            }
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        state = state["watch"]
        self.strengths, self.shares = list(state["strengths"]), list(state["shares"])
        self.eigenvalues = {int(epoch): float(value) for epoch, value in state["eigenvalues"]}
        self.stopped, self.answer = state["stopped"], state["answer"]


def growth(values: Sequence[float], window: int) -> float | None:
    """Growth of the average of values over the last two windows; None where there are not two."""
    if len(values) < 2 * window:
        return None
    now, before = sum(values[-window:]) / window, sum(values[-2 * window : -window]) / window
    return now / before if before > 0 else None


def thinned(
    space: Searchable, strengths: Float[Tensor, "edges primitives"], most: int
) -> Float[Tensor, "edges primitives"]:
    """Strengths without skip_connect where it leads least, until it leads on no more than `most` edges."""
    skip = space.primitives.index(SKIP)
    others = [column for column in space.candidate_columns if column != skip]
    if not others:
        return strengths
    lead = strengths[:, skip] / strengths[:, others].amax(1)
    leads = strengths[:, space.candidate_columns].argmax(1) == space.candidates.index(SKIP)
    order = lead.masked_fill(~leads, -1.0).argsort(descending=True, stable=True)
    kept = strengths.clone()
    kept[order[most:], skip] = 0.0
    return kept


def kendall(a: Float[Tensor, "edges primitives"], b: Float[Tensor, "edges primitives"]) -> float:
    """Kendall's rank correlation (tau-a) of the primitives on every edge, its mean over the edges."""
    pairs = max(1, a.shape[1] * (a.shape[1] - 1))
    signs: Sequence[Tensor] = [(x[:, :, None] - x[:, None, :]).sign() for x in (a, b)]
    return ((signs[0] * signs[1]).sum((1, 2)) / pairs).mean().item()
