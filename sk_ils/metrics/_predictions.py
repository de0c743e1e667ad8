"""Probabilistic predictions as the metrics see them: checked, encoded, read in chunks."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from sk_ils._sklearn_compat import check_sample_weight

__all__ = ["Chunk", "Predictions", "check_predictions", "named_models"]

# Elements of a chunk: 1 MB of float32, which stays in the second-level cache between passes.
_CHUNK_SIZE = 2**18
# Columns copied at a time: one cache line of float32.
_BLOCK_COLUMNS = 16


class Chunk(NamedTuple):
    """Consecutive rows whose probabilities have been checked and clipped to [0, 1]."""

    proba: NDArray[Any]  # (rows, classes), float32 or float64
    codes: NDArray[np.intp]  # (rows,)
    weight: NDArray[np.float64] | None  # (rows,)


@dataclass(frozen=True)
class Predictions:
    """Rows of class probabilities with their true classes as column numbers.

    The probabilities are checked while `chunks` reads them, so that memory is read only once.
    """

    proba: NDArray[Any]  # (n_samples, n_classes), float16, float32 or float64, not yet checked
    codes: NDArray[np.intp]  # (n_samples,), the column of the true class
    labels: NDArray[Any]  # (n_classes,), the class of each column
    weight: NDArray[np.float64] | None  # (n_samples,)

    def chunks(self, max_rows: int | None = None) -> Iterator[Chunk]:
        """Yield checked chunks in row order; raise ValueError at rows that are no probabilities."""
        n_samples, n_classes = self.proba.shape
        tolerance = _tolerance(self.proba.dtype)
        n_rows = max(1, _CHUNK_SIZE // n_classes)
        if max_rows is not None:
            n_rows = min(n_rows, max_rows)
        for start in range(0, n_samples, n_rows):
            rows = slice(start, start + n_rows)
            proba = _checked_rows(np.ascontiguousarray(self.proba[rows]), start, tolerance)
            weight = None if self.weight is None else self.weight[rows]
            yield Chunk(proba, self.codes[rows], weight)

    def columns(self, classes: Iterable[int] | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield number, and checked and clipped probabilities, of each class (None: of all)."""
        for _ in self.chunks():
            pass  # refuse bad rows first
        wanted = list(range(len(self.labels)) if classes is None else classes)
        for start in range(0, len(wanted), _BLOCK_COLUMNS):
            block = wanted[start : start + _BLOCK_COLUMNS]
            yield from zip(block, self.proba.T[block].clip(0, 1), strict=True)


def check_predictions(
    y_true: ArrayLike,
    y_proba: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> Predictions:
    """Check shapes and labels; see `expected_calibration_error` for the conventions."""
    proba = check_array(
        y_proba,
        dtype=[np.float64, np.float32, np.float16],
        ensure_2d=False,
        ensure_all_finite=False,  # the chunks find NaN and infinity without another pass
        input_name="y_proba",
    )
    if proba.ndim == 1:
        proba = _two_columns(proba)
    elif proba.ndim != 2 or proba.shape[1] < 2:
        raise ValueError(
            "y_proba must have shape (n_samples, n_classes) with at least two columns, or "
            f"(n_samples,) for the probability of the second label; got {proba.shape}."
        )
    y = column_or_1d(y_true)
    check_consistent_length(y, proba, sample_weight)
    codes, classes = _encode(y, labels, proba.shape[1])
    weight = None
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, proba, dtype=np.float64, ensure_non_negative=True)
    return Predictions(proba, codes, classes, weight)


def named_models(y_proba: ArrayLike | Mapping[str, ArrayLike], alone: str | None) -> Mapping[Any, ArrayLike]:
    """Return the probabilities by model's name; `alone` is the name of a single model."""
    if not isinstance(y_proba, Mapping):  # which a DataFrame is not
        return {alone: y_proba}
    if not y_proba or not all(isinstance(name, str) and name for name in y_proba):
        raise ValueError(
            "A dict y_proba must map at least one name (a non-empty string) to probabilities; got the keys "
            f"{list(y_proba)}."
        )
    return y_proba


def _tolerance(dtype: np.dtype[Any]) -> float:
    """Return the round-off to allow for a softmax in this type: sqrt(eps), as in `log_loss`."""
    return float(np.sqrt(np.finfo(dtype).eps))


