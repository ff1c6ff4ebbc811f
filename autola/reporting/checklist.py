"""The checklist for research on architecture search, answered from records.

Source: Lindauer and Hutter, "Best Practices for Scientific Research on Neural Architecture Search", JMLR 2020
(arXiv:1909.02453). What no record says stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from autola.comparing.rows import LONGER, SIZED, WRAPPED
from autola.reporting.evidence import Evidence, differing
from foundation.errors import listed
from outputs.comparison import RANDOM as RANDOM_CELLS

Answer = Literal["yes", "no", "unknown"]
Finding = tuple[Answer, str]

RANDOM = ("random", "random_ws")
"""Searchers that are random search."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A question with its answer.

    Attributes:
        question: In the words of the checklist.
        answer: What the records say.
        why: Where they say it, or why they do not.
    """

    question: str
    answer: Answer
    why: str


CHANGED = (*SIZED, LONGER)
"""Controls of a comparison that differ from the rest in what they are named after."""


def checklist(runs: Sequence[Evidence]) -> list[dict[str, Any]]:
    """The parts of the checklist, each a title and its items; a comparison counts as what it is made of."""
    runs = [part for run in runs for part in (run.parts or (run,))]
    return [
        {
            "title": title,
            "items": [
                Item(question=question, answer=(found := ask(runs))[0], why=found[1])
                for question, ask in questions.items()
            ],
        }
        for title, questions in PARTS.items()
    ]


def _code(runs: Sequence[Evidence]) -> Finding:
    revisions = {
        str(run.environment.get("git_revision")) for run in runs if run.environment.get("git_revision")
    }
    versions = {str(run.environment.get("versions", {}).get("autola")) for run in runs}
    if any(revision.endswith("-dirty") for revision in revisions):
        return "unknown", "a run used sources of autola that had been changed and not committed"
    if len(revisions) > 1:
        return "no", f"the runs used {len(revisions)} revisions of autola: {listed(sorted(revisions))}"
    of = f", revision {next(iter(revisions))[:12]}" if revisions else ""
    return (
        "yes",
        f"autola {listed(sorted(versions))}{of}, which is public; modules of your own are not recorded here",
    )


def _space(runs: Sequence[Evidence]) -> Finding:
    searches = [run for run in runs if run.kind == "search"]
    if not searches:
        return "unknown", "no search is among these runs"
    names = sorted({str(run.config["space"]) for run in searches})
    answer, why = _code(runs)
    return answer, f"space {listed(names)}: {why}"


def _settings(runs: Sequence[Evidence]) -> Finding:
    retrainings = [run for run in runs if run.kind == "retraining"]
    if not retrainings:
        return "unknown", "no retraining is among these runs"
    seeds = sorted({seed for run in retrainings for seed in run.config["seeds"]})
    return "yes", f"all settings are in this report; seeds {' '.join(map(str, seeds))}"


def _search_settings(runs: Sequence[Evidence]) -> Finding:
    searches = [run for run in runs if run.kind == "search"]
    if not searches:
        return "unknown", "no search is among these runs"
    seeds = sorted({run.config["seed"] for run in searches})
    return "yes", f"all settings are in this report; seeds {' '.join(map(str, seeds))}"


def _same_benchmark(runs: Sequence[Evidence]) -> Finding:
    compared = _comparable(runs)
    if compared is None:
        return "unknown", "nothing is compared here: one training, or runs of different kinds"
    if len(compared) == 1:
        return "yes", "one retraining: all attentions have the same data, network and recipe"
    keys = differing([run.problem() for run in compared])
    if keys:
        return "no", f"the runs differ in {listed(keys)}"
    digests = [run.data.get("parts") for run in compared]
    if any(digest != digests[0] for digest in digests):
        return "no", "the data of the runs are not the same: counts or digests differ"
    changed = sorted({run.row for run in runs if run.row in CHANGED})
    but = f"; {listed(changed)} differ in what they are named after" if changed else ""
    return "yes", f"the runs agree in data, network, space and recipe{but}"


def _confounders(runs: Sequence[Evidence]) -> Finding:
    keys = differing([run.surroundings() for run in runs])
    if keys:
        return "no", f"the runs differ in {listed(keys)}"
    if len(runs) == 1 and runs[0].kind != "retraining":
        return "unknown", "nothing is compared here"
    name = runs[0].environment.get("device_name")
    return "yes", f"device ({name}), threads and versions of the libraries are the same"


def _ablation(runs: Sequence[Evidence]) -> Finding:
    rows = {run.row for run in runs}
    alone = [row for row in (*WRAPPED, *CHANGED) if row in rows]
    if alone:
        return "yes", f"rows show what the wrapper, or size and length of training alone, do: {listed(alone)}"
    return "unknown", "no record says so"


def _protocol(runs: Sequence[Evidence]) -> Finding:
    retrainings = [run for run in runs if run.kind == "retraining"]
    if not retrainings:
        return "unknown", "no retraining is among these runs"
    keys = differing([run.protocol() for run in retrainings if run.row not in CHANGED])
    if keys:
        return "no", f"the retrainings differ in {listed(keys)}"
    return "yes", "one recipe and one look at the test set, at the end, for all"


def _over_time(runs: Sequence[Evidence]) -> Finding:
    lacking = [run.name for run in runs if not run.curves]
    if lacking:
        return "no", f"no figures of epochs in {listed(lacking)}"
    return "yes", "figures of every epoch are drawn above, with their seconds in metrics.jsonl"


def _random(runs: Sequence[Evidence]) -> Finding:
    found = [run.name for run in runs if run.kind == "search" and run.config["searcher"]["name"] in RANDOM]
    if found:
        return "yes", f"random search: {listed(found)}"
    drawn = {run.name for run in runs if run.row == RANDOM_CELLS}
    if drawn:
        return "yes", f"random cells of the same space, under the same limit: {len(drawn)} trainings"
    if any(run.kind == "search" for run in runs):
        return "no", "no random search, and no random cells, are among these runs"
    return "unknown", "no search is among these runs"


def _repeated(runs: Sequence[Evidence]) -> Finding:
    searches = {run.config["seed"] for run in runs if run.kind == "search"}
    seeds = {seed for run in runs if run.kind == "retraining" for seed in run.config["seeds"]}
    parts = [f"{len(searches)} seed(s) of searches", f"{len(seeds)} seed(s) of retrainings"]
    enough = len(searches) != 1 and len(seeds) != 1
    return ("yes" if enough and (searches or seeds) else "no"), " and ".join(parts)


def _tabular(runs: Sequence[Evidence]) -> Finding:
    return "unknown", "runs do not record it; autola.benchmark reads the tables that are published"


def _tuning(runs: Sequence[Evidence]) -> Finding:
    return "unknown", "how settings were chosen is not recorded; the presets name their sources"


def _end_to_end(runs: Sequence[Evidence]) -> Finding:
    spent = [(run.name, run.seconds) for run in runs]
    if any(seconds is None for _, seconds in spent):
        return "no", "a run has not ended"
    total = sum(seconds for _, seconds in spent if seconds is not None)
    kinds = {run.kind for run in runs}
    if {"search", "retraining"} <= kinds:
        return "yes", f"search and retraining together took {total:,.0f} s"
    return "no", f"{total:,.0f} s, of {' and '.join(sorted(kinds))} alone"


def _details(runs: Sequence[Evidence]) -> Finding:
    lacking = [run.name for run in runs if not run.environment or not run.data]
    if lacking:
        return "no", f"records are missing in {listed(lacking)}"
    return "yes", "settings, data with digests, device, threads and versions are recorded, and given below"


def _comparable(runs: Sequence[Evidence]) -> list[Evidence] | None:
    """The runs that are compared with one another; None where nothing is."""
    retrainings = [run for run in runs if run.kind == "retraining" and run.row not in CHANGED]
    if len(retrainings) > 1 or (retrainings and len(retrainings[0].config["attentions"]) > 1):
        return retrainings
    searches = [run for run in runs if run.kind == "search"]
    return searches if len(searches) > 1 else None


PARTS: Mapping[str, Mapping[str, Callable[[Sequence[Evidence]], Finding]]] = {
    "Releasing code": {
        "Did you release the code for the training pipeline used to evaluate the final architectures?": _code,
        "Did you release the code for the search space?": _space,
        "Did you release the hyperparameters of the final evaluation, and the random seeds?": _settings,
        "Did you release the code for your NAS method?": _code,
        "Did you release the hyperparameters of your NAS method, and the random seeds?": _search_settings,
    },
    "Comparing methods": {
        "Did you use exactly the same benchmark: data, split, search space, training code and "
        "hyperparameters?": _same_benchmark,
        "Did you control for confounding factors: hardware, versions of libraries?": _confounders,
        "Did you run ablation studies?": _ablation,
        "Did you use the same evaluation protocol for the methods being compared?": _protocol,
        "Did you compare performance over time?": _over_time,
        "Did you compare to random search?": _random,
        "Did you perform multiple runs and report seeds?": _repeated,
        "Did you use tabular or surrogate benchmarks for in-depth evaluations?": _tabular,
    },
    "Reporting details": {
        "Did you report how you tuned hyperparameters, and what time and resources this required?": _tuning,
        "Did you report the time for the entire end-to-end method?": _end_to_end,
        "Did you report all the details of your experimental setup?": _details,
    },
}
"""Title of a part to its questions, and what answers them."""
