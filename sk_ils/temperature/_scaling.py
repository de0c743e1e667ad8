r"""Temperature scaling: one number that turns logits into calibrated probabilities.

References
----------
.. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural Networks",
   ICML 2017, section 4.2.
"""

from __future__ import annotations  # help() shows types by their names

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar

from sk_ils._labels import distinct, shown
from sk_ils._probabilities import as_numbers, as_numpy
from sk_ils._sklearn_compat import check_sample_weight

__all__ = ["fit_temperature", "log_softmax", "softmax"]

# Bounds of the search for ln T; the prior keeps the minimum far from both on any data.
_LOG_BOUNDS = (math.log(1e-4), math.log(1e5))
_GRID_STEPS = 18
_PRIOR_WEIGHT = 2.0
# Of ln T. The minimiser never tries a bound itself: a T that is one is met within this.
_TOLERANCE = 1e-5
# Of a logit below the highest of its row: divided by any T and summed over any rows it is finite.
_LOWEST = -1e290
# Elements of a chunk: 2 MB of float64.
_CHUNK_SIZE = 2**18
# Elements that are kept in float64: 32 MB.
_KEPT_SIZE = 2**22
# From so many values on NumPy adds them up in several sums at once.
_UNROLLED = 8


def log_softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return log(softmax(logits / temperature)) in float64.

    Parameters
    ----------
    logits : array-like of shape (n_samples, n_classes)
        A network's raw outputs.
    temperature : float, default=1.0
        In (0, inf).

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Log-probabilities in nats, at most 0.

    Raises
    ------
    ValueError
        If a row holds NaN, infinity, or -inf alone, or if the temperature is out of its range.

    Examples
    --------
    >>> log_softmax([[0.0, 0.0]]).round(4)
    array([[-0.6931, -0.6931]])
    """
    return log_softmax_in_place(_own(logits), temperature)


def softmax(logits: ArrayLike, temperature: float = 1.0) -> NDArray[np.float64]:
    """Return softmax(logits / temperature) in float64.

    Parameters
    ----------
    logits : array-like of shape (n_samples, n_classes)
        A network's raw outputs.
    temperature : float, default=1.0
        In (0, inf).

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Rows sum to 1.

    Raises
    ------
    ValueError
        If a row holds NaN, infinity, or -inf alone, or if the temperature is out of its range.

    Examples
    --------
    >>> softmax([[0.0, np.log(3)]], temperature=1.0).round(4)
    array([[0.25, 0.75]])
    """
    return softmax_in_place(_own(logits), temperature)


def log_softmax_in_place(logits: NDArray[Any], temperature: Any) -> NDArray[np.float64]:
    """Turn an array of one's own into what `log_softmax` returns."""
    for scaled in _scaled_chunks(logits, temperature):
        scaled -= np.log(_over_classes(np.add, np.exp(scaled)))[:, None]
    return logits


def softmax_in_place(logits: NDArray[Any], temperature: Any) -> NDArray[np.float64]:
    """Turn an array of one's own into what `softmax` returns."""
    for proba in _scaled_chunks(logits, temperature):
        np.exp(proba, out=proba)
        proba /= _over_classes(np.add, proba)[:, None]
    return logits


def _over_classes(function: np.ufunc, values: NDArray[Any]) -> NDArray[Any]:
    """Return a ufunc's reduction of each row; of few classes a column at a time.

    NumPy begins anew in each row, which takes ten times as long. Below eight values its order of
    summation is the same.
    """
    n_classes = values.shape[1]
    if n_classes >= _UNROLLED:
        reduced: NDArray[Any] = function.reduce(values, axis=1)
        return reduced
    reduced = values[:, 0].copy()
    for k in range(1, n_classes):
        function(reduced, values[:, k], out=reduced)
    return reduced


def _own(logits: ArrayLike) -> NDArray[np.float64]:
    """Return a float64 copy."""
    return as_numbers(logits, "The logits", np.float64)


def _scaled_chunks(logits: NDArray[np.float64], temperature: Any) -> Iterator[NDArray[np.float64]]:
    """Divide by the temperature, each row shifted to a maximum of 0; yield some rows at a time.

    All become finite. Chunks stay in the cache from step to step.
    """
    if not isinstance(temperature, (int, float, np.integer, np.floating)) or not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be in (0, inf), got {temperature!r}.")
    if logits.ndim != 2 or logits.shape[1] == 0:
        raise ValueError(f"Expected logits of shape (n_samples, n_classes), got {logits.shape}.")
    for rows in _slices(logits.shape):
        part = logits[rows]
        highest = _over_classes(np.maximum, part)[:, None]
        if not np.isfinite(highest).all():  # a class that cannot be, -inf, is no fault
            raise ValueError("The logits hold NaN or infinity; floor probabilities before taking the log.")
        with np.errstate(over="ignore"):
            part -= highest  # so that exp cannot overflow
            part /= temperature
        yield np.maximum(part, np.finfo(np.float64).min, out=part)


