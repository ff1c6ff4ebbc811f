"""F: pictures of every format and mode come in one way, whatever is done with them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.field.cells import tried
from benchmarks.field.jobs import TRAININGS, picture
from benchmarks.field.work import Work
from benchmarks.field.wrong import expect


def seen(work: Work, run: str, path: Path) -> Any:
    """What a network finds in a picture."""
    return json.loads(work.done("predict", run, str(path), "--json").out)[0]["found"]


@tried("F", "the same pixels as PNG, TIFF, BMP, PPM, WebP, TGA, PCX and with an opaque alpha", *TRAININGS)
def _(work: Work, column: str) -> str:
    run = work.member(column)
    picture(Path("x.png"), 3, (40, 32))
    image, wanted = Image.open("x.png"), seen(work, run, Path("x.png"))
    for ending in ("tif", "bmp", "ppm", "webp", "tga", "pcx"):
        image.save(f"x.{ending}", lossless=True)
        expect(seen(work, run, Path(f"x.{ending}")) == wanted, f".{ending} is seen as another picture")
    image.convert("RGBA").save("alpha.png")
    expect(seen(work, run, Path("alpha.png")) == wanted, "an opaque alpha changes it")
    return "right: eight times the same"


@tried("F", "grey as L, LA, 1 bit, palette and 16 bits", *TRAININGS)
def _(work: Work, column: str) -> str:
    run = work.member(column)
    bits = np.random.default_rng(0).integers(0, 2, (32, 40)).astype(bool)
    grey = Image.fromarray(np.where(bits, 255, 0).astype(np.uint8))
    grey.convert("RGB").save("rgb.png")
    wanted = seen(work, run, Path("rgb.png"))
    grey.save("L.png")
    grey.convert("LA").save("LA.png")
    grey.convert("1").save("1.png")
    grey.convert("P").save("P.gif")
    Image.fromarray(np.where(bits, 65535, 0).astype(np.uint16)).save("16.png")
    Image.fromarray(np.where(bits, 65535, 0).astype(np.uint16)).save("16.tif")
    for name in ("L.png", "LA.png", "1.png", "P.gif", "16.png", "16.tif"):
        expect(seen(work, run, Path(name)) == wanted, f"{name} is seen as another picture")
    return "right: six times the same"


@tried("F", "a picture that the camera turned", *TRAININGS)
def _(work: Work, column: str) -> str:
    run = work.member(column)
    picture(Path("x.png"), 3, (40, 32))
    upright = Image.open("x.png")
    wanted = seen(work, run, Path("x.png"))
    for number, back in ((6, Image.Transpose.ROTATE_90), (3, Image.Transpose.ROTATE_180)):
        exif = Image.Exif()
        exif[0x0112] = number
        upright.transpose(back).save("turned.png", exif=exif)
        expect(seen(work, run, Path("turned.png")) == wanted, f"orientation {number} is not undone")
    return "right: upright"


@tried("F", "real numbers, of which nobody knows the range", *TRAININGS)
def _(work: Work, column: str) -> str:
    run = work.member(column)
    Image.fromarray(np.random.default_rng(0).random((32, 40), dtype=np.float32)).save("x.tif")
    return work.refused("predict", run, "x.tif", naming="x.tif")


@tried("F", "a picture cut short, empty, a text, a folder, a pipe", *TRAININGS)
def _(work: Work, column: str) -> str:
    run = work.member(column)
    picture(Path("x.png"), 3, (40, 32))
    Path("short.png").write_bytes(Path("x.png").read_bytes()[:500])
    Path("empty.jpg").touch()
    Path("text.png").write_text("no picture")
    Path("folder.png").mkdir()
    os.mkfifo("pipe.png")
    lines = [
        work.refused("predict", run, "x.png", name, naming=name)
        for name in ("short.png", "empty.jpg", "text.png", "folder.png", "pipe.png", "gone.png")
    ]
    return lines[0]


@tried("F", "a picture of one pixel, and one a thousand times as wide as high", *TRAININGS)
def _(work: Work, column: str) -> str:
    run = work.member(column)
    picture(Path("dot.png"), 3, (1, 1))
    picture(Path("line.png"), 3, (1000, 1))
    for name in ("dot.png", "line.png"):
        work.refused_or_right("predict", run, name, "--json")
    return "right: no traceback"
