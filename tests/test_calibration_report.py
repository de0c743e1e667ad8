"""The calibration report: values, intervals, null levels, and how it is shown."""

import re
import sys
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


@pytest.mark.parametrize("n_rows", [1, 48, 64])  # powers of two are drawn by their bits
def test_counts_are_those_of_rows_drawn_one_by_one(n_rows):
    n_draws = np.full(20_001, 50)
    drawn = list(_resampling._draw_counts(np.random.default_rng(0), n_rows, n_draws))
    counts = np.concatenate([part for _, part in drawn], axis=1)
    assert [some.start for some, _ in drawn[1:]] == [some.stop for some, _ in drawn[:-1]]
    np.testing.assert_array_equal(counts.sum(axis=0), n_draws)
    # Multinomial: a count has mean n / m and variance n / m (1 - 1 / m), two of them covariance -n / m^2.
    mean = 50 / n_rows
    np.testing.assert_allclose(counts.mean(axis=1), mean, rtol=0.04)
    covariance = np.cov(counts)
    expected = mean * (np.eye(n_rows) - 1 / n_rows)
    np.testing.assert_allclose(covariance, expected, atol=0.05 * mean)


@pytest.mark.parametrize(
    "row", [[0.3, 0.2, 0.0, 0.5], [0.0, 1.0, 0.0], [2**-20, 1 - 2**-20], [1.0, 0.0], [1 / 3] * 3]
)
def test_classes_are_drawn_with_their_probabilities_to_the_last_bit(row, monkeypatch):
    # Each possible value of the first 16 bits as often as the others: what is left to chance is what is drawn
    # beyond them, so that probabilities are seen far below the noise of as many draws.
    repeats = 300
    n = repeats * 2**16

    def all_bits(rng, shape):
        return np.resize(np.arange(2**16, dtype=np.uint16), shape)

    monkeypatch.setattr(_resampling, "_random_bits", all_bits)
    rngs = np.random.default_rng(0).spawn(2)
    drawn = _resampling._draw_classes(*rngs, np.array([row, row]), n)
    for i, classes in enumerate(drawn):
        counts = np.bincount(classes - i * len(row), minlength=len(row))
        # Each class has at most two open values, of which each of `repeats` draws is in it or not.
        np.testing.assert_allclose(counts, n * np.array(row), atol=5 * np.sqrt(2 * repeats / 4))
        assert (counts[np.array(row) == 0] == 0).all()


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


def paired_draws(y, proba, n_resamples, seed):
    """The plain bootstrap, {metric: array of shape (n_resamples, n_models)}: the same rows for all models."""
    n, rng = len(y), np.random.default_rng(seed)
    edges = np.arange(1, 15) / 15
    draws = {name: np.empty((n_resamples, len(proba))) for name in METRICS}
    for i in range(n_resamples):
        rows = rng.integers(n, size=n)
        for j, p in enumerate(proba):
            hit = np.eye(p.shape[1])[y[rows]]
            top = p[rows].argmax(axis=1)
            draws["accuracy"][i, j] = np.mean(top == y[rows])
            draws["cross_entropy"][i, j] = -np.log(p[rows, y[rows]]).mean()
            draws["brier_score"][i, j] = ((p[rows] - hit) ** 2).sum(axis=1).mean()

            def error(values, hits):
                return np.abs(np.bincount(np.searchsorted(edges, values), values - hits)).sum() / n

            draws["expected_calibration_error"][i, j] = error(p[rows].max(axis=1), top == y[rows])
            draws["classwise_calibration_error"][i, j] = np.mean(
                [error(p[rows, k], hit[:, k]) for k in range(p.shape[1])]
            )
    return draws


