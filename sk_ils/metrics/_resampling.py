"""The metrics of a report on resampled data: the bootstrap and the null level."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sk_ils.metrics._binning import (
    BinSums,
    Strategy,
    classwise_index,
    classwise_sums,
    curve_sums,
    make_bins,
    top_label,
)
from sk_ils.metrics._predictions import Predictions
from sk_ils.metrics._scores import row_scores

__all__ = ["BinnedModel", "ErrorDraws", "ScoreDraws", "bin_model", "bootstrap", "calibrated_draws"]

# Elements (rows times resamples) that are in memory at a time: 8 MB of float64.
_BATCH_SIZE = 2**20
# Up to this many classes, comparing u with all of a row's cumulated probabilities beats searching.
_FEW_CLASSES = 32

# All numbers are finite here, but some BLAS kernels set floating-point flags at random, which NumPy
# reports as invalid values (numpy#24067).
_quiet_blas = np.errstate(invalid="ignore", divide="ignore", over="ignore")


class ErrorDraws(NamedTuple):
    """Calibration errors (l1) of each resample; arrays of shape (n_resamples,)."""

    expected_calibration_error: NDArray[np.float64]
    classwise_calibration_error: NDArray[np.float64]


class ScoreDraws(NamedTuple):
    """All metrics of each resample; arrays of shape (n_resamples,)."""

    accuracy: NDArray[np.float64]
    cross_entropy: NDArray[np.float64]
    brier_score: NDArray[np.float64]
    expected_calibration_error: NDArray[np.float64]
    classwise_calibration_error: NDArray[np.float64]


@dataclass(frozen=True)
class BinnedModel:
    """A model's predictions with everything that does not change from resample to resample."""

    predictions: Predictions
    weight: NDArray[np.float64]  # (n_samples,), ones where none were given
    scores: NDArray[np.float64]  # (3, n_samples), the row scores
    confidence: NDArray[np.float64]  # (n_samples,)
    correct: NDArray[np.bool_]  # (n_samples,)
    confidence_index: NDArray[np.intp]  # (n_samples,), bin numbers
    class_index: NDArray[Any]  # (n_samples, n_classes), bin numbers
    confidence_sums: BinSums  # arrays of shape (n_bins,)
    class_sums: BinSums  # arrays of shape (n_classes, n_bins)


def bin_model(predictions: Predictions, n_bins: int, strategy: Strategy) -> BinnedModel:
    """Bin the rows once; the bins stay as they are in all resamples."""
    confidence, correct = top_label(predictions)
    bins = make_bins(confidence, predictions.weight, n_bins, strategy)
    weight = predictions.weight
    return BinnedModel(
        predictions=predictions,
        weight=np.ones(len(confidence)) if weight is None else weight,
        scores=np.stack(row_scores(predictions)),
        confidence=confidence.astype(np.float64),
        correct=correct,
        confidence_index=bins.index(confidence.astype(np.float64)),
        class_index=classwise_index(predictions, n_bins, strategy),
        confidence_sums=curve_sums(confidence, correct, weight, bins),
        class_sums=classwise_sums(predictions, n_bins, strategy),
    )


@_quiet_blas
def bootstrap(model: BinnedModel, n_resamples: int, seed: int) -> ScoreDraws:
    """Return the metrics of rows drawn with replacement, n_samples in each resample.

    Equal seeds draw equal rows, also for other models of these rows: the draws are paired.
    """
    rng = np.random.default_rng(seed)
    n_samples, n_bins = len(model.weight), len(model.confidence_sums.weight)
    n_classes = len(model.predictions.labels)
    weight = np.zeros(n_resamples)
    scores = np.zeros((3, n_resamples))
    gaps = np.zeros((n_bins, n_resamples))
    class_gaps = np.zeros((n_classes, n_bins, n_resamples))
    left = np.full(n_resamples, n_samples)  # draws that are left for later rows
    for rows, proba in _batches(model.predictions, n_resamples):
        n_rows = rows.stop - rows.start
        hits = rng.binomial(left, n_rows / (n_samples - rows.start))
        left -= hits
        counts = _draw_counts(rng, n_rows, hits)  # (row, resample)
        w = model.weight[rows]
        weight += w @ counts
        scores += (model.scores[:, rows] * w) @ counts
        gap = w * (model.confidence[rows] - model.correct[rows])
        gaps += _one_hot(model.confidence_index[rows], gap, n_bins) @ counts
        class_gap = proba.astype(np.float64)
        class_gap[np.arange(n_rows), model.predictions.codes[rows]] -= 1
        class_gap *= w[:, None]
        _add_class_gaps(class_gaps, class_gap, model.class_index[rows], counts)
    errors = np.abs(gaps).sum(axis=0), np.abs(class_gaps).sum(axis=1).mean(axis=0)
    return ScoreDraws._make([*scores / weight, *np.divide(errors, weight)])


