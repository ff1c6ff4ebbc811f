"""Names beside points: each is there, none over another."""

from __future__ import annotations

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from outputs.labels import label_points


def test_names_of_points_that_lie_together_do_not_cover_one_another() -> None:
    figure = Figure(figsize=(5, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panel = figure.subplots()
    points = [(1 + number / 1000, 50.0, f"the row {number}") for number in range(8)] + [(2.0, 60.0, "far")]
    panel.plot([x for x, _, _ in points], [y for _, y, _ in points], "o")
    label_points(panel, points)
    canvas.draw()
    labels = [child for child in panel.get_children() if isinstance(child, Annotation)]
    assert {label.get_text() for label in labels} == {name for _, _, name in points}
    boxes = [Text.get_window_extent(label, canvas.get_renderer()) for label in labels]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_of_two_points_side_by_side_each_has_its_name_on_its_own_side() -> None:
    figure = Figure(figsize=(5, 4), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    panel = figure.subplots()
    points = [(1.0, 50.0, "left"), (1.03, 50.0, "right"), (0.0, 40.0, "a"), (2.0, 60.0, "b")]
    panel.plot([x for x, _, _ in points], [y for _, y, _ in points], "o")
    label_points(panel, points)
    canvas.draw()
    at = {label.get_text(): label for label in panel.get_children() if isinstance(label, Annotation)}
    boxes = {name: Text.get_window_extent(label, canvas.get_renderer()) for name, label in at.items()}
    first, second = (panel.transData.transform((x, 50.0))[0] for x in (1.0, 1.03))
    assert boxes["left"].x1 < first
    assert boxes["right"].x0 > second
