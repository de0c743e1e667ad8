"""The binning core: exact right-closed bins, their float64 sums, and the error they make."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sk_ils._sklearn_compat import Interval
from sk_ils.metrics._predictions import Chunk, Predictions

__all__ = [
    "N_BINS",
    "BinSums",
    "Bins",
    "Norm",
    "Strategy",
    "bin_error",
    "classwise_index",
    "classwise_sums",
    "curve_sums",
    "make_bins",
    "top_label",
]

Strategy = Literal["uniform", "quantile"]
Norm = Literal["l1", "l2", "max"]

# More bins than any data can fill cost memory and time only.
N_BINS = Interval(Integral, 1, 100_000, closed="both")

_CHUNK_ROWS = 2**16
# Up to here the arithmetic guess in Bins.index is off by at most one, also for float16 edges.
_MAX_GUESSED_BINS = 1000
# Of an effective number of rows near 1.
_ROUND_OFF = 1e-9


@dataclass(frozen=True)
class Bins:
    """Bins (l, u] that cover [0, 1]; 0 belongs to the first.

    The edges of equal-width bins are ``i / n_bins``, rounded once to the type of the values.
    `numpy.linspace` multiplies by a rounded step instead, and misses i / n_bins by one unit in the
    last place for most bin counts.
    """

    edges: NDArray[np.float64]  # (n_bins + 1,), ascending
    uniform: bool

    @property
    def n_bins(self) -> int:
        """Number of bins."""
        return len(self.edges) - 1

    def index(self, values: NDArray[np.float64]) -> NDArray[np.intp]:
        """Return the number of each value's bin, as ``searchsorted(edges[1:-1], values)``.

        For equal widths, the integer part of ``values * n_bins`` is never too low, because rounding
        is monotone: whatever exceeds the rounded i / n_bins also exceeds the exact one. It is too
        high by at most one, which a comparison with the edge itself corrects. That is five times as
        fast as the binary search.
        """
        if not self.uniform or self.n_bins > _MAX_GUESSED_BINS:
            return np.searchsorted(self.edges[1:-1], values, side="left")
        bins = (values * self.n_bins).astype(np.intp)
        bins -= values <= self.edges[bins]
        return np.maximum(bins, 0, out=bins)  # zeros


class BinSums(NamedTuple):
    """Sums over the rows of each bin; arrays of shape (n_bins,) or (n_classes, n_bins)."""

    weight: NDArray[np.float64]
    proba: NDArray[np.float64]
    hits: NDArray[np.float64]
    square: NDArray[np.float64]  # of the weights

    def effective_counts(self) -> NDArray[np.float64]:
        """Return Kish's effective number of rows of each bin, the number itself for equal weights.

        It is ``sum(w) ** 2 / sum(w ** 2)``: so many rows of equal weight have a mean of the same
        variance.
        """
        alone = np.where(self.weight > 0, 1.0, 0.0)  # weights whose squares underflow
        return np.divide(self.weight**2, self.square, out=alone, where=self.square > 0)


def make_bins(
    values: NDArray[Any], weight: NDArray[np.float64] | None, n_bins: int, strategy: Strategy
) -> Bins:
    """Return `n_bins` bins of equal width, or of equal weight as far as equal values allow."""
    if strategy == "uniform":
        return _uniform_bins(n_bins, values.dtype)
    if weight is None:
        # In integers, because n * (i / n_bins) may round to the next row.
        ranks = -(-len(values) * np.arange(1, n_bins) // n_bins) - 1
        inner = np.sort(values)[ranks]
    else:
        inner = _weighted_quantiles(values, weight, n_bins)
    return Bins(np.concatenate(([0.0], inner, [1.0])).astype(np.float64), uniform=False)


def _weighted_quantiles(
    values: NDArray[Any], weight: NDArray[np.float64], n_bins: int
) -> NDArray[np.float64]:
    """Return the inner edges of bins of equal weight, as ``numpy.quantile("inverted_cdf")``.

    A share that is reached but for round-off is reached: an edge may not jump to the next value
    because the weights have another scale.
    """
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(weight[order])
    total = cumulated[-1]
    reached = total * (np.arange(1, n_bins) / n_bins - len(values) * np.finfo(np.float64).eps)
    edges: NDArray[np.float64] = values[order][np.searchsorted(cumulated, reached, side="left")]
    return edges


def _uniform_bins(n_bins: int, dtype: np.dtype[Any]) -> Bins:
    edges = (np.arange(n_bins + 1) / n_bins).astype(dtype)
    return Bins(edges.astype(np.float64), uniform=True)


def top_label(predictions: Predictions) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Return the highest probability of each row, and whether it is the true class's.

    Of equally probable classes the first is predicted, as in `predict`.
    """
    n_samples = len(predictions.codes)
    confidence = np.empty(n_samples, dtype=predictions.proba.dtype)
    correct = np.empty(n_samples, dtype=bool)
    start = 0
    for proba, codes, _ in predictions.chunks():
        rows = slice(start, start + len(codes))
        best = proba.argmax(axis=1)
        confidence[rows] = proba[np.arange(len(codes)), best]
        np.equal(best, codes, out=correct[rows])
        start = rows.stop
    return confidence, correct


