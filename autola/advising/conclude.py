"""From scores to a table and one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from autola.advising.rows import NOTHING
from evaluators.statistics.difference import difference
from evaluators.statistics.family import ALARM, holm
from evaluators.statistics.nested import Nested
from search_space.placement import Placement
from searchers.limits import amount

LEAVE = "nothing shown to help; leave it as it is"


@dataclass(frozen=True)
class AdviceRow:
    """A placement with its trainings.

    Attributes:
        name: Which row.
        placement: What stands where.
        costs: Of the whole network, by metric.
        scores: By training seed; higher is better.
        gain: Mean score above that of the plain network; None for that itself, or without scores.
        low, high: 95 % interval of the gain; None where the spread is unknown.
        p_value: Chance of so large a difference to the plain network if there is none, by Holm over all rows.
    """

    name: str
    placement: Placement
    costs: Mapping[str, float]
    scores: tuple[float, ...]
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float | None = None

    @property
    def shown(self) -> bool:
        """Whether it is shown to be better than the plain network."""
        return self.gain is not None and self.gain > 0 and self.p_value is not None and self.p_value < ALARM


@dataclass(frozen=True)
class Advice:
    """What to put where.

    Attributes:
        rows: All that was trained; the first is the plain network.
        sentence: What these numbers allow one to say.
        placement: What to attach; None where nothing is shown to help.
        score_name: What the scores are.
        complete: Whether all that was planned is done.
        seconds: Time that it took, over all calls.
    """

    rows: tuple[AdviceRow, ...]
    sentence: str
    placement: Placement | None
    score_name: str
    complete: bool
    seconds: float

    def __str__(self) -> str:
        head = ["", *self.rows[0].costs, self.score_name, "gain", "95 % interval"]
        lines = [head]
        for row in self.rows:
            mean = f"{fmean(row.scores):.5g}" if row.scores else "-"
            gain = "" if row.gain is None else f"{row.gain:+.4g}"
            interval = "" if row.low is None or row.high is None else f"{row.low:+.4g} to {row.high:+.4g}"
            costs = [amount(metric, value) for metric, value in row.costs.items()]
            lines.append([row.name, *costs, mean, gain, interval + (" *" if row.shown else "")])
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        rows = ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines]
        return "\n".join([*rows, "", self.sentence])


def concluded(
    placements: Mapping[str, Placement],
    costs: Mapping[str, Mapping[str, float]],
    scores: Mapping[str, Sequence[float]],
    *,
    score_name: str,
    complete: bool,
    seconds: float,
) -> Advice:
    """Tests every row against the plain network, all together at 5 % false alarms.

    Args:
        placements: By the name of their row.
        costs: Of each, by metric.
        scores: Of each, by seed, equally many.
        score_name: What the scores are.
        complete: Whether all that was planned is done; else nothing is tested.
        seconds: Time that it took.
    """
    plain = tuple(scores[NOTHING])
    names = [name for name in placements if name != NOTHING]
    shifts = {
        name: difference(Nested((tuple(scores[name]),)), Nested((plain,)))
        for name in names
        if len(scores[name]) and plain
    }
    adjusted = dict(zip(shifts, holm([shift.p_value() for shift in shifts.values()])))
    rows = [AdviceRow(NOTHING, placements[NOTHING], costs[NOTHING], plain)]
    for name in names:
        if name not in shifts:
            rows.append(AdviceRow(name, placements[name], costs[name], ()))
            continue
        interval = shifts[name].interval() or (None, None)
        rows.append(
            AdviceRow(
                name,
                placements[name],
                costs[name],
                tuple(scores[name]),
                gain=shifts[name].estimate,
                low=interval[0],
                high=interval[1],
                p_value=adjusted[name] if complete else None,
            )
        )
    best = max((row for row in rows if row.shown), key=lambda row: row.gain or 0.0, default=None)
    sentence = _sentence(rows, best, score_name, complete=complete)
    return Advice(tuple(rows), sentence, best and best.placement, score_name, complete, seconds)


def _sentence(rows: Sequence[AdviceRow], best: AdviceRow | None, score_name: str, *, complete: bool) -> str:
    if not complete:
        return "Not all trainings that were planned are done: nothing is tested; go on with the same call."
    if best is None:
        return f"{LEAVE[0].upper()}{LEAVE[1:]}."
    plain = rows[0].costs
    more = ", ".join(
        f"{best.costs[metric] / plain[metric]:.3g} times the {metric}" for metric in plain if plain[metric]
    )
    where = ", ".join(f"{each.attention} at {each.site}" for each in best.placement.taken())
    assert best.low is not None
    assert best.high is not None
    return (
        f"Put {where}: {more}; {best.gain:+.4g} in {score_name}, 95 % interval {best.low:+.4g} to "
        f"{best.high:+.4g}, over {len(best.scores)} trainings each."
    )
