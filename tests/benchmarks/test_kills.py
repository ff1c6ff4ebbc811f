"""A search that is killed and resumed ends as one that was not."""

import pytest

from benchmarks.kills import Options, measure


@pytest.mark.slow
def test_a_search_that_was_killed_ends_with_the_same_bits():
    figures = measure(Options(commands=("search",), kills=2))
    assert figures["search"]["kills"] == 2
    assert figures["search"]["equal"] == figures["search"]["runs"]
