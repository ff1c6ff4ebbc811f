"""The model card: README.md with the hub's metadata, filled from the records."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from autola.describe import command_of
from autola.sharing.contents import SharedGenotype, SharedNetwork
from autola.tables import Row
from evaluators.data.listing import PARTS
from foundation.config import adapter
from foundation.hub import SCHEME
from search_space.genotype import PUBLISHED, Genotype
from search_space.grammar import FILE
from search_space.graph import facts
from search_space.term import Term, label

README = "README.md"

UNKNOWN = "unknown"
"""The hub's word for a licence that nobody named."""

DATASETS = {"cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100"}
"""Readers of the official files of a data set, and the hub's name for it."""

METRICS = {"mIoU": "mean_iou"}
"""Scores that the hub knows under another name than ours in small letters."""

_MOST_CLASSES = 20


def network_card(shared: SharedNetwork, repo: str | None, license: str) -> str:
    """The card of a trained network.

    Args:
        shared: What is shared.
        repo: user/name; None where it is not known.
        license: The hub's name of its licence.
    """
    task, attention = shared.config.task, shared.row.attention
    backbone = getattr(task, "backbone", None) or getattr(getattr(task, "detector", None), "name", "network")
    reader = getattr(getattr(task, "data", None), "name", task.name)
    title = f"{attention} in {backbone}, {task.name} on {reader}"
    score = shared.score.removeprefix("test ")
    head = _metadata(
        license,
        tags=["attention", "autola", task.name],
        pipeline_tag=task.hub_task or None,
        datasets=[DATASETS[reader]] if reader in DATASETS else None,
        metrics=[METRICS.get(score, score.lower())],
        figure=(
            title,
            task.hub_task or task.name,
            reader,
            METRICS.get(score, score.lower()),
            shared.row.mean,
        ),
    )
    parts = [
        head,
        f"# {_plain(title)}",
        _use(
            repo, "network = autola.from_pretrained({})", "network.facts  # classes, shape, mean, deviation"
        ),
        f"## Result\n\n{_results(shared)}",
        f"## Data\n\n{_data(shared.data, reader, getattr(getattr(task, 'data', None), 'limit', None))}",
        f"## Recipe\n\n{_recipe(shared)}",
    ]
    if shared.genotype:
        parts.append(f"## Genotype\n\n{_genotype(shared.genotype)}")
    line = _network_line(shared, repo)
    parts.append(f"## Repeat\n\n{_repeated(line)}")
    parts.append(f"## Licence\n\n{_licence(license, started=task.weights)}")
    return "\n\n".join(parts) + "\n"


def genotype_card(shared: SharedGenotype, repo: str | None, license: str) -> str:
    """The card of a genotype; see `network_card`."""
    config = shared.config
    title = (
        f"Attention found by {config.searcher.name} on {config.data.name}" if config else "Attention module"
    )
    parts = [
        _metadata(license, tags=["attention", "autola", "neural-architecture-search"]),
        f"# {_plain(title)}",
        _use(
            repo,
            "genotype = autola.from_pretrained({})",
            "model = autola.attach(model, genotype)  # a network of yours",
            command=f"autola retrain none se hoga:{SCHEME}{repo} --preset cifar10 --data.root {{}}"
            if repo
            else None,
        ),
        f"## Genotype\n\n{_genotype(shared.genotype)}",
    ]
    if config is not None:
        settings = {
            "backbone": config.backbone,
            "space": config.space,
            "targets": ", ".join(config.target) or "none",
            "seed": config.seed,
        }
        searcher = adapter(type(config.searcher)).dump_python(config.searcher, mode="json")
        parts.append(f"## Search\n\n{_table(('setting', 'value'), _rows(settings | searcher))}")
        parts.append(f"{_surroundings(shared.environment or {})}A search's own figures are no test score.")
        parts.append(f"## Repeat\n\n{_repeated(command_of(config))}")
    parts.append(f"## Licence\n\n{_licence(license)}")
    return "\n\n".join(parts) + "\n"


def _metadata(license: str, *, figure: tuple[str, str, str, str, float] | None = None, **known: Any) -> str:
    from huggingface_hub import EvalResult, ModelCardData  # slow

    if figure is not None:
        known["model_name"], kind, reader, metric, value = figure
        known["eval_results"] = [
            EvalResult(
                task_type=kind,
                dataset_type=reader,
                dataset_name=reader,
                metric_type=metric,
                metric_value=value,
            )
        ]
    return f"---\n{ModelCardData(library_name='autola', license=license, **known).to_yaml()}\n---"


def _use(repo: str | None, *lines: str, command: str | None = None) -> str:
    source = repr(repo or "FOLDER")
    code = "\n".join(["import autola", "", *(line.replace("{}", source) for line in lines)])
    text = f"## Use\n\n```python\n{code}\n```"
    return text + (f"\n\n```console\n{command.replace('{}', 'DATA')}\n```" if command else "")


