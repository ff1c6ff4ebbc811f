"""The sentence that a comparison ends with."""

from __future__ import annotations

from collections.abc import Sequence

from autola.comparing.config import CompareConfig
from autola.comparing.rows import LONGER, SIZED
from foundation.words import counted, points
from outputs.comparison import Claim, ComparedRow, Comparison, Verdict, are_drawn


def sentence_of(comparison: Comparison, config: CompareConfig, added_after: int) -> str:
    """What the numbers allow one to say, and no more.

    Args:
        comparison: Rows and claims.
        config: What was compared.
        added_after: Most trainings that had ended when something was added; 0 for nothing.
    """
    parts = list[str]()
    if comparison.done < comparison.planned:
        left = comparison.planned - comparison.done
        those = f"{left} of {counted(comparison.planned, 'training')} {'is' if left == 1 else 'are'} left"
        parts.append(f"{those}: nothing is tested, and nothing may be said.")
    elif not comparison.claims:
        parts.append("Nothing is compared.")
    else:
        primary, *others = comparison.claims
        parts.append(_of_primary(primary, comparison, config))
        parts += _of_others(primary, others, comparison.margin)
        if added_after:
            results = counted(added_after, "result")
            parts.append(
                f"Seeds or rows were added after {results} could be seen: at most 5 % false alarms are no "
                "longer promised."
            )
    return " ".join(parts)


def row_in_words(name: str, config: CompareConfig) -> str:
    """A row as the sentence names it."""
    limit = ""
    if config.search is not None and config.search.target:
        limit = f" under {config.search.target[0]}"
    match name:
        case "found":
            assert config.search is not None
            return f"cells found by {config.search.searcher.name}{limit}"
        case "random":
            assert config.search is not None
            alone = not (config.searches or config.found)
            return (
                f"random cells of {f'the space {config.search.space}' if alone else 'the same space'}{limit}"
            )
        case "plain":
            return "the plain network"
        case _ if name == LONGER:
            return "the plain network trained as long"
        case _ if name in SIZED:
            cost = "measured latency" if config.match == "latency" else "multiply-accumulates"
            return f"the plain network made {name} to the same {cost}"
        case _:
            return name


def _of_primary(claim: Claim, comparison: Comparison, config: CompareConfig) -> str:
    rows = {row.name: row for row in comparison.rows if row.block == claim.block}
    where = f"{config.task.subject()} with {claim.block or config.task.network_name()}"
    first, second = (row_in_words(name, config) for name in (claim.first, claim.second))
    shift = f"{abs(100 * claim.estimate):.2f} points {'more' if claim.estimate >= 0 else 'less'}"
    sizes = f"{_size(rows[claim.first])} and {_size(rows[claim.second])}"
    told = f"On {where}, {first} {'score' if are_drawn(claim.first) else 'scores'} {shift} than {second}"
    if claim.low is None or claim.high is None:
        one = any(rows[name].drawn and len(rows[name].cells) == 1 for name in (claim.first, claim.second))
        why = (
            "one cell, however often it is trained, says nothing of how others would score"
            if one
            else "a row with one seed, or without spread, says nothing of chance"
        )
        return f"{told} ({sizes}), without an interval: {why}."
    told += f" (95 % interval {100 * claim.low:+.2f} to {100 * claim.high:+.2f}; {sizes}): "
    match claim.verdict:
        case "higher" | "lower":
            return f"{told}the difference is shown."
        case "equivalent":
            return f"{told}they are equivalent within {points(comparison.margin)}."
        case _ if claim.detectable is None:
            return f"{told}no difference shown."
        case _ if claim.detectable > 1 and _are_shares(comparison):
            return f"{told}no difference shown; so few trainings would find none that there can be."
        case _:
            return (
                f"{told}no difference shown; one of {100 * claim.detectable:.2f} points would be found in "
                "four of five such comparisons."
            )


def _are_shares(comparison: Comparison) -> bool:
    """Whether all scores are between 0 and 1, so that none can differ from another by more than 1."""
    return all(0 <= score <= 1 for row in comparison.rows for cell in row.cells for score in cell.scores)


def _of_others(primary: Claim, others: list[Claim], margin: float) -> list[str]:
    told = told_beside([claim for claim in others if claim.first == primary.first], margin)
    those = "They also score" if are_drawn(primary.first) else "It also scores"
    said = [f"{those} {told}."] if told else []
    waiting = names_of(others, "not claimed")
    if waiting:
        said.append(
            f"Differences to {waiting} would be claimed alone, and are not, as the primary contrast is not."
        )
    return said


def told_beside(claims: Sequence[Claim], margin: float) -> str:
    """How one row scores beside those of contrasts that differ or are equivalent: "more than plain, se".

    Args:
        claims: Contrasts of one row with others.
        margin: Difference in score below which rows count as equivalent.
    """
    words: list[tuple[Verdict, str]] = [
        ("higher", "more than"),
        ("lower", "less than"),
        ("equivalent", f"the same within {points(margin)} as"),
    ]
    told = [(text, names_of(claims, verdict)) for verdict, text in words]
    return "; ".join(f"{text} {names}" for text, names in told if names)


def names_of(claims: Sequence[Claim], verdict: Verdict) -> str:
    """The second rows of the contrasts with a verdict, with commas between."""
    return ", ".join(_name(claim) for claim in claims if claim.verdict == verdict)


def _name(claim: Claim) -> str:
    return f"{claim.second} ({claim.block})" if claim.block else claim.second


def _size(row: ComparedRow) -> str:
    trainings = [len(cell.scores) for cell in row.cells]
    if row.drawn or len(row.cells) > 1:
        each = f"{min(trainings)}" if len(set(trainings)) == 1 else f"{min(trainings)} to {max(trainings)}"
        cells = counted(len(row.cells), "cell")
        return f"{cells} x {each} trainings" if each != "1" else cells
    return counted(trainings[0], "training")
