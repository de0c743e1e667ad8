"""The two calibration errors: of the confidence, and class by class."""

from __future__ import annotations  # help() shows types by their names

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sk_ils._sklearn_compat import StrOptions, validate_parameter_constraints
from sk_ils.metrics._binning import (
    N_BINS,
    Norm,
    Strategy,
    bin_error,
    classwise_sums,
    curve_sums,
    make_bins,
    top_label,
)
from sk_ils.metrics._predictions import check_predictions

__all__ = ["Average", "classwise_calibration_error", "expected_calibration_error"]

Average = Literal["macro", "weighted"] | None

_CONSTRAINTS: dict[str, list[Any]] = {
    "n_bins": [N_BINS],
    "strategy": [StrOptions({"uniform", "quantile"})],
    "norm": [StrOptions({"l1", "l2", "max"})],
    "debias": ["boolean"],
    "average": [StrOptions({"macro", "weighted"}), None],
}


def expected_calibration_error(
    y_true: ArrayLike,
    y_proba: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    norm: Norm = "l1",
    sample_weight: ArrayLike | None = None,
    debias: bool = False,
) -> float:
    r"""Distance between a classifier's confidence and its accuracy (ECE).

    The confidence is the probability of the predicted class. The samples are binned by it.
    :math:`W_b` is the number (or weight) of the samples in bin b, W that of all samples, and the
    error is

    .. math::

        \mathrm{ECE} = \sum_b \frac{W_b}{W} \, |\mathrm{conf}_b - \mathrm{acc}_b|,

    where :math:`\mathrm{conf}_b` is the mean confidence of the bin and :math:`\mathrm{acc}_b` its
    accuracy [1]_ [2]_. Empty bins are ignored.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels: numbers, strings or booleans. Integers that number the columns from 0 are the
        fastest.
    y_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities, as `predict_proba` returns them; float16, float32 or float64 (others become
        float64). 1-D input is the probability of the second label and is treated as the two columns
        ``1 - y_proba, y_proba``. Rows must sum to 1. For this and for the range [0, 1] the
        tolerance is ``sqrt(eps)`` of the input's type, beyond which
        :func:`~sklearn.metrics.log_loss` warns: 3.1e-2, 3.5e-4, 1.5e-8 for the three types. Values
        beyond the range, but within the tolerance, are round-off and are clipped to [0, 1]. Rows
        whose sum is off by up to 1e-3 more, like those that a CSV file has rounded, are divided by
        it, with a warning. The columns of a DataFrame whose names are the labels, or their texts,
        go by name, in any order; default names (0 to n_classes - 1) say nothing, others are
        refused. Tensors keep their type; bfloat16 becomes float32, with its rows divided by their
        sums.
    labels : array-like of shape (n_classes,), default=None
        The label of each column of `y_proba`, in the columns' order: a classifier's `classes_`.
        None takes the sorted distinct values of `y_true`, which must then be as many as the
        columns; pass the labels if a class may be absent from `y_true`.
    n_bins : int, default=15
        Number of bins, 1 to 100,000.
    strategy : {"uniform", "quantile"}, default="uniform"
        "uniform" makes bins of equal width. "quantile" makes bins with equal numbers of
        samples (equal weight, with `sample_weight`), with the edges that
        ``np.quantile(method="inverted_cdf")`` gives. Samples of equal confidence are in the same
        bin, so that some bins may be empty. This is the *adaptive* ECE.
        Bins are right-closed, (l, u], and 0 belongs to the first. The edges of uniform bins are
        ``i / n_bins`` rounded to the type of `y_proba`, so that a vote of 3 / 15 lies in bin 3.
    norm : {"l1", "l2", "max"}, default="l1"
        "l1" is the mean over samples of the bins' distances (the formula above), "l2" the root of
        the mean of their squares, "max" the largest distance of any bin, the *maximum calibration
        error*.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; their scale does not matter. A weight of k equals k repetitions of
        the sample, except for `debias`.
    debias : bool, default=False
        Return the debiased *squared* l2 error of [3]_ (`norm` must be "l2"): the variance of a
        bin's accuracy, :math:`acc_b (1 - acc_b) / (n_b - 1)`, is subtracted from its squared
        distance, bins of a single sample are left out, and the sum is clipped at 0. :math:`n_b` is
        the bin's number of samples or, with weights, Kish's effective number
        :math:`(\sum_i w_i)^2 / \sum_i w_i^2`, so that a weighted sample is one observation.

    Returns
    -------
    float
        Between 0 (best) and 1. Even a perfectly calibrated model has a positive error if
        debias=False, about .055 for 500 samples and 10 classes: compare it with the null level of
        :func:`calibration_report`.

    Raises
    ------
    ValueError
        If `y_proba` holds logits, NaN or rows that do not sum to 1; if the labels do not match the
        columns or their names; if a label is missing (NaN, None); if lengths differ.

    See Also
    --------
    classwise_calibration_error : Uses the probabilities of all classes, not the highest only.
    calibration_report : Both errors with their uncertainty.
    sklearn.metrics.brier_score_loss : A proper score: calibration and resolution in one number.

    References
    ----------
    .. [1] Naeini, Cooper, Hauskrecht (2015), "Obtaining Well Calibrated Probabilities Using
       Bayesian Binning", AAAI.
    .. [2] Guo, Pleiss, Sun, Weinberger (2017), "On Calibration of Modern Neural Networks", ICML,
       Eqs. 3 and 5.
    .. [3] Kumar, Liang, Ma (2019), "Verified Uncertainty Calibration", NeurIPS, Definition 5.2.

    Examples
    --------
    >>> from sk_ils.metrics import expected_calibration_error
    >>> y_true = ["ham", "ham", "spam", "spam"]
    >>> y_proba = [0.2, 0.4, 0.4, 0.8]  # of "spam"
    >>> round(expected_calibration_error(y_true, y_proba), 3)  # two samples at .8, two at .6
    0.15
    >>> round(expected_calibration_error(y_true, y_proba, norm="max"), 3)
    0.2
    """
    _check_options(expected_calibration_error.__name__, n_bins, strategy, norm, debias)
    predictions = check_predictions(y_true, y_proba, labels=labels, sample_weight=sample_weight)
    confidence, correct = top_label(predictions)
    bins = make_bins(confidence, predictions.weight, n_bins, strategy)
    sums = curve_sums(confidence, correct, predictions.weight, bins)
    return float(np.maximum(bin_error(sums, norm, debias=debias), 0))


