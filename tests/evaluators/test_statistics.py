"""Statistics of comparisons: SciPy's where the nesting is trivial, and promises kept in simulation."""

from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from benchmarks.intervals import BETWEEN, CONTROL, FOUND, RANDOM, Options, alarms, coverage
from evaluators.statistics.bootstrap import RESAMPLES, bootstrap_interval
from evaluators.statistics.difference import difference
from evaluators.statistics.family import gated, holm
from evaluators.statistics.nested import Nested
from evaluators.statistics.power import POWER, Design, detectable, power
from foundation.errors import InputError

SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=6)
A, B = (0.71, 0.685, 0.702, 0.69), (0.68, 0.7, 0.66)


def cells(*scores: float) -> Nested:
    """Cells trained once each."""
    return Nested(tuple((score,) for score in scores))


@pytest.mark.parametrize(
    "rows", [(cells(*A), cells(*B)), (Nested((A,)), Nested((B,))), (cells(*A), Nested((B,)))]
)
def test_trivial_nesting_is_scipys(rows):
    theirs: Any = stats.ttest_ind(A, B, equal_var=False)
    ours = difference(*rows)
    assert ours.estimate == pytest.approx(fmean(A) - fmean(B), rel=1e-12)
    assert ours.error is not None
    assert ours.estimate / ours.error == pytest.approx(theirs.statistic, rel=1e-12)
    theirs = stats.bootstrap(
        (A, B),
        lambda a, b, axis=-1: a.mean(axis) - b.mean(axis),
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    assert bootstrap_interval(*rows) == pytest.approx((theirs.low, theirs.high), rel=1e-12)


def test_many_units_are_welchs():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 40), rng.normal(0.5, 2, 50)
    theirs: Any = stats.ttest_ind(a, b, equal_var=False)
    ours = difference(cells(*a), cells(*b))
    assert ours.freedom == pytest.approx(theirs.df, rel=1e-3)
    assert ours.p_value() == pytest.approx(theirs.pvalue, rel=1e-3)
    low, high = theirs.confidence_interval(0.95)
    assert ours.interval() == pytest.approx((low, high), rel=1e-3)


def test_two_one_sided_tests_are_scipys_but_for_the_degrees_of_freedom():
    ours = difference(cells(*A), cells(*B))
    shifts = [(np.add(A, 0.05), "greater"), (np.subtract(A, 0.05), "less")]
    tests: list[Any] = [stats.ttest_ind(a, B, equal_var=False, alternative=side) for a, side in shifts]
    worst = min(abs(test.statistic) for test in tests)
    assert ours.equivalence(0.05) == pytest.approx(stats.t.sf(worst, ours.freedom), rel=1e-9)
    chances: list[Any] = [ours.equivalence(margin) for margin in (0.01, 0.03, 0.05)]
    assert chances == sorted(chances, reverse=True)


@given(SCORES, SCORES)
def test_interval_p_value_and_direction_agree(a, b):
    ours = difference(cells(*a), cells(*b))
    interval, p = ours.interval(), ours.p_value()
    if interval is None or p is None:
        assert ours.error is interval is p is None
        assert ours.equivalence(0.1) is None
        return
    low, high = interval
    assert low <= ours.estimate <= high
    if abs(p - 0.05) > 1e-9:
        assert (p < 0.05) == (low > 0 or high < 0)
    turned = difference(cells(*b), cells(*a)).interval()
    assert turned == pytest.approx((-high, -low), abs=1e-12)


def test_cells_count_once_however_often_they_were_trained():
    row = Nested(((1.0, 3.0), (5.0,)))
    assert row.units == (2.0, 5.0)
    assert row.mean == 3.5
    assert row.spread == stdev((2.0, 5.0))
    assert Nested(((1.0, 3.0),)).units == (1.0, 3.0)


def test_one_cell_that_was_drawn_is_one_unit_however_often_it_was_trained():
    drawn, given = Nested((A,), drawn=True), Nested((B,))
    assert drawn.units == (fmean(A),)
    assert drawn.spread is None
    assert drawn.components() == Nested((A,)).components()
    for pair in ((drawn, given), (given, drawn)):
        found = difference(*pair)
        assert found.interval() is found.p_value() is found.equivalence(1.0) is None
        assert bootstrap_interval(*pair) is None
    assert difference(drawn, given).estimate == difference(Nested((A,)), given).estimate
    assert detectable(Design(1, 3, drawn=True), CONTROL, between=1, within=1) is None
    several = Nested((A, B), drawn=True), Nested((A, B))
    assert difference(several[0], given) == difference(several[1], given)


def test_one_score_has_no_interval():
    one, some = Nested(((0.7,),)), cells(*A)
    for pair in ((one, some), (some, one), (one, one)):
        found = difference(*pair)
        assert found.interval() is found.p_value() is found.equivalence(1.0) is None
        assert bootstrap_interval(*pair) is None
    assert one.spread is one.components().within is one.components().between is None
    with pytest.raises(InputError, match="no scores yet"):
        Nested(((),))


