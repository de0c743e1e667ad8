"""The one hold-out of a fit: which samples train, and which are held out."""

import inspect
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold
from torch.utils.data import Dataset, Subset

MIN_ROWS = 10

Index = NDArray[np.int64]


class Split(NamedTuple):
    """Rows by index; `valid` may also be a Dataset of its own (skorch's predefined_split)."""

    train: Index
    valid: Index | Dataset[Any] | None


def stratified_split(y_encoded: NDArray[np.int64], fraction: float, seed: int) -> Split:
    """Hold out a share of every class, shuffled; every class keeps a row in training.

    Parameters
    ----------
    y_encoded : ndarray of shape (n_samples,)
        Class indices.
    fraction : float
        Share of the rows to hold out, in (0, 1).
    seed : int

    Returns
    -------
    Split
        Sorted indices; round(fraction * n) rows are held out unless too many classes have one row.
    """
    rng = np.random.RandomState(seed)
    counts = np.bincount(y_encoded)
    # Largest remainders, so that the shares of small classes add up to the share of the whole.
    quota = np.minimum(fraction * counts, np.maximum(counts - 1, 0))
    take = np.floor(quota).astype(np.int64)
    missing = round(fraction * len(y_encoded)) - take.sum()
    by_remainder = np.lexsort((rng.random_sample(len(counts)), take - quota))
    room = by_remainder[take[by_remainder] < counts[by_remainder] - 1]
    take[room[: max(missing, 0)]] += 1
    shuffled = [rng.permutation(np.flatnonzero(y_encoded == code)) for code in range(len(counts))]
    valid = np.concatenate([rows[:size] for rows, size in zip(shuffled, take, strict=True)])
    is_train = np.ones(len(y_encoded), dtype=bool)
    is_train[valid] = False
    return Split(np.flatnonzero(is_train), np.flatnonzero(~is_train))


def grouped_split(y_encoded: NDArray[np.int64], groups: NDArray[Any], fraction: float, seed: int) -> Split:
    """Hold out whole groups, with class shares as even as the groups allow.

    Parameters
    ----------
    y_encoded : ndarray of shape (n_samples,)
        Class indices.
    groups : ndarray of shape (n_samples,)
        Group of each row.
    fraction : float
        Share of the rows to hold out, in (0, 1); 1 / fraction is rounded to a whole number of
        folds.
    seed : int

    Returns
    -------
    Split
        No rows are held out if there is one group only, or one row of each class.
    """
    n_splits = min(max(round(1 / fraction), 2), len(np.unique(groups)), np.bincount(y_encoded).max())
    if n_splits < 2:
        return Split(np.arange(len(y_encoded)), None)
    folds = StratifiedGroupKFold(n_splits, shuffle=True, random_state=seed)
    return Split(*fold_indices(folds, y_encoded, groups)[0])


def fold_indices(folds: Any, y_encoded: NDArray[np.int64], groups: NDArray[Any] | None) -> list[Any]:
    """Return the (inside, outside) indices of stratified folds.

    scikit-learn's warning of classes with fewer rows than folds is suppressed: a class without a
    training row is reported by `split_samples`.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The least populated class")
        return list(folds.split(y_encoded, y_encoded, groups))


def _check_takes(train_split: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Raise if a train_split cannot be called with these arguments."""
    try:
        signature = inspect.signature(train_split)
    except ValueError:
        return  # a function of C that does not tell
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        named = ", ".join(["dataset", "y", *(f"{name}={name}" for name in kwargs)])
        raise TypeError(
            f"train_split is called as train_split({named}) and must return a pair of Datasets, the training "
            f"part and the hold-out; {train_split!r} cannot be called so: {error}."
        ) from error


