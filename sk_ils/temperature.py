r"""Temperature scaling: one number that turns logits into calibrated probabilities.

References
----------
.. [1] C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, "On Calibration of Modern Neural Networks",
   ICML 2017, section 4.2.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["fit_temperature", "log_softmax", "softmax"]

# Bounds of the search for ln T; the prior keeps the minimum far from both on any data.
_LOG_BOUNDS = (math.log(1e-4), math.log(1e5))
_GRID_STEPS = 18
_PRIOR_WEIGHT = 2.0


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

    Examples
    --------
    >>> log_softmax([[0.0, 0.0]]).round(4)
    array([[-0.6931, -0.6931]])
    """
    scaled = _below_zero(logits) / temperature
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

    Examples
    --------
    >>> softmax([[0.0, np.log(3)]], temperature=1.0).round(4)
    array([[0.25, 0.75]])
    """
    proba = _below_zero(logits)
    proba /= temperature
    np.exp(proba, out=proba)
    proba /= proba.sum(axis=1, keepdims=True)
    return proba


def _below_zero(logits: ArrayLike) -> NDArray[np.float64]:
    """Return a float64 copy, each row shifted to a maximum of 0 so that exp cannot overflow."""
    shifted = np.array(logits, dtype=np.float64)
    shifted -= shifted.max(axis=1, keepdims=True)
    return shifted


def fit_temperature(logits: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
    r"""Return the temperature that calibrates held-out logits, with a weak prior towards 1.

    .. math:: T = \arg\min_T \sum_i w_i \, (-\ln \mathrm{softmax}(z_i / T)_{y_i}) + 2 (\ln T)^2

    with the logits :math:`z_i` and the weight :math:`w_i` of sample i. This is temperature scaling
    ([1]_ in the module's references) as a maximum a posteriori estimate: ln T has a normal prior
    with standard deviation 1/2. With many samples the prior does not matter. On a small hold-out
    that is classified without an error the maximum-likelihood T is 0; the prior keeps T at a
    sensible value.

    Parameters
    ----------
    logits : array-like of shape (n_samples, n_classes)
        Logits of samples that the network was not trained on.
    y : array-like of shape (n_samples,)
        True classes, as indices from 0 to n_classes - 1.
    sample_weight : array-like of shape (n_samples,), default=None
        Non-negative weights; a weight of 2 counts as two samples.

    Returns
    -------
    float
        T, in [1e-4, 1e5]; 1 if there are no samples.

    Examples
    --------
    The network gives log-odds 4 to every sample, but is right on three quarters of them, so that
    the log-odds should be ln 3:

    >>> logits = np.tile([[0.0, 4.0]], (1000, 1))
    >>> y = np.arange(1000) % 4 > 0
    >>> round(fit_temperature(logits, y), 1), round(4 / math.log(3), 1)
    (3.6, 3.6)
    """
    shifted = _below_zero(logits) if len(np.asarray(logits)) else np.zeros((0, 2))
    labels = np.asarray(y, dtype=np.int64)
    weights = np.ones(len(labels)) if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
    true = shifted[np.arange(len(labels)), labels]

    def cost(log_temperature: float) -> float:
        inverse = math.exp(-log_temperature)
        nll = np.log(np.exp(shifted * inverse).sum(axis=1)) - true * inverse
        return float(weights @ nll) + _PRIOR_WEIGHT * log_temperature**2

    # The negative log-likelihood is convex in 1 / T, but together with the prior the cost may have
    # several minima: a grid finds the valley of the lowest, golden-section search its bottom.
    grid = np.linspace(*_LOG_BOUNDS, _GRID_STEPS)
    costs = [cost(step) for step in grid]
    best = int(np.argmin(costs))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return math.exp(_golden_section(cost, float(low), float(high)))


def _golden_section(
    cost: Callable[[float], float], low: float, high: float, tolerance: float = 1e-4
) -> float:
    """Return where a function with one valley between low and high has its minimum."""
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    cost_left, cost_right = cost(left), cost(right)
    while high - low > tolerance:
        if cost_left < cost_right:
            high, right, cost_right = right, left, cost_left
            left = high - ratio * (high - low)
            cost_left = cost(left)
        else:
            low, left, cost_left = left, right, cost_right
            right = low + ratio * (high - low)
            cost_right = cost(right)
    return (low + high) / 2
