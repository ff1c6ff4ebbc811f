from __future__ import annotations

import io
import random
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import matplotlib
import pytest
from matplotlib.artist import Artist
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch
from matplotlib.text import Text
from rich.console import Console

from foundation.errors import InputError
from outputs.canvas import RADIUS
from outputs.draw import SUFFIXES, Shares, figure, margin, save, terminal
from outputs.kinds import kind_of
from search_space.genotype import PUBLISHED, Fuse, Genotype
from search_space.operator import OPERATORS
from search_space.space import HOGA, NONE

SVG = "{http://www.w3.org/2000/svg}"
FUSES: tuple[Fuse, ...] = ("double", "single", "none")


def drawn(num_nodes: int, seed: int, fuse: Fuse = "double") -> tuple[Genotype, Shares]:
    rng = random.Random(seed)
    genotype = replace(HOGA, num_nodes=num_nodes, fuse=fuse).sample(rng)
    weights = {
        edge: [rng.random() for _ in HOGA.primitives] for edge in replace(HOGA, num_nodes=num_nodes).edges
    }
    shares = {
        edge: {name: value / sum(row) for name, value in zip(HOGA.primitives, row)}
        for edge, row in weights.items()
    }
    return genotype, shares


def cases() -> list[tuple[Genotype, Shares | None]]:
    found = list[tuple[Genotype, Shares | None]]([(PUBLISHED, None)])
    for num_nodes in (1, 2, 4, 8):
        genotype, shares = drawn(num_nodes, num_nodes, FUSES[num_nodes % 3])
        found += [(genotype, None), (genotype, shares)]
    sparse = Genotype.of([[("SE", 0)], [("CBAM", 1)], [("skip_connect", 1)]])
    return [*found, (sparse, None)]


def printed(
    genotype: Genotype, shares: Shares | None = None, encoding: str = "utf-8", width: int = 80
) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    Console(file=file, width=width).print(terminal(genotype, shares))
    file.flush()
    return raw.getvalue().decode(encoding)


def edges_of(genotype: Genotype) -> list[tuple[str, str, str]]:
    return sorted((edge.source, f"h{node}", edge.operator) for node, edge in genotype.edges())


@pytest.mark.parametrize(("genotype", "shares"), cases())
def test_svg_has_every_edge_once_with_its_operator(
    genotype: Genotype, shares: Shares | None, tmp_path: Path
) -> None:
    root = ElementTree.parse(save(genotype, tmp_path / "cell.svg", shares)).getroot()
    found = []
    for group in root.iter(f"{SVG}g"):
        if match := re.fullmatch(r"edge-(\w+)-(\w+)", group.get("id", "")):
            operator = "".join(text.text or "" for text in group.iter(f"{SVG}text"))
            found.append((match[1], match[2], operator))
    assert sorted(found) == edges_of(genotype)
    texts = [text.text or "" for text in root.iter(f"{SVG}text")]
    expected = [] if shares is None else [
        f"{shares[node, edge.index][edge.operator]:.0%}" for node, edge in genotype.edges()
    ]  # fmt: skip
    assert sorted(text for text in texts if text.endswith("%")) == sorted(expected)


@pytest.mark.parametrize(("genotype", "shares"), cases())
@pytest.mark.parametrize("kinds", [(Text,), (FancyBboxPatch, Circle)], ids=["labels", "shapes"])
def test_nothing_leaves_the_figure_or_meets_another(
    genotype: Genotype, shares: Shares | None, kinds: tuple[type[Artist], ...]
) -> None:
    drawing = figure(genotype, shares)
    renderer = FigureCanvasAgg(drawing).get_renderer()
    boxes = [
        artist.get_window_extent(renderer).padded(-0.5)
        for artist in drawing.findobj(lambda artist: isinstance(artist, kinds))
        if not (isinstance(artist, Text) and not artist.get_text())
        if not (isinstance(artist, Circle) and artist.radius < RADIUS / 2)  # dots lie on wires
    ]
    assert len(boxes) >= len(list(genotype.edges()))
    for k, box in enumerate(boxes):
        assert all(drawing.bbox.contains(x, y) for x, y in box.corners()), box
        assert not [other for other in boxes[:k] if box.overlaps(other)], box


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_cell_gives_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    genotype, shares = drawn(4, 0)
    first = save(genotype, tmp_path / f"first{suffix}", shares).read_bytes()
    assert first == save(genotype, tmp_path / f"second{suffix.upper()}", shares).read_bytes()
    assert first != save(PUBLISHED, tmp_path / f"third{suffix}").read_bytes()
    head = {".svg": b"<?xml", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix]
    assert first.startswith(head)
    assert len(list(tmp_path.iterdir())) == 3