def called_split(
    train_split: Callable[..., Any], dataset: Dataset[Any], y: NDArray[Any], groups: NDArray[Any] | None
) -> Split:
    """Ask a skorch train_split, which gets (dataset, y) and returns two Datasets."""
    kwargs = {} if groups is None else {"groups": groups}
    _check_takes(train_split, dataset, y, **kwargs)
    parts = train_split(dataset, y, **kwargs)
    try:
        train, valid = parts
    except (TypeError, ValueError) as error:
        raise TypeError(
            "train_split must return a pair of Datasets, the training part and the hold-out; "
            f"got {type(parts).__name__}. A class, such as skorch's ValidSplit, is passed as an instance: "
            "ValidSplit(5)."
        ) from error
    index = _index_in(train, dataset)
    if index is None:
        raise ValueError(
            "train_split must return the Dataset that it was given, or a torch Subset of it, as the training "
            f"part; got {type(train).__name__}."
        )
    valid_index = _index_in(valid, dataset) if valid is not None else None
    for part in (index, valid_index):
        if part is not None and len(part) and not (-len(y) <= part.min() and part.max() < len(y)):
            raise ValueError(
                f"train_split returned a Subset with the rows {part.min()} to {part.max()}; there are "
                f"{len(y)}."
            )
    return Split(index, valid if valid_index is None else valid_index)


def _index_in(part: Any, dataset: Dataset[Any]) -> Index | None:
    """Return which rows of the dataset a part of it holds, None if it is another dataset."""
    if part is dataset:
        return np.arange(len(dataset))
    if isinstance(part, Subset) and part.dataset is dataset:
        return np.asarray(part.indices, dtype=np.int64)
    return None


def hold_out(
    train_split: float | Callable[..., Any] | None,
    *,
    dataset: Dataset[Any],
    classes: NDArray[Any],
    y_encoded: NDArray[np.int64],
    groups: NDArray[Any] | None,
    weight: NDArray[np.floating] | None,
    seed: int,
) -> Split:
    """Split the rows as the parameter `train_split` asks.

    Parameters
    ----------
    train_split : float, callable or None
        See :class:`sk_ils.TeacherClassifier`.
    dataset : Dataset
        What a callable splits.
    classes : ndarray of shape (n_classes,)
        Sorted labels.
    y_encoded : ndarray of shape (n_samples,)
        Class indices.
    groups, weight : ndarray of shape (n_samples,) or None
    seed : int

    Returns
    -------
    Split
        Without hold-out, with a warning, if fewer than 10 rows with a positive weight were held
        out.
    """
    if train_split is None:
        return Split(np.arange(len(y_encoded)), None)
    if callable(train_split):
        split = called_split(train_split, dataset, classes[y_encoded], groups)
    elif groups is not None:
        split = grouped_split(y_encoded, groups, train_split, seed)
    else:
        split = stratified_split(y_encoded, train_split, seed)
    if split.valid is None and callable(train_split):
        return split
    cure = "a larger train_split, or train_split=None to say that this is meant"
    cure = cure if groups is None else f"more groups, {cure}"
    if is_enough(_n_weighted(split.valid, weight), len(y_encoded), cure):
        return split
    return Split(np.arange(len(y_encoded)), None)


def is_enough(n_valid: int, n_rows: int, cure: str) -> bool:
    """Return whether so many rows make a hold-out; warn if not.

    Parameters
    ----------
    n_valid : int
        Rows with a positive weight that would be held out.
    n_rows : int
        Of the training part and the hold-out together.
    cure : str
        What to pass, besides more rows.

    Returns
    -------
    bool
    """
    if n_valid >= MIN_ROWS:
        return True
    warnings.warn(
        f"Only {n_valid} of {n_rows} rows would be held out, fewer than {MIN_ROWS}: training goes on "
        "without a hold-out, that is without early stopping, best epoch and temperature scaling. Pass more "
        f"rows, {cure}.",
        stacklevel=2,
    )
    return False


def _n_weighted(valid: Index | Dataset[Any] | None, weight: NDArray[np.floating] | None) -> int:
    if valid is None:
        return 0
    if weight is None or not isinstance(valid, np.ndarray):
        return len(valid)  # type: ignore[arg-type]
    return int((weight[valid] > 0).sum())
