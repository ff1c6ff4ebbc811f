"""What the numbers of configs may be, over all options that there are."""

import math
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from types import SimpleNamespace
from typing import Any, get_type_hints

import pytest

from autola.presets import RETRAIN_PRESETS, SEARCH_PRESETS
from foundation import rules
from foundation.errors import InputError
from searchers import SEARCHERS

CONFIGS: dict[str, Any] = {
    **{f"retrain {name}": config for name, config in RETRAIN_PRESETS.items()},
    **{f"search {name}": config for name, config in SEARCH_PRESETS.items()},
    **{f"searcher {name}": kind() for name, kind in SEARCHERS.items()},
}
ANY_NUMBER = {"ignore", "seed", "seeds", "values"}
"""Options that are names written as numbers: whatever they are, something may be called that."""


def numbers(config: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type, bool]]:
    """Options that are numbers or tuples of them: their kind, and whether there are several."""
    hints = get_type_hints(type(config))
    for field in fields(config):
        value, text = getattr(config, field.name), str(hints[field.name])
        if is_dataclass(value):
            yield from numbers(value, (*path, field.name))
        elif field.name not in ANY_NUMBER and "str" not in text and "bool" not in text:
            if "float" in text:
                yield (*path, field.name), float, "tuple" in text
            elif "int" in text:
                yield (*path, field.name), int, "tuple" in text


def put(config: Any, path: tuple[str, ...], value: Any) -> Any:
    """A config with one option changed."""
    name, *rest = path
    old = getattr(config, name)
    if rest:
        return replace(config, **{name: put(old, tuple(rest), value)})
    return replace(config, **{name: value})


@pytest.mark.parametrize("name", CONFIGS)
def test_no_option_takes_what_is_no_number_or_absurd(name: str) -> None:
    config = CONFIGS[name]
    taken = list[str]()
    for path, kind, several in numbers(config):
        for value in (math.inf, math.nan, -math.inf, -1.0) if kind is float else (-1, 10**12):
            try:
                put(config, path, (value, value) if several else value)
                taken.append(f"{'.'.join(path)}={value}")
            except InputError:
                continue
    assert not taken


def test_whole_numbers_and_what_is_left_out() -> None:
    config = SimpleNamespace(rate=0.5, both=(1, 2), none=None, count=rules.LARGEST_COUNT, zero=0)
    rules.positive(config, "rate", "both", "none", "count")
    rules.not_negative(config, "zero")
    for rule in (rules.share, rules.below_one, rules.not_negative):
        rule(config, "rate", "none", "zero")
    with pytest.raises(InputError, match=r"^x\.zero=0 is not positive; because$"):
        rules.positive(config, "rate", "zero", prefix="x.", hint="; because")
    with pytest.raises(InputError, match=r"rate=0\.5 is above zero=0"):
        rules.not_above(config, "rate", "zero")


@pytest.mark.parametrize("milestones", [(30, 20), (10, 10)])
def test_milestones_rise(milestones: tuple[int, ...]) -> None:
    train = RETRAIN_PRESETS["imagenet"].train
    with pytest.raises(InputError, match=f"milestones={milestones[0]} {milestones[1]} do not rise"):
        replace(train, milestones=milestones)


def test_the_lowest_rate_is_not_above_the_highest() -> None:
    train = RETRAIN_PRESETS["digits"].train
    with pytest.raises(InputError, match=r"min_learning_rate=1\.0 is above learning_rate="):
        replace(train, min_learning_rate=1.0)
