"""Checks of X, y and metadata, and their way into tensors; errors name what to do."""

from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data
from torch import Tensor
from torch.utils.data import Dataset

from sk_ils._sklearn_compat import check_sample_weight


def is_dataset(X: Any) -> bool:
    """Return whether X is a torch Dataset."""
    return isinstance(X, Dataset)


def check_features(estimator: Any, X: Any, dtype: str | None, *, reset: bool) -> Tensor:
    """Return X as a finite CPU tensor of shape (n_samples, ...), and set or compare its features.

    Parameters
    ----------
    estimator : estimator
        Gets `n_features_in_` and `feature_names_in_` if `reset`; otherwise X must match them.
    X : array-like, DataFrame or Tensor of shape (n_samples, n_features) or (n_samples, ...)
    dtype : {"float32", "float64"} or None
        None keeps the type of numbers.
    reset : bool

    Returns
    -------
    Tensor
    """
    if isinstance(X, Tensor):
        X = X.detach().cpu()
        X = (X.float() if X.dtype == torch.bfloat16 else X).numpy()
    array = validate_data(
        estimator, X, reset=reset, dtype=dtype or "numeric", allow_nd=True, order="C", ensure_min_features=1
    )
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    # torch warns about read-only memory, and a memory map is no place to train on.
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def check_dataset(dataset: Any) -> tuple[int, ...] | None:
    """Return the shape of a Dataset's inputs, None if its first item has none."""
    try:
        n = len(dataset)
    except TypeError:
        n = None
    if not n:
        raise ValueError(
            "A Dataset must have a length and at least one item, so that rows can be held out; "
            f"got {type(dataset).__name__} {'without a length' if n is None else 'of length 0'}."
        )
    item = dataset[0]
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise ValueError(
            "A Dataset must yield pairs (x, y), y may be a dummy when labels are passed to fit; "
            f"got {type(item).__name__}."
        )
    return tuple(getattr(item[0], "shape", ())) or None


def dataset_labels(dataset: Any) -> NDArray[Any]:
    """Return a Dataset's labels: its `targets`, else the second items of one pass over it."""
    targets = getattr(dataset, "targets", None)
    if targets is None:
        targets = [dataset[index][1] for index in range(len(dataset))]
    if isinstance(targets, Tensor):
        return targets.detach().cpu().numpy()
    return np.array([label.item() if isinstance(label, Tensor) else label for label in targets])


def check_labels(y: Any, n_rows: int) -> NDArray[Any]:
    """Return class labels as a 1-D array.

    Parameters
    ----------
    y : array-like of shape (n_rows,)
        Strings, integers, whole floats or booleans; nothing missing.
    n_rows : int

    Returns
    -------
    ndarray of shape (n_rows,)
    """
    if y is None:
        raise ValueError(
            "This classifier requires y to be passed, but the target y is None; only a torch Dataset may "
            "bring its own labels."
        )
    if isinstance(y, Tensor):
        y = y.detach().cpu().numpy()
    labels: NDArray[Any] = column_or_1d(y, warn=True)
    if len(labels) != n_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {n_rows} rows in X, {len(labels)} "
            "labels in y."
        )
    if _has_missing(labels):
        raise ValueError("Input y contains NaN, None or NA: drop the rows without a label.")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError("Input y contains infinity; classifiers need class labels.")
    _unique(labels)  # mixed types get a clearer message here
    check_classification_targets(labels)
    return labels


def _has_missing(labels: NDArray[Any]) -> bool:
    if labels.dtype.kind == "f":
        return bool(np.isnan(labels).any())
    if labels.dtype.kind != "O":
        return False
    return any(value is None or _is_na(value) for value in labels)


def _is_na(value: Any) -> bool:
    """Return whether a value differs from itself, as NaN does, or cannot say so, as pandas.NA."""
    try:
        return bool(value != value)
    except TypeError:
        return True


def check_classes(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the sorted distinct labels, at least two."""
    classes = _unique(labels)
    if len(classes) < 2:
        raise ValueError(
            f"y has one class only, {classes[0]!r}: a classifier needs rows of at least two classes."
        )
    return classes


def _unique(labels: ArrayLike) -> NDArray[Any]:
    try:
        return np.unique(np.asarray(labels))
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in np.asarray(labels).tolist()})
        raise ValueError(f"The labels mix types that cannot be sorted: {', '.join(kinds)}.") from error


def encode(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return each label's index in the sorted classes."""
    unknown = np.setdiff1d(_unique(labels), classes)
    if len(unknown):
        raise ValueError(
            f"y holds labels that are not among the classes: {unknown[:5].tolist()}; the classes are "
            f"{classes[:20].tolist()}."
        )
    return np.searchsorted(classes, labels).astype(np.int64)


def check_weight(sample_weight: ArrayLike | None, n_samples: int) -> Tensor | None:
    """Return non-negative weights as a float64 tensor, or None."""
    if sample_weight is None:
        return None
    weight = check_sample_weight(
        sample_weight, np.empty(n_samples), dtype=np.float64, ensure_non_negative=True
    )
    return torch.from_numpy(weight)


def check_epochs(epochs: Any) -> None:
    """Raise unless it is None or a number of passes."""
    if epochs is not None and not (isinstance(epochs, Integral) and int(epochs) >= 0):
        raise ValueError(f"epochs must be None, for max_epochs, or an int >= 0; got {epochs!r}.")


def check_groups(groups: Any, n_rows: int) -> NDArray[Any] | None:
    """Return groups as a 1-D array of n_rows values, or None."""
    if groups is None:
        return None
    array: NDArray[Any] = column_or_1d(groups)
    if len(array) != n_rows:
        raise ValueError(f"groups has {len(array)} values, but X has {n_rows} rows.")
    return array


# Rows of probabilities that went through float32 or were rounded in a file do not sum to 1 exactly.
_SUM_TOLERANCE = 1e-3


def check_probabilities(
    proba: Any, n_rows: int | None, n_classes: int, *, owner: str
) -> NDArray[np.floating]:
    """Return a teacher's probabilities (n_rows, n_classes) after checking that they are such.

    Parameters
    ----------
    proba : array-like of shape (n_rows, n_classes)
    n_rows : int or None
        None takes any number of rows.
    n_classes : int
    owner : str
        Where they come from, for the errors.

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
    """
    array = np.asarray(proba)
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{owner} must hold numbers, got type {array.dtype}.")
    if array.ndim != 2 or array.shape[1] != n_classes or n_rows not in (None, len(array)):
        raise ValueError(
            f"{owner} must have shape (n_samples, n_classes) = "
            f"({'n' if n_rows is None else n_rows}, {n_classes}), one column for each class in the order of "
            f"its classes_, else in sorted order; got {array.shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{owner} contains NaN or infinity.")
    sums = array.sum(axis=1, dtype=np.float64)
    if array.min() < -_SUM_TOLERANCE or abs(sums - 1).max() > _SUM_TOLERANCE:
        raise ValueError(
            f"{owner} must hold probabilities: non-negative, every row with the sum 1; got values from "
            f"{array.min():.3g} to {array.max():.3g} and sums from {sums.min():.3g} to {sums.max():.3g}. "
            "Pass logits through a softmax first."
        )
    return array
