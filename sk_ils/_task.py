"""One fit's data after all checks, and how they are split between training and hold-out."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from sk_ils._holdout import hold_out
from sk_ils._inputs import (
    check_classes,
    check_dataset,
    check_features,
    check_groups,
    check_labels,
    dataset_labels,
    encode,
    is_dataset,
)
from sk_ils._validation import check_sample_weight
from sk_ils.batches import Rows


@dataclass(frozen=True)
class Task:
    """What a fit trains on.

    `train` and `valid` are rows as the network takes them. `X`, `y`, `sample_weight` and `groups` are all
    rows as the user passed them, and the indices say which of them train and which are held out: teachers
    that are no networks of ours see these. `valid_index` is None if `valid` is None or comes from outside.
    """

    X: Any
    y: NDArray[Any]
    classes: NDArray[Any]
    sample_weight: NDArray[np.floating] | None
    groups: NDArray[Any] | None
    train_index: NDArray[np.int64]
    valid_index: NDArray[np.int64] | None
    train: Rows
    valid: Rows | None
    seed: int


def check_data(net: Any, X: Any, *, reset: bool) -> Any:
    """Return X as a tensor, or as it is if it is a Dataset; note or compare its features on the net."""
    if not is_dataset(X):
        return check_features(net, X, net.dtype, reset=reset)
    if reset:
        check_dataset(net, X)
    return X


def check_rows(
    net: Any,
    X: Any,
    y: Any,
    sample_weight: ArrayLike | None = None,
    *,
    classes: NDArray[Any] | None,
    reset: bool,
) -> tuple[Rows, NDArray[Any], NDArray[Any]]:
    """Check X, y and weights.

    Parameters
    ----------
    net : CalibratedNet
        Notes the features if `reset`, else X must have the same.
    X, y, sample_weight
        As passed to fit.
    classes : ndarray or None
        Known classes, among which y must be; None takes them from y.
    reset : bool

    Returns
    -------
    rows : Rows
    labels : ndarray of shape (n,)
        As the user wrote them.
    classes : ndarray of shape (K,)
    """
    data = check_data(net, X, reset=reset)
    labels = check_labels(dataset_labels(X) if y is None and is_dataset(X) else y, len(data))
    classes = check_classes(labels) if classes is None else classes
    codes = torch.from_numpy(encode(labels, classes))
    return Rows(data, codes, weight=_check_weight(sample_weight, len(data))), labels, classes


def _check_weight(sample_weight: ArrayLike | None, n_rows: int) -> Tensor | None:
    if sample_weight is None:
        return None
    weight = check_sample_weight(sample_weight, np.empty(n_rows), dtype=np.float64, ensure_non_negative=True)
    return torch.from_numpy(weight)


def make_task(
    net: Any,
    X: Any,
    y: Any,
    *,
    sample_weight: ArrayLike | None,
    groups: Any,
    classes: NDArray[Any] | None,
    seed: int,
) -> Task:
    """Check the data of a fit and split them, once for teacher and student.

    Parameters
    ----------
    net : CalibratedNet
        Has `train_split`; notes the features.
    X, y, sample_weight, groups
        As passed to fit.
    classes : ndarray or None
        Known classes of a warm start; None takes them from y.
    seed : int
        Shuffles the split.

    Returns
    -------
    Task
    """
    rows, labels, classes = check_rows(net, X, y, sample_weight, classes=classes, reset=True)
    groups = check_groups(groups, len(rows))
    weight = None if rows.weight is None else rows.weight.numpy()
    assert rows.codes is not None
    train_index, valid = hold_out(
        net.train_split,
        dataset=X if is_dataset(X) else rows,
        y=labels,
        codes=rows.codes.numpy(),
        groups=groups,
        weight=weight,
        seed=seed,
    )
    train = rows if len(train_index) == len(rows) else rows.take(train_index)
    _warn_of_untrained_classes(train, classes)
    valid_index = valid if isinstance(valid, np.ndarray) else None
    if valid_index is not None:
        valid_rows: Rows | None = rows.take(valid_index)
    else:
        valid_rows = None if valid is None else _outside_rows(net, valid, classes)
    return Task(X, labels, classes, weight, groups, train_index, valid_index, train, valid_rows, seed)


def _outside_rows(net: Any, dataset: Any, classes: NDArray[Any]) -> Rows:
    """Return the rows of a validation Dataset that is no part of the training data."""
    X, y = getattr(dataset, "X", None), getattr(dataset, "y", None)
    if X is None or y is None:
        X, y = dataset, None
    return check_rows(net, X, y, classes=classes, reset=False)[0]


def _warn_of_untrained_classes(train: Rows, classes: NDArray[Any]) -> None:
    assert train.codes is not None
    absent = np.setdiff1d(np.arange(len(classes)), train.codes.numpy())
    if len(absent):
        warnings.warn(
            f"No row of class {classes[absent][:5].tolist()} is in the training part, so the network cannot "
            "learn it: pass more rows of it, or another train_split or groups.",
            stacklevel=2,
        )