@_quiet_blas
def calibrated_draws(model: BinnedModel, n_resamples: int, seed: int) -> ErrorDraws:
    """Return the errors of the same probabilities with labels drawn from them."""
    rng = np.random.default_rng(seed)
    n_classes, n_bins = model.class_sums.weight.shape
    hits = np.zeros((n_bins, n_resamples))
    class_hits = np.zeros((n_classes * n_bins, n_resamples))
    for rows, proba in _batches(model.predictions, n_resamples):
        w = model.weight[rows]
        drawn = _draw_classes(rng, proba, n_resamples)  # (row, resample)
        right = (drawn == proba.argmax(axis=1)[:, None]).astype(np.float64)
        hits += _one_hot(model.confidence_index[rows], w, n_bins) @ right
        cell = np.take_along_axis(model.class_index[rows], drawn, axis=1) + drawn * n_bins
        cell *= n_resamples
        cell += np.arange(n_resamples)
        np.add.at(class_hits.ravel(), cell.ravel(), np.repeat(w, n_resamples))
    total = model.weight.sum()
    gaps = model.confidence_sums.proba[:, None] - hits
    class_gaps = model.class_sums.proba.reshape(-1, 1) - class_hits
    return ErrorDraws(np.abs(gaps).sum(axis=0) / total, np.abs(class_gaps).sum(axis=0) / n_classes / total)


def _batches(predictions: Predictions, n_resamples: int) -> Iterator[tuple[slice, NDArray[Any]]]:
    start = 0
    for chunk in predictions.chunks(max_rows=max(1, _BATCH_SIZE // n_resamples)):
        rows = slice(start, start + len(chunk.codes))
        yield rows, chunk.proba
        start = rows.stop


def _draw_counts(rng: np.random.Generator, n_rows: int, n_draws: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return how often each row is drawn, shape (n_rows, len(n_draws))."""
    n_resamples = len(n_draws)
    resample = np.repeat(np.arange(n_resamples), n_draws)
    cell = rng.integers(n_rows, size=len(resample)) * n_resamples + resample
    counts = np.bincount(cell, minlength=n_rows * n_resamples)
    return counts.reshape(n_rows, n_resamples).astype(np.float64)


def _draw_classes(rng: np.random.Generator, proba: NDArray[Any], n_resamples: int) -> NDArray[np.intp]:
    """Return classes drawn from the rows' probabilities, shape (n_rows, n_resamples)."""
    n_rows, n_classes = proba.shape
    cumulated = np.cumsum(proba, axis=1, dtype=np.float64)
    cumulated /= cumulated[:, -1:]
    u = rng.random((n_rows, n_resamples))
    if n_classes <= _FEW_CLASSES:
        few = np.zeros(u.shape, dtype=np.uint8)
        for threshold in cumulated.T[:-1]:
            few += u >= threshold[:, None]
        return few.astype(np.intp)
    # Row i's thresholds lie between i and i + 1, so that one sorted array holds them all.
    row = np.arange(n_rows)[:, None]
    found = np.searchsorted((cumulated + row).ravel(), (u + row).ravel(), side="right")
    drawn: NDArray[np.intp] = np.minimum(found.reshape(u.shape) - row * n_classes, n_classes - 1)
    return drawn


def _one_hot(index: NDArray[np.intp], value: NDArray[np.float64], n_bins: int) -> NDArray[np.float64]:
    matrix = np.zeros((n_bins, len(index)))
    matrix[index, np.arange(len(index))] = value
    return matrix


def _add_class_gaps(
    total: NDArray[np.float64],
    gap: NDArray[np.float64],
    index: NDArray[Any],
    counts: NDArray[np.float64],
) -> None:
    """Add ``sum_i counts[i, r] * gap[i, k]`` to ``total[k, index[i, k], r]``.

    The first bin, where nearly all probabilities are if classes are many, is a matrix product.
    """
    n_classes, n_bins, n_resamples = total.shape
    total[:, 0] += np.where(index == 0, gap, 0).T @ counts
    above = np.flatnonzero(index)
    row, column = np.divmod(above, n_classes)
    cell = column * n_bins + index.ravel()[above]
    distinct, line = np.unique(cell, return_inverse=True)
    matrix = csr_array((gap.ravel()[above], (line, row)), shape=(len(distinct), len(counts)))
    cells = total.reshape(-1, n_resamples)
    step = max(1, _BATCH_SIZE // n_resamples)
    for start in range(0, len(distinct), step):
        part = slice(start, start + step)
        cells[distinct[part]] += matrix[part] @ counts
