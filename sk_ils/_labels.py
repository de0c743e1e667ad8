"""Class labels of any kind: which are missing, and which class each of them is."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.multiclass import check_classification_targets

__all__ = ["check_label_type", "check_not_missing", "distinct", "has_missing", "positions", "shown"]

_SHOWN = 20


def check_not_missing(labels: NDArray[Any], name: str) -> None:
    """Raise ValueError if a label is NaN, None or NA."""
    if has_missing(labels):
        raise ValueError(f"Input {name} contains NaN, None or NA: drop the rows without a label.")


def check_label_type(labels: NDArray[Any], name: str) -> None:
    """Raise ValueError for labels that scikit-learn does not take for classes."""
    if labels.dtype.kind == "O" and len(labels) and not isinstance(labels[0], str):
        kind = type(labels[0]).__name__
        own = f"{name}.astype({kind}), or " if kind in ("bool", "int", "float") else ""
        raise ValueError(
            f"Unknown label type: {name} is of the type object and holds values of the type {kind}. Pass "
            f"{own}{name}.astype(str)."
        )
    check_classification_targets(labels)


def has_missing(labels: NDArray[Any]) -> bool:
    """Return whether a label is NaN, None or NA."""
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


def distinct(labels: ArrayLike) -> NDArray[Any]:
    """Return the sorted distinct labels; raise ValueError if they cannot be sorted."""
    try:
        return np.unique(np.asarray(labels))
    except TypeError as error:
        kinds = sorted({type(value).__name__ for value in np.asarray(labels).tolist()})
        if len(kinds) == 1:
            raise ValueError(
                f"The labels are of type {kinds[0]}, which cannot be sorted: pass strings or integers, "
                "such as the names or values of an Enum."
            ) from error
        raise ValueError(f"The labels mix types that cannot be sorted: {', '.join(kinds)}.") from error


def positions(labels: NDArray[Any], classes: NDArray[Any], name: str, hint: str = "") -> NDArray[np.intp]:
    """Return i with ``classes[i] == label`` for each label; the classes may stand in any order.

    Labels are told apart by their values: 1, 1.0 and True are one label, 1 and "1" are two.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,)
    classes : ndarray of shape (n_classes,)
    name : str
        Of the labels, for the error.
    hint : str, default=""
        What else to do about unknown labels.

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If a label is none of the classes; the message has both sets.
    """
    order = np.argsort(classes)
    try:
        found = np.searchsorted(classes[order], labels)
    except TypeError:  # text and numbers have no common order; the comparison below finds none equal
        found = np.zeros(len(labels), dtype=np.intp)
    codes: NDArray[np.intp] = order[np.minimum(found, len(order) - 1)]
    unknown = classes[codes] != labels
    if np.any(unknown):
        raise ValueError(
            f"{name} holds labels that are not among the classes: {shown(distinct(labels[unknown]))}. "
            f"{name} has the labels {shown(distinct(labels))}, the classes are {shown(classes)}.{hint}"
        )
    return codes


def shown(labels: ArrayLike) -> str:
    """Return labels for a message, the first ones if they are many."""
    values = np.asarray(labels).tolist()
    return f"{values}" if len(values) <= _SHOWN else f"{values[:_SHOWN]} and {len(values) - _SHOWN} more"
