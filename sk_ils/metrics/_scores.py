"""Accuracy, cross-entropy and Brier score, row by row."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sk_ils.metrics._predictions import Predictions

__all__ = ["RowScores", "row_scores"]


class RowScores(NamedTuple):
    """Scores of each row; arrays of shape (n_samples,), float64. Their means are the scores."""

    accuracy: NDArray[np.float64]
    cross_entropy: NDArray[np.float64]  # nats
    brier_score: NDArray[np.float64]  # the sum over classes: 0 to 2


def row_scores(predictions: Predictions) -> RowScores:
    """Return the row-wise scores of the predictions.

    The probability of the true class is raised to its type's eps before the logarithm, as in
    `sklearn.metrics.log_loss`, so that one saturated row does not make the mean infinite.
    """
    scores = RowScores(*np.empty((3, len(predictions.codes))))
    floor = np.finfo(predictions.proba.dtype).eps
    start = 0
    for proba, codes, _ in predictions.chunks():
        rows = slice(start, start + len(codes))
        p = proba.astype(np.float64)
        p_true = p[np.arange(len(codes)), codes]
        scores.accuracy[rows] = proba.argmax(axis=1) == codes
        scores.cross_entropy[rows] = -np.log(np.maximum(p_true, floor))
        # sum_k (p_k - 1[k = t])^2 without the one-hot matrix
        p[np.arange(len(codes)), codes] -= 1
        scores.brier_score[rows] = np.einsum("ik,ik->i", p, p)
        start = rows.stop
    return scores