def curve_sums(
    values: NDArray[Any], hits: NDArray[np.bool_], weight: NDArray[np.float64] | None, bins: Bins
) -> BinSums:
    """Return the sums of one reliability curve, arrays of shape (n_bins,)."""
    sums = BinSums(*np.zeros((4, bins.n_bins)))
    for start in range(0, len(values), _CHUNK_ROWS):
        rows = slice(start, start + _CHUNK_ROWS)
        value = values[rows].astype(np.float64)
        index, hit = bins.index(value), hits[rows]
        if weight is None:
            sums.weight[:] += np.bincount(index, minlength=bins.n_bins)
            sums.hits[:] += np.bincount(index[hit], minlength=bins.n_bins)
        else:
            w = weight[rows]
            value *= w
            sums.weight[:] += np.bincount(index, w, minlength=bins.n_bins)
            sums.hits[:] += np.bincount(index[hit], w[hit], minlength=bins.n_bins)
            sums.square[:] += np.bincount(index, w * w, minlength=bins.n_bins)
        sums.proba[:] += np.bincount(index, value, minlength=bins.n_bins)
    if weight is None:
        sums.square[:] = sums.weight
    return sums


def classwise_sums(predictions: Predictions, n_bins: int, strategy: Strategy) -> BinSums:
    """Return the sums of all one-vs-rest curves, arrays of shape (n_classes, n_bins)."""
    sums = BinSums(*np.zeros((4, len(predictions.labels), int(n_bins))))
    if strategy == "uniform":
        bins = _uniform_bins(n_bins, predictions.proba.dtype)
        for chunk in predictions.chunks():
            _add_chunk(sums, chunk, bins)
        if predictions.weight is None:
            sums.square[:] = sums.weight
        return sums
    for k, values in predictions.columns():
        bins = make_bins(values, predictions.weight, n_bins, strategy)
        curve = curve_sums(values, predictions.codes == k, predictions.weight, bins)
        for total, part in zip(sums, curve, strict=True):
            total[k] = part
    return sums


def classwise_index(predictions: Predictions, n_bins: int, strategy: Strategy) -> NDArray[Any]:
    """Return the number of each probability's bin, shape (n_samples, n_classes)."""
    index = np.empty(predictions.proba.shape, dtype=np.min_scalar_type(n_bins - 1))
    if strategy == "uniform":
        bins = _uniform_bins(n_bins, predictions.proba.dtype)
        start = 0
        for proba, _, _ in predictions.chunks():
            index[start : start + len(proba)] = bins.index(proba.astype(np.float64))
            start += len(proba)
        return index
    for k, values in predictions.columns():
        bins = make_bins(values, predictions.weight, n_bins, strategy)
        index[:, k] = bins.index(values.astype(np.float64))
    return index


def _add_chunk(sums: BinSums, chunk: Chunk, bins: Bins) -> None:
    """Add a chunk's rows to the sums of equal-width bins.

    A row sums to one, so at most n_bins - 1 of its values lie above the first bin. These are
    picked out and binned; the others, nearly all where classes are many, need a column sum only.
    """
    proba, codes, weight = chunk
    n_rows, n_classes = proba.shape
    size, shape = n_classes * bins.n_bins, (n_classes, bins.n_bins)
    above = np.flatnonzero(proba > float(bins.edges[1]))
    row, column = np.divmod(above, n_classes)
    value = proba.ravel()[above].astype(np.float64)
    cell = column * bins.n_bins + bins.index(value)
    true_value = proba[np.arange(n_rows), codes].astype(np.float64)
    true_cell = codes * bins.n_bins + bins.index(true_value)

    first_bin = proba.astype(np.float64)
    first_bin.ravel()[above] = 0
    if weight is None:
        sums.weight[:, 0] += n_rows - np.bincount(column, minlength=n_classes)
        sums.proba[:, 0] += np.einsum("ik->k", first_bin)
        above_weight = None
    else:
        below = (proba <= float(bins.edges[1])).astype(np.float64)
        sums.weight[:, 0] += np.einsum("i,ik->k", weight, below)
        sums.proba[:, 0] += np.einsum("i,ik->k", weight, first_bin)
        sums.square[:, 0] += np.einsum("i,ik->k", weight * weight, below)
        above_weight = weight[row]
        value *= above_weight
        sums.square[:] += np.bincount(cell, above_weight**2, minlength=size).reshape(shape)
    sums.weight[:] += np.bincount(cell, above_weight, minlength=size).reshape(shape)
    sums.proba[:] += np.bincount(cell, value, minlength=size).reshape(shape)
    sums.hits[:] += np.bincount(true_cell, weight, minlength=size).reshape(shape)


def bin_error(sums: BinSums, norm: Norm, *, debias: bool = False) -> NDArray[np.float64]:
    """Return the calibration error over the last axis of the sums.

    With `debias` it is the squared l2 error, not yet clipped at 0.
    """
    error: NDArray[np.float64]
    weight, proba, hits, _ = sums
    share = weight / weight.sum(axis=-1, keepdims=True)
    if norm == "l1":
        # |sum p - sum 1[y = k]| needs no division by the bins' weights, which may be 0.
        error = np.abs(proba - hits).sum(axis=-1) / weight.sum(axis=-1)
        return error
    occupied = weight > 0
    gap = np.divide(np.abs(proba - hits), weight, out=np.zeros_like(weight), where=occupied)
    if norm == "max":
        error = gap.max(axis=-1)
        return error
    square = gap**2
    if not debias:
        error = np.sqrt((share * square).sum(axis=-1))
        return error
    rate = np.divide(hits, weight, out=np.zeros_like(weight), where=occupied)
    # A single row has no variance to subtract (Kumar's code leaves it out).
    count = sums.effective_counts()
    counted = count > 1 + _ROUND_OFF
    variance = np.divide(rate * (1 - rate), count - 1, out=np.zeros_like(weight), where=counted)
    error = np.where(counted, share * (square - variance), 0).sum(axis=-1)
    return error
