"""The chapter of a run in a report: texts, tables, charts and drawings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autola.comparing.config import CompareConfig
from autola.configs import AnySearch, RetrainConfig, SearchConfig, TaskSearch
from autola.describe import command_of
from autola.reporting.cells import cell
from autola.reporting.compared import comparison_chapter
from autola.reporting.curves import curves, shares
from autola.reporting.evidence import Evidence
from autola.reporting.placements import placement_texts
from autola.reporting.words import data_words, words_of
from autola.tables import cells_of, mega
from foundation.config import to_json
from outputs.finals import finals_of
from outputs.front import TITLES, UNITS
from outputs.report.chart import Chart, Dot
from search_space.term import label, short_label


def chapter(run: Evidence) -> dict[str, Any]:
    """What the template asks for."""
    match run.settings:
        case SearchConfig() | TaskSearch():
            texts = _search(run, run.settings)
        case CompareConfig():
            texts = comparison_chapter(run, run.settings)
        case RetrainConfig():
            texts = _retraining(run, run.settings)
    return {
        "name": run.name,
        "title": f"{run.kind.capitalize()}: {run.name}",
        "curves": curves(run),
        "command": command_of(run.settings),
        "config": to_json(run.settings),
        "environment": _environment(run),
        **texts,
    }


def _search(run: Evidence, config: AnySearch) -> dict[str, Any]:
    if isinstance(config, SearchConfig) and not config.of_places:
        texts = _of_cells(run, config)
    else:
        texts = placement_texts(run, config)
    return {
        **texts,
        "answer": _found(run),
        "costs": _costs(run, config) if isinstance(config, SearchConfig) else None,
        "table": None,
        "front": _front(run),
        "finals": _finals(run),
        "shares": shares(run),
        "guards": _guards(run),
    }


def _of_cells(run: Evidence, config: SearchConfig) -> dict[str, Any]:
    space = config.resolved_space()
    limits = f", within {' or '.join(config.target)}" if config.target else ""
    question = (
        f"Which operators should stand on the {len(space.edges)} edges of a cell of {space.num_nodes} nodes "
        f"in {config.backbone}, for images like those of {config.data.name}{limits}? The space has "
        f"{space.size:,} genotypes; {config.searcher.name} looked for one."
    )
    setting = [
        ("searcher", words_of(run.config["searcher"])),
        (
            "data",
            f"{data_words(run.data, config.data.name)}; weights and alphas learn on two halves of the "
            "training set",
        ),
        ("network", config.backbone + (f", width {config.width}" if config.width else "")),
        ("space", f"{config.space}: {', '.join(space.primitives)}"),
        ("limits", ", ".join(config.target) or "none"),
        ("seed", config.seed),
    ]
    drawn = (
        [] if run.genotype is None else [cell(run.genotype, run.run.shares(), config, run.data, "The cell")]
    )
    return {"question": question, "setting": setting, "cells": drawn}


def _found(run: Evidence) -> str:
    found = run.genotype or run.placement
    if found is None:
        return "Nothing was found yet: the search has not ended its first epoch."
    lines = run.curves.get("search", ())
    state = (
        ""
        if run.result
        else f" so far, after epoch {lines[-1]['epoch'] if lines else 0}; the search has not ended"
    )
    return f"Found{state}: {found}"


def _guards(run: Evidence) -> list[tuple[str, Any]]:
    guards = run.config["searcher"].get("guards")
    if guards is None:
        return []
    rules = [
        ("most edges led by skip_connect", guards["most_skips"] or "no rule"),
        (
            "curvature measured",
            f"every {guards['curvature_every']} epochs" if guards["curvature_every"] else "never",
        ),
        ("most growth of the curvature", guards["most_growth"] or "no rule"),
    ]
    lines = [line for line in run.curves.get("search", ()) if "skip_edges" in line]  # those before finals
    last = lines[-1] if lines else {}
    seen = [
        (name, f"{last[key]:.3g}")
        for key, name in (
            ("skip_edges", "edges led by skip_connect in the end"),
            ("skip_share", "share of skip_connect in the end"),
            ("none_share", "share of none in the end"),
            ("rank_stability", "rank correlation of the last two epochs"),
            ("alpha_eigenvalue", "largest eigenvalue in the end"),
        )
        if last.get(key) is not None
    ]
    if run.result is None:
        said = "the search has not ended"
    else:
        said = (
            f"the search {run.result['stopped']}"
            if run.result.get("stopped")
            else "no guard stopped the search"
        )
    return [("said", said), *rules, *seen]


def _finals(run: Evidence) -> dict[str, Any] | None:
    finals = finals_of(run.run)
    if not finals:
        return None
    return {
        "head": ("score less price", "what was trained"),
        "rows": [[each.shown, each.genotype] for each in finals],
        "caption": "What the search trained at its end, best first; the first is its answer.",
    }


def _costs(run: Evidence, config: SearchConfig) -> dict[str, Any] | None:
    from evaluators.cost import measure  # slow: PyTorch
    from search_space.term import Term

    if run.genotype is not None:
        found = (Term(name="hoga", argument=run.name, genotype=run.genotype),)
    elif run.placement is not None:
        found = (Term(name="places", argument=run.name, placement=run.placement),)
    else:
        return None
    if not {"input_shape", "num_classes"} <= run.data.keys():
        return None
    setting: Any = {
        "input_shape": run.data["input_shape"],
        "num_classes": run.data["num_classes"],
        "width": config.width,
        "latency": False,
        "activation": False,
    }
    rows, first = list[list[str]](), None
    for name, attention in (("none", "none"), ("se", "se"), ("cbam", "cbam"), ("found", found)):
        cost = measure(config.backbone, attention, **setting)
        first = first or cost
        ratio = f"{cost.macs / first.macs:.2f}"
        rows.append([name, f"{cost.params:,}", f"{cost.params / first.params:.2f}", mega(cost.macs), ratio])
    shape = " x ".join(map(str, run.data["input_shape"]))
    return {
        "head": ("attention", "parameters", "to none", "MACs", "to none"),
        "rows": rows,
        "numbers": (1, 2, 3, 4),
        "caption": f"Counted in {config.backbone} for an image of {shape}; time is not counted.",
    }


def _front(run: Evidence) -> dict[str, Any] | None:
    if run.front is None:
        return None
    points, metrics = run.front.points, run.front.metrics
    charts = [
        Chart(
            title=f"Accuracy over {TITLES[metric]}",
            x=TITLES[metric],
            y="accuracy %",
            summary=f"{len(points)} searches; filled points are on the front: "
            + "; ".join(f"{point.target}: {100 * point.score:.1f} %" for point in points if point.on_front),
            dots=[
                Dot(
                    name=point.target,
                    x=point.costs[metric] / UNITS[metric],
                    y=100 * point.score,
                    full=point.on_front,
                )
                for point in points
            ],
        )
        for metric in metrics
    ]
    rows = [
        [point.target, *(f"{point.costs[metric] / UNITS[metric]:.4g}" for metric in metrics),
         f"{100 * point.score:.2f}", "yes" if point.on_front else "no", point.genotype]
        for point in points
    ]  # fmt: skip
    return {
        "charts": charts,
        "legend": {},
        "head": ("target", *(TITLES[metric] for metric in metrics), "accuracy %", "on the front", "genotype"),
        "rows": rows,
        "numbers": tuple(range(1, 2 + len(metrics))),
        "caption": "What was found for each target; accuracy on the half that the choice was made on.",
    }


def _retraining(run: Evidence, config: RetrainConfig) -> dict[str, Any]:
    names = [short_label(label(attention)) for attention in config.attentions]
    what = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
    question = (
        f"How good is {what} in {config.task.summary()}, trained under one recipe"
        f"{' with the same seeds' if len(config.seeds) > 1 else ''}?"
        if len(names) == 1
        else f"Which is best of {what} in {config.task.summary()}, under one recipe with the same seeds?"
    )
    genotypes = {
        label(attention): (term.genotype, attention)
        for attention in config.attentions
        for term in attention
        if term.genotype is not None
    }
    return {
        "question": question,
        "answer": _best(run),
        "setting": [
            ("task", words_of(run.config["task"])),
            ("recipe", words_of(run.config["train"])),
            ("data", data_words(run.data, config.task.subject())),
            ("attentions", ", ".join(label(attention) for attention in config.attentions)),
            ("seeds", " ".join(map(str, config.seeds))),
        ],
        "cells": [
            cell(genotype, None, None, {}, f"The cell of {short_label(name)}")
            for name, (genotype, _) in list(genotypes.items())[:3]
        ],
        "costs": None,
        "table": _results(run),
        "front": None,
        "shares": None,
        "finals": None,
        "guards": None,
    }


def _best(run: Evidence) -> str:
    if run.table is None:
        return f"The retraining has not ended: {len(run.curves)} of its trainings have begun."
    rows = run.table.rows
    best = max(rows, key=lambda row: row.mean)
    text = f"{short_label(best.attention)} has the highest mean, {100 * best.mean:.2f} % {run.table.score}"
    plain = next((row for row in rows if row.attention == "none"), None)
    if plain is None or best is plain:
        return f"{text}."
    shift, interval = best.difference(plain)
    if interval is None:
        return f"{text}, {100 * shift:+.2f} to none; with one seed nobody knows how sure that is."
    sure = abs(shift) > interval
    return (
        f"{text}, {100 * shift:+.2f} ± {100 * interval:.2f} to none (95 % interval over {len(best.seeds)} "
        f"seeds, for this pair alone): {'the interval leaves out 0' if sure else 'no difference is shown'}."
    )


def _results(run: Evidence) -> dict[str, Any] | None:
    table = run.table
    if table is None:
        return None
    return {
        "head": ("attention", "parameters", "MACs", f"{table.score} %", "to none", "seeds", "s / seed"),
        "rows": cells_of(table),
        "numbers": (1, 2, 3, 4, 5, 6),
        "caption": "± standard deviation over seeds; to none: mean difference ± half its 95 % interval.",
    }


def _environment(run: Evidence) -> Sequence[tuple[str, Any]]:
    known = run.environment
    versions = known.get("versions", {})
    pairs = [
        ("started", known.get("started")),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items() if version)),
        ("Python", known.get("python")),
        ("device", f"{known.get('device')}, {known.get('device_name')}"),
        ("threads", known.get("num_threads")),
        ("platform", known.get("platform")),
        ("revision", known.get("git_revision")),
        ("seconds", None if run.seconds is None else f"{run.seconds:,.0f}"),
    ]
    return [(name, value) for name, value in pairs if value not in (None, "", "None, None")]