def _slices(shape: tuple[int, ...]) -> list[slice]:
    """Return the rows of each chunk of an array."""
    step = max(1, _CHUNK_SIZE // max(shape[1], 1))
    return [slice(start, start + step) for start in range(0, shape[0], step)]


def fit_temperature(logits: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    r"""Return the temperature that calibrates held-out logits, with a weak prior towards 1.

    .. math::

        T = \arg\min_T \frac{n}{W} \sum_i w_i \, (-\ln \mathrm{softmax}(z_i / T)_{y_i})
            + 2 (\ln T)^2

    with the logits :math:`z_i` and the weight :math:`w_i` of sample i, the sum W of the weights and
    the number n of samples; with weights, n is Kish's effective number
    :math:`W^2 / \sum_i w_i^2`. So the scale of the weights does not matter, and the prior counts as
    much against a few heavy samples as against a few samples. This is temperature scaling
    (Guo et al., ICML 2017, section 4.2) as a maximum a posteriori estimate: ln T has a normal prior
    with standard deviation 1/2. With many samples the prior does not matter. On a small hold-out
    that is classified without an error the maximum-likelihood T is 0; the prior keeps T at a
    sensible value.

    Parameters
    ----------
    logits : array-like of shape (n_samples, n_classes)
        Logits of samples that the network was not trained on; finite.
    y : array-like of shape (n_samples,)
        True classes, as indices from 0 to n_classes - 1.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights, not all of them 0; their scale does not matter.

    Returns
    -------
    float
        T, in [1e-4, 1e5]; 1 if there are no samples.

    Raises
    ------
    ValueError
        If logits are NaN or infinite, if labels are no class indices, or if weights are negative,
        NaN, infinite or all 0.

    Examples
    --------
    The network gives log-odds 4 to every sample, but is right on three quarters of them, so that
    the log-odds should be ln 3:

    >>> logits = np.tile([[0.0, 4.0]], (1000, 1))
    >>> y = np.arange(1000) % 4 > 0
    >>> round(fit_temperature(logits, y), 1), round(4 / math.log(3), 1)
    (3.6, 3.6)
    """
    scores, labels = _checked(logits, y)
    if len(labels) == 0:
        return 1.0
    weights = np.ones(len(labels))
    if sample_weight is not None:
        weights = check_sample_weight(as_numpy(sample_weight), len(labels))
        weights *= weights.sum() / (weights @ weights)  # their sum is now Kish's number
    shifted = _BelowZero(scores)
    true = shifted.at(labels)

    def cost(log_temperature: float) -> float:
        inverse = math.exp(-log_temperature)
        nll = shifted.log_sum_exp(inverse) - true * inverse
        return float(weights @ nll) + _PRIOR_WEIGHT * log_temperature**2

    # The negative log-likelihood is convex in 1 / T, but together with the prior the cost may have
    # several minima: a grid finds the valley of the lowest, the bounded minimiser its bottom.
    grid = np.linspace(*_LOG_BOUNDS, _GRID_STEPS)
    costs = [cost(step) for step in grid]
    best = int(np.argmin(costs))
    valley = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(cost, bounds=valley, method="bounded", options={"xatol": _TOLERANCE})
    return math.exp(found.x)


class _BelowZero:
    """Logits in float64, each row shifted to a maximum of 0, made a chunk at a time.

    They are kept unless they are many: the minimiser asks for them some forty times.
    """

    def __init__(self, logits: NDArray[Any]) -> None:
        self.logits = logits
        self.slices = _slices(logits.shape)
        self.highest = np.concatenate([_over_classes(np.maximum, logits[rows]) for rows in self.slices])
        is_small = logits.size <= _KEPT_SIZE
        self.kept = [self._make(rows) for rows in self.slices] if is_small else None

    def _make(self, rows: slice) -> NDArray[np.float64]:
        part = self.logits[rows].astype(np.float64)
        with np.errstate(over="ignore"):
            part -= self.highest[rows, None]
        return np.maximum(part, _LOWEST, out=part)

    def _parts(self) -> Iterator[tuple[slice, NDArray[np.float64]]]:
        parts = map(self._make, self.slices) if self.kept is None else self.kept
        yield from zip(self.slices, parts, strict=True)

    def at(self, labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return each row's value in one column."""
        values = np.empty(len(labels))
        for rows, part in self._parts():
            values[rows] = part[np.arange(len(part)), labels[rows]]
        return values

    def log_sum_exp(self, factor: float) -> NDArray[np.float64]:
        """Return the logarithm of each row's sum of exponentials of the values times a factor."""
        sums = np.empty(len(self.logits))
        for rows, part in self._parts():
            scaled = part * factor
            sums[rows] = _over_classes(np.add, np.exp(scaled, out=scaled))
        return np.log(sums, out=sums)


def _checked(logits: ArrayLike, y: ArrayLike) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return logits in their own type and labels as int64; raise ValueError if unfit."""
    scores = as_numbers(logits, "The logits", copy=False)
    labels = np.asarray(as_numpy(y))
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        raise ValueError(
            "Expected logits of shape (n_samples, n_classes) and y of shape (n_samples,), got "
            f"{scores.shape} and {labels.shape}."
        )
    if not np.isfinite(scores).all():
        raise ValueError("The logits hold NaN or infinity; floor probabilities before taking the log.")
    if len(labels) == 0:
        return scores, labels.astype(np.int64)
    n_classes = scores.shape[1]
    if labels.dtype.kind not in "iubf" or not ((labels >= 0) & (labels < n_classes)).all():
        raise ValueError(
            f"Expected y as class indices from 0 to {n_classes - 1}, got the labels "
            f"{shown(distinct(labels))}; encode labels with np.unique(y, return_inverse=True)."
        )
    codes = labels.astype(np.int64)
    if (codes != labels).any():
        raise ValueError(f"Expected y as class indices, got the labels {shown(distinct(labels))}.")
    return scores, codes