def _two_columns(proba: NDArray[Any]) -> NDArray[Any]:
    """Return the probabilities of both labels from those of the second."""
    _check_range(proba, 0, _tolerance(proba.dtype))
    second = proba.clip(0, 1)
    return np.column_stack((1 - second, second))


def _checked_rows(proba: NDArray[Any], start: int, tolerance: float) -> NDArray[Any]:
    """Return rows clipped to [0, 1], float16 as float32; raise ValueError for bad ones."""
    if proba.dtype == np.float16:
        proba = proba.astype(np.float32)  # exact; NumPy has no fast arithmetic for float16
    inside = _check_range(proba, start, tolerance)
    # Not the matrix product: some BLAS kernels set floating-point flags at random, which NumPy
    # reports as invalid values (numpy#24067).
    sums = np.einsum("ik->i", proba)
    off = np.abs(sums - 1) > tolerance
    if off.any():
        row = int(off.argmax())
        raise ValueError(
            f"The rows of y_proba must sum to 1 within {tolerance:.2g} (the square root of its "
            f"type's eps); row {start + row} sums to {float(sums[row]):.9g}. Divide by the sums "
            "(y_proba / y_proba.sum(axis=1, keepdims=True)), and keep float16 and float32 "
            "probabilities in their own type instead of converting them to float64."
        )
    clipped: NDArray[Any] = proba if inside else proba.clip(0, 1)
    return clipped


def _check_range(proba: NDArray[Any], start: int, tolerance: float) -> bool:
    """Return whether all values are in [0, 1]; raise ValueError beyond the tolerance."""
    low, high = proba.min(), proba.max()
    if low >= 0 and high <= 1:
        return True
    bad = ~((proba >= -tolerance) & (proba <= 1 + tolerance))  # NaN is bad, too
    if bad.any():
        where = np.unravel_index(bad.argmax(), bad.shape)
        row, value = start + int(where[0]), float(proba[where])
        raise ValueError(
            f"y_proba must hold probabilities between 0 and 1; row {row} holds {value:.9g}. "
            + (
                "Remove or impute such rows."
                if np.isnan(value)
                else "Pass predict_proba's output, not decision_function's; logits become "
                "probabilities by scipy.special.softmax(logits, axis=1)."
            )
        )
    return False


def _encode(
    y: NDArray[Any], labels: ArrayLike | None, n_classes: int
) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Return the column number of each label and the labels of the columns."""
    classes = None if labels is None else _check_labels(labels, n_classes)
    columns = np.arange(n_classes)
    if _are_columns(y, n_classes) and (classes is None or np.array_equal(classes, columns)):
        # The fast path: labels that are column numbers need no sorting.
        codes = y.astype(np.intp, copy=False)
        if classes is not None or np.bincount(codes, minlength=n_classes).all():
            return codes, columns
    if classes is None:
        classes = np.unique(y)
        if len(classes) != n_classes:
            raise ValueError(
                f"y_true has {len(classes)} distinct labels, y_proba {n_classes} columns. Pass "
                "labels=, the label of each column (a classifier's classes_)."
            )
    return _positions(y, classes), classes


def _are_columns(y: NDArray[Any], n_classes: int) -> bool:
    return y.dtype.kind in "iu" and bool(y.min() >= 0 and y.max() < n_classes)


def _check_labels(labels: ArrayLike, n_classes: int) -> NDArray[Any]:
    classes: NDArray[Any] = column_or_1d(labels)
    if len(np.unique(classes)) != len(classes) or len(classes) != n_classes:
        raise ValueError(
            f"labels must hold {n_classes} different labels, one for each column of y_proba and "
            f"in the columns' order (a classifier's classes_); got {classes.tolist()}."
        )
    return classes


def _positions(y: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.intp]:
    """Return i with `classes[i] == y`; the classes may stand in any order."""
    order = np.argsort(classes)
    try:
        found = np.searchsorted(classes[order], y)
    except TypeError:  # text and numbers have no common order; the search below finds none
        found = np.zeros(len(y), dtype=np.intp)
    codes = order[np.minimum(found, len(order) - 1)]
    unknown = classes[codes] != y
    if unknown.any():
        raise ValueError(
            f"y_true contains {y[unknown][:1].tolist()[0]!r}, which is not among the labels "
            f"{classes.tolist()}."
        )
    return codes
