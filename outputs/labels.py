"""Names beside the points of a drawing, none over another or over another's point."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

Points = list[tuple[float, float, str]]
"""x, y and name of each point of a panel."""

STEP = 9.0
"""Distance, in typographic points, between two heights at which a name is tried."""

MARK = 4.0
"""Half the side of the square about a point, in typographic points, that no other point's name enters."""

FAR = 2.0
"""Steps from which on a line leads from a name to its point."""


def label_points(panel: Any, points: Points, size: float = 7.0) -> None:
    """Writes a name beside each point, at the first place, from right above it outwards, that is free.

    Args:
        panel: Matplotlib's axes, with all that the figure shows drawn and laid out but for names.
        points: Where they are, and what they are called.
        size: Height of the letters in typographic points.
    """
    from matplotlib.text import Text
    from matplotlib.transforms import Bbox

    panel.figure.draw_without_rendering()  # lays the panel out, so that places on it are known
    renderer = panel.figure.canvas.get_renderer()
    room, taken = panel.get_window_extent(renderer), list[Any]()
    around = renderer.points_to_pixels(MARK)
    marks = {(x, y): Bbox([panel.transData.transform((x, y))] * 2).padded(around) for x, y, _ in points}
    for x, y, name in sorted(points, key=lambda point: (-point[1], -point[0])):
        others = [mark for place, mark in marks.items() if place != (x, y)]
        for across, up in _places():
            label = panel.annotate(
                name,
                (x, y),
                (across, up),
                textcoords="offset points",
                fontsize=size,
                ha="left" if across > 0 else "right",
                arrowprops={"arrowstyle": "-", "color": "#8A93A0", "lw": 0.5, "shrinkA": 0, "shrinkB": 2}
                if abs(up) > FAR * STEP
                else None,
            )
            label.update_positions(renderer)
            box = Text.get_window_extent(label, renderer)  # an annotation's own holds its line too
            in_room = room.x0 <= box.x0 and box.x1 <= room.x1
            if in_room and not any(box.overlaps(other) for other in (*taken, *others)):
                taken.append(box)
                break
            label.remove()
        else:
            panel.annotate(name, (x, y), (5, 4), textcoords="offset points", fontsize=size)


def _places() -> Iterator[tuple[float, float]]:
    """Offsets from a point, in typographic points, near ones first."""
    heights = sorted((4.0 + far * STEP for far in range(-12, 12)), key=abs)
    return ((across, up) for up, across in product(heights, (5.0, -5.0)))