def test_differences_to_a_baseline_are_those_of_a_plain_paired_bootstrap():
    y, p = simulate(300)
    models = {"flat": softmax(0.5 * np.log(p)), "base": p, "sharp": softmax(2 * np.log(p))}
    report = calibration_report(
        y, models, baseline="base", n_resamples=2000, confidence_level=0.9, random_state=0
    )
    assert list(report) == ["flat", "base", "sharp", "flat - base", "sharp - base"]
    assert report.baseline == "base"
    draws = paired_draws(y, list(models.values()), 1000, seed=1)
    for j, name in ((0, "flat"), (2, "sharp")):
        for metric in METRICS:
            found = report[f"{name} - base"][metric]
            assert found.value == report[name][metric].value - report["base"][metric].value
            difference = draws[metric][:, j] - draws[metric][:, 1]
            low, high = np.quantile(difference, [0.05, 0.95])
            tolerance = 0.35 * np.std(difference)
            assert found.low == pytest.approx(low, abs=tolerance), metric
            assert found.high == pytest.approx(high, abs=tolerance), metric
            assert found.null_high is found.null_median is found.debiased_square is None


def test_a_baseline_chooses_among_the_differences_and_changes_no_number():
    y, p = simulate(200)
    models = {"a": p, "b": softmax(2 * np.log(p)), "c": softmax(np.log(p) / 2)}
    options = {"n_resamples": 50, "random_state": 0}
    pairs = calibration_report(y, models, **options)
    last = calibration_report(y, models, baseline="c", **options)
    assert list(pairs) == ["a", "b", "c", "b - a", "c - a", "c - b"]
    assert list(last) == ["a", "b", "c", "a - c", "b - c"]
    assert all(last[name] == pairs[name] for name in "abc")
    for metric in METRICS:
        there, back = last["a - c"][metric], pairs["c - a"][metric]
        assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    # A name that only the other choice of pairs would give twice is no obstacle.
    named = {"a": p, "b": p, "b - a": p}
    assert len(calibration_report(y, named, baseline="b", **options)) == 5


def test_the_models_are_resampled_together_or_one_by_one(monkeypatch):
    y, p = simulate(300)
    models = {"a": p, "b": softmax(2 * np.log(p)), "c": softmax(np.log(p) / 2)}
    together = calibration_report(y, models, n_resamples=50, random_state=0)
    monkeypatch.setattr(_resampling, "_SUMS_SIZE", 1)
    assert dict(calibration_report(y, models, n_resamples=50, random_state=0)) == dict(together)


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


def three_models(**options):
    y, p = simulate(200)
    models = {"a": p, "b_1": softmax(2 * np.log(p)), "c & d": softmax(np.log(p) / 2)}
    return calibration_report(y, models, n_resamples=30, random_state=0, **options)


def test_the_table_has_a_row_for_each_model_and_the_null_level_first():
    report = three_models(baseline="b_1")
    table = report.table()
    assert list(table.index) == ["a", "b_1", "c & d"]
    assert table.index.name == "model"
    assert list(table.columns.get_level_values("number").unique()) == [
        "null_median",
        "null_high",
        "value",
        "difference",
        "difference_low",
        "difference_high",
    ]
    for number in ("null_median", "null_high"):
        assert list(table[number].columns) == ERRORS
    for number in ("value", "difference"):
        assert list(table[number].columns) == METRICS
    for number in ("difference_low", "difference_high"):  # no range of the others under such a name
        assert list(table[number].columns) == SCORES
    for (number, metric), column in table.items():
        for model, found in column.items():
            if not number.startswith("difference"):
                assert found == getattr(report[model][metric], number)
            elif model == "b_1":
                assert np.isnan(found)
            else:
                attribute = number.removeprefix("difference").strip("_") or "value"
                assert found == getattr(report[f"{model} - b_1"][metric], attribute)


def test_the_table_of_models_without_baseline_has_no_differences():
    several, one = three_models().table(), report_of(*simulate(100), n_resamples=5).table()
    for table in (several, one):
        assert list(table.columns.get_level_values("number").unique()) == [
            "null_median",
            "null_high",
            "value",
        ]
    assert list(one.index) == ["model"]


def latex_cells(latex):
    """The cells of each line of a tabular."""
    lines = [line for line in latex.splitlines() if line.endswith(r"\\")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line[:-2])] for line in lines]


