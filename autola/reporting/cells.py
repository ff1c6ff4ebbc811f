"""A cell in a report: its drawing, and the same as a table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from autola.configs import SearchConfig
from outputs.draw import Shares, margin
from outputs.report.svg import cell_svg
from search_space.genotype import Genotype
from search_space.space import NONE


def cell(
    genotype: Genotype,
    shares: Shares | None,
    config: SearchConfig | None,
    data: Mapping[str, Any],
    title: str,
) -> dict[str, Any]:
    """What the template asks for of a cell.

    Args:
        genotype: The cell.
        shares: How its edges were contested; None where nobody knows.
        config: The search that found it, for what each edge costs; None for none.
        data: What data.json of that search holds.
        title: Its heading.
    """
    costs = _costs(genotype, config, data)
    rows, titles, columns = list[list[str]](), dict[tuple[int, int], str](), list[str]()
    for node, edge in genotype.edges():
        name, contest = f"{edge.source} to h{node}", (shares or {}).get((node, edge.index))
        facts = dict[str, str]()
        if contest:
            others = {other: value for other, value in contest.items() if other not in (edge.operator, NONE)}
            share = contest.get(edge.operator)
            facts["share %"] = "" if share is None else f"{100 * share:.1f}"
            facts["margin %"] = f"{100 * margin(contest):.1f}"
            facts["runner-up"] = max(others, key=others.__getitem__, default="")
        if edge.operator in costs:
            params, macs = costs[edge.operator]
            facts["parameters"], facts["MACs (k)"] = f"{params:,.0f}", f"{macs / 1e3:,.1f}"
        rows.append([name, edge.operator, *facts.values()])
        columns = list(facts)
        said = [
            f"{key} {value}" if key[-1] != "%" else f"{key[:-2]} {value} %" for key, value in facts.items()
        ]
        titles[node, edge.index] = f"{name}: {edge.operator}. {', '.join(said)}"
    of_edges = {
        (node, edge.index): shares[node, edge.index][edge.operator]
        for node, edge in genotype.edges()
        if shares is not None and edge.operator in shares.get((node, edge.index), {})
    }
    described = "; ".join(f"{row[0]}: {row[1]}" for row in rows)
    counted = (
        " Parameters and MACs: of the edge in all blocks of the network together, for one image."
        if costs
        else ""
    )
    return {
        "title": title,
        "hint": "Point at an edge, or move to it with the tab key: it says its operator, and what is known "
        "of it. The table has the same.",
        "svg": cell_svg(genotype, of_edges, titles, f"The cell as a graph. {described}"),
        "head": ("edge", "operator", *columns),
        "rows": rows,
        "numbers": tuple(2 + place for place, column in enumerate(columns) if column != "runner-up"),
        "caption": "The edges."
        + (" Margin: the share's lead over the runner-up." if "margin %" in columns else "")
        + counted,
    }


def _costs(
    genotype: Genotype, config: SearchConfig | None, data: Mapping[str, Any]
) -> dict[str, tuple[float, float]]:
    """Parameters and MACs of each operator on one edge, in all blocks together; none where nobody knows."""
    if config is None or not {"input_shape", "num_classes"} <= data.keys():
        return {}
    from evaluators.cost_table import counted_table  # slow: PyTorch
    from supernet.backbones import build_backbone

    shape = data["input_shape"]
    build = partial(
        build_backbone,
        config.backbone,
        num_classes=data["num_classes"],
        in_channels=shape[0],
        width=config.width,
    )
    space = config.resolved_space()
    if any(edge.operator not in space.candidates for _, edge in genotype.edges()):
        return {}
    params = counted_table("params", space, build, shape).operators
    macs = counted_table("macs", space, build, shape).operators
    return {name: (params[name], macs[name]) for name in params}
