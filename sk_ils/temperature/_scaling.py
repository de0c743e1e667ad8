r"""Temperature scaling: one number that turns logits into calibrated probabilities.

References
----------
.. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural Networks",
   ICML 2017, section 4.2.
"""

import math
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
    scaled = _scaled(logits, temperature)
    scaled -= np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return scaled


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
    proba = _scaled(logits, temperature)
    np.exp(proba, out=proba)
    proba /= proba.sum(axis=1, keepdims=True)
    return proba


def _scaled(logits: ArrayLike, temperature: Any) -> NDArray[np.float64]:
    """Return logits / temperature as a float64 copy, finite if the logits are."""
    if not isinstance(temperature, (int, float, np.integer, np.floating)) or not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be in (0, inf), got {temperature!r}.")
    scaled = _below_zero(logits)
    with np.errstate(over="ignore"):
        scaled /= temperature
    return np.maximum(scaled, np.finfo(np.float64).min, out=scaled)


def _below_zero(logits: ArrayLike) -> NDArray[np.float64]:
    """Return a float64 copy, each row shifted to a maximum of 0 so that exp cannot overflow."""
    shifted = as_numbers(logits, "The logits", np.float64)
    if shifted.ndim != 2 or shifted.shape[1] == 0:
        raise ValueError(f"Expected logits of shape (n_samples, n_classes), got {shifted.shape}.")
    highest = shifted.max(axis=1, keepdims=True)
    if not np.isfinite(highest).all():  # a class that cannot be, -inf, is no fault
        raise ValueError("The logits hold NaN or infinity; floor probabilities before taking the log.")
    with np.errstate(over="ignore"):
        shifted -= highest
    return shifted


def fit_temperature(logits: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    r"""Return the temperature that calibrates held-out logits, with a weak prior towards 1.

    .. math::

        T = \arg\min_T \frac{n}{W} \sum_i w_i \, (-\ln \mathrm{softmax}(z_i / T)_{y_i})
            + 2 (\ln T)^2

    with the logits :math:`z_i` and the weight :math:`w_i` of sample i, the sum W of the weights and
    the number n of samples; with weights, n is Kish's effective number
    :math:`W^2 / \sum_i w_i^2`. So the scale of the weights does not matter, and the prior counts as
    much against a few heavy samples as against a few samples. This is temperature scaling
    ([1]_ in the module's references) as a maximum a posteriori estimate: ln T has a normal prior
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
    shifted = np.maximum(_below_zero(scores), _LOWEST)
    true = shifted[np.arange(len(labels)), labels]

    def cost(log_temperature: float) -> float:
        inverse = math.exp(-log_temperature)
        nll = np.log(np.exp(shifted * inverse).sum(axis=1)) - true * inverse
        return float(weights @ nll) + _PRIOR_WEIGHT * log_temperature**2

    # The negative log-likelihood is convex in 1 / T, but together with the prior the cost may have
    # several minima: a grid finds the valley of the lowest, the bounded minimiser its bottom.
    grid = np.linspace(*_LOG_BOUNDS, _GRID_STEPS)
    costs = [cost(step) for step in grid]
    best = int(np.argmin(costs))
    valley = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    found = minimize_scalar(cost, bounds=valley, method="bounded", options={"xatol": _TOLERANCE})
    return math.exp(found.x)


def _checked(logits: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return logits as float64 and labels as int64; raise ValueError if unfit."""
    scores = as_numbers(logits, "The logits", np.float64)
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
