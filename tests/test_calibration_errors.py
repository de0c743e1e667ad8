"""Both calibration errors against plain loops, other libraries and laws."""

import tracemalloc
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from sk_ils.metrics import classwise_calibration_error, expected_calibration_error
from sk_ils.metrics._binning import make_bins

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

ERRORS = [expected_calibration_error, classwise_calibration_error]
FLOATS = [np.float16, np.float32, np.float64]
NORMS = ["l1", "l2", "max"]


def reference_error(p, hit, w, n_bins, strategy, norm):
    """One reliability curve in plain loops; exact edges from rational numbers."""
    if strategy == "uniform":
        edges = [p.dtype.type(float(Fraction(i, n_bins))) for i in range(n_bins + 1)]
    else:
        order = np.argsort(p, kind="stable")
        shares = [Fraction(float(v)) for v in np.cumsum(w[order])]
        edges = [0]
        for i in range(1, n_bins):
            reached = [share * n_bins >= i * shares[-1] for share in shares]
            edges.append(p[order][reached.index(True)])
        edges.append(1)
    gaps, mass = [], []
    for i, (low, high) in enumerate(pairwise(edges)):
        rows = (p <= high) & ((p > low) | (i == 0))
        if w[rows].sum() > 0:
            p_mean = np.average(p[rows].astype(float), weights=w[rows])
            gaps.append(abs(p_mean - np.average(hit[rows], weights=w[rows])))
            mass.append(w[rows].sum() / w.sum())
    gaps, mass = np.array(gaps), np.array(mass)
    return {"l1": mass @ gaps, "l2": np.sqrt(mass @ gaps**2), "max": gaps.max()}[norm]


def random_predictions(n, n_classes, seed=0, dtype=np.float64, sharpness=2.0):
    rng = np.random.default_rng(seed)
    p = np.exp(sharpness * rng.standard_normal((n, n_classes)))
    p = (p / p.sum(axis=1, keepdims=True)).astype(dtype)
    y = rng.integers(n_classes, size=n)
    y[: min(n, n_classes)] = np.arange(min(n, n_classes))
    return y, p


