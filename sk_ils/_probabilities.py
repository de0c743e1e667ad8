"""Probabilities as users pass them: as a NumPy array, each column with its label, rows checked."""

import warnings
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array, column_or_1d

from sk_ils._labels import check_not_missing, distinct, shown

__all__ = [
    "as_floats",
    "as_labels",
    "as_numbers",
    "as_numpy",
    "check_column_names",
    "check_rows",
    "pair_columns",
    "tolerance",
]

# Elements of a chunk: 1 MB of float32, which stays in the second-level cache between passes.
_CHUNK_SIZE = 2**18
# How far a row's sum may be from 1 beyond round-off: three decimals of a CSV file.
_ROUNDING = 1e-3
# Rows of a bfloat16 softmax sum to 1 within twice its eps.
_BFLOAT16_SUMS = 2**-6


def as_numpy(values: Any) -> Any:
    """Return tensors as NumPy arrays in their own type, anything else as it is.

    torch is not imported: a tensor is known by its methods. NumPy has no bfloat16, so such tensors
    become float32.
    """
    if isinstance(values, (list, tuple)) and values and _is_tensor(values[0]):
        return [as_numpy(row) for row in values]
    if not _is_tensor(values):
        return values
    try:
        tensor = values.detach().cpu()
        tensor = tensor if str(tensor.layout) == "torch.strided" else tensor.to_dense()
        return (tensor.float() if _is_bfloat16(values) else tensor).numpy()
    except (TypeError, RuntimeError) as error:
        kind = f"Tensor of type {str(values.dtype).removeprefix('torch.')} on the device {values.device}"
        raise ValueError(
            f"A {kind} cannot be read as numbers: {str(error).splitlines()[0]} Pass a dense tensor of floats "
            "or integers."
        ) from error


def _is_tensor(values: Any) -> bool:
    return all(hasattr(values, name) for name in ("detach", "cpu", "numpy", "layout"))


def _is_bfloat16(values: Any) -> bool:
    return _is_tensor(values) and str(values.dtype).endswith("bfloat16")


def as_numbers(values: Any, name: str, dtype: type | None = None, *, copy: bool = True) -> NDArray[Any]:
    """Return numbers as an array of the given type, else of their own; refuse anything else."""
    try:
        array: NDArray[Any] = np.array(as_numpy(values), dtype=dtype, copy=copy or None)
        known = array.dtype.kind in "iub" or array.dtype in (np.float16, np.float32, np.float64)
        return array if known else array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers: {error}") from error


def check_column_names(values: Any, name: str) -> None:
    """Raise ValueError if two columns of a DataFrame have one name."""
    columns = getattr(values, "columns", None)
    repeated = [] if columns is None else [label for label, n in Counter(columns).items() if n > 1]
    if repeated:
        raise ValueError(
            f"{name} has several columns of the name {repeated[0]!r}: give each column a name of its own, or "
            "pass an array (to_numpy())."
        )


def as_floats(values: Any, name: str) -> NDArray[Any]:
    """Return values as an array of float16, float32 or float64; NaN and infinity pass.

    Rows of a bfloat16 tensor that sum to 1 within its round-off are divided by their sums.
    """
    check_column_names(values, name)
    rounded = _is_bfloat16(values)
    values = as_numpy(values)
    if rounded and values.ndim == 2:
        sums = values.sum(axis=1, keepdims=True)
        values = values / sums if (np.abs(sums - 1) <= _BFLOAT16_SUMS).all() else values
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    dtype = getattr(values, "dtype", None)
    if getattr(dtype, "kind", "f") not in "fiubO":
        raise ValueError(f"{name} must hold numbers, got type {dtype}.")
    try:
        array: NDArray[Any] = check_array(
            values,
            dtype=[np.float64, np.float32, np.float16],
            ensure_2d=False,
            ensure_all_finite=False,
            input_name=name,
        )
    except (TypeError, ValueError) as error:  # pandas.NA among objects, text, rows of unequal lengths
        raise ValueError(f"{name} must hold numbers: {error}") from error
    return array


def as_labels(y: Any, name: str) -> NDArray[Any]:
    """Return class labels as a 1-D array; raise ValueError if one is missing."""
    values = as_numpy(y)
    if np.ma.is_masked(values):
        raise ValueError(f"Input {name} is masked: drop the rows without a label.")
    labels: NDArray[Any] = column_or_1d(values)
    check_not_missing(labels, name)
    return labels


def tolerance(dtype: np.dtype[Any]) -> float:
    """Return the round-off to allow for a softmax in this type: sqrt(eps), as in `log_loss`."""
    return float(np.sqrt(np.finfo(dtype).eps))


# --- columns by name ----------------------------------------------------------------------------