def test_equal_scores_have_no_interval():
    assert difference(cells(0.5, 0.5), cells(0.6, 0.6)).interval() is None


@pytest.mark.parametrize(("between", "within"), [(2.0, 1.0), (0.0, 1.0), (0.5, 0.1)])
@pytest.mark.parametrize("sizes", [(3,) * 2000, tuple(1 + place % 3 for place in range(2000))])
def test_components_are_found(between, within, sizes):
    rng = np.random.default_rng(1)
    row = Nested(tuple(tuple(rng.normal(rng.normal(5, between), within, size)) for size in sizes))
    found = row.components()
    assert found.between == pytest.approx(between, rel=0.06, abs=0.35 * within)
    assert found.within == pytest.approx(within, rel=0.05)


def test_balanced_components_are_the_analysis_of_variance():
    groups = ((1.0, 2.0, 3.0), (2.0, 4.0, 3.0), (8.0, 7.0, 9.0))
    within = fmean(np.var(group, ddof=1) for group in groups)
    f = stats.f_oneway(*groups).statistic
    assert Nested(groups).components().within == pytest.approx(within**0.5)
    assert Nested(groups).components().between == pytest.approx(((f - 1) * within / 3) ** 0.5)


def test_whether_cells_differ_is_scipys_analysis_of_variance():
    groups = ((1.0, 2.0, 3.0), (2.0, 4.0), (8.0, 7.0, 9.0))
    found, scipys = Nested(groups).cells_differ(), stats.f_oneway(*groups)
    assert found is not None
    assert (found.statistic, found.p_value) == (scipys.statistic, scipys.pvalue)
    assert found.p_value == stats.f.sf(found.statistic, 2, 5)


@pytest.mark.parametrize("groups", [((1.0, 2.0),), ((1.0,), (2.0,)), ((1.0, 1.0), (2.0, 2.0))])
def test_where_trainings_tell_nothing_cells_are_not_said_to_differ(groups):
    assert Nested(groups).cells_differ() is None


def test_cells_trained_once_have_one_component():
    found = cells(*A).components()
    assert found.between == stdev(A)
    assert found.within is None


def test_holm_is_holms():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, None, 0.6]) == [1.0, None, 1.0]
    assert holm([]) == []


def test_nothing_is_claimed_behind_a_primary_contrast_that_is_not():
    assert gated(0.2, [0.001, 0.3]) == [0.2, 0.3]
    assert gated(0.01, [0.001, 0.3]) == [0.01, 0.3]
    assert gated(None, [0.001]) == [None]


def drawn(first: Nested, second: Nested) -> tuple[float, float]:
    interval = bootstrap_interval(first, second)
    assert interval is not None
    return interval


def test_nested_bootstrap_draws_trainings_too():
    alike = Nested(((0.0, 1.0),) * 3)
    low, high = drawn(alike, alike)
    assert low < -0.3 < 0.3 < high, "the cells' means are equal, and their trainings are not"
    assert bootstrap_interval(alike, alike) == (low, high)
    uneven = Nested(((0.0, 1.0), (0.5,), (0.2, 0.3, 0.4)))
    low, high = drawn(uneven, cells(0.5, 0.5))
    assert -0.5 <= low < high <= 0.5


@pytest.mark.parametrize(
    "pair", [(FOUND, RANDOM), (FOUND, CONTROL), (CONTROL, CONTROL), (Design(2, 1), CONTROL)]
)
def test_the_promised_difference_is_the_smallest_with_that_power(pair: tuple[Design, Design]):
    first, second = pair
    promised = detectable(first, second, between=0.5, within=1.0)
    assert promised is not None
    assert power(first, second, promised, between=0.5, within=1.0) > POWER
    assert power(first, second, 0.95 * promised, between=0.5, within=1.0) < POWER
    assert power(first, second, 0.0, between=0.5, within=1.0) < 0.05
    assert detectable(first, second, between=5, within=10) == pytest.approx(10 * promised, rel=1e-4)


def test_more_seeds_see_smaller_differences():
    found: list[Any] = [detectable(Design(n, 3), Design(6, 2), between=1, within=1) for n in (2, 3, 4, 6)]
    assert found == sorted(found, reverse=True)
    assert detectable(Design(1, 1), CONTROL, between=1, within=1) is None


@pytest.mark.slow
@pytest.mark.parametrize("between", BETWEEN)
def test_promises_are_kept_with_nested_seeds(between):
    options = Options(draws=4000, methods=0)
    for pair, methods in coverage(options, between).items():
        assert 93 <= methods["in use"] <= 97, pair
    rates = alarms(options, between)
    for name, share in rates.items():
        if name.startswith("false alarms"):
            assert share <= 5, name
    assert rates["found when promised"] >= 80
