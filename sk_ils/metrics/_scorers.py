"""Scorers for the `scoring` argument of scikit-learn's searches and cross-validation."""

from __future__ import annotations  # help() shows types by their names

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import get_config
from sklearn.utils.metadata_routing import MetadataRequest

from sk_ils._labels import positions
from sk_ils._probabilities import as_labels, as_numpy
from sk_ils._sklearn_compat import ResponseScorer
from sk_ils.metrics._binning import Norm, Strategy
from sk_ils.metrics._errors import classwise_calibration_error, expected_calibration_error
from sk_ils.metrics._predictions import check_predictions
from sk_ils.metrics._scores import row_scores

__all__ = [
    "CalibrationScorer",
    "calibration_scoring",
    "neg_classwise_calibration_error_scorer",
    "neg_expected_calibration_error_scorer",
]

Scorer = Callable[..., float]


class _ProbabilityScorer(ResponseScorer):
    """scikit-learn's scorer for a calibration error of the probabilities, with its sign flipped.

    It is passed as `scoring`. It knows the estimator's classes, so that a class may be absent from
    the rows that are scored. Fit no model by a calibration error alone: log loss and Brier score
    are proper scores.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from sk_ils.metrics import neg_expected_calibration_error_scorer
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = LogisticRegression(max_iter=1000)
    >>> scores = cross_val_score(clf, X, y, scoring=neg_expected_calibration_error_scorer)
    >>> scores.shape, bool((scores <= 0).all())
    ((5,), True)
    """

    def __init__(self, score_func: Callable[..., Any], sign: int, **kwargs: Any) -> None:
        super().__init__(score_func, sign, kwargs, "predict_proba")

    def _score(self, method_caller: Any, estimator: Any, X: Any, y_true: Any, **kwargs: Any) -> float:
        options = {**self._kwargs, **kwargs}
        y_proba = method_caller(estimator, "predict_proba", X, pos_label=None)
        y_proba, labels = _with_absent_classes(y_proba, estimator.classes_, options.pop("labels", None))
        return float(self._sign * self._score_func(y_true, y_proba, labels=labels, **options))


neg_expected_calibration_error_scorer: Scorer = _ProbabilityScorer(expected_calibration_error, -1)
neg_classwise_calibration_error_scorer: Scorer = _ProbabilityScorer(classwise_calibration_error, -1)


def calibration_scoring(labels: ArrayLike | None = None, n_bins: int = 15) -> dict[str, Scorer]:
    """Return the scorers of accuracy, both proper scores and both calibration errors.

    The dict is meant for `scoring=`. scikit-learn asks the estimator for its probabilities once for
    all of them.

    Parameters
    ----------
    labels : array-like of shape (n_classes,), default=None
        All classes that may occur; those that the estimator has never seen have the probability 0.
        None takes the estimator's `classes_`.
    n_bins : int, default=15
        Number of bins of the calibration errors, 1 to 100,000.

    Returns
    -------
    dict of str -> callable
        Keys "accuracy", "neg_log_loss" (nats), "neg_brier_score" (the sum over classes, -2 to 0),
        "neg_expected_calibration_error" and "neg_classwise_calibration_error". Greater is better
        for each. Each reads the probabilities, raises an error for a label that is none of the
        classes, and takes `sample_weight` if metadata routing requests it.

    See Also
    --------
    CalibrationScorer : The same numbers from one callable that knows the estimator's classes.

    Notes
    -----
    A calibration error alone is no criterion to choose a model by: predicting the classes'
    frequencies for every sample makes it 0. Choose by a proper score (``refit="neg_log_loss"``),
    and read the calibration errors in addition.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sk_ils.metrics import calibration_scoring
    >>> X, y = load_iris(return_X_y=True)
    >>> search = GridSearchCV(
    ...     LogisticRegression(max_iter=1000),
    ...     {"C": [0.01, 1, 100]},
    ...     scoring=calibration_scoring(),
    ...     refit="neg_log_loss",
    ... ).fit(X, y)
    >>> search.cv_results_["mean_test_neg_expected_calibration_error"].round(2)
    array([-0.31, -0.1 , -0.04])
    """
    known = {} if labels is None else {"labels": labels}
    bins = {**known, "n_bins": n_bins}
    return {
        "accuracy": _ProbabilityScorer(_mean_score, 1, score="accuracy", **known),
        "neg_log_loss": _ProbabilityScorer(_mean_score, -1, score="cross_entropy", **known),
        "neg_brier_score": _ProbabilityScorer(_mean_score, -1, score="brier_score", **known),
        "neg_expected_calibration_error": _ProbabilityScorer(expected_calibration_error, -1, **bins),
        "neg_classwise_calibration_error": _ProbabilityScorer(classwise_calibration_error, -1, **bins),
    }


