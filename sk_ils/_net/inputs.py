"""Checks of X, y and metadata, and their way into tensors; errors name what to do."""

from numbers import Integral
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import issparse
from sklearn.utils.validation import column_or_1d, validate_data
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Subset

from sk_ils._labels import check_label_type, check_not_missing, distinct, has_missing, positions, shown
from sk_ils._probabilities import as_floats, as_numpy, check_column_names, check_rows, pair_columns
from sk_ils._sklearn_compat import check_sample_weight

# Items of a Dataset whose labels are compared with its `targets`.
_COMPARED_ITEMS = 1000


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
    _refuse_what_is_no_table(X)
    check_column_names(X, "X")
    X = as_numpy(X)
    if _holds_times(X):  # NumPy would make numbers of these, and a huge negative one of NaT
        raise ValueError(_no_numbers(_columns_without_numbers(X)))
    try:
        array = validate_data(
            estimator,
            X,
            reset=reset,
            dtype=dtype or "numeric",
            allow_nd=True,
            order="C",
            ensure_min_features=1,
        )
    except (ValueError, TypeError) as error:
        if columns := _columns_without_numbers(X):
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"{_no_numbers(columns)} NumPy says: {error}") from error
        _explain_missing(X, error)
        _explain_unreadable(X, error)
        raise
    if array.dtype.kind not in "fiub":
        raise ValueError(f"X must hold numbers, got the type {array.dtype}.")
    if 0 in array.shape[1:]:  # scikit-learn looks at tables only
        raise ValueError(
            f"Found array with 0 feature(s) (shape={array.shape}) while a minimum of 1 is required."
        )
    return to_tensor(array.astype(np.uint8) if array.dtype == np.bool_ else array)


def _holds_times(X: Any) -> bool:
    """Return whether X holds dates or durations only; beside numbers NumPy finds them itself."""
    names = getattr(X, "columns", None)
    if names is not None:
        return len(names) > 0 and np.asarray(X[names[0]]).dtype.kind in "Mm"
    return np.asarray(X[:1] if isinstance(X, list) else X).dtype.kind in "Mm"


def _no_numbers(columns: list[str]) -> str:
    return (
        f"X has columns that hold no numbers: {', '.join(columns[:10])}. Encode them in a Pipeline: "
        "with skrub's TableVectorizer, or a ColumnTransformer of OneHotEncoder(sparse_output=False) "
        "or OrdinalEncoder."
    )


def _explain_missing(X: Any, error: Exception) -> None:
    """Raise if scikit-learn found NaN, with the columns that hold it and what to do."""
    if "contains NaN" not in str(error):
        return
    named = [name for name, column in _columns(X) if has_missing(np.asarray(column))]
    more = f" and {len(named) - 10} more" if len(named) > 10 else ""
    where = f" in the columns {', '.join(named[:10])}{more}" if named else ""
    raise ValueError(
        f"Input X contains NaN{where}: fill missing values in a Pipeline, with "
        "SimpleImputer(add_indicator=True) or by skrub's tabular_pipeline(classifier), or drop those rows."
    ) from error


def _explain_unreadable(X: Any, error: Exception) -> None:
    """Raise if it was NumPy that could not read X, in words that say what X is."""
    if hasattr(X, "columns"):
        return  # scikit-learn reads columns of pandas' own types, which NumPy does not
    try:
        np.asarray(X, dtype=np.float64)
    except (ValueError, TypeError) as unreadable:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        reason = str(unreadable).rstrip(".")
        raise kind(
            f"X cannot be read as numbers of the shape (n_samples, n_features): {reason}. X is a "
            f"{type(X).__name__}; pass an array, a DataFrame, a Tensor, a list of rows of equal length, or a "
            "torch Dataset, which is a subclass of torch.utils.data.Dataset."
        ) from error


def to_tensor(array: NDArray[Any]) -> Tensor:
    """Return an array as a tensor, copied if read-only; longer floats than torch's as float64.

    torch warns about read-only memory, and a memory map is no place to train on.
    """
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        array = array.astype(np.float64)
    return torch.from_numpy(np.require(array, requirements=["C", "W"]))