def pair_columns(
    frame: Any, proba: NDArray[Any], classes: NDArray[Any] | None, y: NDArray[Any] | None, name: str
) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return probabilities with a DataFrame's columns in the order of the classes, and the classes.

    Names count if they are the labels or their texts, as a CSV file has them. Default names (a
    `pandas.RangeIndex`, 0 to n_classes - 1 that are no labels, polars' "column_0", ...) say
    nothing: such columns stay where they are, like those of an array.

    Parameters
    ----------
    frame : object
        What the user passed; only a DataFrame has names.
    proba : ndarray of shape (n_samples, n_classes)
        Its values.
    classes : ndarray of shape (n_classes,) or None
        None takes the names, or the distinct values of y if the names are their texts.
    y : ndarray of shape (n_samples,) or None
        Labels, if there are no classes.
    name : str
        Of the argument, for the error.

    Returns
    -------
    proba : ndarray of shape (n_samples, n_classes)
    classes : ndarray of shape (n_classes,) or None
        None if nothing is known about them yet.

    Raises
    ------
    ValueError
        If the names are neither the labels nor default names; the message has both sets.
    """
    columns = getattr(frame, "columns", None)
    if columns is None or proba.ndim != 2 or _is_default(columns):
        return proba, classes
    names = list(columns)
    if classes is None:
        known = distinct(y if y is not None else [])
        # All classes are known by name, also those that are absent from y.
        classes = distinct(columns) if set(known.tolist()) <= set(names) else known
    for own, wanted in ((names, classes.tolist()), (_texts(names), _texts(classes.tolist()))):
        if len(set(own)) == len(own) and set(own) == set(wanted):
            order = [own.index(label) for label in wanted]
            return (proba if order == list(range(len(own))) else proba[:, order]), classes
    if names == list(range(len(names))):
        return proba, None if y is not None else classes
    raise ValueError(
        f"The columns of {name} must have the labels as their names, in any order: the columns are "
        f"{shown(names)}, the labels {shown(classes)}. Rename the columns, or pass an array "
        "(to_numpy()) with the columns in the labels' order."
    )


def _is_default(columns: Any) -> bool:
    names = list(columns)
    numbers = range(len(names))
    if type(columns).__name__ == "RangeIndex":
        return names == list(numbers)
    return names == [f"column_{i}" for i in numbers]


def _texts(values: list[Any]) -> list[str]:
    return [str(value) for value in values]


# --- rows ---------------------------------------------------------------------------------------


def check_rows(proba: NDArray[Any], name: str) -> NDArray[Any]:
    """Return probabilities in [0, 1], their rows with the sum 1; raise ValueError for others.

    Round-off within the tolerance of the type is clipped to [0, 1], and left alone in the sums.
    Rows whose sums are off by up to 1e-3 more are divided by them, with one warning.
    """
    n_samples, n_classes = proba.shape
    limit = tolerance(proba.dtype)
    step = max(1, _CHUNK_SIZE // n_classes)
    mended: NDArray[Any] | None = None
    n_rounded, worst = 0, 0.0
    for start in range(0, n_samples, step):
        part = np.ascontiguousarray(proba[start : start + step])
        if part.dtype == np.float16:
            part = part.astype(np.float32)  # exact; NumPy has no fast arithmetic for float16
        inside = check_range(part, name, limit, start)
        # Not the matrix product: some BLAS kernels set floating-point flags at random, which NumPy
        # reports as invalid values (numpy#24067).
        sums = np.einsum("ik->i", part)
        off = np.abs(sums - 1)
        largest = float(off.max())
        if largest > limit + _ROUNDING:
            row = int((off > limit + _ROUNDING).argmax())
            raise ValueError(
                f"The rows of {name} must sum to 1; row {start + row} sums to {float(sums[row]):.9g}. Divide "
                f"by the sums (p / p.sum(axis=1, keepdims=True)) if they are probabilities; sums "
                f"that are off by {_ROUNDING:g} or less are mended here, with a warning."
            )
        if inside and largest <= limit:
            continue
        rounded = off > limit
        n_rounded, worst = n_rounded + int(rounded.sum()), max(worst, largest)
        mended = np.array(proba) if mended is None else mended
        part = part.clip(0, 1)
        part[rounded] /= part[rounded].sum(axis=1, keepdims=True)
        mended[start : start + step] = part
    if n_rounded:
        warnings.warn(
            f"{n_rounded} of {n_samples} rows of {name} do not sum to 1 (off by up to {worst:.2g}), as if "
            "they were rounded: they are divided by their sums. Pass unrounded probabilities.",
            stacklevel=4,
        )
    return proba if mended is None else mended


def check_range(proba: NDArray[Any], name: str, limit: float, start: int = 0) -> bool:
    """Return whether all values are in [0, 1]; raise ValueError beyond the limit."""
    low, high = proba.min(), proba.max()
    if low >= 0 and high <= 1:
        return True
    bad = ~((proba >= -limit) & (proba <= 1 + limit))  # NaN is bad, too
    if bad.any():
        where = np.unravel_index(bad.argmax(), bad.shape)
        row, value = start + int(where[0]), float(proba[where])
        raise ValueError(
            f"{name} must hold probabilities between 0 and 1; row {row} holds {value:.9g}. "
            + (
                "Remove or impute rows with NaN."
                if np.isnan(value)
                else "Pass predict_proba's output, not decision_function's; logits become "
                "probabilities by scipy.special.softmax(logits, axis=1)."
            )
        )
    return False
