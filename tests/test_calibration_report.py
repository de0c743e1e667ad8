"""The calibration report: values, intervals, null levels, and how it is shown."""

import tracemalloc
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

from sk_ils.metrics import (
    CalibrationReport,
    _resampling,
    calibration_report,
    classwise_calibration_error,
    expected_calibration_error,
)

METRICS = [
    "accuracy",
    "cross_entropy",
    "brier_score",
    "expected_calibration_error",
    "classwise_calibration_error",
]
SCORES, ERRORS = METRICS[:3], METRICS[3:]


def softmax(z):
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def simulate(n, n_classes=3, temperature=1.0, seed=0, spread=2.0):
    """Labels from softmax(z / temperature), probabilities softmax(z)."""
    rng = np.random.default_rng(seed)
    z = spread * rng.standard_normal((n, n_classes))
    cumulated = softmax(z / temperature).cumsum(axis=1)
    y = (rng.random((n, 1)) > cumulated[:, :-1]).sum(axis=1)
    return y, softmax(z)


def report_of(y, p, **options):
    return calibration_report(y, p, labels=range(p.shape[1]), random_state=0, **options)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_those_of_the_functions(strategy, weighted):
    y, p = simulate(300)
    w = np.random.default_rng(1).integers(0, 3, size=300) if weighted else None
    report = report_of(y, p, n_bins=10, strategy=strategy, sample_weight=w, n_resamples=50)
    options = {"sample_weight": w, "n_bins": 10, "strategy": strategy}
    expected = {
        "accuracy": accuracy_score(y, p.argmax(axis=1), sample_weight=w),
        "cross_entropy": log_loss(y, p, sample_weight=w),
        "brier_score": brier_score_loss(y, p, sample_weight=w, scale_by_half=False),
        "expected_calibration_error": expected_calibration_error(y, p, **options),
        "classwise_calibration_error": classwise_calibration_error(y, p, **options),
    }
    assert list(report) == METRICS
    assert {name: report[name].value for name in report} == pytest.approx(expected)
    squares = {
        error.__name__: error(y, p, norm="l2", debias=True, **options)
        for error in (expected_calibration_error, classwise_calibration_error)
    }
    assert {name: report[name].debiased_square for name in ERRORS} == pytest.approx(squares)


@pytest.mark.parametrize("n_classes", [3, 40])
def test_draws_do_not_depend_on_how_many_are_in_memory(n_classes, monkeypatch):
    y, p = simulate(500, n_classes)
    w = np.random.default_rng(1).random(500)
    numbers = []
    for size in (2**6, 2**16, 2**30):
        monkeypatch.setattr(_resampling, "_BLOCK_SIZE", size)
        numbers.append(report_of(y, p, sample_weight=w, n_resamples=70).frame().to_numpy(float))
    for others in numbers[1:]:
        np.testing.assert_allclose(others, numbers[0], rtol=1e-10)