def _refuse_what_is_no_table(X: Any) -> None:
    """Raise for kinds of input that NumPy would turn into something meaningless."""
    first = X[0] if isinstance(X, list) and X else None
    if isinstance(X, DataLoader):
        raise TypeError(
            "X is a DataLoader: pass its Dataset, and batch_size or iterator_train__num_workers and the like "
            "as parameters of the classifier."
        )
    if isinstance(X, dict) and not issparse(X):  # SciPy's dok_array is a dict, too
        raise TypeError(
            f"X is a {type(X).__name__} with the keys {list(X)[:10]}. For a module with several inputs pass "
            "a torch Dataset whose items are ({name: value}, y); columns of one table go into a DataFrame."
        )
    if isinstance(first, dict):
        raise TypeError(
            "X is a list of dicts: pass pandas.DataFrame(X), or use DictVectorizer(sparse=False)."
        )
    if isinstance(first, tuple) and len(first) == 2 and np.ndim(first[0]):
        raise TypeError(
            "X is a list of pairs (x, y), as scikit-learn's searches and cross_val_score make it of a torch "
            "Dataset. Use SmoothingSearchCV, which takes Datasets, or pass X and y as skorch's "
            "SliceDataset(dataset, 0) and SliceDataset(dataset, 1)."
        )
    if hasattr(X, "toarray"):
        raise TypeError(
            "X is sparse, but dense data is required: pass X.toarray(), or in a Pipeline "
            "OneHotEncoder(sparse_output=False), ColumnTransformer(..., sparse_threshold=0)."
        )


def _columns_without_numbers(X: Any) -> list[str]:
    """Return which columns of a table cannot be read as numbers, with their types."""
    if not hasattr(X, "columns"):
        array = np.asarray(X, dtype=object) if isinstance(X, list) else np.asarray(X)
        if array.dtype.kind not in "OUSMm":
            return []
    return [f"{name} ({column.dtype})" for name, column in _columns(X) if not _is_numeric(column)]


def _columns(X: Any) -> list[tuple[str, Any]]:
    """Return a table's columns with their names or numbers; none of an array that is no table."""
    names = getattr(X, "columns", None)
    if names is not None:
        return [(repr(name), X[name]) for name in names]
    array = np.asarray(X, dtype=object) if isinstance(X, list) else np.asarray(X)
    return [(str(number), array[:, number]) for number in range(array.shape[1])] if array.ndim == 2 else []


def _is_numeric(column: Any) -> bool:
    if np.asarray(column).dtype.kind in "Mm":
        return False
    try:
        np.asarray(column, dtype=np.float64)
    except (ValueError, TypeError):
        return False
    return True


def check_length(dataset: Any) -> int:
    """Return how many items a Dataset has; raise if it does not say."""
    try:
        return len(dataset)
    except (TypeError, ValueError) as error:
        raise ValueError(
            "A Dataset must have a length (__len__), so that its rows can be held out and counted; got "
            f"{type(dataset).__name__} without a length. Read a stream into a list or an array first."
        ) from error


_OWN_LABELS = "y may be a dummy when labels are passed to fit"


def check_dataset(
    dataset: Any, name: str = "A Dataset", about_y: str = _OWN_LABELS
) -> tuple[int, ...] | None:
    """Return the shape of a Dataset's inputs, None if its first item has none."""
    if not check_length(dataset):
        raise ValueError(
            f"{name} must have at least one item, so that rows can be held out; "
            f"got {type(dataset).__name__} of length 0."
        )
    item = dataset[0]
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise ValueError(
            f"{name} must yield pairs (x, y), {about_y}; got "
            f"{type(item).__name__}{f' of length {len(item)}' if isinstance(item, (tuple, list)) else ''}."
        )
    return tuple(getattr(item[0], "shape", ())) or None


