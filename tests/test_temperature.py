"""Temperature scaling finds the truth on many rows and stays sensible on few."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax as scipy_log_softmax
from scipy.special import softmax as scipy_softmax

from sk_ils.temperature import _scaling, fit_temperature, log_softmax, softmax


def rows(n, n_classes, seed, scale=1.5):
    """Logits u with labels drawn from softmax(u)."""
    rng = np.random.default_rng(seed)
    u = rng.normal(scale=scale, size=(n, n_classes))
    y = (rng.random((n, 1)) > scipy_softmax(u, axis=1).cumsum(axis=1)).sum(axis=1)
    return u, np.minimum(y, n_classes - 1)


@pytest.mark.parametrize("temperature", [0.05, 0.3, 1.0, 3.0, 25.0, 200.0])
@pytest.mark.parametrize(
    # two classes tell little about T: the standard error at 100,000 rows is 0.5 %, half of the tolerance
    ("n", "n_classes"),
    [(400_000, 2), (100_000, 3), (100_000, 10)],
)
def test_the_true_temperature_is_found_on_many_rows(temperature, n, n_classes):
    u, y = rows(n, n_classes, seed=0)
    found = fit_temperature((temperature * u).astype(np.float32), y)
    assert found == pytest.approx(temperature, rel=0.01)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0, 1e4])
@pytest.mark.parametrize("seed", range(5))
def test_a_small_hold_out_without_an_error_gives_a_sensible_temperature(scale, seed):
    u, _ = rows(20, 3, seed)
    assert 0.1 <= fit_temperature(scale * u, u.argmax(axis=1)) <= 10


def test_no_rows_leave_the_temperature_at_one():
    assert fit_temperature(np.zeros((0, 3)), []) == pytest.approx(1, abs=1e-4)


def test_weights_of_zero_and_one_choose_rows():
    u, y = rows(200, 3, seed=1)
    weight = np.arange(200) % 3 > 0
    weighted = fit_temperature(3 * u, y, sample_weight=weight)
    assert weighted == pytest.approx(fit_temperature(3 * u[weight], y[weight]), rel=1e-4)
    assert weighted != pytest.approx(fit_temperature(3 * u, y), rel=1e-3)


def test_a_weight_counts_as_repetitions_where_the_prior_does_not_matter():
    u, y = rows(20_000, 3, seed=1)
    weight = y + 1
    weighted = fit_temperature(3 * u, y, sample_weight=weight)
    repeated = fit_temperature(np.repeat(3 * u, weight, axis=0), np.repeat(y, weight))
    assert weighted == pytest.approx(repeated, rel=1e-3)
    assert weighted != pytest.approx(fit_temperature(3 * u, y), rel=3e-3)


SCALES = [1e-300, 1e-40, 1e-3, 0.1, 7.0, 1e40, 1e300]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.sampled_from(SCALES))
def test_the_scale_of_the_weights_does_not_matter(seed, n, scale):
    u, y = rows(n, 3, seed)
    weight = np.random.default_rng(seed).exponential(size=n) ** 2
    weighted = fit_temperature(3 * u, y, sample_weight=weight)
    assert fit_temperature(3 * u, y, sample_weight=scale * weight) == pytest.approx(weighted, rel=3e-4)
    same = fit_temperature(3 * u, y, sample_weight=np.full(n, scale))
    assert same == pytest.approx(fit_temperature(3 * u, y), rel=3e-4)


def test_weights_whose_sum_overflows_are_taken():
    u, y = rows(200, 3, seed=1)
    assert fit_temperature(u, y, np.full(200, 1e308)) == pytest.approx(fit_temperature(u, y))


def test_the_prior_counts_against_kishs_effective_number_of_rows():
    u, y = rows(60, 3, seed=3)
    weight = np.random.default_rng(0).exponential(size=60)
    effective = weight.sum() ** 2 / (weight**2).sum()

    def cost(temperature):
        log_proba = scipy_log_softmax(3 * u / temperature, axis=1)
        nll = -np.average(log_proba[np.arange(60), y], weights=weight)
        return effective * nll + 2 * np.log(temperature) ** 2

    found = fit_temperature(3 * u, y, sample_weight=weight)
    assert cost(found) <= min(cost(t) for t in np.geomspace(1e-4, 1e5, 2000)) + 1e-9


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": [[0.0, np.nan], [0.0, 1.0]]}, "NaN or infinity"),
        ({"logits": [[0.0, np.inf], [0.0, 1.0]]}, "NaN or infinity"),
        ({"logits": [[0.0, -np.inf], [0.0, 1.0]]}, "NaN or infinity"),
        ({"logits": [0.0, 1.0]}, "shape"),
        ({"y": [0, -1]}, r"from 0 to 1, got the labels \[-1, 0\]"),
        ({"y": [0, 2]}, r"from 0 to 1, got the labels \[0, 2\]"),
        ({"y": [0, 0.5]}, "class indices"),
        ({"y": [0, np.nan]}, "class indices"),
        ({"y": ["a", "b"]}, "class indices"),
        ({"y": [0]}, "shape"),
        ({"sample_weight": [1, -1]}, "[Nn]egative"),
        ({"sample_weight": [0, 0]}, "at least one non-zero"),
        ({"sample_weight": [1, np.nan]}, "NaN"),
        ({"sample_weight": [1, np.inf]}, "infinity"),
        ({"sample_weight": [1]}, "sample_weight"),
        ({"sample_weight": ["a", "b"]}, "sample_weight must hold numbers"),
        ({"sample_weight": [pd.NA, 1]}, "sample_weight must hold numbers"),
        ({"logits": {"a": 1}}, "logits must hold numbers"),
    ],
)
def test_input_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        fit_temperature(**{"logits": [[0.0, 1.0], [1.0, 0.0]], "y": [1, 0], **change})


def test_huge_logits_give_a_finite_temperature():
    logits = np.array([[1e308, -1e308], [-1e308, 1e308]])
    assert fit_temperature(logits, [1, 0]) == pytest.approx(1e5, rel=1e-3)
    assert 1e-4 <= fit_temperature(logits, [0, 1]) <= 1e5


@pytest.mark.parametrize("temperature", [5e-324, 1e-300, 1e-46, 1e39, 1e300])
def test_probabilities_are_finite_at_any_temperature(temperature):
    logits = np.array([[1e30, -1e30, 0.0], [1.0, 1.0, 0.0]], dtype=np.float32)
    proba, log_proba = softmax(logits, temperature), log_softmax(logits, temperature)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert np.isfinite(log_proba).all()
    assert (proba.argmax(axis=1) == [0, 0]).all()


@pytest.mark.parametrize("function", [softmax, log_softmax])
def test_logits_without_a_probability_are_refused_and_impossible_classes_have_none(function):
    for logits in [[0.0, np.nan]], [[0.0, np.inf]], [[-np.inf, -np.inf]]:
        with pytest.raises(ValueError, match="NaN or infinity"):
            function(logits)
    for logits in 3.0, [0.0, 1.0], np.zeros((2, 0)):
        with pytest.raises(ValueError, match="Expected logits of shape"):
            function(logits)
    for logits in "abc", {"a": 1}, [["a", "b"]]:
        with pytest.raises(ValueError, match="logits must hold numbers"):
            function(logits)
    assert softmax([[-np.inf, 0.0, 0.0]]).tolist() == [[0, 0.5, 0.5]]
    tensor = torch.tensor([[0.0, 1.0]], requires_grad=True)
    np.testing.assert_array_equal(function(tensor.bfloat16()), function([[0.0, 1.0]]))


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf, None, "a", [1.0]])
def test_a_temperature_out_of_range_is_refused(temperature):
    for function in softmax, log_softmax:
        with pytest.raises(ValueError, match=r"temperature must be in \(0, inf\)"):
            function([[0.0, 1.0]], temperature)


def test_the_temperature_minimises_the_documented_cost():
    u, y = rows(50, 4, seed=2)

    def cost(temperature):
        log_proba = scipy_log_softmax(u / temperature, axis=1)
        return -log_proba[np.arange(50), y].sum() + 2 * np.log(temperature) ** 2

    found = fit_temperature(u, y)
    assert cost(found) <= min(cost(t) for t in np.geomspace(1e-4, 1e5, 2000)) + 1e-9


@pytest.mark.parametrize(("scale", "bound"), [(1e-6, 1e-4), (1e8, 1e5)])
def test_the_temperature_stays_within_its_bounds_and_reaches_them(scale, bound):
    u, y = rows(20_000, 3, seed=0)  # so many that the prior does not matter
    assert fit_temperature(scale * u, y) == pytest.approx(bound, rel=1e-3)


@pytest.mark.parametrize(
    ("n", "margin", "near_one"),
    [(100, 0.003, True), (150, 0.001, True), (150, 0.003, False), (200, 0.001, False), (200, 0.01, False)],
)
def test_of_two_valleys_the_deeper_one_is_found(n, margin, near_one):
    """Many right rows with tiny margins: one valley where T makes them certain, one by the prior at 1."""
    logits, y = np.tile([[0.0, margin]], (n, 1)), np.ones(n)
    log_temperature = np.linspace(np.log(1e-4), np.log(1e5), 100_000)
    cost = n * np.logaddexp(0, -margin * np.exp(-log_temperature)) + 2 * log_temperature**2
    valleys = np.flatnonzero((cost[1:-1] < cost[:-2]) & (cost[1:-1] < cost[2:])) + 1
    assert len(valleys) == 2, "there is nothing to choose from"
    expected = np.exp(log_temperature[cost.argmin()])
    assert (expected > 0.1) == near_one
    assert fit_temperature(logits, y) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 7.0])
def test_softmax_and_its_log_agree_with_scipy_also_where_probabilities_saturate(temperature):
    logits = np.array([[0.0, 1.0, 2.0], [1e4, -1e4, 0.0], [800.0, 800.0, -5.0]])
    np.testing.assert_allclose(softmax(logits, temperature), scipy_softmax(logits / temperature, axis=1))
    np.testing.assert_allclose(
        log_softmax(logits, temperature), scipy_log_softmax(logits / temperature, axis=1), atol=1e-12
    )


@pytest.mark.parametrize("logits", [[[0, 1, 2]], np.array([[0, 1, 2]], np.float32)])
def test_the_temperature_is_one_unless_told_and_the_result_float64(logits):
    for ours, scipys in [(softmax, scipy_softmax), (log_softmax, scipy_log_softmax)]:
        result = ours(logits)
        assert result.dtype == np.float64
        np.testing.assert_allclose(result, scipys(np.array([[0.0, 1.0, 2.0]]), axis=1), rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_temperature_of_many_rows_is_found_a_chunk_at_a_time(monkeypatch, dtype):
    rng = np.random.default_rng(0)
    logits, y, weight = rng.normal(size=(500, 7)).astype(dtype), rng.integers(7, size=500), rng.random(500)
    whole = fit_temperature(logits, y, weight), log_softmax(logits, 2.0)
    monkeypatch.setattr(_scaling, "_CHUNK_SIZE", 100)
    assert fit_temperature(logits, y, weight) == whole[0]
    monkeypatch.setattr(_scaling, "_KEPT_SIZE", 100)
    assert fit_temperature(logits, y, weight) == whole[0]
    np.testing.assert_array_equal(log_softmax(logits, 2.0), whole[1])


def test_what_is_passed_stays_as_it_is():
    logits = np.random.default_rng(0).normal(size=(50, 3))
    before = logits.copy()
    fit_temperature(logits, np.arange(50) % 3)
    softmax(logits, 2.0), log_softmax(logits, 2.0)
    np.testing.assert_array_equal(logits, before)