def test_latex_holds_the_table_without_a_range_that_is_no_interval():
    report = three_models(baseline="a", confidence_level=0.9)
    latex = report.to_latex(decimals=3)
    head, names, *lines = latex_cells(latex)
    assert head[1] == r"\multicolumn{2}{c}{Null level}"
    assert names == [
        "",
        "ECE",
        "Class-wise ECE",
        "Accuracy",
        "Cross-entropy",
        "Brier score",
        "ECE",
        "Class-wise ECE",
    ]
    assert {len(line) for line in lines} == {8}
    first = [line[0] for line in lines]
    minus = [r"\quad minus a", r"\quad 90\,\% interval"]
    assert first == ["a", r"b\_1", *minus, r"c \& d", *minus]
    for metric, place in zip(METRICS, range(3, 8), strict=True):
        assert lines[1][place] == f"{report['b_1'][metric].value:.3f}"
        difference = report["b_1 - a"][metric]
        assert lines[2][place] == f"${difference.value:+.3f}$"
        ends = f"{{[${difference.low:+.3f}$, ${difference.high:+.3f}$]}}"
        assert lines[3][place] == (ends if metric in SCORES else "")
    for metric, place in zip(ERRORS, (1, 2), strict=True):
        estimate = report["c & d"][metric]
        assert lines[4][place] == f"{estimate.null_median:.3f}--{estimate.null_high:.3f}"
    assert "textbf" not in latex
    assert all(rule in latex for rule in (r"\toprule", r"\midrule", r"\bottomrule", "booktabs"))
    assert latex.count("{") == latex.count("}")


def test_latex_of_one_model_has_one_line_and_a_caption_makes_it_a_float():
    report = report_of(*simulate(100), n_resamples=5)
    plain = report.to_latex()
    assert [line[0] for line in latex_cells(plain)[2:]] == ["model"]
    assert r"\begin{table}" not in plain
    assert "Interval" not in plain
    latex = report.to_latex(caption=r"Of \emph{one} model", label="tab:one")
    assert r"\caption{Of \emph{one} model}" in latex
    assert latex.index(r"\begin{table}") < latex.index(r"\label{tab:one}") < latex.index(r"\begin{tabular}")
    assert latex.rstrip().endswith(r"\end{table}")
    with pytest.raises(ValueError, match="decimals"):
        report.to_latex(decimals=-1)


def test_latex_escapes_what_a_name_may_hold():
    y, p = simulate(50)
    names = [r"50% & $x_1^2$ #3 {~} \y <z>"]
    latex = calibration_report(y, dict.fromkeys(names, p), n_resamples=5, random_state=0).to_latex()
    name = (
        r"50\% \& \$x\_1\textasciicircum{}2\$ \#3 \{\textasciitilde{}\} "
        r"\textbackslash{}y \textless{}z\textgreater{}"
    )
    assert f"\n{name} & " in latex


def test_latex_needs_neither_pandas_nor_jinja2(monkeypatch):
    report = three_models(baseline="a")
    for module in ("pandas", "jinja2"):
        monkeypatch.setitem(sys.modules, module, None)  # its import raises
    assert r"\begin{tabular}" in report.to_latex()


def test_the_null_level_stands_before_the_value():
    report = three_models(baseline="a")
    text = repr(report)
    header = text.splitlines()[2]
    assert header.split("  ")[0] == ""
    assert re.split(r"\s{2,}", header.strip()) == ["null level", "value", "95 % range", "debiased"]
    assert "a (baseline)" in text
    assert "interval" not in text.split("null level: median")[0]


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
        ({"baseline": "a"}, "baseline='a' is the name of a model .* dict"),
        (
            {"baseline": "c", "y_proba": {"a": [0.1, 0.9], "b": [0.2, 0.8]}},
            r"one of the models, \['a', 'b'\]",
        ),
        ({"baseline": 0}, "baseline"),
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