def test_the_resamples_take_little_memory():
    y, p = simulate(3000, 10)
    tracemalloc.start()
    report_of(y, p, n_resamples=1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3000 * 1000 * 8 / 2  # all counts at once would be 24 MB


@pytest.mark.parametrize(("n", "n_classes"), [(200, 3), (60, 40), (700, 2)])
@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_intervals_agree_with_a_plain_bootstrap(n, n_classes, strategy):
    y, p = simulate(n, n_classes)
    report = report_of(y, p, strategy=strategy, n_resamples=2000)
    # The plain bootstrap of the same statistic, with the bins of the whole sample.
    columns = [p.max(axis=1), *p.T]
    hits = [p.argmax(axis=1) == y, *(y == k for k in range(n_classes))]
    cells = []
    for values in columns:
        shares = np.arange(1, 15) / 15
        edges = shares if strategy == "uniform" else np.quantile(values, shares, method="inverted_cdf")
        cells.append(np.searchsorted(edges, values))
    cells = np.transpose(cells) + 15 * np.arange(n_classes + 1)  # (row, column): numbers of all bins
    gaps = np.transpose(columns) - np.transpose(hits)
    losses = -np.log(p[np.arange(n), y])
    squares = ((p - np.eye(n_classes)[y]) ** 2).sum(axis=1)
    rng = np.random.default_rng(1)
    draws = {name: [] for name in METRICS}
    for _ in range(1000):
        rows = rng.integers(n, size=n)
        sums = np.bincount(cells[rows].ravel(), gaps[rows].ravel(), minlength=15 * (n_classes + 1))
        gap = np.abs(sums).reshape(-1, 15).sum(axis=1) / n
        draws["expected_calibration_error"].append(gap[0])
        draws["classwise_calibration_error"].append(np.mean(gap[1:]))
        draws["accuracy"].append(hits[0][rows].mean())
        draws["cross_entropy"].append(losses[rows].mean())
        draws["brier_score"].append(squares[rows].mean())
    for name, estimate in report.items():
        low, high = np.quantile(draws[name], [0.025, 0.975])
        # Both ends have Monte-Carlo errors of about a tenth of the spread.
        tolerance = 0.35 * np.std(draws[name])
        assert estimate.low == pytest.approx(low, abs=tolerance), name
        assert estimate.high == pytest.approx(high, abs=tolerance), name


@pytest.mark.parametrize(("n", "n_classes"), [(200, 3), (60, 40), (700, 2)])
@pytest.mark.parametrize("weighted", [False, True])
def test_null_level_agrees_with_labels_drawn_from_the_probabilities(n, n_classes, weighted):
    y, p = simulate(n, n_classes, temperature=3.0)
    w = np.random.default_rng(2).random(n) if weighted else None
    report = report_of(y, p, sample_weight=w, n_resamples=2000)
    rng = np.random.default_rng(1)
    draws = {name: [] for name in ERRORS}
    options = {"labels": range(n_classes), "sample_weight": w}
    for _ in range(600):
        drawn = (rng.random((n, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
        draws["expected_calibration_error"].append(expected_calibration_error(drawn, p, **options))
        draws["classwise_calibration_error"].append(classwise_calibration_error(drawn, p, **options))
    for name in ERRORS:
        tolerance = 0.35 * np.std(draws[name])
        median, high = np.quantile(draws[name], [0.5, 0.95])
        assert report[name].null_median == pytest.approx(median, abs=tolerance)
        assert report[name].null_high == pytest.approx(high, abs=tolerance)
    assert all(report[name].null_high is None for name in SCORES)


def test_several_models_are_compared_on_the_same_resamples():
    y, p = simulate(400)
    sharp = softmax(3 * np.log(p))
    report = calibration_report(y, {"a": p, "b": sharp, "same": p}, random_state=0)
    assert list(report) == ["a", "b", "same", "b - a", "same - a", "same - b"]
    for name in METRICS:
        difference = report["b - a"][name]
        assert difference.value == report["b"][name].value - report["a"][name].value
        nothing = report["same - a"][name]
        assert (nothing.value, nothing.low, nothing.high) == (0, 0, 0)
        assert report["same"][name] == report["a"][name]
    # Pairing narrows the interval of the difference.
    widths = [
        estimate.high - estimate.low for estimate in (report[key]["accuracy"] for key in ("a", "b", "b - a"))
    ]
    assert widths[2] < 0.5 * max(widths[:2])
    # One model alone has the same numbers.
    assert dict(calibration_report(y, p, random_state=0)) == dict(report["a"])


def test_only_scores_claim_their_nominal_coverage():
    y, p = simulate(100)
    report = calibration_report(y, {"a": p, "b": p}, n_resamples=20)
    for model in report.values():
        assert {name for name in model if model[name].nominal_coverage} == set(SCORES)


def test_seed_fixes_the_report_and_levels_nest():
    y, p = simulate(200)
    reports = [report_of(y, p, confidence_level=level) for level in (0.5, 0.9, 0.9, 0.99)]
    assert dict(reports[1]) == dict(reports[2])
    for inner, outer in pairwise(reports):
        for name in METRICS:
            assert outer[name].low <= inner[name].low <= inner[name].high <= outer[name].high


def test_rows_without_weight_count_nothing():
    y, p = simulate(100)
    w = np.arange(100) % 50 < 1  # two rows
    report = report_of(y, p, sample_weight=w, n_resamples=200)
    kept = report_of(y[w], p[w], n_resamples=200, sample_weight=[1, 1])
    assert dict(report) == dict(kept)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
@pytest.mark.parametrize("scale", [1e-300, 0.1, 1e300])
def test_scale_of_the_weights_does_not_matter(strategy, scale):
    y, p = simulate(100)
    w = np.random.default_rng(0).exponential(size=100)
    models = {"a": p, "b": p**2 / (p**2).sum(axis=1, keepdims=True)}
    options = {"n_resamples": 50, "strategy": strategy, "random_state": 0}
    reports = [calibration_report(y, models, sample_weight=weight, **options) for weight in (w, scale * w)]
    pd.testing.assert_frame_equal(*(report.frame() for report in reports), rtol=1e-9, atol=1e-12)
    same = [report_of(y, p, sample_weight=weight, n_resamples=50) for weight in (np.full(100, scale), None)]
    pd.testing.assert_frame_equal(*(report.frame() for report in same), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("names", [["a", "b", "b - a"], ["b - a", "a", "b"], ["a", "b - a", "c", "c - b"]])
def test_models_named_like_a_difference_are_refused(names):
    y, p = simulate(50)
    with pytest.raises(ValueError, match=r"names a difference of two models .*rename"):
        calibration_report(y, dict.fromkeys(names, p), n_resamples=2)


def test_the_columns_of_each_models_frame_go_by_their_names():
    y, p = simulate(50)
    names = np.array(["x", "y", "z"])
    turned = pd.DataFrame(p, columns=names)[["z", "x", "y"]]
    report = calibration_report(names[y], {"a": p, "b": turned}, n_resamples=5, random_state=0)
    assert report["a"] == report["b"]


def test_labels_and_one_column_are_taken_as_by_the_functions():
    y, p = simulate(100, 2)
    names = np.array(["no", "yes"])[y]
    options = {"random_state": 0, "n_resamples": 20}
    one = calibration_report(names, p[:, 1], labels=["no", "yes"], **options)
    two = calibration_report(y, np.column_stack([1 - p[:, 1], p[:, 1]]), **options)
    assert dict(one) == dict(two)


def test_frame_holds_all_numbers():
    y, p = simulate(100)
    single = report_of(y, p, n_resamples=20)
    frame = single.frame()
    assert list(frame.index) == METRICS
    assert frame.loc["accuracy", "value"] == single["accuracy"].value
    assert np.isnan(frame.loc["accuracy", "null_high"])
    assert frame.dtypes.drop("nominal_coverage").eq(float).all()
    assert frame["nominal_coverage"].dtype == bool
    several = calibration_report(y, {"a": p, "b": p}, n_resamples=20).frame()
    assert several.index.names == ["model", "metric"]
    assert len(several) == 15
    assert isinstance(several.loc["b - a"], pd.DataFrame)
    scores_only = several.loc[(slice(None), SCORES), "debiased_square"]
    assert scores_only.isna().all()


def test_representations_show_every_number_and_the_caveat():
    y, p = simulate(100)
    for report in (
        report_of(y, p, n_resamples=20),
        calibration_report(y, {"<a>": p, "b": p}, n_resamples=20),
    ):
        text, html = repr(report), report._repr_html_()
        for shown in (text, html):
            assert "not a confidence interval" in shown
            assert "0 %" in shown
            assert all(shown.count(name) >= 1 for name in METRICS)
            assert "95 % quantile" in shown
        assert "<a>" not in html
        assert max(map(len, text.splitlines())) <= 110
    assert "classwise_calibration_error" in repr(report)
    value = report["b"]["cross_entropy"].value
    assert f"{value:.4g}" in repr(report)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_proba": {}}, "at least one name"),
        ({"y_proba": {"": [0.1, 0.9]}}, "non-empty string"),
        ({"y_proba": [0.1, 1.9]}, "between 0 and 1"),
        ({"confidence_level": 1.0}, "confidence_level"),
        ({"n_resamples": 1}, "n_resamples"),
        ({"n_resamples": 10**10}, "n_resamples"),
        ({"strategy": "equal"}, "strategy"),
        ({"n_bins": 0}, "n_bins"),
        ({"n_bins": 10**9}, "n_bins"),
        ({"random_state": "x"}, "random_state"),
    ],
)
def test_arguments_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        calibration_report(**{"y_true": [0, 1], "y_proba": [0.1, 0.9], **change})


def test_report_is_a_mapping():
    y, p = simulate(50)
    report = report_of(y, p, n_resamples=20)
    assert isinstance(report, CalibrationReport)
    assert len(report) == 5
    assert "accuracy" in report
    with pytest.raises(KeyError):
        report["f1"]


# Statistics


@pytest.mark.slow
@pytest.mark.parametrize(("n", "n_classes"), [(300, 3), (400, 10)])
def test_calibrated_data_lie_within_their_null_level(n, n_classes):
    n_draws = 400  # the standard error of a share of 0.95 is 0.011
    within = dict.fromkeys(ERRORS, 0)
    for draw in range(n_draws):
        y, p = simulate(n, n_classes, seed=draw)
        report = calibration_report(y, p, labels=range(n_classes), n_resamples=300, random_state=draw)
        for name in ERRORS:
            within[name] += report[name].value <= report[name].null_high
    for name in ERRORS:
        assert 0.917 <= within[name] / n_draws <= 0.983


@pytest.mark.slow
def test_intervals_of_scores_and_their_differences_reach_the_nominal_coverage():
    n_draws, n, temperature = 500, 200, 1.5  # the standard error of a share of 0.9 is 0.013
    rng = np.random.default_rng(0)
    z = 2 * rng.standard_normal((300_000, 3))
    bias = np.array([0.5, 0.0, -0.5])
    q = softmax(z / temperature)
    truth = {}
    for model, p in (("a", softmax(z)), ("b", softmax(0.7 * z + bias))):
        best = p.argmax(axis=1)
        truth[model] = np.array(
            [
                q[np.arange(len(q)), best].mean(),
                -(q * np.log(p)).sum(axis=1).mean(),
                ((p**2).sum(axis=1) - 2 * (p * q).sum(axis=1) + 1).mean(),
            ]
        )
    truth["b - a"] = truth["b"] - truth["a"]
    held = {model: np.zeros(3) for model in truth}
    for draw in range(n_draws):
        y, p = simulate(n, 3, temperature, seed=draw + 1)
        models = {"a": p, "b": softmax(0.7 * np.log(p) + bias)}
        report = calibration_report(
            y, models, labels=range(3), n_resamples=400, confidence_level=0.9, random_state=draw
        )
        for model, values in truth.items():
            estimates = [report[model][name] for name in SCORES]
            held[model] += [e.low <= value <= e.high for e, value in zip(estimates, values, strict=True)]
    coverage = np.concatenate([held["a"], held["b"], held["b - a"]]) / n_draws
    np.testing.assert_allclose(coverage, 0.9, atol=0.04)
