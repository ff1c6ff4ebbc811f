from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluators import data
from evaluators.data import READERS, DataConfig, read
from foundation.config import parse_json, to_json
from foundation.errors import InputError


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"limit": 0}, "limit is 0; give at least 1"),
        ({"image_size": -3}, "image_size is -3"),
        ({"padding": -1}, "padding is -1"),
        ({"cutout": -8}, "cutout is -8"),
        ({"std": (0.2, 0.0)}, "std is .* positive"),
        ({"mean": (float("nan"),)}, "one number a channel"),
        ({"mean": ()}, "one number a channel"),
        ({"mean": (0.1, 0.2), "std": (0.1,)}, "mean has 2 values and std 1"),
    ],
)
def test_senseless_values_are_refused(given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        DataConfig(**given)


@given(
    st.builds(
        DataConfig,
        limit=st.none() | st.integers(1, 10**6),
        mean=st.none() | st.tuples(st.floats(0, 1), st.floats(0, 1)),
        flip=st.booleans(),
        padding=st.integers(0, 9),
    )
)
def test_json_gives_the_same_config(config: DataConfig) -> None:
    assert parse_json(DataConfig, to_json(config), "config") == config


def test_unknown_reader_names_close_ones() -> None:
    with pytest.raises(InputError, match=r"unknown reader 'cifar1'; did you mean .*cifar10"):
        read(DataConfig(name="cifar1"))


def test_readers_are_found() -> None:
    assert {"digits", "cifar10", "cifar100", "folder"} <= set(READERS)


@pytest.mark.parametrize("name", ["folder", "cifar10", "cifar100"])
def test_a_root_is_needed(name: str) -> None:
    with pytest.raises(InputError, match="needs root"):
        read(DataConfig(name=name))
    with pytest.raises(InputError, match="no data at /nowhere"):
        read(DataConfig(name=name, root="/nowhere"))


def test_every_public_name_is_there() -> None:
    for name in data.__all__:
        assert getattr(data, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = data.nothing  # pyright: ignore


def test_import_is_light() -> None:
    heavy = "{'torch', 'torchvision', 'sklearn', 'PIL'}"
    code = f"import sys, evaluators.data as d; d.DataConfig(); sys.exit(str({heavy} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.stderr.strip() == "set()"


def test_reading_batches_does_not_import_what_they_do_not_need() -> None:
    heavy = "{'torchvision', 'sklearn', 'PIL'}"
    code = (
        f"import sys; from evaluators.data import *; len(READERS); sys.exit(str({heavy} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.stderr.strip() == "set()"
