"""The report of runs: one page that is whole, says what the records say, and asks nothing of a browser."""

import json
import re
import shlex
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import autola
from autola.commands import compare as compare_command
from autola.commands import retrain as retrain_command
from autola.commands import search as search_command
from autola.comparing.presets import COMPARE_PRESETS, usual_comparison
from autola.describe import command_of
from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS, search_preset
from autola.reporting.evidence import read_evidence
from evaluators.tasks import TASKS
from outputs.report.chart import Chart, Line
from search_space.grammar import parse_attention

VOID = {"meta", "link", "img", "path", "circle", "rect", "br"}


class Page(HTMLParser):
    """Checks that elements close in order, and gathers what tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.ids, self.links, self.images = list[str](), list[str](), list[str](), list[dict]()
        self.headings, self.tags, self.svgs, self.text = (
            list[int](),
            list[tuple[str, dict]](),
            list[dict](),
            "",
        )
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if "id" in found:
            self.ids.append(str(found["id"]))
        if tag == "a":
            self.links.append(str(found["href"]))
        if tag == "img":
            self.images.append(found)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "svg" and found.get("aria-hidden") != "true":
            self.svgs.append(found)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.text += data


@pytest.fixture(scope="session")
def page(finished, tmp_path_factory) -> str:
    """The report of a search and of a retraining."""
    path = autola.report(finished, tmp_path_factory.mktemp("report") / "report.html")
    return path.read_text(encoding="utf-8")


def test_a_page_needs_nothing_and_runs_nothing(page: str) -> None:
    found = Page(page)
    tags = {tag for tag, _ in found.tags}
    assert not tags & {"script", "iframe", "object", "embed", "form", "base"}
    for tag, attributes in found.tags:
        assert not [name for name in attributes if name.startswith("on")], "no handlers"
        for name in ("src", "href", "srcset", "action", "xlink:href"):
            if name in attributes:
                assert attributes[name].startswith(("#", "data:")), (tag, attributes)
    outside = set(re.findall(r"https?://[^\"'\s<)]+", page))
    assert outside <= {"http://www.w3.org/2000/svg"}, "a name, which no browser opens"
    assert "@import" not in page
    assert "url(" not in page
    assert len(page.encode()) < 5_000_000


def test_a_page_can_be_read_by_all(page: str) -> None:
    found = Page(page)
    assert found.tags[0][0] == "html"
    assert found.tags[0][1]["lang"] == "en"
    assert found.headings[0] == 1
    assert found.headings.count(1) == 1
    steps = zip(found.headings, found.headings[1:])
    assert all(after <= before + 1 for before, after in steps), "no level is left out"
    assert len(set(found.ids)) == len(found.ids)
    assert {link[1:] for link in found.links} <= set(found.ids)
    assert len(found.svgs) > 5
    assert all(svg.get("aria-label") and svg.get("role") == "img" for svg in found.svgs)
    assert all(image.get("alt") for image in found.images)
    for part in ("prefers-color-scheme: dark", "@media print", "max-width: 40rem"):
        assert part in page


def luminance(color: str) -> float:
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast(page: str, scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", page, flags=re.DOTALL)
    colors = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[scheme]))
    for name in ("ink", "soft", "link", "good", "bad", "open"):
        for ground in ("paper", "page"):
            light, dark = sorted((luminance(colors[name]), luminance(colors[ground])), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (name, ground)
    for number in range(1, 9):
        light, dark = sorted((luminance(colors[f"line-{number}"]), luminance(colors["paper"])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3, number


def test_the_drawing_has_every_edge_and_says_what_it_is(page: str, finished) -> None:
    run = read_evidence(finished[0])
    shares = run.run.shares()
    assert run.genotype is not None
    assert shares is not None
    page = page[: page.index('id="run-2"')]  # the retraining has a cell of its own
    for node, edge in run.genotype.edges():
        (said,) = set(re.findall(rf"<title>({edge.source} to h{node}: [^<]+)</title>", page))
        share = shares[node, edge.index][edge.operator]
        assert f": {edge.operator}. share {100 * share:.1f} %" in said
        assert "margin" in said
        assert "MACs" in said


def test_what_the_records_say_is_there(page: str, finished) -> None:
    text = Page(page).text
    for path in finished:
        environment = json.loads((path / "environment.json").read_text())
        assert environment["versions"]["torch"] in text
        assert json.loads((path / "config.json").read_text())["device"] in text
    table = json.loads((finished[1] / "table.json").read_text())
    for row in table["rows"]:
        assert f"{100 * row['scores'][0]:.2f}" in text
    assert "no guard stopped the search" in text
    assert "settings differ" not in text, "a search and a retraining have no settings in common"


def answers(page: str) -> dict[str, str]:
    rows = re.findall(r'<tr><th scope="row">(.*?)</th><td class="answer \w+">(\w+)</td>', page)
    return dict(rows)


def test_the_checklist_follows_from_the_records(page: str, finished, tmp_path) -> None:
    found = answers(page)
    assert len(found) == 16
    assert found["Did you report the time for the entire end-to-end method?"] == "yes"
    assert found["Did you compare to random search?"] == "no"
    assert found["Did you perform multiple runs and report seeds?"] == "no"
    tuning = "Did you report how you tuned hyperparameters, and what time and resources this required?"
    assert found[tuning] == "unknown"
    other = Path(shutil.copytree(finished[1], tmp_path / "other"))
    environment = json.loads((other / "environment.json").read_text())
    environment["versions"]["torch"] = "0.1"
    (other / "environment.json").write_text(json.dumps(environment))
    mixed = answers(autola.report([finished[1], other], tmp_path / "mixed.html").read_text())
    assert mixed["Did you control for confounding factors: hardware, versions of libraries?"] == "no"
    assert mixed["Did you report the time for the entire end-to-end method?"] == "no"


def test_text_of_a_user_is_escaped(finished, tmp_path) -> None:
    odd = Path(shutil.copytree(finished[0], tmp_path / "<script>alert(1)<"))
    page = autola.report([odd], tmp_path / "odd.html").read_text()
    assert "<script" not in page
    Page(page)


def test_a_run_that_has_not_ended(finished, tmp_path) -> None:
    for number, name in enumerate(("search", "retrain")):
        run = Path(shutil.copytree(finished[number], tmp_path / name))
        for record in ("result.json", "table.json"):
            (run / record).unlink(missing_ok=True)
        text = Page(autola.report([run], tmp_path / f"{name}.html").read_text()).text
        assert "has not ended" in text
    (tmp_path / "search" / "genotype.json").unlink()
    (tmp_path / "search" / "metrics.jsonl").unlink()
    text = Page(autola.report([tmp_path / "search"], tmp_path / "empty.html").read_text()).text
    assert "Nothing was found yet" in text


def test_where_it_is_written(call, refused, finished, tmp_path) -> None:
    run = Path(shutil.copytree(finished[1], tmp_path / "run"))
    for _ in range(2):  # a report takes the place of a report
        assert call(f"report {run}").code == 0
    assert (run / "report.html").stat().st_size > 10_000
    other = tmp_path / "mine.html"
    other.write_text("<p>mine</p>")
    assert "no report of autola" in refused(f"report {run} -o {other}")
    assert "does not end in .html" in refused(f"report {run} -o {tmp_path / 'page.txt'}")
    assert "no folder" in refused(f"report {run} -o nowhere/page.html")
    assert "named twice" in refused(f"report {run} {run}")
    assert "not a run folder" in refused("report nowhere")
    assert "name at least one run" in refused("report")


def test_the_command_of_a_config_is_read_as_that_config() -> None:
    searches: list[Any] = [preset for _, preset in SEARCH_PRESETS.items()]
    digits = SEARCH_PRESETS["digits"]
    searches.append(
        replace(digits, target=("macs<=48M",), seed=3, width=8, primitives=("SE", "skip_connect"))
    )
    searches += [
        replace(search_preset(name), seed=2, primitives=("none", "se"))
        for name in ("camvid", "coco-keypoints", "imagenet")
    ]
    for config in searches:
        words = shlex.split(command_of(config) or "")
        assert search_command.read_settings(words[2:])[1] == config
    retrainings = [preset for _, preset in RETRAIN_PRESETS.items()]
    attentions = (parse_attention("none"), parse_attention("se[reduction=8]"))
    retrainings.append(replace(RETRAIN_PRESETS["digits"], seeds=(4, 5), attentions=attentions))
    for config in retrainings:
        words = shlex.split(command_of(config) or "")
        (read,) = retrain_command.read_settings(words[2:])[1].values()
        assert read == config
    comparisons = [preset for _, preset in COMPARE_PRESETS.items()]
    given = replace(comparisons[0], attentions=attentions, seeds=(3,), beside=("plain",), margin=0.02)
    modules = replace(given, search=None, seeds=comparisons[0].seeds)
    comparisons += [given, modules]
    comparisons += [usual_comparison("digits", task, "random") for task, _ in TASKS.items()]
    for config in comparisons:
        words = shlex.split(command_of(config) or "")
        assert compare_command.whole(*compare_command.read_settings(words[2:])) == config
    assert command_of(replace(modules, seeds=(3,))) == command_of(modules), "seeds of cells, where none are"


def test_a_chart_leaves_out_what_is_not_there() -> None:
    lines = [Line(name="a", xs=[1, 2, 3], ys=[None, float("nan"), 2.0], style=0)]
    svg = Chart(title="t", x="epoch", y="y", summary="s", lines=lines).svg()
    assert svg.count("<circle") == 1
    assert "nan" not in svg
    assert Chart(title="t", x="epoch", y="y", summary="s").svg() == ""