@st.composite
def predictions(draw, min_classes=2):
    n_classes = draw(st.integers(min_classes, 6))
    n = draw(st.integers(n_classes, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    dtype = draw(st.sampled_from(FLOATS))
    y, p = random_predictions(n, n_classes, seed, dtype, sharpness=draw(st.sampled_from([0.3, 2.0, 20.0])))
    rng = np.random.default_rng(seed)
    return rng.permutation(y), p, rng.integers(0, 4, size=n) + (np.arange(n) == 0)


options = st.fixed_dictionaries(
    {
        "n_bins": st.integers(1, 100),
        "strategy": st.sampled_from(["uniform", "quantile"]),
        "norm": st.sampled_from(NORMS),
    }
)


# Oracles


@given(predictions(), options, st.booleans())
def test_expected_error_equals_a_plain_loop(data, opts, weighted):
    y, p, w = data
    w = w.astype(float) if weighted else np.ones(len(y))
    expected = reference_error(p.max(axis=1), p.argmax(axis=1) == y, w, **opts)
    error = expected_calibration_error(
        y, p, labels=range(p.shape[1]), sample_weight=w if weighted else None, **opts
    )
    assert error == pytest.approx(expected, abs=1e-12)


@given(predictions(), options, st.booleans())
def test_classwise_error_equals_a_plain_loop_over_columns(data, opts, weighted):
    y, p, w = data
    w = w.astype(float) if weighted else np.ones(len(y))
    expected = [reference_error(p[:, k], y == k, w, **opts) for k in range(p.shape[1])]
    kwargs = dict(labels=range(p.shape[1]), sample_weight=w if weighted else None, **opts)
    np.testing.assert_allclose(
        classwise_calibration_error(y, p, average=None, **kwargs), expected, atol=1e-12
    )
    frequency = [w[y == k].sum() for k in range(p.shape[1])]
    for average, weights in ("macro", None), ("weighted", frequency):
        assert classwise_calibration_error(y, p, average=average, **kwargs) == pytest.approx(
            np.average(expected, weights=weights), abs=1e-12
        )


@pytest.mark.parametrize("n_bins", [1, 10, 15])
@pytest.mark.parametrize(("n", "n_classes"), [(300, 2), (5000, 10), (2000, 100)])
def test_values_agree_with_netcal(n, n_classes, n_bins):
    from netcal.metrics import ECE  # here, because it loads much that no other test needs

    y, p = random_predictions(n, n_classes, dtype=np.float32)
    binary = n_classes == 2
    oracle = ECE(n_bins)
    if binary:  # netcal's binary ECE is that of the second class
        ours = classwise_calibration_error(y, p, n_bins=n_bins, average=None)[1]
        assert ours == pytest.approx(oracle.measure(p[:, 1], y), abs=2e-6)
    else:
        ours = expected_calibration_error(y, p, n_bins=n_bins)
        assert ours == pytest.approx(oracle.measure(p, y), abs=2e-6)
    columns = [oracle.measure(p[:, k], (y == k).astype(int)) for k in range(n_classes)]
    ours = classwise_calibration_error(y, p, n_bins=n_bins, average=None)
    np.testing.assert_allclose(ours, columns, atol=2e-6)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_maximum_error_is_the_largest_gap_of_scikit_learns_curve(strategy):
    rng = np.random.default_rng(0)
    p = rng.permutation(np.linspace(0.0005, 0.9995, 1001))
    y = (rng.random(1001) < p**2).astype(int)
    frequency, mean = calibration_curve(y, p, n_bins=10, strategy=strategy)
    error = classwise_calibration_error(y, p, n_bins=10, strategy=strategy, norm="max", average=None)[1]
    # Where a quantile falls between two rows, scikit-learn interpolates: one row may change bins.
    tolerance = 1e-12 if strategy == "uniform" else 0.02
    assert error == pytest.approx(np.abs(frequency - mean).max(), abs=tolerance)


# Edges


@pytest.mark.parametrize("dtype", FLOATS)
def test_edges_are_exact_for_every_number_of_bins(dtype):
    rng = np.random.default_rng(0)
    for n_bins in range(1, 101):
        edges = np.array([float(Fraction(i, n_bins)) for i in range(n_bins + 1)]).astype(dtype)
        p = np.concatenate([edges, np.nextafter(edges, dtype(0)), np.nextafter(edges, dtype(1))])
        y = rng.integers(2, size=len(p))
        ours = classwise_calibration_error(y, p, labels=[0, 1], n_bins=n_bins, norm="l2", average=None)[1]
        expected = reference_error(p, y, np.ones(len(p)), n_bins, "uniform", "l2")
        assert ours == pytest.approx(expected, abs=1e-9), n_bins


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n_voters", [5, 10, 15, 49, 100])
def test_votes_lie_in_the_bin_that_they_close(dtype, n_voters):
    # With as many bins as voters, every number of votes has a bin of its own (0 shares the first).
    votes = np.repeat(np.arange(1, n_voters + 1), 3)
    y = np.tile([0, 0, 1], n_voters)
    p = (votes / n_voters).astype(dtype)
    error = classwise_calibration_error(y, p, n_bins=n_voters, average=None)[1]
    gaps = np.abs(p.astype(float) - 1 / 3)
    assert error == pytest.approx(gaps.mean(), abs=1e-12)


@pytest.mark.parametrize("n_bins", [1001, 5000, 100_000])
@pytest.mark.parametrize("dtype", FLOATS)
def test_bins_may_be_finer_than_the_type(n_bins, dtype):
    y, p = random_predictions(200, 2, dtype=dtype)
    error = classwise_calibration_error(y, p[:, 1], n_bins=n_bins, average=None)[1]
    edges = (np.arange(n_bins + 1) / n_bins).astype(dtype)
    index = np.searchsorted(edges[1:-1], p[:, 1])
    gap = np.bincount(index, p[:, 1].astype(float)) - np.bincount(index, y)
    assert error == pytest.approx(np.abs(gap).sum() / 200, abs=1e-12)


def test_certain_predictions_belong_to_the_last_bin():
    rng = np.random.default_rng(0)
    confidence = np.where(rng.random(1000) < 0.3, 1.0, rng.uniform(0.95, 1.0, size=1000))
    y = (rng.random(1000) < 0.97).astype(int)
    assert expected_calibration_error(y, confidence.astype(np.float32)) == pytest.approx(
        abs(confidence.mean() - y.mean()), abs=1e-7
    )


@pytest.mark.slow
def test_counts_do_not_saturate_at_twenty_million_rows():
    # float32 cannot count beyond 2**24; 0.75 is exact in every type.
    y = np.tile(np.array([0, 1], dtype=np.int8), 10_000_000)
    p = np.full(20_000_000, 0.75, dtype=np.float32)
    assert expected_calibration_error(y, p) == 0.25
    assert classwise_calibration_error(y, p) == 0.25


@pytest.mark.parametrize("shape", [(300_000, 2), (70_001, 7), (600, 1000)])
def test_data_of_many_chunks_equal_one_pass(shape):
    y, p = random_predictions(*shape, dtype=np.float32, sharpness=3.0)
    labels = range(shape[1])
    w = np.random.default_rng(1).random(shape[0])
    edges = (np.arange(16) / 15).astype(np.float32)
    index = np.searchsorted(edges[1:-1], p) + 15 * np.arange(shape[1])
    for weight in None, w:
        rows = np.ones(shape[0]) if weight is None else w
        signed = rows[:, None] * (p.astype(float) - (y[:, None] == np.arange(shape[1])))
        gap = np.bincount(index.ravel(), signed.ravel(), minlength=15 * shape[1])
        expected = np.abs(gap).reshape(-1, 15).sum(axis=1) / rows.sum()
        ours = classwise_calibration_error(y, p, labels=labels, sample_weight=weight, average=None)
        np.testing.assert_allclose(ours, expected, rtol=1e-9)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("n_bins", [1, 7, 999, 1000, 1001, 2047, 4096, 9_973, 99_999, 100_000])
def test_a_bin_is_found_as_by_an_exact_search_for_any_number_of_bins(dtype, n_bins):
    edges = (np.arange(n_bins + 1) / n_bins).astype(dtype)
    # on every edge and right beside it, in the values' own type; narrow bins of float16 share an edge
    values = np.concatenate([edges, np.nextafter(edges, dtype(0)), np.nextafter(edges, dtype(1))])
    found = make_bins(values, None, n_bins, "uniform").index(values.astype(np.float64))
    np.testing.assert_array_equal(found, np.searchsorted(edges[1:-1], values, side="left"))


@pytest.mark.parametrize("n_classes", [3, 5])
def test_of_equally_probable_classes_the_first_is_predicted(n_classes):
    share = 1 / (n_classes - 1)
    p = np.full((1, n_classes), share)
    p[0, 1] = 0  # the first of the most probable ones is class 0, or 1 in the order of the reversed columns
    for y in range(n_classes):
        right = y == 0
        error = expected_calibration_error([y], p, labels=range(n_classes))
        assert error == pytest.approx(1 - share if right else share)
        reversed_error = expected_calibration_error([y], p[:, ::-1].copy(), labels=range(n_classes))
        assert reversed_error == pytest.approx(1 - share if right else share)


# Laws


@given(st.integers(2, 6), st.integers(0, 2**32 - 1), options)
def test_perfect_one_hot_predictions_have_no_error(n_classes, seed, opts):
    y = np.random.default_rng(seed).integers(n_classes, size=50)
    for dtype in [*FLOATS, int, bool]:
        p = np.eye(n_classes, dtype=dtype)[y]
        assert expected_calibration_error(y, p, labels=range(n_classes), **opts) == 0
        assert classwise_calibration_error(y, p, labels=range(n_classes), **opts) == 0


@given(predictions(), options)
def test_errors_lie_between_zero_and_one(data, opts):
    y, p, w = data
    for error in ERRORS:
        value = error(y, p, labels=range(p.shape[1]), sample_weight=w, **opts)
        assert isinstance(value, float)
        assert 0 <= value <= 1


@given(predictions(), options, st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(data, opts, random):
    y, p, w = data
    rows = list(range(len(y)))
    random.shuffle(rows)
    for error in ERRORS:
        before = error(y, p, labels=range(p.shape[1]), sample_weight=w, **opts)
        after = error(y[rows], p[rows], labels=range(p.shape[1]), sample_weight=w[rows], **opts)
        assert after == pytest.approx(before, abs=1e-12)


@given(predictions(), options, st.randoms(use_true_random=False))
def test_order_of_classes_does_not_matter(data, opts, random):
    y, p, w = data
    # Of equally probable classes the first is predicted, so that their order would count.
    assume((np.diff(np.sort(p, axis=1))[:, -1] > 0).all())
    columns = list(range(p.shape[1]))
    random.shuffle(columns)
    for error in ERRORS:
        before = error(y, p, labels=range(p.shape[1]), sample_weight=w, **opts)
        after = error(y, p[:, columns], labels=columns, sample_weight=w, **opts)
        assert after == pytest.approx(before, abs=1e-12)


@given(predictions(), options)
def test_weights_equal_repetitions(data, opts):
    y, p, w = data
    opts["labels"] = range(p.shape[1])
    for error in ERRORS:
        weighted = error(y, p, sample_weight=w, **opts)
        repeated = error(np.repeat(y, w), np.repeat(p, w, axis=0), **opts)
        assert weighted == pytest.approx(repeated, abs=1e-12)


@given(predictions(), options, st.booleans(), st.sampled_from([1e-300, 1e-9, 0.1, 3.0, 1e30, 4e307]))
def test_scale_of_the_weights_does_not_matter(data, opts, debias, scale):
    y, p, w = data
    if debias:
        opts = {**opts, "norm": "l2", "debias": True}
    opts["labels"] = range(p.shape[1])
    for error in ERRORS:
        assert error(y, p, sample_weight=scale * w, **opts) == pytest.approx(
            error(y, p, sample_weight=w, **opts), abs=1e-12
        )
        same = np.full(len(y), scale)
        assert error(y, p, sample_weight=same, **opts) == pytest.approx(error(y, p, **opts), abs=1e-12)


@pytest.mark.parametrize("error", ERRORS)
def test_one_column_for_two_classes_equals_two_columns(error):
    y, p = random_predictions(100, 2)
    p = np.column_stack([1 - p[:, 1], p[:, 1]])
    assert error(y, p[:, 1]) == error(y, p)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("order", ["C", "F", "strided", "read-only"])
def test_memory_layout_does_not_matter_and_input_stays(error, order):
    y, p = random_predictions(100, 4)
    q = {
        "C": p,
        "F": np.asfortranarray(p),
        "strided": np.repeat(p, 2, axis=1)[:, ::2],
        "read-only": p.copy(),
    }[order]
    q.flags.writeable = order != "read-only"
    before = q.copy()
    for strategy in "uniform", "quantile":
        assert error(y, q, strategy=strategy) == error(y, p.copy(), strategy=strategy)
    np.testing.assert_array_equal(q, before)


def test_classwise_extra_memory_does_not_grow_with_the_rows():
    y, p = random_predictions(20_000, 1000, dtype=np.float32)
    tracemalloc.start()
    classwise_calibration_error(y, p)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16e6  # the probabilities take 80 MB


# Debiasing


def test_debiased_error_is_kumars_estimator():
    y, p = random_predictions(60, 3)
    edges = np.arange(16) / 15
    expected = []
    for k in range(3):
        total = 0.0
        for low, high in pairwise(edges):
            rows = (p[:, k] > low) & (p[:, k] <= high)
            n = rows.sum()
            if n >= 2:
                rate = (y[rows] == k).mean()
                total += n / 60 * ((p[rows, k].mean() - rate) ** 2 - rate * (1 - rate) / (n - 1))
        expected.append(total)
    opts = {"norm": "l2", "debias": True}
    each = classwise_calibration_error(y, p, average=None, **opts)
    np.testing.assert_allclose(each, np.maximum(expected, 0), atol=1e-12)
    macro = classwise_calibration_error(y, p, **opts)
    assert macro == pytest.approx(max(np.mean(expected), 0), abs=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("weighted", [False, True])
def test_debiased_error_has_no_bias_where_the_plain_one_has(weighted):
    # Every row has one of three probabilities, so that binning itself loses nothing.
    rng = np.random.default_rng(0)
    n, p = (600 if weighted else 150), np.array([0.65, 0.75, 0.95])  # so many that hardly one is clipped at 0
    w = np.tile(rng.exponential(size=n // 3), 3) if weighted else None
    truth = np.array([0.45, 0.75, 0.9])
    true_square = np.mean((p - truth) ** 2)
    which = np.repeat([0, 1, 2], n // 3)
    debiased, plain = [], []
    for _ in range(2000):
        y = (rng.random(n) < truth[which]).astype(int)
        kwargs = {"labels": [0, 1], "norm": "l2", "average": None, "sample_weight": w}
        debiased.append(classwise_calibration_error(y, p[which], debias=True, **kwargs)[1])
        plain.append(classwise_calibration_error(y, p[which], **kwargs)[1] ** 2)
    standard_error = np.std(debiased) / np.sqrt(2000)
    assert abs(np.mean(debiased) - true_square) < 4 * standard_error
    assert np.mean(plain) - true_square > 10 * standard_error


# Labels


@pytest.mark.parametrize("error", ERRORS)
def test_labels_of_any_kind_are_the_columns_names(error):
    y, p = random_predictions(200, 3)
    expected = error(y, p)
    for names in (["a", "b", "c"], [-5, 0, 7], [0.5, 1.5, 2.5], [1, 2, 3]):
        assert error(np.array(names)[y], p) == expected
        assert error(np.array(names, dtype=object)[y], p, labels=names) == expected
        assert error([names[i] for i in y], p.tolist(), labels=names) == expected
    series = pd.Series(np.array(["a", "b", "c"])[y], dtype="category")
    assert error(series, pd.DataFrame(p)) == expected
    assert error(y == 1, p[:, 1], sample_weight=y < 2) == error(
        y[y < 2], p[y < 2, 1], sample_weight=np.ones((y < 2).sum())
    )


@pytest.mark.parametrize("error", ERRORS)
def test_labels_stand_in_the_order_of_the_columns(error):
    y, p = random_predictions(200, 3)
    assert error(y, p[:, ::-1], labels=[2, 1, 0]) == pytest.approx(error(y, p))


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("names", [[0, 1, 2], [1, 2, 3], ["a", "b", "c"]])
def test_a_class_may_be_absent_if_labels_name_it(error, names):
    y, p = random_predictions(200, 3)
    for absent in range(3):
        rows = y != absent
        y_names = np.array(names)[y[rows]]
        value = error(y_names, p[rows], labels=names)
        # A row with the class and no weight changes nothing.
        assert value == pytest.approx(error(np.array(names)[y], p, sample_weight=rows))
        with pytest.raises(ValueError, match="Pass labels="):
            error(y_names, p[rows])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 1], "must hold 3 different labels"),
        ([0, 1, 1], "must hold 3 different labels"),
        ([0, 1, 5], r"not among the classes: \[2\]. y_true has the labels \[0, 1, 2\].* are \[0, 1, 5\]"),
        (["0", "1", "2"], r"y_true has the labels \[0, 1, 2\], the classes are \['0', '1', '2'\]"),
        ([1, 2, 3], r"not among the classes: \[0\]"),
        ([0, 1, None], "labels contains NaN, None or NA"),
    ],
)
@pytest.mark.parametrize("error", ERRORS)
def test_labels_that_do_not_match_are_refused(error, labels, message):
    y, p = random_predictions(50, 3)
    for y_true in y, y.astype(object):
        with pytest.raises(ValueError, match=message):
            error(y_true, p, labels=labels)


# Refusals


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_what_is_no_probability_is_refused_with_advice(error, strategy, dtype):
    y, p = random_predictions(50, 3, dtype=dtype)

    def refused(values, message):
        with pytest.raises(ValueError, match=message):
            error(y, values, strategy=strategy)

    refused(np.log(p.astype(float)), r"row 0 holds -.*softmax")
    bad = p.copy()
    bad[7, 1] = np.nan
    refused(bad, "row 7 holds nan. Remove")
    bad[7, 1] = np.inf
    refused(bad, "row 7 holds inf")
    bad[7] = [0.5, 0.3, 0.1]
    refused(bad, r"row 7 sums to 0\.\d+\. Divide by the sums")
    bad[7] = 0
    refused(bad, "row 7 sums to 0")
    masked = np.ma.masked_greater(p, 0.9)
    refused(masked, "holds nan")


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    "container",
    [
        lambda p: p.tolist(),
        lambda p: p.astype(object),
        lambda p: np.where(np.isnan(p), None, p.astype(object)),
        pd.DataFrame,
        lambda p: pd.DataFrame(p).astype("Float64"),
        lambda p: pd.DataFrame(np.where(np.isnan(p), pd.NA, p.astype(object))),
        lambda p: torch.tensor(p, requires_grad=True),
        lambda p: list(torch.tensor(p)),
    ],
)
def test_nan_is_refused_in_any_container(error, container):
    y, p = random_predictions(50, 3)
    assert error(y, container(p)) == pytest.approx(error(y, p))
    p[7, 1] = np.nan
    with pytest.raises(ValueError, match=r"row 7 holds nan|NAType"):
        error(y, container(p))


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_missing_labels_are_refused(error, missing):
    y, p = random_predictions(50, 3)
    for names in y.astype(object), np.array(["a", "b", "c"], dtype=object)[y]:
        names[4] = missing
        for labels in None, [0, 1, 2]:
            with pytest.raises(ValueError, match="y_true contains NaN, None or NA"):
                error(names, p, labels=labels)


@pytest.mark.parametrize("error", ERRORS)
def test_masked_labels_are_refused(error):
    y, p = random_predictions(50, 3)
    with pytest.raises(ValueError, match="y_true is masked"):
        error(np.ma.masked_equal(y, 1), p)


# Containers


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_tensors_count_in_their_own_type(error, dtype):
    y, p = random_predictions(200, 10, dtype=np.dtype(dtype).type)
    tensor = torch.tensor(p, requires_grad=True)
    assert error(torch.tensor(y), tensor, sample_weight=torch.ones(200)) == error(y, p)


def test_rows_of_bfloat16_are_divided_by_their_sums():
    y, p = random_predictions(500, 10, dtype=np.float32)
    half = torch.tensor(p).bfloat16()
    exact = half.double().numpy()
    exact /= exact.sum(axis=1, keepdims=True)
    assert expected_calibration_error(y, half) == pytest.approx(
        expected_calibration_error(y, exact), abs=1e-6
    )


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("order", ["C", "F"])
def test_rounded_probabilities_are_divided_by_their_sums_with_one_warning(error, order):
    y, p = random_predictions(300_000, 3)
    rounded = np.array(p.round(3), order=order)
    before = rounded.copy()
    with pytest.warns(
        UserWarning, match=r"of 300000 rows of y_proba do not sum to 1 \(off by up to 0.001\)"
    ) as seen:
        value = error(y, rounded)
    assert len(seen) == 1
    assert value == error(y, rounded / rounded.sum(axis=1, keepdims=True))
    np.testing.assert_array_equal(rounded, before)
    with pytest.raises(ValueError, match="must sum to 1; row"):
        error(y, p.round(2))


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("names", [["a", "b", "c"], [0, 1, 2], [1, 2, 3], [0.5, 1.5, 2.5], [-1, 0, 1]])
@pytest.mark.parametrize("text", [False, True])
def test_columns_of_a_data_frame_go_by_their_names(error, names, text):
    y, p = random_predictions(200, 3)
    expected = error(y, p)
    frame = pd.DataFrame(p, columns=[str(name) for name in names] if text else names)
    for order in ([0, 1, 2], [2, 0, 1]):
        turned = frame.iloc[:, order]
        for labels in None, names, names[::-1]:
            assert error(np.array(names)[y], turned, labels=labels) == pytest.approx(expected)


@pytest.mark.parametrize("error", ERRORS)
def test_names_of_columns_tell_the_classes_that_y_lacks(error):
    y, p = random_predictions(200, 3)
    rows = y != 1
    names = np.array(["a", "b", "c"])
    frame = pd.DataFrame(p, columns=names)[["c", "b", "a"]]
    assert error(names[y[rows]], frame[rows]) == pytest.approx(error(names[y[rows]], p[rows], labels=names))


@pytest.mark.parametrize("error", ERRORS)
def test_default_names_of_columns_say_nothing(error):
    y, p = random_predictions(200, 3)
    expected = error(y, p)
    names = np.array(["a", "b", "c"])
    for columns in None, pd.Index([0, 1, 2]), [f"column_{i}" for i in range(3)]:
        frame = pd.DataFrame(p, columns=columns)
        assert error(names[y], frame) == expected
        assert error(names[y], frame, labels=names) == expected
        assert error(y + 1, frame) == expected
    assert error(y, pd.DataFrame(p[:, ::-1]), labels=[2, 1, 0]) == pytest.approx(expected)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("columns", [["p_a", "p_b", "p_c"], ["a", "b", "d"], [1, 2, 3], range(1, 4)])
def test_other_names_of_columns_are_refused_with_both_sets(error, columns):
    y, p = random_predictions(200, 3)
    names = np.array(["a", "b", "c"])
    for labels in None, names:
        with pytest.raises(ValueError, match=r"columns are \[.*\], the labels \['a', 'b', 'c'\]"):
            error(names[y], pd.DataFrame(p, columns=columns), labels=labels)


@pytest.mark.parametrize("error", ERRORS)
def test_a_single_column_of_the_wrong_label_is_refused(error):
    y, p = random_predictions(200, 2)
    names = np.array(["a", "b"])
    frame = pd.DataFrame(p, columns=names)
    assert error(names[y], frame["b"]) == pytest.approx(error(y, p))
    with pytest.raises(ValueError, match=r"named 'a', as the first of the labels \['a', 'b'\]"):
        error(names[y], frame["a"])


@pytest.mark.parametrize("error", ERRORS)
def test_the_row_that_is_wrong_is_named_also_in_later_chunks(error):
    y, p = random_predictions(200_000, 4)
    p[190_001, 2] = -0.5
    with pytest.raises(ValueError, match=r"row 190001 holds -0\.5"):
        error(y, p)


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("value", [1.5, -0.5, np.nan])
def test_one_column_out_of_range_is_refused_with_its_own_value(error, value):
    with pytest.raises(ValueError, match=f"row 1 holds {value}"):
        error([0, 1, 1], [0.5, value, 0.5])


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("error", ERRORS)
def test_round_off_is_accepted_and_clipped(error, dtype):
    y, p = [0, 1, 1], np.array([[1, 0], [0, 1], [0.25, 0.75]], dtype=dtype)
    exact = error(y, p)
    eps = np.finfo(dtype).eps
    rounded = p + np.array([[eps, -eps], [-eps, eps], [0, 0]], dtype=dtype)
    for strategy in "uniform", "quantile":
        assert error(y, rounded, strategy=strategy, norm="max") == error(y, p, strategy=strategy, norm="max")
    assert error(y, rounded) == exact
    assert error(y, rounded[:, 1]) == exact
    beyond = 2 * np.sqrt(eps)
    with pytest.raises(ValueError, match="between 0 and 1"):
        error(y, p + np.array([[beyond, -beyond], [0, 0], [0, 0]], dtype=dtype))


@pytest.mark.parametrize("error", ERRORS)
def test_the_tolerance_is_that_of_the_inputs_own_type(error):
    y, p = random_predictions(500, 50, dtype=np.float32)
    half = p.astype(np.float16)
    assert error(y, half) == pytest.approx(error(y, p), abs=1e-2)
    with pytest.warns(UserWarning, match="rows of y_proba do not sum to 1"):
        error(y, half.astype(np.float64))


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_proba": np.full((4, 1), 0.5)}, "at least two columns"),
        ({"y_proba": np.full((4, 2, 2), 0.5)}, "dim"),
        ({"y_true": [[0, 1], [1, 0], [0, 1], [1, 0]]}, "1d array"),
        ({"y_true": [0, 1, 1]}, "inconsistent numbers of samples"),
        ({"sample_weight": [1, 1, 1]}, "inconsistent numbers of samples"),
        ({"sample_weight": [1, 1, 1, -1]}, "Negative values"),
        ({"sample_weight": [0, 0, 0, 0]}, "at least one non-zero"),
        ({"n_bins": 0}, "n_bins"),
        ({"n_bins": 10**9}, "n_bins"),
        ({"n_bins": 2.5}, "n_bins"),
        ({"strategy": "equal"}, "strategy"),
        ({"norm": "l3"}, "norm"),
        ({"debias": True}, "pass norm='l2'"),
        ({"y_true": [0, 0, 0, 0]}, "1 distinct labels, y_proba 2 columns"),
        ({"y_true": [], "y_proba": []}, "0 sample"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(error, change, message):
    with pytest.raises(ValueError, match=message):
        error(**{"y_true": [0, 1, 1, 0], "y_proba": [0.2, 0.8, 0.6, 0.4], **change})


def test_an_unknown_average_is_refused():
    with pytest.raises(ValueError, match="average"):
        classwise_calibration_error([0, 1], [0.2, 0.8], average="micro")
