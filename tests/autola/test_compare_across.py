"""`autola compare --across`: ranks over several tasks."""

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import friedmanchisquare, studentized_range

from autola.comparing.across import across
from evaluators.statistics.ranks import ranks_of
from outputs.ranking import Ranking, draw_ranking


def drawn(tasks: int = 14, rows: int = 4) -> list[list[float]]:
    """Scores, some of them equal, of rows of which the last is the best."""
    rng = np.random.default_rng(0)
    return (rng.integers(60, 70, (tasks, rows)) + 3 * np.arange(rows)).round().tolist()


def test_the_numbers_are_those_of_the_definition():
    scores = drawn()
    ranks = ranks_of(scores)
    # Literally: one more than what is better, and half of what is equal.
    ranked = [
        [1 + sum(b > a for b in line) + (sum(b == a for b in line) - 1) / 2 for a in line] for line in scores
    ]
    assert any(rank % 1 for line in ranked for rank in line), "some scores are equal"
    assert ranks.mean == pytest.approx([sum(line[place] for line in ranked) / 14 for place in range(4)])
    # Demšar's table 5 gives q = 2.569 for four rows.
    assert ranks.critical == pytest.approx(2.569 * (4 * 5 / (6 * 14)) ** 0.5, rel=2e-4)
    assert ranks.friedman == friedmanchisquare(*np.array(scores).T).pvalue
    error = (4 * 5 / (6 * 14)) ** 0.5
    expected = studentized_range.sf((ranks.mean[0] - ranks.mean[3]) / error * 2**0.5, 4, np.inf)
    assert ranks.pairs[0][3] == ranks.pairs[3][0] == pytest.approx(expected)


def test_rows_that_all_score_the_same_are_not_told_apart():
    ranks = ranks_of([[0.5] * 3, [0.7] * 3])
    assert ranks.mean == (2.0, 2.0, 2.0)
    assert ranks.friedman == 1.0


@pytest.fixture
def tasks(finished, own_folder):
    """Makes retrainings of several tasks, of given scores by row, out of the finished one."""

    def make(*tables: dict[str, float]) -> list[Path]:
        return [
            _task(finished[1], own_folder / f"task{number}", table, number)
            for number, table in enumerate(tables)
        ]

    return make


def _task(source: Path, folder: Path, scores: dict[str, float], number: int) -> Path:
    run = Path(shutil.copytree(source, folder))
    table = json.loads((run / "table.json").read_text())
    row = table["rows"][0]
    table["rows"] = [
        row | {"attention": name, "scores": [score], "seeds": [0]} for name, score in scores.items()
    ]
    (run / "table.json").write_text(json.dumps(table))
    config = json.loads((run / "config.json").read_text())
    config["train"]["epochs"] = number + 2
    (run / "config.json").write_text(json.dumps(config))
    return run


ALIKE = {"none": 0.70, "se": 0.71, "cbam": 0.69, "hoga": 0.75}


def test_many_tasks_tell_the_best_row_from_the_worst(tasks, call, own_folder):
    runs = tasks(*[{name: score + 0.01 * n for name, score in ALIKE.items()} for n in range(8)])
    told = call(f"compare --across {' '.join(map(str, runs))} --out {own_folder / 'ranked'}")
    assert told.code == 0, told.err
    words = " ".join(told.out.split())
    assert "Over 8 tasks, hoga ranks best (1.00 of 4). It is shown to rank before plain, cbam" in words
    folder = own_folder / "ranked"
    known = json.loads((folder / "ranking.json").read_text())
    assert known["rows"] == ["plain", "se", "cbam", "hoga"]
    assert known["mean"] == [3.0, 2.0, 4.0, 1.0]
    lines = list(csv.DictReader((folder / "ranking.csv").read_text().splitlines()))
    assert [float(line["hoga"]) for line in lines] == [
        *(pytest.approx(0.75 + 0.01 * n) for n in range(8)),
        1.0,
    ]
    assert (folder / "ranking.png").read_bytes()[:4] == b"\x89PNG"


def test_few_tasks_can_show_nothing_and_say_so(tasks):
    ranking = across(tasks(ALIKE, ALIKE | {"simam": 0.9}))
    assert "No difference of two ranks could be shown" in ranking.sentence
    assert ranking.left_out == ("simam",)
    assert "Left out, as some task lacks them: simam." in ranking.sentence


def test_what_is_not_over_tasks_is_refused_in_a_line(tasks, call, own_folder):
    one, two = tasks(ALIKE, {"none": 0.1, "se": 0.2})
    again = Path(shutil.copytree(one, own_folder / "again"))
    unended = Path(shutil.copytree(one, own_folder / "unended"))
    (unended / "table.json").unlink()
    cases = {
        f"{one}": "ranks need two tasks",
        f"{one} {again}": "are of one task",
        f"{one} {two}": "the tasks share 2 rows (plain, se), and ranks need 3; some task lacks cbam, hoga",
        f"{one} {unended}": "has not ended",
        f"{one} {two} --seeds 1": "--seeds is for new trainings",
    }
    for words, said in cases.items():
        told = call(f"compare --across {words} --out {own_folder / 'ranked'}")
        assert told.code == 2, words
        assert said in told.err
        assert len(told.err.strip().splitlines()) <= 2
        assert not (own_folder / "ranked").exists()


def test_a_bar_joins_what_is_not_told_apart(own_folder):
    ranks = ranks_of(drawn())
    rows = ("plain", "se", "cbam", "hoga")
    ranking = Ranking(
        rows=rows,
        tasks=(),
        sentence="",
        left_out=(),
        mean=ranks.mean,
        friedman=0.0,
        pairs=ranks.pairs,
        critical=1.25,
    )
    draw_ranking(ranking, own_folder / "joined.png")
    apart = replace(ranking, pairs=tuple(tuple(0.0 for _ in rows) for _ in rows))
    draw_ranking(apart, own_folder / "apart.png")
    assert (own_folder / "joined.png").read_bytes() != (own_folder / "apart.png").read_bytes()
