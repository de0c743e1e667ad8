"""The metrics of a report on resampled data: the bootstrap and the null level."""

from collections.abc import Iterator, Sequence
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

# Elements (rows times resamples) whose draws belong together: other numbers here, other draws.
_BATCH_SIZE = 2**20
# Elements of the sums that are in memory at a time, 128 MB: so many models are resampled together.
_SUMS_SIZE = 2**24
# Elements that are in memory at a time: half a megabyte of float64, which stays in the second-level
# cache from step to step.
_BLOCK_SIZE = 2**16
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


def bootstrap(models: Sequence[BinnedModel], n_resamples: int, seed: int) -> list[ScoreDraws]:
    """Return the metrics of rows drawn with replacement, n_samples in each resample.

    The models are predictions of the same rows. Equal seeds draw equal rows for all of them: the
    draws are paired.
    """
    n_lines = max(_n_lines(model) for model in models)
    together = max(1, _SUMS_SIZE // (n_lines * n_resamples))
    groups = [models[start : start + together] for start in range(0, len(models), together)]
    return [draws for group in groups for draws in _bootstrap_together(group, n_resamples, seed)]


@_quiet_blas
def _bootstrap_together(models: Sequence[BinnedModel], n_resamples: int, seed: int) -> list[ScoreDraws]:
    rng = np.random.default_rng(seed)
    n_samples = len(models[0].weight)
    sums = [np.zeros((_n_lines(model), n_resamples)) for model in models]
    left = np.full(n_resamples, n_samples)  # draws that are left for later rows
    batches = (_batches(model.predictions, n_resamples, _BATCH_SIZE) for model in models)
    for batch in zip(*batches, strict=True):
        rows = batch[0][0]
        n_rows = rows.stop - rows.start
        hits = rng.binomial(left, n_rows / (n_samples - rows.start))
        left -= hits
        parts = [
            (total, line, summand)
            for total, model, (_, proba) in zip(sums, models, batch, strict=True)
            for line, summand in _summands(model, rows, proba)
        ]
        for some, counts in _draw_counts(rng, n_rows, hits):
            for total, line, summand in parts:
                total[line, some] += summand @ counts
    return [_metrics(model, total) for model, total in zip(models, sums, strict=True)]


def _n_lines(model: BinnedModel) -> int:
    """Return the number of sums of a resample; see `_summands`."""
    return 4 + model.confidence_sums.weight.size + model.class_sums.weight.size


def _metrics(model: BinnedModel, sums: NDArray[np.float64]) -> ScoreDraws:
    """Return the metrics of the resamples from the sums of their rows."""
    n_classes, n_bins = model.class_sums.weight.shape
    weight, scores, gaps = sums[0], sums[1:4], sums[4 : 4 + n_bins]
    class_gaps = sums[4 + n_bins :].reshape(n_classes, n_bins, -1)
    errors = np.abs(gaps).sum(axis=0), np.abs(class_gaps).sum(axis=1).mean(axis=0)
    return ScoreDraws._make([*scores / weight, *np.divide(errors, weight)])


def _summands(model: BinnedModel, rows: slice, proba: NDArray[Any]) -> list[tuple[NDArray[np.intp], Any]]:
    """Return what each row adds to the sums of a resample each time that it is drawn.

    The sums are the weight, the scores, the gap of each bin, and that of each bin of each class.

    Returns
    -------
    list of (lines, matrix of shape (n_lines, n_rows))
        Sparse, but for what nearly all rows add to: of many classes, that is the first bins.
    """
    n_rows, n_classes = proba.shape
    n_bins = len(model.confidence_sums.weight)
    w = model.weight[rows]
    gap = w * (model.confidence[rows] - model.correct[rows])
    class_gap = proba.astype(np.float64)
    class_gap[np.arange(n_rows), model.predictions.codes[rows]] -= 1
    class_gap *= w[:, None]
    index = model.class_index[rows]
    dense = np.vstack((w, model.scores[:, rows] * w, np.where(index == 0, class_gap, 0).T))
    of_first_bins = 4 + n_bins * np.arange(1, n_classes + 1)

    above = np.flatnonzero(index)
    row, column = np.divmod(above, n_classes)
    line = np.concatenate((4 + model.confidence_index[rows], of_first_bins[column] + index.ravel()[above]))
    row = np.concatenate((np.arange(n_rows), row))
    value = np.concatenate((gap, class_gap.ravel()[above]))
    distinct, line = np.unique(line, return_inverse=True)
    sparse = csr_array((value, (line, row)), shape=(len(distinct), n_rows))
    step = max(1, _BATCH_SIZE // n_rows)
    some_lines = [slice(start, start + step) for start in range(0, len(distinct), step)]
    return [
        (np.concatenate((np.arange(4), of_first_bins)), dense),
        *((distinct[lines], sparse[lines]) for lines in some_lines),
    ]


@_quiet_blas
def calibrated_draws(model: BinnedModel, n_resamples: int, seed: int) -> ErrorDraws:
    """Return the errors of the same probabilities with labels drawn from them."""
    rng = np.random.default_rng(seed)
    more_bits = rng.spawn(1)[0]
    n_classes, n_bins = model.class_sums.weight.shape
    hits = np.zeros((n_bins, n_resamples))
    class_hits = np.zeros(n_classes * n_bins * n_resamples)
    resample = np.arange(n_resamples)
    for rows, proba in _batches(model.predictions, n_resamples, _BLOCK_SIZE):
        w = model.weight[rows]
        drawn = _draw_classes(rng, more_bits, proba, n_resamples)  # (row, resample)
        best = proba.argmax(axis=1) + np.arange(0, proba.size, n_classes)
        right = (drawn == best[:, None]).astype(np.float64)
        hits += _one_hot(model.confidence_index[rows], w, n_bins) @ right
        cells = (model.class_index[rows] + np.arange(n_classes) * n_bins) * n_resamples
        cell = cells.take(drawn)
        cell += resample
        np.add.at(class_hits, cell.ravel(), np.repeat(w, n_resamples))
    total = model.weight.sum()
    gaps = model.confidence_sums.proba[:, None] - hits
    class_gaps = model.class_sums.proba.reshape(-1, 1) - class_hits.reshape(-1, n_resamples)
    return ErrorDraws(np.abs(gaps).sum(axis=0) / total, np.abs(class_gaps).sum(axis=0) / n_classes / total)


def _batches(predictions: Predictions, n_resamples: int, size: int) -> Iterator[tuple[slice, NDArray[Any]]]:
    start = 0
    n_rows = max(1, size // n_resamples)
    for chunk in predictions.chunks(max_rows=2 ** (n_rows.bit_length() - 1)):
        rows = slice(start, start + len(chunk.codes))
        yield rows, chunk.proba
        start = rows.stop


def _draw_counts(
    rng: np.random.Generator, n_rows: int, n_draws: NDArray[np.intp]
) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield some resamples at a time, and how often each row is drawn in them, (n_rows, some)."""
    # Odd, since the counts of two rows are so far apart: powers of two would share few cache lines.
    step = max(1, _BLOCK_SIZE // n_rows - 1) | 1
    drawn = _draw_rows(rng, n_rows, int(n_draws.sum()))
    first = np.concatenate(([0], np.cumsum(n_draws)))
    for start in range(0, len(n_draws), step):
        n_drawn = n_draws[start : start + step]
        n_some = len(n_drawn)
        cell = drawn[first[start] : first[start + n_some]] * np.intp(n_some)
        cell += np.repeat(np.arange(n_some), n_drawn)
        counts = np.bincount(cell, minlength=n_rows * n_some).astype(np.float64)
        yield slice(start, start + n_some), counts.reshape(n_rows, n_some)


def _draw_rows(rng: np.random.Generator, n_rows: int, n_draws: int) -> NDArray[Any]:
    """Return equally probable row numbers, integers of any type and shape (n_draws,)."""
    if n_rows & (n_rows - 1) or n_rows > 2**16:
        return rng.integers(n_rows, size=n_draws)
    # Some bits of a random number are the row's number, which costs a quarter of a division.
    return _random_bits(rng, (n_draws,)) & np.uint16(n_rows - 1)


def _random_bits(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """Return 16 random bits for each element, drawn 64 at a time."""
    *rows, n = shape
    drawn = rng.integers(2**64 - 1, size=(*rows, -(-n // 4)), dtype=np.uint64, endpoint=True)
    return drawn.view(np.uint16)[..., :n]


def _draw_classes(
    rng: np.random.Generator, more_bits: np.random.Generator, proba: NDArray[Any], n_resamples: int
) -> NDArray[np.intp]:
    """Return classes drawn from the rows' probabilities, as positions in ``proba.ravel()``.

    The array has the shape (n_rows, n_resamples).
    """
    n_rows, n_classes = proba.shape
    cumulated = np.cumsum(proba, axis=1, dtype=np.float64)
    cumulated /= cumulated[:, -1:]
    row = np.arange(n_rows)[:, None]
    drawn: NDArray[np.intp]
    if n_classes > _FEW_CLASSES:
        u = rng.random((n_rows, n_resamples))
        # Row i's thresholds lie between i and i + 1, so that one sorted array holds them all.
        found = np.searchsorted((cumulated + row).ravel(), (u + row).ravel(), side="right")
        drawn = np.minimum(found.reshape(u.shape), row * n_classes + n_classes - 1)
        return drawn
    # The first 16 bits of a uniform number nearly always tell its class, and cost a quarter of them
    # all. Its other bits are drawn only where the first ones are those of a cumulated probability:
    # so the classes have the same distribution as with all bits of each.
    bits = _random_bits(rng, (n_rows, n_resamples))
    first_bits = np.minimum(cumulated * 2**16, 2**16 - 1).astype(np.uint16)
    n_below = np.zeros(bits.shape, dtype=np.uint8)
    for threshold in first_bits.T[:-1]:
        n_below += np.greater(bits, threshold[:, None]).view(np.uint8)
    drawn = n_below + row * n_classes
    open_row, open_column = np.divmod(np.flatnonzero(first_bits.take(drawn) == bits), n_resamples)
    u = (bits[open_row, open_column] + more_bits.random(len(open_row))) / 2**16
    below = u[:, None] >= cumulated[open_row, :-1]
    drawn[open_row, open_column] = open_row * n_classes + below.sum(axis=1)
    return drawn


def _one_hot(index: NDArray[np.intp], value: NDArray[np.float64], n_bins: int) -> NDArray[np.float64]:
    matrix = np.zeros((n_bins, len(index)))
    matrix[index, np.arange(len(index))] = value
    return matrix
