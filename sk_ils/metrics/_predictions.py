"""Probabilistic predictions as the metrics see them: checked, encoded, read in chunks."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_consistent_length

from sk_ils._labels import distinct, positions, shown
from sk_ils._probabilities import (
    as_floats,
    as_labels,
    as_numpy,
    check_range,
    check_rows,
    pair_columns,
    tolerance,
)
from sk_ils._sklearn_compat import check_sample_weight

__all__ = ["Chunk", "Predictions", "check_predictions", "named_models"]

# Elements of a chunk: 1 MB of float32, which stays in the second-level cache between passes.
_CHUNK_SIZE = 2**18
# Columns copied at a time: one cache line of float32.
_BLOCK_COLUMNS = 16


class Chunk(NamedTuple):
    """Consecutive rows; float16 has become float32."""

    proba: NDArray[Any]  # (rows, classes), float32 or float64
    codes: NDArray[np.intp]  # (rows,)
    weight: NDArray[np.float64] | None  # (rows,)


@dataclass(frozen=True)
class Predictions:
    """Rows of class probabilities, checked, with their true classes as column numbers."""

    proba: NDArray[Any]  # (n_samples, n_classes), float16, float32 or float64, in [0, 1]
    codes: NDArray[np.intp]  # (n_samples,), the column of the true class
    labels: NDArray[Any]  # (n_classes,), the class of each column
    weight: NDArray[np.float64] | None  # (n_samples,), with the mean 1 over the rows that have any

    def chunks(self, max_rows: int | None = None) -> Iterator[Chunk]:
        """Yield chunks in row order."""
        n_samples, n_classes = self.proba.shape
        n_rows = max(1, _CHUNK_SIZE // n_classes)
        if max_rows is not None:
            n_rows = min(n_rows, max_rows)
        for start in range(0, n_samples, n_rows):
            rows = slice(start, start + n_rows)
            proba = np.ascontiguousarray(self.proba[rows])
            if proba.dtype == np.float16:
                proba = proba.astype(np.float32)  # exact; NumPy has no fast arithmetic for float16
            weight = None if self.weight is None else self.weight[rows]
            yield Chunk(proba, self.codes[rows], weight)

    def columns(self, classes: Iterable[int] | None = None) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield number and probabilities of each class (None: of all)."""
        wanted = list(range(len(self.labels)) if classes is None else classes)
        for start in range(0, len(wanted), _BLOCK_COLUMNS):
            block = wanted[start : start + _BLOCK_COLUMNS]
            yield from zip(block, self.proba.T[block], strict=True)


def check_predictions(
    y_true: ArrayLike,
    y_proba: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> Predictions:
    """Check input, pair columns with labels; conventions as in `expected_calibration_error`."""
    proba = as_floats(y_proba, "y_proba")
    if proba.ndim == 1:
        proba = _two_columns(proba)
    elif proba.ndim != 2 or proba.shape[1] < 2:
        raise ValueError(
            "y_proba must have shape (n_samples, n_classes) with at least two columns, or "
            f"(n_samples,) for the probability of the second label; got {proba.shape}."
        )
    y = as_labels(y_true, "y_true")
    sample_weight = as_numpy(sample_weight)
    check_consistent_length(y, proba, sample_weight)
    classes = None if labels is None else _check_labels(labels, proba.shape[1])
    proba, classes = pair_columns(y_proba, proba, classes, y if classes is None else None, "y_proba")
    codes, classes = _encode(y, classes, proba.shape[1])
    _check_name(y_proba, classes)
    weight = None
    if sample_weight is not None:
        weight = check_sample_weight(sample_weight, len(proba))
    return Predictions(check_rows(proba, "y_proba"), codes, classes, weight)


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


def _two_columns(proba: NDArray[Any]) -> NDArray[Any]:
    """Return the probabilities of both labels from those of the second."""
    check_range(proba, "y_proba", tolerance(proba.dtype))
    second = proba.clip(0, 1)
    return np.column_stack((1 - second, second))


def _check_name(y_proba: Any, classes: NDArray[Any]) -> None:
    """Raise for the Series of the first label's probabilities; a number as name says nothing."""
    name = getattr(y_proba, "name", None)
    if isinstance(name, str) and name == str(classes[0]):
        raise ValueError(
            f"y_proba is a column named {name!r}, as the first of the labels {shown(classes)}, but one "
            "column holds the probabilities of the second label: pass that column, or the DataFrame of both."
        )


def _encode(
    y: NDArray[Any], classes: NDArray[Any] | None, n_classes: int
) -> tuple[NDArray[np.intp], NDArray[Any]]:
    """Return the column number of each label and the labels of the columns."""
    columns = np.arange(n_classes)
    if _are_columns(y, n_classes) and (classes is None or np.array_equal(classes, columns)):
        # The fast path: labels that are column numbers need no sorting.
        codes = y.astype(np.intp, copy=False)
        if classes is not None or np.bincount(codes, minlength=n_classes).all():
            return codes, columns
    if classes is None:
        classes = distinct(y)
        if len(classes) != n_classes:
            raise ValueError(
                f"y_true has {len(classes)} distinct labels, y_proba {n_classes} columns. Pass "
                "labels=, the label of each column (a classifier's classes_)."
            )
    return positions(y, classes, "y_true"), classes


def _are_columns(y: NDArray[Any], n_classes: int) -> bool:
    return y.dtype.kind in "iu" and bool(y.min() >= 0 and y.max() < n_classes)


def _check_labels(labels: ArrayLike, n_classes: int) -> NDArray[Any]:
    classes = as_labels(labels, "labels")
    if len(distinct(classes)) != len(classes) or len(classes) != n_classes:
        raise ValueError(
            f"labels must hold {n_classes} different labels, one for each column of y_proba and "
            f"in the columns' order (a classifier's classes_); got {classes.tolist()}."
        )
    return classes