def _results(shared: SharedNetwork) -> str:
    rows = [
        (
            f"{row.attention} (this)" if row is shared.row and len(shared.rows) > 1 else row.attention,
            f"{row.params:,}",
            f"{row.macs:,}" if row.macs else "not counted",
            _score(row),
            len(row.seeds),
        )
        for row in shared.rows
    ]
    table = _table(("attention", "parameters", "MACs", f"{shared.score} %", "seeds"), rows)
    spread = (
        "± standard deviation over the seeds. "
        if shared.row.spread is not None
        else ("One seed: how much another one differs is not known. ")
    )
    own = f"These weights are of seed {shared.config.seeds[0]}: {100 * shared.result['score']:.2f} %."
    return f"{table}\n\n{spread}{own} The test set was read once, at the end."


def _score(row: Row) -> str:
    return f"{100 * row.mean:.2f}" + (f" ± {100 * row.spread:.2f}" if row.spread is not None else "")


def _data(data: Mapping[str, Any], reader: str, limit: int | None) -> str:
    rows = [("data", reader)]
    if "input_shape" in data:
        rows.append(("input shape", " x ".join(map(str, data["input_shape"]))))
    rows += [
        (key, ", ".join(f"{value:.4g}" for value in data[key])) for key in ("mean", "std") if key in data
    ]
    names = data.get("classes", data.get("keypoints", ()))
    if names:
        more = f" and {len(names) - _MOST_CLASSES} more (data.json)" if len(names) > _MOST_CLASSES else ""
        rows.append((f"{len(names)} names", ", ".join(names[:_MOST_CLASSES]) + more))
    for part, listing in data.get(PARTS, {}).items():
        counts = _counted(listing["counts"])
        if counts:
            rows.append((f"part {part}", counts))
    if limit is not None:
        rows.append(("limit", f"{limit:,} images of each part were used"))
    return _table(("fact", "value"), rows)


def _counted(counts: Mapping[str, int]) -> str:
    """What there was, images of all classes together."""
    total = dict[str, int]()
    for name, count in counts.items():
        what = "images" if name.startswith("images of class ") else name
        total[what] = total.get(what, 0) + count
    return ", ".join(f"{count:,} {what}" for what, count in total.items())


def _recipe(shared: SharedNetwork) -> str:
    train = adapter(type(shared.config.train)).dump_python(shared.config.train, mode="json")
    start = {"starting weights": shared.config.task.weights or "random", "precision": shared.config.precision}
    table = _table(("setting", "value"), _rows(train | start))
    return f"{table}\n\nThe whole of it is in config.json.\n\n{_surroundings(shared.environment)}".rstrip()


def _surroundings(environment: Mapping[str, Any]) -> str:
    versions = environment.get("versions", {})
    known = [f"{name} {versions[name]}" for name in ("autola", "torch", "torchvision") if versions.get(name)]
    device = environment.get("device_name") or environment.get("device")
    words = [*known, *([str(device)] if device else [])]
    return f"Made with {_plain(', '.join(words))}. " if words else ""


def _genotype(genotype: Genotype) -> str:
    edges = [(f"{edge.source} → h{node}", edge.operator) for node, edge in genotype.edges()]
    about = f"Space {_plain(genotype.space)}, fuse {genotype.fuse}; {facts(genotype)}. As data: {FILE}."
    return f"{_table(('edge', 'operator'), edges)}\n\n{about}"


def _network_line(shared: SharedNetwork, repo: str | None) -> str | None:
    """The command that repeats a training; None where the grammar cannot name its attention."""
    file = f"{SCHEME}{repo}" if repo else FILE
    found = [term for term in shared.terms if _unnamed(term)]
    if len(found) > 1 or (found and found[0] is not shared.terms[-1]):
        return None
    head = label(tuple(term for term in shared.terms if term not in found))
    attention = "+".join([*([head] if head != "none" or not found else []), *(f"hoga:{file}" for _ in found)])
    return command_of(replace(shared.config, seeds=shared.row.seeds), [attention])


def _unnamed(term: Term) -> bool:
    """Whether a term is a genotype that only a file names."""
    return term.genotype is not None and term.genotype != PUBLISHED


def _repeated(line: str | None) -> str:
    if line is None:
        return "No preset and no text names this; config.json has all settings."
    data = "\n\nDATA is the folder of the data." if "DATA" in shlex.split(line) else ""
    return f"```console\n{line}\n```{data}"


def _licence(license: str, started: str | None = None) -> str:
    named = "Whoever shared this named no licence." if license == UNKNOWN else f"Licence: {_plain(license)}."
    start = f" Training began from weights ({_plain(started)}) with terms of their own." if started else ""
    return f"{named} The terms of the data are their owner's.{start}"


def _rows(values: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    for name, value in values.items():
        if not isinstance(value, dict):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield name.replace("_", " "), shown or "none"


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(_plain(str(cell)) for cell in line) + " |" for line in lines)


def _plain(text: str) -> str:
    """A text, maybe of the user's data, that means nothing to Markdown."""
    return re.sub(r"([\\`*|<>\[\]#])", r"\\\1", " ".join(text.split()))
