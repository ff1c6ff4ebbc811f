"""From a comparison to a table and one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean

from autola.advising.rows import NOTHING
from evaluators.place_costs import PlaceTable
from outputs.comparison import Claim, Comparison
from search_space.placement import Placement
from searchers.limits import amount

ADVICE = "advice.txt"
"""Record: the table and the sentence."""

LEAVE = "Nothing shown to help; leave it as it is."


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
        shown: Whether it is claimed to be better than the plain network; see `autola compare`.
    """

    name: str
    placement: Placement
    costs: Mapping[str, float]
    scores: tuple[float, ...] = ()
    gain: float | None = None
    low: float | None = None
    high: float | None = None
    shown: bool = False


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
        run: Folder of its records.
    """

    rows: tuple[AdviceRow, ...]
    sentence: str
    placement: Placement | None
    score_name: str
    complete: bool
    seconds: float
    run: str

    def __str__(self) -> str:
        head = ["", *self.rows[0].costs, self.score_name, "runs", "gain", "95 % interval"]
        lines = [head]
        for row in self.rows:
            mean = f"{fmean(row.scores):.5g}" if row.scores else "-"
            gain = "" if row.gain is None else f"{row.gain:+.4g}"
            interval = "" if row.low is None or row.high is None else f"{row.low:+.4g} to {row.high:+.4g}"
            costs = [amount(metric, value) for metric, value in row.costs.items()]
            runs = str(len(row.scores))
            lines.append([row.name, *costs, mean, runs, gain, interval + (" *" if row.shown else "")])
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        rows = ["  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip() for line in lines]
        return "\n".join([*rows, "", self.sentence])


def concluded(
    placements: Mapping[str, Placement],
    tables: Mapping[str, PlaceTable],
    compared: Comparison | None,
    names: Mapping[str, str],
    *,
    run: str,
    seconds: float,
) -> Advice:
    """What a comparison with the plain network says of each row.

    Args:
        placements: By the name of their row.
        tables: What candidates cost at the sites, by metric.
        compared: Its contrasts are the plain network less each row; None where there is no other row.
        names: Name in the comparison of each row but the plain one.
        run: Folder of its records.
        seconds: Time that it took.
    """
    rows_there = {} if compared is None else {row.name: row for row in compared.rows}
    claims: dict[str, Claim] = {} if compared is None else {claim.second: claim for claim in compared.claims}
    rows = list[AdviceRow]()
    for name, placement in placements.items():
        costs = {metric: table.of(placement) for metric, table in tables.items()}
        key = NOTHING if name == NOTHING else names[name]
        scores = rows_there[key].cells[0].scores if key in rows_there else ()
        row = AdviceRow(name, placement, costs, scores)
        if key in claims:
            claim = claims[key]
            low, high = (None if end is None else -end for end in (claim.high, claim.low))
            row = AdviceRow(
                name, placement, costs, scores, -claim.estimate, low, high, shown=claim.verdict == "lower"
            )
        rows.append(row)
    complete = compared is None or compared.done == compared.planned
    best = max((row for row in rows if row.shown), key=lambda row: row.gain or 0.0, default=None)
    score = "score" if compared is None else compared.score
    sentence = _sentence(rows, best, score, compared, complete=complete)
    return Advice(tuple(rows), sentence, best and best.placement, score, complete, seconds, run)


def _sentence(
    rows: list[AdviceRow], best: AdviceRow | None, score: str, compared: Comparison | None, *, complete: bool
) -> str:
    if not complete:
        return "Not all trainings that were planned are done: nothing is tested; go on with the same call."
    if best is None:
        waiting = (
            {claim.second for claim in compared.claims if claim.verdict == "not claimed"} if compared else ()
        )
        alone = (
            f" Of {len(waiting)} rows a difference would be claimed if it were tested alone."
            if waiting
            else ""
        )
        return LEAVE + alone
    plain = rows[0].costs
    more = ", ".join(
        f"{best.costs[metric] / plain[metric]:.3g} times the {metric}" for metric in plain if plain[metric]
    )
    where = ", ".join(f"{each.attention} at {each.site}" for each in best.placement.taken())
    assert best.low is not None
    assert best.high is not None
    return (
        f"Put {where}: {more}; {best.gain:+.4g} in {score}, 95 % interval {best.low:+.4g} to "
        f"{best.high:+.4g}, over {len(best.scores)} trainings each."
    )
