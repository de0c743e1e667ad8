"""The calibration report: each metric with its uncertainty, for one model or several."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from html import escape
from itertools import combinations
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from sk_ils._sklearn_compat import Interval, StrOptions, validate_parameter_constraints
from sk_ils.metrics._binning import N_BINS, Strategy, bin_error
from sk_ils.metrics._predictions import Predictions, check_predictions, named_models
from sk_ils.metrics._resampling import (
    BinnedModel,
    ErrorDraws,
    ScoreDraws,
    bin_model,
    bootstrap,
    calibrated_draws,
)

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CalibrationReport", "Estimate", "calibration_report"]

_CONSTRAINTS: dict[str, list[Any]] = {
    "n_bins": [N_BINS],
    "strategy": [StrOptions({"uniform", "quantile"})],
    "n_resamples": [Interval(Integral, 2, 1_000_000, closed="both")],
    "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    "random_state": ["random_state"],
}

# Measured by benchmarks/paper/interval_coverage.py.
_CAVEAT = (
    "* The range of the bootstrap, not a confidence interval: it is too high. At a nominal 90 % it\n"
    "  contained the true ECE in 0 % (ECE 0, 500 samples), 48 % (.035, 2000 samples) and 91 % (.115,\n"
    "  2000 samples) of draws, the true class-wise error in 0 %. Compare the value with its null level."
)
_LEGEND = (
    "range: the bootstrap's percentiles; without a star they may be read as a confidence interval.\n"
    "null level: median and {level:g} % quantile of the error that these probabilities would show\n"
    "  if they were perfectly calibrated. debiased: the squared l2 error minus its bias."
)


@dataclass(frozen=True)
class Estimate:
    """A metric and its uncertainty.

    Parameters
    ----------
    value : float
        The metric, or the difference of two models' metrics.
    low, high : float
        Lower and upper end of the bootstrap's percentile interval.
    nominal_coverage : bool
        Whether the interval may be read as a confidence interval. False for calibration errors.
    null_median, null_high : float or None, default=None
        The 0.5 and the `confidence_level` quantile of the value that a perfectly calibrated model
        with these probabilities would show. None for metrics without such a level.
    debiased_square : float or None, default=None
        The debiased squared l2 error. None for metrics that are no calibration error.
    """

    value: float
    low: float
    high: float
    nominal_coverage: bool
    null_median: float | None = None
    null_high: float | None = None
    debiased_square: float | None = None


class CalibrationReport(Mapping[str, Any]):
    """Metrics with their uncertainty, as a mapping.

    For one model it maps names of metrics to `Estimate`. For several models it maps their names to
    such mappings, and names like "b - a" to the differences of two models.

    Made by :func:`calibration_report`.

    Parameters
    ----------
    tables : dict of str -> dict of str -> Estimate
        The estimates by model and metric. The key "" alone stands for one model without a name.
    title : str
        First line of the representation.
    confidence_level : float
        Level of the intervals and of the null level, in (0, 1).
    """

    def __init__(
        self, tables: dict[str, dict[str, Estimate]], *, title: str, confidence_level: float
    ) -> None:
        self._tables = tables
        self._title = title
        self.confidence_level = confidence_level

    def _content(self) -> dict[str, Any]:
        return self._tables.get("", self._tables)

    def __getitem__(self, key: str) -> Any:
        return self._content()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content())

    def __len__(self) -> int:
        return len(self._content())

    def frame(self) -> "pd.DataFrame":
        """Return the estimates as a DataFrame.

        Returns
        -------
        pandas.DataFrame
            A row for each metric, or for each (model, metric), and a column for each attribute of
            `Estimate`; NaN stands for None.
        """
        import pandas as pd

        rows = {
            (model, metric): asdict(estimate)
            for model, table in self._tables.items()
            for metric, estimate in table.items()
        }
        frame = pd.DataFrame.from_dict(rows, orient="index")
        frame.index = pd.MultiIndex.from_tuples(rows, names=["model", "metric"])
        numbers = [name for name in frame.columns if name != "nominal_coverage"]
        frame = frame.astype(dict.fromkeys(numbers, float))
        return frame.droplevel("model") if "" in self._tables else frame

    def _rows(self) -> list[list[str]]:
        """Return the cells of the table, the header first."""
        rows = [["", "value", f"{100 * self.confidence_level:g} % range", "null level", "debiased"]]
        for model, table in self._tables.items():
            if model:
                rows.append([model, "", "", "", ""])
            rows += [_cells(metric, estimate) for metric, estimate in table.items()]
        return rows

    def _notes(self) -> list[str]:
        return [_LEGEND.format(level=100 * self.confidence_level), _CAVEAT]

    def __repr__(self) -> str:
        rows = self._rows()
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = []
        for name, *cells in rows:
            # The name of a model stands alone, above its metrics.
            indent = "  " if any(cells) and "" not in self._tables else ""
            padded = [cell.rjust(width) for cell, width in zip(cells, widths[1:], strict=True)]
            lines.append("  ".join([(indent + name).ljust(widths[0] + 2), *padded]).rstrip())
        return "\n".join([self._title, "", *lines, "", *self._notes()])

    def _repr_html_(self) -> str:
        header, *rows = ([escape(cell) for cell in row] for row in self._rows())
        body = "".join(
            f"<tr><th style='text-align: left'>{name}</th>"
            + "".join(f"<td style='text-align: right'>{cell}</td>" for cell in cells)
            + "</tr>"
            for name, *cells in rows
        )
        head = "".join(f"<th>{cell}</th>" for cell in header)
        notes = "".join(f"<p><small>{escape(note)}</small></p>" for note in self._notes())
        return (
            f"<table><caption>{escape(self._title)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{body}</tbody></table>{notes}"
        )


def _cells(metric: str, estimate: Estimate) -> list[str]:
    mark = " " if estimate.nominal_coverage else "*"
    null = debiased = ""
    if estimate.null_median is not None and estimate.null_high is not None:
        null = f"{_short(estimate.null_median)} to {_short(estimate.null_high)}"
    if estimate.debiased_square is not None:
        debiased = _short(estimate.debiased_square)
    interval = f"[{_short(estimate.low)}, {_short(estimate.high)}]{mark}"
    return [metric, _short(estimate.value), interval, null, debiased]


def _short(value: float) -> str:
    return f"{value:.3g}" if abs(value) < 1e-3 else f"{value:#.4g}"


def calibration_report(
    y_true: ArrayLike,
    y_proba: ArrayLike | Mapping[str, ArrayLike],
    *,
    labels: ArrayLike | None = None,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    sample_weight: ArrayLike | None = None,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | None = None,
) -> CalibrationReport:
    """Report accuracy, cross-entropy, Brier score and both calibration errors, with uncertainty.

    Every metric comes with a bootstrap interval. The calibration errors also come with their
    debiased estimate and their null level: a perfectly calibrated model has a positive error on any
    finite sample, and an error within the null level is no evidence of miscalibration.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels: numbers, strings or booleans. Integers that number the columns from 0 are the
        fastest.
    y_proba : array-like of shape (n_samples, n_classes) or (n_samples,), or dict of such
        Probabilities; see :func:`expected_calibration_error`. A dict maps the names of models to
        their probabilities for the same samples; the report then also contains the paired
        difference of each two models, the later minus the earlier in the dict.
    labels : array-like of shape (n_classes,), default=None
        The label of each column of `y_proba`, in the columns' order: a classifier's `classes_`.
        None takes the sorted distinct values of `y_true`, which must then be as many as the
        columns; pass the labels if a class may be absent from `y_true`.
    n_bins : int, default=15
        Number of bins of the calibration errors, 1 to 100,000.
    strategy : {"uniform", "quantile"}, default="uniform"
        How the bins are cut; see :func:`expected_calibration_error`.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; their scale does not matter. A sample counts as one observation
        whatever its weight: it is resampled together with its weight.
    n_resamples : int, default=1000
        Number of bootstrap resamples, and of draws for the null level, 2 to 1,000,000.
    confidence_level : float, default=0.95
        Level of the intervals (two-sided) and of the null level (one-sided), in (0, 1).
    random_state : int, RandomState instance or None, default=None
        Determines the resamples. Pass an int for reproducible output.

    Returns
    -------
    CalibrationReport
        A mapping with the keys "accuracy", "cross_entropy" (nats), "brier_score" (sum over classes,
        0 to 2), "expected_calibration_error" and "classwise_calibration_error" (l1, macro), with
        `frame()` and a representation for terminal and notebook. For several models, a mapping of
        such mappings.

    Raises
    ------
    ValueError
        For the same reasons as in :func:`expected_calibration_error`, and if a model is named like
        the difference of two others.

    See Also
    --------
    sk_ils.inspection.ReliabilityDisplay : The picture behind the calibration errors.

    Notes
    -----
    The percentile intervals of accuracy, cross-entropy, Brier score and of their paired differences
    reach their nominal coverage. Those of calibration errors do not, because resampling adds to the
    bias that the error already has: at a nominal 90 %, with 10 classes, they contained the
    true ECE in 0 % (true ECE 0 or .035, 500 samples), 48 % (.035, 2000 samples) and 91 % (.115,
    2000 samples) of 400 draws, the true class-wise error in 0 % of all these.
    `Estimate.nominal_coverage` is True for the intervals of the first kind.

    For the null level, labels are drawn from the probabilities themselves [1]_. It is valid for any
    number of samples, since under perfect calibration this is the true distribution of the labels.

    The bins are made from all samples and stay the same in the resamples. Time and memory grow with
    `n_resamples`.

    References
    ----------
    .. [1] Bröcker, Smith (2007), "Increasing the Reliability of Reliability Diagrams", Weather and
       Forecasting 22 (consistency resampling).

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from sk_ils.metrics import calibration_report
    >>> X, X_test, y, y_test = train_test_split(*load_digits(return_X_y=True), random_state=0)
    >>> models = {"bayes": GaussianNB(), "logistic": LogisticRegression(C=1e-4, max_iter=1000)}
    >>> y_proba = {name: clf.fit(X, y).predict_proba(X_test) for name, clf in models.items()}
    >>> report = calibration_report(y_test, y_proba, random_state=0)
    >>> ece = report["bayes"]["expected_calibration_error"]
    >>> ece.value > ece.null_high  # overconfident
    True
    >>> report["logistic - bayes"]["cross_entropy"].high < 0
    True
    """
    options = {
        "n_bins": n_bins,
        "strategy": strategy,
        "n_resamples": n_resamples,
        "confidence_level": confidence_level,
        "random_state": random_state,
    }
    validate_parameter_constraints(_CONSTRAINTS, options, caller_name="calibration_report")
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    named = named_models(y_proba, alone="")
    _check_names(named)
    models = {
        name: bin_model(_weighted_rows(y_true, proba, labels, sample_weight), n_bins, strategy)
        for name, proba in named.items()
    }
    draws = {name: bootstrap(model, n_resamples, seed) for name, model in models.items()}
    values = {name: _values(model) for name, model in models.items()}
    tables: dict[str, dict[str, Estimate]] = {}
    for name, model in models.items():
        null = calibrated_draws(model, n_resamples, seed)
        tables[name] = _estimates(values[name], draws[name], confidence_level)
        tables[name] |= _with_null(tables[name], model, null, confidence_level)
    for a, b in combinations(models, 2):
        difference = ScoreDraws(*(y - x for x, y in zip(draws[a], draws[b], strict=True)))
        tables[_difference(a, b)] = _estimates(values[b] - values[a], difference, confidence_level)
    shape = next(iter(models.values())).predictions.proba.shape
    size = f"{shape[0]} samples, {shape[1]} classes, {n_bins} {strategy} bins, {n_resamples} resamples"
    return CalibrationReport(tables, title=f"Calibration report: {size}", confidence_level=confidence_level)


def _difference(a: str, b: str) -> str:
    return f"{b} - {a}"


def _check_names(models: Mapping[str, Any]) -> None:
    """Raise ValueError if two entries of the report would have the same name."""
    names = [*models, *(_difference(a, b) for a, b in combinations(models, 2))]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(
            f"The report names a difference of two models {sorted(twice)[0]!r}, and another entry, too: "
            f"rename models; got {list(models)}."
        )


def _weighted_rows(
    y_true: ArrayLike,
    y_proba: ArrayLike,
    labels: ArrayLike | None,
    sample_weight: ArrayLike | None,
) -> Predictions:
    """Return the predictions without rows of weight 0: a resample might hold nothing else."""
    predictions = check_predictions(y_true, y_proba, labels=labels, sample_weight=sample_weight)
    weight = predictions.weight
    if weight is None or weight.all():
        return predictions
    kept = weight > 0
    return replace(
        predictions,
        proba=predictions.proba[kept],
        codes=predictions.codes[kept],
        weight=weight[kept],
    )


def _values(model: BinnedModel) -> NDArray[np.float64]:
    """Return the metrics on the sample itself, in the order of `ScoreDraws`."""
    scores = np.average(model.scores, axis=1, weights=model.weight)
    ece = bin_error(model.confidence_sums, "l1")
    return np.array([*scores, ece, bin_error(model.class_sums, "l1").mean()])


def _estimates(
    values: NDArray[np.float64], draws: ScoreDraws, confidence_level: float
) -> dict[str, Estimate]:
    tail = (1 - confidence_level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail], axis=1)
    return {
        name: Estimate(
            float(values[i]),
            float(low[i]),
            float(high[i]),
            nominal_coverage=name not in ErrorDraws._fields,
        )
        for i, name in enumerate(ScoreDraws._fields)
    }


def _with_null(
    table: dict[str, Estimate], model: BinnedModel, null: ErrorDraws, confidence_level: float
) -> dict[str, Estimate]:
    """Return the calibration errors' estimates with null level and debiased value."""
    squares = {
        "expected_calibration_error": bin_error(model.confidence_sums, "l2", debias=True),
        "classwise_calibration_error": bin_error(model.class_sums, "l2", debias=True).mean(),
    }
    result = {}
    for name, draws in null._asdict().items():
        median, high = np.quantile(draws, [0.5, confidence_level])
        result[name] = replace(
            table[name],
            null_median=float(median),
            null_high=float(high),
            debiased_square=max(float(squares[name]), 0.0),
        )
    return result
