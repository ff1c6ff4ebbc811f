"""Reports: one HTML page that holds all it needs, from templates and what was read from records."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foundation.errors import InputError
from foundation.files import write_text

TEMPLATES = Path(__file__).parent / "templates"

MARK = '<meta name="generator" content="autola '
"""In the page, by which a report is known: a newer one may take its place, and that of no other file."""

MOST_BYTES = 5_000_000
"""Bytes of a page."""


def need_jinja() -> None:
    """Checks that pages can be written, before anything is read.

    Raises:
        InputError: If jinja2 is not installed.
    """
    try:
        import jinja2  # noqa: F401
    except ImportError:
        raise InputError("reports need jinja2: pip install 'autola[report]'") from None


def render(content: Mapping[str, Any]) -> str:
    """The page.

    Args:
        content: What the template asks for; every text is escaped.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from outputs.report.chart import stroke

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return environment.get_template("report.html").render(**content, style=style, stroke=stroke)


def write(page: str, path: Path) -> None:
    """Writes a page, whole or not at all.

    Raises:
        InputError: If there is another file of that name, no folder for it, or the page is too large.
    """
    check_target(path)
    size = len(page.encode())
    if size > MOST_BYTES:
        raise InputError(f"the report would have {size / 1e6:.1f} MB; name fewer runs")
    write_text(path, page)


def check_target(path: Path) -> None:
    """Refuses to write over what is no report.

    Raises:
        InputError: If there is another file, or no folder.
    """
    if path.suffix not in (".html", ".htm"):
        raise InputError(f"{path} does not end in .html")
    if not path.parent.is_dir():
        raise InputError(f"no folder {path.parent} to write {path.name} to")
    if not path.exists():
        return
    if not path.is_file():
        raise InputError(f"{path} is no file; choose another --out")
    with path.open(encoding="utf-8", errors="replace") as file:
        if MARK not in file.read(4096):
            raise InputError(f"{path} exists already, and is no report of autola's; choose another --out")