@dataclass(kw_only=True)
class CalibrationScorer:
    """Score a classifier's probabilities in one call, with the classes that it knows.

    An instance is a callable for `scoring=` that returns a dict. It asks for the probabilities
    once, and takes the classes from ``estimator.classes_``, so that a fold that lacks a class does
    not fail. A label that is none of them raises an error: it may be of another kind, such as a
    code instead of a name.

    Parameters
    ----------
    n_bins : int, default=15
        Number of bins of the calibration errors, 1 to 100,000.
    strategy : {"uniform", "quantile"}, default="uniform"
        How the bins are cut; see :func:`expected_calibration_error`.
    norm : {"l1", "l2", "max"}, default="l1"
        How the bins' distances are summed up; see :func:`expected_calibration_error`.
    labels : array-like of shape (n_classes,), default=None
        All classes that may occur; those that the estimator has never seen have the probability 0.
        None takes the estimator's `classes_`.

    See Also
    --------
    calibration_scoring : A dict of single scorers, with notes on choosing a model by them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import KFold, cross_validate
    >>> from sk_ils.metrics import CalibrationScorer
    >>> X, y = load_iris(return_X_y=True)  # sorted by class: each fold lacks some
    >>> scores = cross_validate(
    ...     LogisticRegression(max_iter=1000), X, y, cv=KFold(5), scoring=CalibrationScorer()
    ... )
    >>> scores["test_neg_expected_calibration_error"].round(2)
    array([-0.06, -0.09, -0.19, -0.1 , -0.12])
    """

    n_bins: int = 15
    strategy: Strategy = "uniform"
    norm: Norm = "l1"
    labels: ArrayLike | None = None
    _sample_weight_request: bool | str | None = field(default=None, init=False, repr=False)

    def __call__(
        self, estimator: Any, X: Any, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> dict[str, float]:
        """Score the estimator on samples that it has not been fitted on.

        Parameters
        ----------
        estimator : classifier
            Fitted, with `predict_proba` and `classes_`.
        X : array-like
            Whatever the estimator predicts from.
        y : array-like of shape (n_samples,)
            True labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Non-negative weights.

        Returns
        -------
        dict of str -> float
            The keys of :func:`calibration_scoring`; greater is better for each.

        Raises
        ------
        ValueError
            If a label is none of the classes; the message has both sets of labels.
        """
        y_proba, labels = _with_absent_classes(estimator.predict_proba(X), estimator.classes_, self.labels)
        rows: dict[str, Any] = {"labels": labels, "sample_weight": sample_weight}
        bins: dict[str, Any] = {"n_bins": self.n_bins, "strategy": self.strategy, "norm": self.norm}
        return {
            "accuracy": _mean_score(y, y_proba, score="accuracy", **rows),
            "neg_log_loss": -_mean_score(y, y_proba, score="cross_entropy", **rows),
            "neg_brier_score": -_mean_score(y, y_proba, score="brier_score", **rows),
            "neg_expected_calibration_error": -expected_calibration_error(y, y_proba, **rows, **bins),
            "neg_classwise_calibration_error": -float(
                classwise_calibration_error(y, y_proba, **rows, **bins)
            ),
        }

    def set_score_request(self, *, sample_weight: bool | str | None) -> Self:
        """Set whether metadata routing shall pass `sample_weight` to the scorer.

        Parameters
        ----------
        sample_weight : bool, str or None
            True requests it, False ignores it, None raises an error if it is passed, and a name
            requests the metadata of that name.

        Returns
        -------
        CalibrationScorer
            The scorer itself.
        """
        if not get_config()["enable_metadata_routing"]:
            raise RuntimeError(
                "Requests need metadata routing: call sklearn.set_config(enable_metadata_routing=True) first."
            )
        self._sample_weight_request = sample_weight
        return self

    def get_metadata_routing(self) -> MetadataRequest:
        """Return the scorer's metadata request, for scikit-learn.

        Returns
        -------
        MetadataRequest
            Whether `sample_weight` is to be passed, and under which name.
        """
        request = MetadataRequest(owner=self)
        request.score.add_request(param="sample_weight", alias=self._sample_weight_request)
        return request


def _with_absent_classes(
    y_proba: Any, known: ArrayLike, labels: ArrayLike | None
) -> tuple[Any, NDArray[Any]]:
    """Return probabilities with zeros for each label that the estimator does not know."""
    classes = np.asarray(known)
    if labels is None:
        return y_proba, classes
    wanted = as_labels(labels, "labels")
    positions(classes, wanted, "The estimator's classes_", " The latter are the scorer's labels=.")
    absent = np.setdiff1d(wanted, classes)
    proba = np.asarray(as_numpy(y_proba))
    if proba.ndim == 1:  # of the second of two classes
        proba = np.column_stack((1 - proba, proba))
    zeros = np.zeros((len(proba), len(absent)), dtype=proba.dtype)
    return np.hstack((proba, zeros)), np.concatenate((classes, absent))


def _mean_score(
    y_true: ArrayLike,
    y_proba: ArrayLike,
    *,
    score: str,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the mean of one of the row scores.

    scikit-learn's functions are not used: they sort the labels, halve the Brier score of two
    classes, or need the predicted labels, which would cost another prediction.
    """
    predictions = check_predictions(y_true, y_proba, labels=labels, sample_weight=sample_weight)
    rows = row_scores(predictions)._asdict()[score]
    return float(np.average(rows, weights=predictions.weight))