def dataset_labels(dataset: Any) -> NDArray[Any]:
    """Return the labels that a Dataset's items have, without reading all items if it has `targets`.

    A `target_transform`, or a wrapper that relabels or filters, makes `targets` differ from the
    items. With a `target_transform` the items are read. Otherwise `targets` are compared with up to
    1000 items all over the Dataset and with one of each class, which costs less than one epoch.

    Parameters
    ----------
    dataset : Dataset
        With a length, items are ``(x, y)``.

    Returns
    -------
    ndarray of shape (n_samples,)

    Raises
    ------
    ValueError
        If `targets` and items differ.
    """
    n = len(dataset)
    targets = getattr(dataset, "targets", None)
    if targets is None or not hasattr(targets, "__len__") or _relabels(dataset):
        return _label_array([dataset[index][1] for index in range(n)])
    labels = np.asarray(as_numpy(targets)) if hasattr(targets, "__array__") else _label_array(targets)
    if len(labels) != n:
        raise ValueError(
            f"The Dataset {type(dataset).__name__} has {n} items, but {len(labels)} targets: pass y to fit, "
            "or let `targets` belong to its items."
        )
    if labels.ndim != 1:
        return labels
    spread = np.linspace(0, n - 1, min(n, _COMPARED_ITEMS)).astype(np.int64)
    for index in np.union1d(spread, _first_of_each(labels)).tolist():
        label = _plain(dataset[index][1])
        if not np.array_equal(label, labels[index]):
            raise ValueError(
                f"The Dataset {type(dataset).__name__} contradicts itself: item {index} has the label "
                f"{label!r}, but targets[{index}] is {_plain(labels[index])!r}. Pass y to fit, "
                "or let `targets` be what the items give."
            )
    return labels


def name_item_not_finite(dataset: Any) -> str:
    """Return a sentence on the first item of a user's Dataset that holds NaN or infinity.

    Parameters
    ----------
    dataset : Dataset, Tensor or None
        A Tensor was checked before.

    Returns
    -------
    str
        Empty if there is no such item, and for all but Datasets.
    """
    if not is_dataset(dataset):
        return ""
    for index in range(len(dataset)):
        if _holds_nan(dataset[index][0]):
            while isinstance(dataset, Subset):
                index, dataset = dataset.indices[index], dataset.dataset
            return (
                f"Item {index} of the Dataset {type(dataset).__name__} holds NaN or infinity: impute it, or "
                "leave it out (torch.utils.data.Subset)."
            )
    return ""


def _holds_nan(x: Any) -> bool:
    if isinstance(x, dict):
        return _holds_nan(list(x.values()))
    if isinstance(x, list | tuple):
        return any(_holds_nan(part) for part in x)
    if isinstance(x, Tensor):
        return not bool(torch.isfinite(x).all())
    if isinstance(x, np.ndarray | np.generic | float):
        return np.asarray(x).dtype.kind == "f" and not bool(np.isfinite(x).all())
    return False


def labels_of(X: Any, y: Any) -> Any:
    """Return y, or the labels that a Dataset brings if y is None."""
    if y is not None or not is_dataset(X):
        return y
    check_dataset(X)
    return dataset_labels(X)


def _relabels(dataset: Any) -> bool:
    return getattr(dataset, "target_transform", None) is not None


def _plain(label: Any) -> Any:
    """Return a label as plain Python, a vector as an array."""
    array = np.asarray(as_numpy(label))
    return array.item() if array.ndim == 0 else array


def _label_array(labels: Any) -> NDArray[Any]:
    return np.array([_plain(label) for label in labels])


