"""Registries find their package's entries, keep names apart, and name what is unknown."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from torch import nn

from foundation.errors import InputError
from foundation.registry import Registry
from search_space.operator import OPERATORS, Gate, operator


def test_keeps_what_is_registered() -> None:
    dishes = Registry[object]("dish")
    soup, salad = object(), object()
    assert dishes.register("soup")(soup) is soup
    dishes.add("salad", salad)
    assert dishes["soup"] is soup
    assert "soup" in dishes
    assert "bread" not in dishes
    assert list(dishes) == ["salad", "soup"]
    assert len(dishes) == 2
    assert dishes.items() == [("salad", salad), ("soup", soup)]


def test_doubled_names_are_refused() -> None:
    dishes = Registry[int]("dish")
    dishes.add("soup", 1)
    with pytest.raises(ValueError, match=r"^dish 'soup' is registered twice$"):
        dishes.add("soup", 2)
    assert dishes["soup"] == 1


def test_unknown_names_get_a_hint() -> None:
    dishes = Registry[int]("dish")
    dishes.add("soup", 1)
    with pytest.raises(InputError, match=r"^unknown dish 'soop'; did you mean soup\?$"):
        dishes["soop"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `menu` with a registry and no dish yet."""
    folder = tmp_path / "menu"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from foundation.registry import Registry\nDISHES = Registry('dish', 'menu')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "menu"]:
        monkeypatch.delitem(sys.modules, name)
    return folder


def test_a_new_file_is_a_new_entry(package: Path) -> None:
    for dish in ("soup", "salad"):
        (package / f"{dish}.py").write_text(f"from menu import DISHES\nDISHES.add({dish!r}, 1)\n")
    from menu import DISHES  # type: ignore[import-not-found]

    assert "menu.soup" not in sys.modules, "entries are imported at the first look-up, not before"
    assert list(DISHES) == ["salad", "soup"]


def test_a_broken_entry_is_not_forgotten(package: Path) -> None:
    (package / "broken.py").write_text("raise RuntimeError('broken file')\n")
    (package / "soup.py").write_text("from menu import DISHES\nDISHES.add('soup', 1)\n")
    from menu import DISHES  # type: ignore[import-not-found]

    for _ in range(2):
        with pytest.raises(RuntimeError, match="broken file"):
            DISHES["soup"]
    (package / "broken.py").unlink()
    assert DISHES["soup"] == 1


def test_users_register_their_own_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OPERATORS, "_entries", dict(OPERATORS.items()))

    @operator("half", factor=0.5)
    @operator("twice")
    class Scale(Gate):
        """Scales everything."""

        def __init__(self, channels: int, *, factor: float = 2.0) -> None:
            super().__init__()
            self.linear = nn.Linear(channels, channels)
            self.factor = factor

    assert isinstance(OPERATORS["twice"].build(4), Scale)
    assert OPERATORS["half"].build(4).factor == 0.5
    assert OPERATORS["half"].build(4, factor=3.0).factor == 3.0
    assert OPERATORS["half"].summary == "Scales everything."
    assert list(OPERATORS["half"].known_options) == ["factor"]


def test_what_is_lent_is_gone_after_its_block() -> None:
    registry: Registry[int] = Registry("number")
    registry.add("one", 1)
    with registry.lent("two", 2):
        assert registry["two"] == 2
        with pytest.raises(InputError, match="registered twice"), registry.lent("one", 3):
            pass
    assert list(registry) == ["one"]
    with pytest.raises(InputError, match="twice"), registry.lent("one", 3):
        pass
    assert registry["one"] == 1
