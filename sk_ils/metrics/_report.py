"""The calibration report: each metric with its uncertainty, for one model or several."""

from __future__ import annotations  # help() shows types by their names

from collections.abc import Mapping
from dataclasses import replace
from itertools import combinations
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from sk_ils._sklearn_compat import Interval, StrOptions, validate_parameter_constraints
from sk_ils.metrics._binning import N_BINS, Strategy, bin_error
from sk_ils.metrics._estimates import CalibrationReport, Estimate, difference_name
from sk_ils.metrics._predictions import Predictions, check_predictions, named_models
from sk_ils.metrics._resampling import (
    BinnedModel,
    ErrorDraws,
    ScoreDraws,
    bin_model,
    bootstrap,
    calibrated_draws,
)

__all__ = ["calibration_report"]

_CONSTRAINTS: dict[str, list[Any]] = {
    "baseline": [str, None],
    "n_bins": [N_BINS],
    "strategy": [StrOptions({"uniform", "quantile"})],
    "n_resamples": [Interval(Integral, 2, 1_000_000, closed="both")],
    "confidence_level": [Interval(Real, 0, 1, closed="neither")],
    "random_state": ["random_state"],
}


def calibration_report(
    y_true: ArrayLike,
    y_proba: ArrayLike | Mapping[str, ArrayLike],
    *,
    baseline: str | None = None,
    labels: ArrayLike | None = None,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    sample_weight: ArrayLike | None = None,
    n_resamples: int = 1000,
    confidence_level: float = 0.95,
    random_state: int | np.random.RandomState | None = None,
) -> CalibrationReport:
    """Report accuracy, cross-entropy, Brier score and both calibration errors, with uncertainty.

    Accuracy, cross-entropy and Brier score come with a bootstrap interval. The calibration errors
    come with their null level and their debiased estimate: a perfectly calibrated model has a
    positive error on any finite sample, and an error within the null level is no evidence of
    miscalibration. The ends of their bootstrap are a range only, no interval (see Notes).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels: numbers, strings or booleans. Integers that number the columns from 0 are the
        fastest.
    y_proba : array-like of shape (n_samples, n_classes) or (n_samples,), or dict of such
        Probabilities; see :func:`expected_calibration_error`. A dict maps the names of models to
        their probabilities for the same samples; the report then also contains the differences of
        models, paired over the same resampled samples.
    baseline : str, default=None
        The name of a model in `y_proba`: the report then holds the difference of each other model
        to it, "name - baseline". None takes the difference of each two models, the later minus the
        earlier in the dict.
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
        0 to 2), "expected_calibration_error" and "classwise_calibration_error" (l1, macro). For
        several models, a mapping of such mappings. It has a representation for terminal and
        notebook; `frame()` returns a DataFrame with all numbers, `table()` one with a row for each
        model and a column for each metric, `to_latex()` that table for a paper.

    Raises
    ------
    ValueError
        For the same reasons as in :func:`expected_calibration_error`, if `baseline` is none of the
        models, and if a model is named like the difference of two others.

    See Also
    --------
    sk_ils.inspection.ReliabilityDisplay : The picture behind the calibration errors.

    Notes
    -----
    The percentile intervals of accuracy, cross-entropy, Brier score and of their paired differences
    reach their nominal coverage. Those of calibration errors do not, because resampling adds to the
    bias that the error already has: at a nominal 90 %, with 10 classes, they contained the
    true ECE in 0 % (true ECE 0 or .035, 500 samples), 49 % (.035, 2000 samples) and 91 % (.115,
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

    The models in a table, with their differences to the first:

    >>> report = calibration_report(y_test, y_proba, baseline="bayes", random_state=0)
    >>> report.table()["difference"].loc["logistic", ["accuracy", "cross_entropy"]].round(2)
    metric
    accuracy         0.08
    cross_entropy   -2.17
    Name: logistic, dtype: float64
    >>> latex = report.to_latex(caption="Two models on handwritten digits")
    """
    options = {
        "baseline": baseline,
        "n_bins": n_bins,
        "strategy": strategy,
        "n_resamples": n_resamples,
        "confidence_level": confidence_level,
        "random_state": random_state,
    }
    validate_parameter_constraints(_CONSTRAINTS, options, caller_name="calibration_report")
    seed = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    named = named_models(y_proba, alone="")
    pairs = _pairs(list(named), baseline)
    _check_names(list(named), pairs)
    models = {
        name: bin_model(_weighted_rows(y_true, proba, labels, sample_weight), n_bins, strategy)
        for name, proba in named.items()
    }
    draws = dict(zip(models, bootstrap(list(models.values()), n_resamples, seed), strict=True))
    values = {name: _values(model) for name, model in models.items()}
    tables: dict[str, dict[str, Estimate]] = {}
    for name, model in models.items():
        null = calibrated_draws(model, n_resamples, seed)
        tables[name] = _estimates(values[name], draws[name], confidence_level)
        tables[name] |= _with_null(tables[name], model, null, confidence_level)
    differences = {
        (b, a): _estimates(
            values[b] - values[a],
            ScoreDraws(*(y - x for x, y in zip(draws[a], draws[b], strict=True))),
            confidence_level,
        )
        for b, a in pairs
    }
    shape = next(iter(models.values())).predictions.proba.shape
    size = f"{shape[0]} samples, {shape[1]} classes, {n_bins} {strategy} bins, {n_resamples} resamples"
    return CalibrationReport(
        tables,
        differences,
        title=f"Calibration report: {size}",
        confidence_level=confidence_level,
        baseline=baseline,
    )


def _pairs(models: list[str], baseline: str | None) -> list[tuple[str, str]]:
    """Return the pairs (b, a) of models whose difference b - a is reported."""
    if baseline is None:
        return [(b, a) for a, b in combinations(models, 2)]
    if models == [""]:
        raise ValueError(
            f"baseline={baseline!r} is the name of a model to compare others with: pass y_proba as a dict "
            "{name: probabilities}, not the probabilities of one model."
        )
    if baseline not in models:
        raise ValueError(f"baseline must be one of the models, {models}; got {baseline!r}.")
    return [(model, baseline) for model in models if model != baseline]


def _check_names(models: list[str], pairs: list[tuple[str, str]]) -> None:
    """Raise ValueError if two entries of the report would have the same name."""
    names = [*models, *(difference_name(*pair) for pair in pairs)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(
            f"The report names a difference of two models {sorted(twice)[0]!r}, and another entry, too: "
            f"rename models; got {models}."
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