def _first_of_each(labels: NDArray[Any]) -> NDArray[np.intp]:
    return np.unique(labels.astype(str) if labels.dtype == object else labels, return_index=True)[1]


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
    y = as_numpy(y)
    rows = np.asarray(y)
    if rows.ndim == 2 and rows.shape[1] > 1:
        one_hot = "Turn one-hot rows into labels: y.argmax(axis=1)."
        several = "Rows with several labels need a classifier for each column, as by MultiOutputClassifier."
        are_flags = rows.dtype.kind in "iufb" and np.isin(rows, (0, 1)).all()
        cure = several if are_flags and (rows.sum(axis=1) != 1).any() else one_hot
        raise ValueError(f"y should be a 1d array of labels, got shape {rows.shape}. {cure}")
    labels: NDArray[Any] = column_or_1d(y, warn=True)
    if len(labels) != n_rows:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: {n_rows} rows in X, {len(labels)} "
            "labels in y."
        )
    check_not_missing(labels, "y")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError("Input y contains infinity; classifiers need class labels.")
    distinct(labels)  # mixed types get a clearer message here
    check_label_type(labels, "y")
    return labels


def check_classes(labels: NDArray[Any]) -> NDArray[Any]:
    """Return the sorted distinct labels, at least two."""
    classes = distinct(labels)
    if len(classes) < 2:
        raise ValueError(
            f"y has one class only, {shown(classes)}: a classifier needs rows of at least two classes."
        )
    return classes


def check_given_classes(classes: Any) -> NDArray[Any]:
    """Return the sorted distinct labels that are passed as `classes`."""
    array = np.asarray(as_numpy(classes))
    if array.ndim != 1 or has_missing(array):
        raise ValueError(
            "classes must be a list of all labels that will ever come, nothing missing; got "
            f"{type(classes).__name__} of shape {array.shape}."
        )
    return distinct(array)


def encode(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return each label's index in the sorted classes."""
    return positions(labels, classes, "y").astype(np.int64)


def check_weight(sample_weight: ArrayLike | None, n_samples: int) -> Tensor | None:
    """Return non-negative weights, scaled to the mean 1, as a float64 tensor, or None."""
    if sample_weight is None:
        return None
    return to_tensor(check_sample_weight(as_numpy(sample_weight), n_samples))


def check_epochs(epochs: Any) -> None:
    """Raise unless it is None or a number of passes."""
    if epochs is not None and not (isinstance(epochs, Integral) and int(epochs) >= 0):
        raise ValueError(f"epochs must be None, for max_epochs, or an int >= 0; got {epochs!r}.")


def check_groups(groups: Any, n_rows: int) -> NDArray[Any] | None:
    """Return groups as a 1-D array of n_rows values, or None."""
    if groups is None:
        return None
    array: NDArray[Any] = column_or_1d(as_numpy(groups))
    if len(array) != n_rows:
        raise ValueError(f"groups has {len(array)} values, but X has {n_rows} rows.")
    if has_missing(array):
        raise ValueError(
            "groups contains NaN, None or NA: give rows that belong to no group a group of their own."
        )
    try:
        np.unique(array)
    except TypeError as error:
        raise ValueError(
            "groups mixes types that cannot be sorted: pass strings or integers alone."
        ) from error
    return array


def check_probabilities(
    proba: Any, n_rows: int | None, classes: NDArray[Any], *, owner: str
) -> NDArray[np.floating]:
    """Return a teacher's probabilities, their columns in the order of the classes.

    Parameters
    ----------
    proba : array-like, DataFrame or Tensor of shape (n_rows, n_classes)
        The columns of a DataFrame go by their names.
    n_rows : int or None
        None takes any number of rows.
    classes : ndarray of shape (n_classes,)
        The label of each column.
    owner : str
        Where they come from, for the errors.

    Returns
    -------
    ndarray of shape (n_rows, n_classes)
        In [0, 1]; rows sum to 1 within the tolerance of their type.
    """
    array = as_floats(proba, owner)
    if array.ndim != 2 or array.shape[1] != len(classes) or n_rows not in (None, len(array)):
        raise ValueError(
            f"{owner} must have shape (n_samples, n_classes) = "
            f"({'n' if n_rows is None else n_rows}, {len(classes)}), one column for each class in the order "
            f"of its classes_, else in sorted order; got {array.shape}."
        )
    array, _ = pair_columns(proba, array, classes, None, owner)
    return check_rows(array, owner)