def test_settings_of_the_user_do_not_show_and_stay(tmp_path: Path) -> None:
    plain = save(PUBLISHED, tmp_path / "plain.svg").read_bytes()
    with matplotlib.rc_context({"svg.fonttype": "path", "font.size": 30, "svg.hashsalt": "mine"}):
        assert save(PUBLISHED, tmp_path / "cell.svg").read_bytes() == plain
        assert matplotlib.rcParams["svg.hashsalt"] == "mine"


def test_a_failed_drawing_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(PUBLISHED, tmp_path / "cell.svg")
    before = path.read_bytes()

    def fail(self: Figure, file: Path, **options: object) -> None:
        file.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(Figure, "savefig", fail)
    with pytest.raises(OSError, match="no space left"):
        save(drawn(2, 0)[0], path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot draw into 'cell.jpg'; end the name in .svg, .png, .pdf"):
        save(PUBLISHED, tmp_path / "cell.jpg")
    with pytest.raises(InputError, match="no folder at"):
        save(PUBLISHED, tmp_path / "missing" / "cell.svg")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("genotype", "shares"), cases())
def test_terminal_has_every_edge_in_the_table_and_in_the_lanes(
    genotype: Genotype, shares: Shares | None
) -> None:
    text = printed(genotype, shares)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "…" not in text
    assert sorted(re.findall(r"^(\w+) -> (h\d+) +(\w+)", text, re.MULTILINE)) == edges_of(genotype)
    node, in_lanes = "", []
    for line in text.splitlines():
        if match := re.match(r"^ [ │├┼─]*(h\d+|┤) +◀ (\w+) +(\w+) *$", line):
            node = node if match[1] == "┤" else match[1]
            in_lanes.append((match[2], node, match[3]))
            if match[2].startswith("h"):
                # The wire begins in the lane of the state that is read and ends in the node's.
                assert line.index("├") == 1 + 3 * (int(match[2][1:]) - 1)
            assert line.index(match[1]) == 1 + 3 * (int(node[1:]) - 1)
    assert sorted(in_lanes) == edges_of(genotype)


def test_terminal_shows_shares_margins_and_runner_ups() -> None:
    genotype = Genotype.of([[("SE", 0)]])
    text = printed(genotype, {(1, 0): {NONE: 0.5, "SE": 0.3, "CBAM": 0.175, "skip_connect": 0.025}})
    assert re.search(r"x1 -> h1 +SE +30.0 +12.5 +CBAM +50.0", text)
    assert "share" not in printed(genotype)
    assert re.search(r"x1 -> h1 +SE *$", printed(genotype, {}), re.MULTILINE)


def test_terminal_without_unicode_is_ascii() -> None:
    text = printed(PUBLISHED, encoding="ascii")
    assert "+--+   < h1  sep_conv_3x3" in text
    assert "?" not in text


def test_margin() -> None:
    assert margin({NONE: 0.6, "SE": 0.25, "CBAM": 0.15}) == pytest.approx(0.1)
    assert margin({NONE: 0.6, "SE": 0.4}) == pytest.approx(0.4)
    assert margin({"SE": 0.5, "CBAM": 0.5}) == 0


def test_an_edge_without_shares_is_drawn_without(tmp_path: Path) -> None:
    genotype, shares = drawn(2, 0)
    svg = save(genotype, tmp_path / "cell.svg", {(1, 0): shares[1, 0]}).read_text()
    assert svg.count("%</text>") == 1


def test_kinds() -> None:
    assert kind_of("SE") == kind_of("SE_A_M") == kind_of("se")
    assert kind_of("SE").color != kind_of("CBAM").color
    assert kind_of("nobody registered this").name == "other"
    assert all(re.fullmatch("#[0-9A-F]{6}", kind_of(name).color) for name in OPERATORS)


def test_import_is_light() -> None:
    code = "import sys, outputs.draw; sys.exit(bool({'matplotlib', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
