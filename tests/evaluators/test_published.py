"""The papers' tables: reached to the last printed digit, or known not to be."""

from __future__ import annotations

import pytest

from evaluators.cost import measure
from evaluators.counting import params
from evaluators.published import PUBLIC_MODULE_SIZES, PUBLISHED_SIZES, PublishedSize
from search_space.operator import OPERATORS


def printed_as(value: float, like: str) -> str:
    return f"{value:.{len(like.partition('.')[2])}f}"


@pytest.mark.parametrize("row", PUBLISHED_SIZES, ids=lambda row: f"{row.paper}: {row.row}")
def test_has_the_printed_size(row: PublishedSize) -> None:
    cost = measure(
        row.backbone,
        row.attention,
        input_shape=row.input_shape,
        num_classes=row.num_classes,
        latency=False,
        activation=False,
    )
    assert (cost.params, cost.macs) == (row.params, row.macs)
    if row.million_params is not None:
        same = printed_as(cost.params / 1e6, row.million_params) == row.million_params
        assert same == row.same_params, cost.params
    if row.giga is not None:
        same = printed_as(row.macs_each * cost.macs / 1e9, row.giga) == row.giga
        assert same == row.same_giga, cost.macs


def test_rows_are_told_apart_and_differences_explained() -> None:
    assert len({(row.paper, row.row) for row in PUBLISHED_SIZES}) == len(PUBLISHED_SIZES)
    for row in PUBLISHED_SIZES:
        assert row.note or (row.same_params and row.same_giga)


@pytest.mark.parametrize(("name", "channels"), PUBLIC_MODULE_SIZES)
def test_has_the_size_of_the_public_module(name: str, channels: int) -> None:
    assert params(OPERATORS[name].build(channels)) == PUBLIC_MODULE_SIZES[name, channels]