def classwise_calibration_error(
    y_true: ArrayLike,
    y_proba: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    n_bins: int = 15,
    strategy: Strategy = "uniform",
    norm: Norm = "l1",
    average: Average = "macro",
    sample_weight: ArrayLike | None = None,
    debias: bool = False,
) -> float | NDArray[np.float64]:
    r"""Distance between each class's probability and its frequency (class-wise ECE).

    Every class k in turn is compared with the rest: the samples are binned by their probability of
    k, and within a bin b the mean of that probability, :math:`\bar p_{bk}`, is compared with the
    share of samples that belong to k, :math:`\bar y_{bk}`. With K classes, and the weight
    :math:`W_{bk}` of the bin's samples out of W,

    .. math::

        \mathrm{ECE}_k = \sum_b \frac{W_{bk}}{W} \, |\bar p_{bk} - \bar y_{bk}|, \qquad
        \mathrm{cwECE} = \frac 1 K \sum_k \mathrm{ECE}_k ,

    which is the definition of [1]_, also called marginal [2]_ or static calibration error. A class
    without samples in `y_true` counts like any other: its frequency is 0.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels: numbers, strings or booleans. Integers that number the columns from 0 are the
        fastest.
    y_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities, as `predict_proba` returns them; float16, float32 or float64 (others become
        float64). 1-D input is the probability of the second label and is treated as the two columns
        ``1 - y_proba, y_proba``. Rows must sum to 1. For this and for the range [0, 1] the
        tolerance is ``sqrt(eps)`` of the input's type, beyond which
        :func:`~sklearn.metrics.log_loss` warns: 3.1e-2, 3.5e-4, 1.5e-8 for the three types. Values
        beyond the range, but within the tolerance, are round-off and are clipped to [0, 1]. Rows
        whose sum is off by up to 1e-3 more, like those that a CSV file has rounded, are divided by
        it, with a warning. The columns of a DataFrame whose names are the labels, or their texts,
        go by name, in any order; default names (0 to n_classes - 1) say nothing, others are
        refused. Tensors keep their type; bfloat16 becomes float32, with its rows divided by their
        sums.
    labels : array-like of shape (n_classes,), default=None
        The label of each column of `y_proba`, in the columns' order: a classifier's `classes_`.
        None takes the sorted distinct values of `y_true`, which must then be as many as the
        columns; pass the labels if a class may be absent from `y_true`.
    n_bins : int, default=15
        Number of bins of each class, 1 to 100,000.
    strategy : {"uniform", "quantile"}, default="uniform"
        Bins of equal width or of equal weight (the *adaptive calibration error* of [3]_); see
        :func:`expected_calibration_error` for the edges. Quantile bins are each class's own.
    norm : {"l1", "l2", "max"}, default="l1"
        How each class's bins are summed up; see :func:`expected_calibration_error`.
    average : {"macro", "weighted"} or None, default="macro"
        "macro" is the mean of the classes' errors, "weighted" their mean by the classes' frequency
        in `y_true`, None returns them all.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; their scale does not matter. A weight of k equals k repetitions of
        the sample, except for `debias`.
    debias : bool, default=False
        Return the debiased *squared* l2 error of [2]_ (`norm` must be "l2"); see
        :func:`expected_calibration_error`. Only the average is clipped at 0, not the classes'
        errors before it, because clipping each of them would bring back a bias.

    Returns
    -------
    float, or ndarray of shape (n_classes,) if `average` is None
        Between 0 (best) and 1. Macro averages are the smaller the more classes there are, because
        most probabilities are then near 0: compare errors for the same number of classes only.

    Raises
    ------
    ValueError
        For the same reasons as in :func:`expected_calibration_error`.

    See Also
    --------
    expected_calibration_error : Uses the probability of the predicted class only.
    calibration_report : Both errors with their uncertainty.

    References
    ----------
    .. [1] Kull, Perello Nieto, Kängsepp, Silva Filho, Song, Flach (2019), "Beyond temperature
       scaling", NeurIPS, Sec. 2.
    .. [2] Kumar, Liang, Ma (2019), "Verified Uncertainty Calibration", NeurIPS, Definitions 2.3 and
       5.2.
    .. [3] Nixon, Dusenberry, Zhang, Jerfel, Tran (2019), "Measuring Calibration in Deep Learning",
       CVPR workshops.

    Examples
    --------
    >>> from sk_ils.metrics import classwise_calibration_error
    >>> y_true = [0, 1, 2, 2]
    >>> y_proba = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8], [0.1, 0.5, 0.4]]
    >>> classwise_calibration_error(y_true, y_proba, average=None).round(3)
    array([0.15, 0.25, 0.25])
    >>> round(classwise_calibration_error(y_true, y_proba), 3)
    0.217
    """
    _check_options(classwise_calibration_error.__name__, n_bins, strategy, norm, debias, average)
    predictions = check_predictions(y_true, y_proba, labels=labels, sample_weight=sample_weight)
    sums = classwise_sums(predictions, n_bins, strategy)
    errors = bin_error(sums, norm, debias=debias)
    if average is None:
        return np.maximum(errors, 0)
    class_weight = sums.hits.sum(axis=1) if average == "weighted" else None
    return float(np.maximum(np.average(errors, weights=class_weight), 0))


def _check_options(
    caller: str,
    n_bins: int,
    strategy: Strategy,
    norm: Norm,
    debias: bool,
    average: Average = "macro",
) -> None:
    options = {"n_bins": n_bins, "strategy": strategy, "norm": norm, "debias": debias}
    validate_parameter_constraints(_CONSTRAINTS, {**options, "average": average}, caller_name=caller)
    if debias and norm != "l2":
        raise ValueError(
            f"debias=True is defined for the squared l2 error only: pass norm='l2', not {norm!r}."
        )
