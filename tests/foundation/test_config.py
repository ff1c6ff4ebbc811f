"""Configs: JSON both ways, and errors that name the place in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.config import config, parse, parse_json, parse_text, read_text, to_json
from foundation.errors import MOST_NAMED, MOST_SHOWN, InputError, unknown


@config
class Inner:
    """Inside."""

    rate: float = 0.1
    kind: Literal["a", "b"] = "a"

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise InputError(f"rate={self.rate} is negative")


@config
class Outer:
    """Outside."""

    name: str
    steps: int = 1
    flags: tuple[bool, ...] = ()
    inner: Inner = Inner()
    path: Path | None = None


outers = st.builds(
    Outer,
    name=st.text(),
    steps=st.integers(-(2**63), 2**63),
    flags=st.lists(st.booleans()).map(tuple),
    inner=st.builds(Inner, rate=st.floats(min_value=0), kind=st.sampled_from(["a", "b"])),
    path=st.none() | st.just(Path("a/b")),
)


@given(outers)
def test_json_round_trips(value: Outer) -> None:
    text = to_json(value)
    assert text.endswith("}\n")
    assert parse_json(Outer, text, "here") == value
    assert to_json(parse_json(Outer, text, "here")) == text


@config
class Moved:
    """What an earlier version wrote as `pace` and `kind`."""

    old_names: ClassVar[Mapping[str, str]] = {"pace": "inner.rate", "kind": "inner.kind", "many": "steps"}

    steps: int = 1
    inner: Inner = Inner()


def test_old_names_are_read_and_never_written() -> None:
    new = Moved(steps=3, inner=Inner(rate=0.5, kind="b"))
    for keys in (
        {"pace": 0.5, "kind": "b", "many": 3},
        {"many": 3, "kind": "b", "inner": {"rate": 0.5}},
        {"steps": 3, "inner": {"rate": 0.5, "kind": "b"}},
    ):
        before = json.dumps(keys)
        assert parse(Moved, keys, "here") == parse_json(Moved, before, "here") == new
        assert json.dumps(keys) == before
    assert json.loads(to_json(new)) == {"steps": 3, "inner": {"rate": 0.5, "kind": "b"}}
    with pytest.raises(InputError, match="here: speed: unknown key"):
        parse(Moved, {"speed": 1}, "here")


def test_infinity_survives_its_json() -> None:
    again = parse_json(Outer, to_json(Outer(name="x", inner=Inner(rate=math.inf))), "here")
    assert again.inner.rate == math.inf


def test_configs_are_frozen_and_by_keyword() -> None:
    with pytest.raises(FrozenInstanceError):
        Outer(name="x").name = "y"  # type: ignore[misc]
    assert all(field.kw_only for field in fields(Outer))


def test_a_config_may_thaw() -> None:
    @config(frozen=False)
    class Thawed:
        step: int = 0

    thawed: Any = Thawed()
    thawed.step = 3
    assert parse(Thawed, {"step": 3}, "here") == thawed
    with pytest.raises(InputError, match=r"^here: stepp: unknown key$"):
        parse(Thawed, {"stepp": 3}, "here")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({}, "name: this key is missing"),
        ({"name": "x", "nmae": 1}, "nmae: unknown key"),
        ({"nmae": "x"}, "nmae: unknown key"),
        ({"name": "x", "inner": {"rat": 1}}, "inner.rat: unknown key"),
        ({"name": "x", "inner": {"rate": -1}}, "inner: rate=-1.0 is negative"),
        ({"name": "x", "inner": {"kind": "c"}}, "inner.kind: Input should be 'a' or 'b', not 'c'"),
        ({"name": "x", "flags": [True, "perhaps"]}, "flags.1: Input should be a valid boolean"),
        ({"name": "x", "steps": 1.5}, "steps: Input should be a valid integer"),
        ({"name": "x", "steps": "\n\n"}, r"not '\n\n'"),
        ({"name": "x", "\n\n": 1}, r"'\n\n': unknown key"),
        ({"name": ["long"] * 1000}, "..."),
        ([], "Input should be a dictionary or an instance of Outer, not []"),
    ],
)
def test_misfits_are_named(value: object, expected: str) -> None:
    with pytest.raises(InputError) as raised:
        parse(Outer, value, "here")
    text = str(raised.value)
    assert text.startswith("here: ")
    assert expected in text
    assert len(text.splitlines()) == 1
    assert len(text) < 200


@given(st.text())
def test_json_that_is_none_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match=r"^here: ") as raised:
        parse_json(Outer, text, "here")
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize("text", ['{"name": "a", "name": "b"}', '{"name": "a", "x": [{"y": 1, "y": 1}]}'])
def test_a_key_that_is_there_twice_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"^here: the key '(name|y)' is there twice; keep one"):
        parse_json(Outer, text, "here")


def test_json_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(InputError, match=r"^here: cut short or not JSON"):
        parse_json(Outer, b'{"name": "\xff"}', "here")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (int, "8", 8),
        (float, "1e-3", 1e-3),
        (float, "8", 8.0),
        (bool, "false", False),
        (str, "0010", "0010"),
        (Literal["a", "b"], "b", "b"),
        (int | None, "4", 4),
    ],
)
def test_bare_text_has_the_type_asked_for(kind: Any, text: str, value: object) -> None:
    got = parse_text(kind, text, "here")
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"), [(int, "2.5"), (int, "true"), (bool, "3"), (float, "x"), (Literal["a"], "b")]
)
def test_bare_text_of_another_type_is_refused(kind: Any, text: str) -> None:
    with pytest.raises(InputError, match=f"^here: .*, not '{text}'$"):
        parse_text(kind, text, "here")


def test_reads_text(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("grüße\n", encoding="utf-8")
    assert read_text(path, "greeting") == read_text(str(path), "greeting") == "grüße\n"


def test_unreadable_text_is_named(tmp_path: Path) -> None:
    latin = tmp_path / "latin"
    latin.write_bytes("grüße".encode("latin-1"))
    cases = {
        str(tmp_path / "missing"): f"no greeting at {tmp_path / 'missing'}",
        str(latin / "below"): f"no greeting at {latin / 'below'}",
        str(latin): f"{latin} is not a greeting: it is not UTF-8 text",
        str(tmp_path): f"cannot read a greeting from {tmp_path}: Is a directory",
        str(tmp_path / ("x" * 300)): f"{'x' * 300}: File name too long",
        "a\0b": r"no greeting at 'a\x00b': no path looks like this",
    }
    for path, expected in cases.items():
        with pytest.raises(InputError) as raised:
            read_text(path, "greeting")
        assert str(raised.value).endswith(expected)


def test_unknown_names_get_a_hint() -> None:
    assert str(unknown("dish", "soop", ["soup", "salad"])) == "unknown dish 'soop'; did you mean soup?"
    assert str(unknown("dish", "SOUP", ["soup", "salad"])) == "unknown dish 'SOUP'; did you mean soup?"
    assert str(unknown("dish", "x", ["soup", "salad"])) == "unknown dish 'x'; known: salad, soup"
    assert str(unknown("dish", "x", [])) == "unknown dish 'x'; known: none"


@given(st.text(min_size=1), st.integers(0, 500))
def test_unknown_names_fill_one_line(name: str, num_known: int) -> None:
    text = str(unknown("dish", name, (f"{i:_>30}" for i in range(num_known))))
    assert len(text.splitlines()) == 1
    assert len(text) < MOST_SHOWN + 32 * MOST_NAMED + 60


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_text_with_a_byte_order_mark_is_read_as_without(tmp_path: Path, ending: bytes) -> None:
    path = tmp_path / "marked.json"
    path.write_bytes(b"\xef\xbb\xbf" + b"[1," + ending + b"2]" + ending)
    assert read_text(path, "list") == "[1,\n2]\n"
